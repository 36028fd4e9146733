"""A QNX guest from the start of its VM to its shell.

Invariant: as with any guest, one that does not get up or does not answer while its console port lives is the device's failure, and a qvm
that ended is told first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.clock import Deadline
from harness.command import Result, quote
from harness.console import KSH, Console, Shell
from harness.events import Events
from harness.guest.vm import LOOK, GuestCommandFailed, GuestNotUp, GuestUnresponsive, Vm, answering

GREETING = re.compile(rb"Welcome to QNX (\S+) on (\S+)")
"""The boot text's first line that every image prints: release and machine."""


class QnxGuest:
    """One guest on one VM, a ksh on the console behind the VM's first UART."""

    def __init__(self, console: Console, vm: Vm, events: Events, prompt: str, command_seconds: float) -> None:
        """`prompt` is what its shell prints when it is ready: an image may set any."""
        self.console = console
        self.vm = vm
        self.events = events
        self.command_seconds = command_seconds
        self.release = ""
        """What it says it is, once it is up: `8.0.0`."""
        self._prompt = prompt.encode()
        self._shell: Shell | None = None

    def boot(self, start: float, boot: float, shell: float) -> None:
        """Starts the VM and waits for the greeting, then the prompt, then a shell; the seconds are those of the board's phases.

        Raises what `Qvm.start` raises, `GuestNotUp`, `QvmEnded` or `GuestUnresponsive`.
        """
        begin = self.console.offset
        cursor = self.console.cursor()
        with self.events.step("guest.boot", system=self.vm.system):
            self.vm.start(Deadline.after(start, "the VM"))
            up = Deadline.after(boot, "the guest's prompt")
            reached = "it printed no greeting (Welcome to QNX)"
            for awaited in (GREETING, self._prompt):
                while (found := cursor.poll(awaited, Deadline.after(min(LOOK, up.remaining), "a guest's boot"))) is None:
                    self.vm.check_alive()
                    if up.expired:
                        raise GuestNotUp(
                            f"the guest {self.vm.system} was not up within {boot:g} s: {reached}",
                            "look at its last lines, and at the device behind the next step",
                            evidence=self.console.log.tail(start=begin),
                        )
                if awaited is GREETING:
                    self.release = found.group(1).decode("utf-8", "replace")
                    reached = f"it greeted, and its prompt ({self._prompt.decode()}) did not come"
        with answering(self.vm, "the shell's set-up"):
            self._shell = Shell.attach(self.console, KSH, Deadline.after(shell, "the guest's shell"))

    def must(self, argv: Sequence[str]) -> Result:
        """Runs a command in the guest. Raises `GuestCommandFailed` when its status is not 0, `QvmEnded` or `GuestUnresponsive`."""
        if self._shell is None:
            raise GuestUnresponsive(f"the guest {self.vm.system} is not up", "boot it first")
        with answering(self.vm, f"`{quote(argv)[:80]}`"):
            result = self._shell.run(argv, self.command_seconds)
        if result.status:
            raise GuestCommandFailed(quote(argv), result.status, result.stderr.decode("utf-8", "replace"))
        return result
