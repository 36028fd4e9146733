"""Runs pytest on the device suites as a user does, in a process of its own, and says what is left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Deadline

CHECKOUT = Path(__file__).resolve().parents[2]
LONGEST = 600.0
"""Seconds after which a run is taken for hanging."""


@dataclass(frozen=True)
class Ended:
    """A pytest run that is over."""

    status: int
    output: str


def pytest(*arguments: str, **environment: str) -> Ended:
    """`pytest ARGUMENTS` in the checkout, with these environment variables added."""
    command, variables = _command(arguments), _environment(environment)
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=LONGEST, env=variables)
    return Ended(ended.returncode, ended.stdout + ended.stderr)


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A pytest run going on, in a session of its own as a terminal gives it; whatever is left of it is ended."""
    process = subprocess.Popen(
        _command(arguments),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(environment),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Output up to the line with `text` in it."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not printed:\n{seen}")


def marked(mark: str) -> set[int]:
    """Every process with `HARNESS_MARK` of this value in its environment: a run and whatever it started, orphans too."""
    wanted = f"HARNESS_MARK={mark}".encode()
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and wanted in _environ(entry).split(b"\0")}


def left(mark: str, seconds: float) -> set[int]:
    """Waits until no process of a marked run is there; those that are, after `seconds`."""
    deadline = Deadline.after(seconds, "the end of every process")
    while (found := {pid for pid in marked(mark) if alive(pid)}) and not deadline.expired:
        os.sched_yield()
    return found


def _environ(entry: Path) -> bytes:
    try:
        return (entry / "environ").read_bytes()
    except (OSError, ProcessLookupError):
        return b""


def alive(pid: int) -> bool:
    """Whether a process is there and more than an entry that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "pytest", *arguments]


def _environment(extra: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **extra}
