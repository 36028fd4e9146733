"""qvm where it really runs: on a booted board made of software, one VM at a time, each with a guest of a few instructions."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.bench import Bench
from harness.boardfile import load
from harness.clock import Deadline
from harness.events import Events
from harness.host import Host
from harness.host.process import HostProcess
from suites.harness.qvm_local import MISCHIEF, VIRTUAL
from suites.harness.tiny_guest import assemble

BOARD = "virtual-x86_64"
QVM = "/sbin/qvm"
DIRECTORY = "/data/trial"
LIBRARIES = {"LD_LIBRARY_PATH": f"{DIRECTORY}:/lib:/lib/dll"}
SYSTEM = "trial"
SECONDS = 20.0
"""Longest that anything here may take; a guest runs in a fraction of a second."""

MEMORY = (f"system {SYSTEM}", "ram 0,640K", "rom 0xc0000,0x40000", "ram 1m,15m")
DEVICES = ("vdev ioapic loc 0xf8000000 intr apic name pic", "vdev ser8250 hostdev >- intr pic:4 name console")


@dataclass
class Ended:
    """A qvm that has ended: its status, what the guest printed, what qvm said."""

    status: int
    console: str
    messages: str


class Running:
    """A qvm that runs."""

    def __init__(self, host: Host, process: HostProcess) -> None:
        self.host = host
        self.process = process

    def await_console(self, text: str) -> None:
        """Until the guest has printed it."""
        deadline = Deadline.after(SECONDS, text)
        while text not in self.console():
            assert not deadline.expired, f"{text!r} was not printed: {self.console()!r}, {self.messages()!r}"

    def await_message(self, text: str, times: int = 1) -> None:
        """Until qvm has said it so often."""
        deadline = Deadline.after(SECONDS, text)
        while self.messages().count(text) < times:
            assert not deadline.expired, f"{text!r} was not said: {self.messages()!r}"

    def console(self) -> str:
        return self.process.stdout().decode("ascii", "replace")

    def messages(self) -> str:
        return self.process.stderr().decode("utf-8", "replace")

    def signal(self, name: str) -> None:
        self.process.signal(name)

    def end(self) -> Ended:
        """Waits for the end."""
        status = self.process.wait(Deadline.after(SECONDS, "the end of qvm"))
        assert status is not None, f"qvm did not end: {self.console()!r}, {self.messages()!r}"
        return Ended(status, self.console(), self.messages())


class QvmBoard:
    """The board, and a directory of it for a test's files."""

    def __init__(self, bench: Bench, scratch: Path) -> None:
        self.bench = bench
        self.host = bench.host
        self._scratch = scratch
        self._last: Running | None = None

    def put(self, name: str, content: bytes) -> None:
        self.host.run(["sh", "-c", 'cat >"$1"', "sh", f"{DIRECTORY}/{name}"], input=content)

    def guest(self, body: str, *, form: str = "elf32", at: int = 1 << 20, multiboot: int | None = None) -> None:
        """Puts an image that runs `body` on the board, as `guest`."""
        self.put("guest", assemble(body, self._scratch / "guest", form=form, at=at, multiboot=multiboot).read_bytes())

    def vdev(self, name: str, *definitions: str) -> None:
        """Puts `vdev_mischief.c`, compiled with these definitions, on the board as vdev NAME."""
        target = self._scratch / f"vdev-{name}.so"
        options = ["-std=c11", "-D_GNU_SOURCE", "-O1", f"-I{VIRTUAL / 'include'}", "-shared", "-fPIC"]
        subprocess.run(["gcc", *options, *definitions, "-o", target, MISCHIEF], check=True)
        self.put(target.name, target.read_bytes())

    def start(self, *options: str, memory: tuple[str, ...] = MEMORY, load: str = "load guest") -> Running:
        """Starts qvm on the guest with these lines added to the configuration."""
        self._end_last()
        self._last = Running(self.host, self.host.start([QVM, *_words(memory, load, options)], DIRECTORY, "qvm", LIBRARIES))
        return self._last

    def _end_last(self) -> None:
        """What a test that failed left running would stand in the way of every test after it."""
        if self._last is not None and self._last.process.poll() is None:
            self._last.signal("QUIT")
            self._last.end()

    def run(self, *options: str, memory: tuple[str, ...] = MEMORY, load: str = "load guest") -> Ended:
        """Runs qvm on the guest with these lines added to the configuration, to its end."""
        argv = ["sh", "-c", 'cd "$1" && shift && exec "$@" </dev/null', "sh", DIRECTORY, QVM, *_words(memory, load, options)]
        result = self.host.run(argv, check=False, timeout=SECONDS, environment=LIBRARIES)
        return Ended(result.status, result.stdout.decode("ascii", "replace"), result.stderr.decode("utf-8", "replace"))


def _words(memory: tuple[str, ...], load: str, options: tuple[str, ...]) -> list[str]:
    """Lines of a configuration as words of a command line."""
    return shlex.split("\n".join((*memory, load, *DEVICES, *options)))


@contextmanager
def booted(scratch: Path, of: str = BOARD) -> Iterator[QvmBoard]:
    """A board of its own, of the type `of`, switched off afterwards."""
    bench = Bench(load(of), Events(), scratch, "the tests of qvm")
    with bench.opened():
        bench.host.run(["mkdir", "-p", DIRECTORY])
        yield QvmBoard(bench, scratch)
