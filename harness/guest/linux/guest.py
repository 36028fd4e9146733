"""A Linux guest from the start of its VM to its end: boot text, shell, kernel's own records.

Invariant: the guest reaches us through the devices under test, so a guest that does not answer while its console port lives is
the device's failure (`DeviceError`), and a qvm that ended is told first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.clock import Deadline
from harness.command import CommandTimeout, Result
from harness.console import ASH, Console, NoShell, Shell, ShellNoise
from harness.errors import DeviceError
from harness.events import Events
from harness.guest.linux.interrupts import Interrupt, parse_interrupts
from harness.guest.linux.milestones import FATAL, READY, fatal, progress, sightings
from harness.vm import Ending

LOOK = 2.0
"""Seconds of silence after which the host is asked whether qvm still lives."""


class Vm(Protocol):
    """What a guest asks of its VM; `harness.vm.Qvm` is one."""

    @property
    def system(self) -> str: ...

    def start(self, deadline: Deadline) -> None: ...

    def check_alive(self) -> None: ...

    def wait(self, deadline: Deadline) -> int | None: ...

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending: ...


class GuestNotUp(DeviceError):
    """A guest stopped on its way to the shell. The sentence says how far it got and what should have come next."""


class GuestUnresponsive(DeviceError):
    """The shell of a guest that was up does not answer, or a command in it does not end."""


class LinuxGuest:
    """One guest on one VM, its console on the line behind the VM's first UART."""

    def __init__(self, console: Console, vm: Vm, events: Events) -> None:
        self.console = console
        self.vm = vm
        self.events = events
        self._shell: Shell | None = None
        self._begin = console.offset

    def boot(self, start: Deadline, boot: Deadline, shell: Deadline) -> None:
        """Starts the VM and waits for the shell; each deadline is one phase of the board's profile.

        Raises what `Qvm.start` raises, `GuestNotUp`, `QvmEnded` or `GuestUnresponsive`.
        """
        self._begin = self.console.offset
        cursor = self.console.cursor()
        with self.events.step("guest.boot", system=self.vm.system) as results:
            self.vm.start(start)
            ends = [READY.pattern, *FATAL.values()]
            found = None
            while found is None and not boot.expired:
                found = cursor.poll(ends, Deadline.after(min(LOOK, boot.remaining), "a guest's boot", boot.clock))
                if found is None:
                    self.vm.check_alive()
            if found is None or found.index != 0:
                raise self._not_up(boot)
            results["milestones"] = self._times()
        with self._answering("the shell's set-up"):
            self._shell = Shell.attach(self.console, ASH, shell)

    @property
    def shell(self) -> Shell:
        """The guest's shell, for what `run` does not offer. Raises `GuestUnresponsive` before `boot` and after the end."""
        if self._shell is None:
            raise GuestUnresponsive(f"the guest {self.vm.system} is not up", "boot it first")
        return self._shell

    def run(self, argv: Sequence[str], timeout: float) -> Result:
        """Runs a command in the guest; its status is the caller's to judge. Raises `QvmEnded` or `GuestUnresponsive`."""
        with self._answering(f"`{' '.join(argv)[:80]}`"):
            return self.shell.run(argv, timeout)

    def run_text(self, script: str, timeout: float) -> Result:
        """As `run`, for shell text."""
        with self._answering(f"`{script[:80]}`"):
            return self.shell.run_text(script, timeout)

    def interrupts(self, timeout: float) -> dict[str, Interrupt]:
        """`/proc/interrupts` by label."""
        return parse_interrupts(self.run(["cat", "/proc/interrupts"], timeout).text)

    def kernel_log(self, timeout: float) -> str:
        """What the kernel logged since it started, also what never went to the console."""
        return self.run(["dmesg"], timeout).text

    def boot_text(self) -> bytes:
        """The console from the start of the VM up to now."""
        return self.console.slice(self._begin)

    def shutdown(self, deadline: Deadline) -> Ending:
        """The guest switches itself off; one that does not by the deadline is ended as `Qvm.stop` does."""
        with self.events.step("guest.shutdown", system=self.vm.system):
            if self._shell is not None:
                self._shell = None
                self.console.write(b"poweroff -f\n", deadline)
                status = self.vm.wait(deadline)
                if status is not None:
                    return Ending(status, "")
            return self.vm.stop(Deadline.after(deadline.seconds, deadline.awaited, deadline.clock))

    def _not_up(self, boot: Deadline) -> GuestNotUp:
        text = self.boot_text()
        died = fatal(text)
        what = died or f"it was not up within {boot.seconds:g} s"
        return GuestNotUp(
            f"the guest {self.vm.system} did not boot: {what}; {progress(text)}",
            "look at its last lines, and at the device behind the next step",
            evidence=self.console.log.tail(start=self._begin),
        )

    def _times(self) -> dict[str, float]:
        """Seconds from the first byte to each milestone, as the lab controller's port received them."""
        seen = sightings(self.boot_text())
        first = self.console.stamp(self._begin).monotonic
        return {
            sighting.milestone.name: round(self.console.stamp(self._begin + sighting.end - 1).monotonic - first, 3) for sighting in seen
        }

    @contextlib.contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        try:
            yield
        except (NoShell, ShellNoise, CommandTimeout) as error:
            self.vm.check_alive()
            raise GuestUnresponsive(
                f"the guest {self.vm.system} stopped answering at {what}: {error.sentence}",
                "look at its last lines, and at the UART",
                evidence=error.evidence,
            ) from error
