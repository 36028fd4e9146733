"""The board made of software with bare guests on its qvm: one boot, then a VM takes as long as a few commands by SSH."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import boardfile
from harness.bench import Bench
from harness.clock import Deadline
from harness.command import Result
from harness.events import Events
from harness.host.process import HostProcess
from harness.vdev import Deployment, VdevFile
from suites.harness.bare_guest import BareGuest

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "boards" / "virtual" / "include"
BASE = ("ram 0,640k", "rom 0xc0000,256k", "ram 1m,15m", "load kernel")
PIC = "vdev ioapic loc 0xf8000000 intr apic name pic"
SECONDS = 20.0
READY = """\
tries=0
until test -d "$1" || test -s "$2" || test $tries = 100; do
    sleep 0.1
    tries=$((tries + 1))
done
test -d "$1"
"""
SAYS = """\
tries=0
until grep -q -- "$2" "$1.err"; do
    if test -s "$1.status" || test $tries = 100; then grep -q -- "$2" "$1.err"; exit; fi
    sleep 0.1
    tries=$((tries + 1))
done
"""


def compile_vdev(directory: Path, name: str, source: Path, *flags: str) -> VdevFile:
    """`vdev-NAME.so` of one source file."""
    path = directory / f"vdev-{name}.so"
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", *flags]
    subprocess.run([*command, "-shared", "-fPIC", "-Wl,--build-id", "-o", path, source], check=True)
    return VdevFile.read(path, "x86_64")


class BareBoard:
    """A powered board with vdevs deployed."""

    def __init__(self, bench: Bench, deployment: Deployment, directory: Path) -> None:
        self.bench = bench
        self.deployment = deployment
        self._local = directory
        self.count = 0

    @property
    def place(self) -> str:
        """The directory on the host in which qvm runs; relative names in a configuration are below it."""
        return self.deployment.directory

    def run(
        self, guest: BareGuest, *lines: str, input: bytes | None = None, pic: str = PIC, redirection: str = "", seconds: float = SECONDS
    ) -> Result:
        """A VM from its start to its end: the documented PC without devices, and these lines; qvm's streams redirected by the shell."""
        arguments = self._prepared(guest, lines, pic, redirection)
        return self.bench.host.run(arguments, check=False, timeout=seconds, input=input, environment=self._environment)

    def start(self, guest: BareGuest, *lines: str) -> HostProcess:
        """A VM that goes on."""
        arguments = self._prepared(guest, lines, PIC)
        return self.bench.host.start(arguments, self.place, f"vm{self.count}", self._environment)

    def end(self, process: HostProcess) -> int | None:
        """Its exit status; None when it does not end."""
        return process.wait(Deadline.after(SECONDS, "the end of qvm"))

    def says(self, process: HostProcess, text: str) -> None:
        """Waits until qvm says something on its standard error; fails with what it said when it ends, or is silent too long."""
        awaited = self.bench.host.run(["sh", "-c", SAYS, "sh", f"{self.place}/vm{self.count}", text], check=False, timeout=2 * SECONDS)
        assert awaited.status == 0, f"{text!r} did not come: {process.stderr().decode()!r}, status {process.poll()}"

    def ready(self, process: HostProcess) -> None:
        """Waits until the VM runs."""
        arguments = (f"/dev/qvm/bare-{self.count}", f"{self.place}/vm{self.count}.status")
        awaited = self.bench.host.run(["sh", "-c", READY, "sh", *arguments], check=False, timeout=2 * SECONDS)
        assert awaited.status == 0, f"the VM does not run: {process.stderr().decode()!r}, status {process.poll()}"

    def shell(self, script: str, *arguments: str) -> str:
        """What a script prints on the host."""
        return self.bench.host.run(["sh", "-c", script, "sh", *arguments], timeout=SECONDS).text

    @property
    def _environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": self.deployment.library_path}

    def _prepared(self, guest: BareGuest, lines: Sequence[str], pic: str, redirection: str = "") -> list[str]:
        self.count += 1
        kernel, configuration = self._local / "kernel", self._local / "conf"
        kernel.write_bytes(guest.image)
        configuration.write_text("\n".join((f"system bare-{self.count}", *BASE, pic, *lines)) + "\n")
        self.bench.host.put({kernel: f"{self.place}/kernel", configuration: f"{self.place}/conf"})
        return ["sh", "-c", f'cd "$1" && exec qvm @conf {redirection}', "sh", self.place]


@contextmanager
def bare_board(
    directory: Path, vdevs: Sequence[VdevFile], *, of: str = "virtual-x86_64", reference: Sequence[str] = ()
) -> Iterator[BareBoard]:
    """Boots a board of the type `of`, deploys these and the named reference vdevs, and puts everything back."""
    (directory / "consoles").mkdir()
    board = boardfile.load(of)
    built = board.root / board.vdevs.directory
    vdevs = [*vdevs, *(VdevFile.read(built / f"vdev-{name}.so", board.board.arch) for name in reference)]
    bench = Bench(board, Events(), directory / "consoles", "suites/harness")
    with bench.opened():
        deployment = Deployment.install(bench.host, bench.board, vdevs, run=bench.nonce)
        yield BareBoard(bench, deployment, directory)
        deployment.restore()
