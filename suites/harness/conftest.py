"""Refuses `--board`: these tests test the harness itself and switch boards of software on and off, never a real one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from suites.harness import qvm_local
from suites.harness.pit import Pit
from suites.harness.qvm_board import QvmBoard, booted
from suites.harness.uart import Uart

settings.register_profile("harness", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("harness")  # how fast this machine is says nothing of what is tested


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--board"):
        raise pytest.UsageError("suites/harness takes no --board; run it with `make test`")
    # A shell without job control starts what it puts into the background with these ignored, and so would be all that is started here.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture
def uart() -> Iterator[Uart]:
    """A ser8250 alone, on the rig."""
    with Uart() as alone:
        yield alone


@pytest.fixture
def pit() -> Iterator[Pit]:
    """A timer8254 alone, on the rig, with the gate of counter 2 open."""
    with Pit() as alone:
        alone.gate2(True)
        yield alone


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with qvm and all vdevs, built with sanitizers."""
    directory = tmp_path_factory.mktemp("qvm")
    qvm_local.build(directory)
    return directory


@pytest.fixture
def qvm(sanitized: Path, tmp_path: Path) -> qvm_local.Qvm:
    """qvm on this machine, in a directory of its own."""
    qvm_local.furnish(tmp_path)
    return qvm_local.Qvm(sanitized / "qvm", sanitized, tmp_path)


@pytest.fixture(scope="module")
def qvm_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QvmBoard]:
    """qvm on a booted board, for the guests of a few instructions that a module runs."""
    with booted(tmp_path_factory.mktemp("board")) as board:
        yield board
