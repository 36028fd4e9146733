"""What guests of every kind have in common: the VM below them, and the ways they fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from harness.clock import Deadline
from harness.command import CommandTimeout
from harness.console import NoShell, NotSeen, ShellNoise
from harness.errors import BenchError, DeviceError
from harness.vm import Ending

LOOK = 2.0
"""Seconds of silence after which the host is asked whether qvm still lives."""


class Vm(Protocol):
    """What a guest asks of its VM; `harness.vm.Qvm` is one."""

    @property
    def system(self) -> str:
        """The VM's name on the host (`system` of its configuration)."""
        ...

    def start(self, deadline: Deadline) -> None:
        """Starts it and waits until it is there. Raises what `Qvm.start` raises."""
        ...

    def output(self) -> str:
        """What qvm printed so far."""
        ...

    def check_alive(self) -> None:
        """Raises `QvmEnded` when qvm ended by itself."""
        ...

    def wait(self, deadline: Deadline) -> int | None:
        """qvm's exit status once the guest has ended the VM; None when it did not by the deadline."""
        ...

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        """Presses the power button, then cuts the power of a guest that is still there. Raises `QvmStuck`."""
        ...


class GuestNotUp(DeviceError):
    """A guest stopped on its way to the shell. The sentence says how far it got and what should have come next."""


class GuestUnresponsive(DeviceError):
    """The shell of a guest that was up does not answer, or a command in it does not end. The sentence says which of the two."""


class GuestWaits(DeviceError):
    """A script in a guest does not end, though the guest answers: it waits for what a device should have brought or taken."""

    def __init__(self, script: str, seconds: float, written: str) -> None:
        """`written`: lines of a number of bytes and the file they are in."""
        files = [f"{size} bytes in {file}" for size, _, file in (line.strip().partition(" ") for line in written.splitlines())]
        super().__init__(
            f"the guest answers, and `{script[:80]}` in it has not ended after {seconds:g} s"
            + (f", with {', '.join(files)}" if files else ""),
            "see whether the device lost what it waits for, or takes nothing from it",
        )


class GuestCommandFailed(DeviceError):
    """A command that succeeds in any sound guest ended with another status than 0."""

    def __init__(self, command: str, status: int, said: str) -> None:
        super().__init__(f"`{command[:80]}` ended with status {status} in the guest", "see what it said", evidence=said)
        self.status = status


@contextlib.contextmanager
def answering(vm: Vm, what: str, died: Callable[[], str] = str) -> Iterator[None]:
    """Makes an answer that does not come the guest's failure; a qvm that ended is told first.

    `died` tells in words what ended the guest's system by its own account, or nothing.
    """
    try:
        yield
    except BenchError as error:
        vm.check_alive()
        if not isinstance(error, NoShell | NotSeen | ShellNoise | CommandTimeout):
            raise
        end = died()
        stopped = f"answers, and has not ended {what}" if isinstance(error, CommandTimeout) else f"stopped answering at {what}"
        sentence = f"died at {what}: {end}" if end else f"{stopped}: {error.sentence}"
        raise GuestUnresponsive(
            f"the guest {vm.system} {sentence}", "look at its last lines, and at the UART", evidence=error.evidence
        ) from error
