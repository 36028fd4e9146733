"""A Linux guest from the start of its VM to its end: boot text, shell, kernel's own records.

Invariant: the guest reaches us through the devices under test, so a guest that does not answer while its console port lives is
the device's failure (`DeviceError`), and a qvm that ended is told first.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

from harness.clock import Deadline
from harness.command import Result, quote
from harness.console import ASH, Console, Match, Shell
from harness.console.cksum import cksum
from harness.errors import HarnessError
from harness.events import Events
from harness.guest.linux.background import Background
from harness.guest.linux.interrupts import Interrupt, parse_interrupts
from harness.guest.linux.milestones import FATAL, READY, fatal, progress, sightings
from harness.guest.vm import LOOK, GuestCommandFailed, GuestNotUp, GuestUnresponsive, Vm, answering
from harness.vm import Ending

Ask = Callable[[str, bytes, Deadline], Match]
"""Sends a line and waits for the answer, a regular expression."""


class LinuxGuest:
    """One guest on one VM, its console on the line behind the VM's first UART."""

    def __init__(self, console: Console, vm: Vm, events: Events, command_seconds: float) -> None:
        """`command_seconds` is how long a command may take that is not given a time of its own."""
        self.console = console
        self.vm = vm
        self.events = events
        self.command_seconds = command_seconds
        self._shell: Shell | None = None
        self._begin = console.offset
        self._count = 0

    def boot(self, start: float, boot: float, shell: float) -> None:
        """Starts the VM and waits for the shell; the seconds are those of the phases in the board's profile, each from its own begin.

        Raises what `Qvm.start` raises, `GuestNotUp`, `QvmEnded` or `GuestUnresponsive`.
        """
        self._begin = self.console.offset
        cursor = self.console.cursor()
        with self.events.step("guest.boot", system=self.vm.system) as results:
            self.vm.start(Deadline.after(start, "the VM"))
            up = Deadline.after(boot, "the guest's shell")
            ends = [READY.pattern, *FATAL.values()]
            found = None
            while found is None and not up.expired:
                found = cursor.poll(ends, Deadline.after(min(LOOK, up.remaining), "a guest's boot"))
                if found is None:
                    self.vm.check_alive()
            if found is None or found.index != 0:
                raise self._not_up(up)
            results["milestones"] = self._times()
        with self._answering("the shell's set-up"):
            self._shell = Shell.attach(self.console, ASH, Deadline.after(shell, "the guest's shell"))

    @property
    def shell(self) -> Shell:
        """The guest's shell, for what is not offered here. Raises `GuestUnresponsive` before `boot` and after the end."""
        if self._shell is None:
            raise GuestUnresponsive(f"the guest {self.vm.system} is not up", "boot it first")
        return self._shell

    def run(self, argv: Sequence[str], timeout: float | None = None) -> Result:
        """Runs a command in the guest; its status is the caller's to judge. Raises `QvmEnded` or `GuestUnresponsive`."""
        return self.run_text(quote(argv), timeout)

    def run_text(self, script: str, timeout: float | None = None) -> Result:
        """As `run`, for shell text."""
        with self._answering(f"`{script[:80]}`"):
            return self.shell.run_text(script, timeout or self.command_seconds)

    def must(self, argv: Sequence[str], timeout: float | None = None) -> Result:
        """As `run`, and raises `GuestCommandFailed` when the status is not 0."""
        result = self.run(argv, timeout)
        if result.status:
            raise GuestCommandFailed(quote(argv), result.status, result.stderr.decode("utf-8", "replace"))
        return result

    def read(self, path: str) -> str:
        """The text of a file in the guest, without the line end at its end."""
        return self.must(["cat", path]).text.rstrip("\n")

    def fetch(self, path: str) -> bytes:
        """The bytes of a file in the guest. They come over the console: about 10 KB in a second."""
        return self.must(["cat", path]).stdout

    def cksum(self, path: str) -> int:
        """The POSIX checksum of a file in the guest, to compare with `cksum_of`."""
        return int(self.must(["cksum", path]).stdout.split()[0])

    @staticmethod
    def cksum_of(data: bytes) -> int:
        """The POSIX checksum of some bytes."""
        return cksum(data)

    def interrupts(self) -> dict[str, Interrupt]:
        """`/proc/interrupts` by label."""
        return parse_interrupts(self.read("/proc/interrupts"))

    def kernel_log(self, matching: str = "") -> str:
        """What the kernel logged since it started, also what never went to the console.

        With an extended regular expression only the lines that match: the whole log is 5 s of the console's time.
        """
        return self.run_text(f"dmesg | grep -E -e {quote([matching])}").text if matching else self.must(["dmesg"]).text

    def boot_text(self) -> bytes:
        """The console from the start of the VM up to now."""
        return self.console.slice(self._begin)

    @contextlib.contextmanager
    def background(self, script: str) -> Iterator[Background]:
        """Runs shell text beside what the block does, and at the block's end waits until it has ended as well.

        Raises `GuestCommandFailed` when its status is not 0, `GuestWaits` when it does not end. When the block itself fails, the script is
        ended.
        """
        self._count += 1
        job = Background.start(self.run_text, script, f"/tmp/background.{self._count}")
        try:
            yield job
            job.finish(self.command_seconds)
        except BaseException:
            with contextlib.suppress(HarnessError):
                job.end()
            raise

    @contextlib.contextmanager
    def conversation(self, script: str, end: str) -> Iterator[Ask]:
        """Runs shell text in the foreground, which answers lines; `end` is the line on which it ends.

        Nothing but the line and its answer is on the console between the two, so that their times can be taken.
        """
        shell, path = self.shell, "/tmp/conversation"
        self.must(["sh", "-c", 'printf "%s\\n" "$1" >"$2"', "sh", script, path])
        cursor = self.console.cursor()

        def ask(line: str, answer: bytes, deadline: Deadline) -> Match:
            with self._answering(f"the answer to '{line}'"):
                cursor.skip()
                self.console.write(line.encode() + b"\n", deadline)
                return cursor.expect(re.compile(answer), deadline)

        self.console.write(f". {path}\n".encode(), Deadline.after(self.command_seconds, "the port to take a line"))
        try:
            yield ask
        finally:
            with self._answering("the end of a conversation"):
                deadline = Deadline.after(self.command_seconds, "the shell after a conversation")
                self.console.write(end.encode() + b"\n", deadline)
                shell.resync(deadline)

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
        return GuestNotUp(
            f"the guest {self.vm.system} did not boot: {died or f'it was not up within {boot.seconds:g} s'}; {progress(text)}",
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

    def _answering(self, what: str) -> contextlib.AbstractContextManager[None]:
        return answering(self.vm, what, lambda: fatal(self.boot_text()))
