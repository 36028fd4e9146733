"""VMs that ask qvm a question: the documented VM, with some lines of text added that its documentation says nothing about.

Raw text, not `harness.vm`: what is asked is often what a writer of configurations must not write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.bench import Bench
from harness.clock import Deadline
from harness.host.process import HostProcess
from harness.vdev import Deployment, VdevFile
from harness.vm import status
from harness.vm.qvm import READY


@dataclass(frozen=True)
class Place:
    """Where a further vdev finds room in the VM of an architecture."""

    pic: str
    free: str
    """A location nothing claims."""
    taken: str
    """One that a device of the VM claims."""


PLACES = {
    "x86_64": Place("myioapic", "io:0x3e8", "io:0x40"),
    "aarch64": Place("gic", "mem:0x1c0b0000", "mem:0x1c090000"),
}

SPIN = b"\x00\x00\x00\x14"
"""`b .`, an arm64 guest that does nothing: a file of no known format is entered at its first byte."""
ARM_VM = ("ram 0x80000000,16M", "load 0x80080000,{directory}/spin", "vdev pl011 loc 0x1c090000 intr gic:37 hostdev >-")


DRYRUN = """\
cat >"$1" && cd "${1%/*}" || exit 1
timeout -s QUIT "$3" "$2" "@$1" dryrun </dev/null >"$1.out" 2>"$1.err"
echo $?
wc -c <"$1.out"
cat "$1.out" "$1.err"
rm -f "$1" "$1.out" "$1.err"
"""
"""$1 the file, its text on standard input, $2 qvm, $3 seconds until its power is cut. One round trip: there are many questions."""


@dataclass(frozen=True)
class Said:
    """How qvm ended (`timeout` says 124 when it had to be ended), and what it printed where."""

    status: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        ended = f"status {self.status} ({status.meaning(self.status)})"
        told = [f"{name}: {text.strip()}" for name, text in (("stdout", self.stdout), ("stderr", self.stderr)) if text.strip()]
        return "\n".join([ended, *(told or ["it printed nothing"])])


class Doubts:
    """Asks qvm on one host."""

    def __init__(self, bench: Bench, deployment: Deployment, documented: Sequence[str]) -> None:
        """`documented` is the VM without its `system` line; for an architecture without a guest of ours it may be empty."""
        self.place = PLACES[bench.board.board.arch]
        self._bench = bench
        self._deployment = deployment
        self._documented = documented
        self._count = 0
        if not documented:
            bench.host.run(["sh", "-c", 'cat >"$1/spin"', "sh", deployment.directory], input=SPIN)
            self._documented = [line.format(directory=deployment.directory) for line in ARM_VM]

    def dryrun(self, lines: Sequence[str] = (), without: str = "", first: Sequence[str] = ()) -> Said:
        """What `qvm @FILE dryrun` says of the documented VM with these lines added, and the vdevs of one type left out.

        `first` come right behind `system`, where no context is open yet.
        """
        path, text = self._file(lines, without, first)
        board = self._bench.board
        seconds = board.seconds("qvm_start")
        argv = ["sh", "-c", DRYRUN, "sh", path, board.host.qvm, str(int(seconds))]
        environment = {"LD_LIBRARY_PATH": self._deployment.library_path}
        told = self._bench.host.run(argv, input=text, timeout=2 * seconds, environment=environment)
        status, size, printed = told.stdout.split(b"\n", 2)
        out, err = (_for_people(part, path) for part in (printed[: int(size)], printed[int(size) :]))
        return Said(int(status), out, err)

    @contextmanager
    def running(self, lines: Sequence[str] = ()) -> Iterator[tuple[str, HostProcess]]:
        """A VM that runs, as `/dev/qvm/NAME` and its process; its power is cut at the end."""
        process = self._launch(lines)
        directory = f"/dev/qvm/{self._system}"
        try:
            tenths = str(int(10 * self._bench.board.seconds("qvm_start")))
            seen = self._bench.host.run(["sh", "-c", READY, "sh", directory, str(process.pid), tenths], check=False, timeout=float(tenths))
            assert seen.status == 0, f"{directory} did not appear: {process.stderr().decode()}"
            yield directory, process
        finally:
            self._end(process)

    @property
    def _system(self) -> str:
        return f"doubt-{self._bench.nonce}-{self._count}"

    def add_vdev(self, file: VdevFile) -> None:
        """Puts one more vdev beside those under test; it goes with them."""
        self._bench.host.put({file.path: f"{self._deployment.directory}/{file.path.name}"})

    def _file(self, lines: Sequence[str], without: str = "", first: Sequence[str] = ()) -> tuple[str, bytes]:
        """A new file for the host and what is to stand in it."""
        self._count += 1
        documented = "\n".join(self._documented)
        if without:
            documented = re.sub(rf"^vdev {re.escape(without)}\b.*\n(?:[ \t].*\n)*", "", documented + "\n", flags=re.MULTILINE)
        text = "\n".join([f"system {self._system}", *first, documented, *lines]) + "\n"
        return f"{self._deployment.directory}/{self._system}.qvmconf", text.encode()

    def _launch(self, lines: Sequence[str]) -> HostProcess:
        path, text = self._file(lines)
        self._bench.host.run(["sh", "-c", 'cat >"$1"', "sh", path], input=text)
        environment = {"LD_LIBRARY_PATH": self._deployment.library_path}
        return self._bench.host.start([self._bench.board.host.qvm, f"@{path}"], self._deployment.directory, self._system, environment)

    def _end(self, process: HostProcess) -> None:
        process.signal("QUIT")
        process.wait(self._deadline())

    def _deadline(self) -> Deadline:
        return Deadline.after(self._bench.board.seconds("qvm_start"), "the end of qvm")


def _for_people(printed: bytes, path: str) -> str:
    return printed.decode("utf-8", "replace").replace("\r\n", "\n").replace(path, "FILE")
