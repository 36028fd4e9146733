"""Refuses `--board`: these tests test the harness itself and switch boards of software on and off, never a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suites.harness.pit import Pit
from suites.harness.uart import Uart


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--board"):
        raise pytest.UsageError("suites/harness takes no --board; run it with `make test`")


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
