"""Drives one reference vdev without a VM: builds the rig and the vdev with sanitizers, talks to it in lines, one per access.

Time is the script's: every answer is exact. A rig that ends on its own (a sanitizer's report, a refused option) raises `RigEnded`.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
VDEVS = ROOT / "boards/virtual/vdevs"
CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'boards/virtual/include'}"]
SANITIZERS = {"address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "thread": ["-fsanitize=thread"]}

NS = 1_000_000_000
CHUNK = 200
"""Lines written before their answers are read, so that neither pipe fills up."""


class RigEnded(Exception):
    """The rig ended before it answered; `status` is its exit status, `text` its standard error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the rig ended with {status}: {text}")
        self.status = status
        self.text = text


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rig-")


@functools.cache
def build(name: str, sanitizer: str = "address") -> tuple[Path, Path]:
    """The rig program and the vdev `name`, built with a sanitizer; once per test run."""
    directory = Path(_directory().name)
    program, vdev = directory / f"rig-{sanitizer}", directory / f"{sanitizer}-vdev-{name}.so"
    flags = ["gcc", *CFLAGS, *SANITIZERS[sanitizer]]
    if not program.exists():
        subprocess.run([*flags, "-rdynamic", "-o", program, *sorted(VDEVS.glob("rig*.c")), "-ldl", "-pthread"], check=True)
    sources = [VDEVS / f"{name}.c", *sorted(VDEVS.glob(f"{name}_*.c"))]
    subprocess.run([*flags, "-shared", "-fPIC", "-o", vdev, *sources], check=True)
    return program, vdev


class Rig:
    """A running rig with `len(locations)` started instances of one vdev.

    `options` (name, value) go to every instance, `locations` ("" for the default) one to each.
    """

    def __init__(
        self, name: str, options: Sequence[tuple[str, str]] = (), locations: Sequence[str] = ("",), sanitizer: str = "address"
    ) -> None:
        self._process = subprocess.Popen(
            build(name, sanitizer), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.now = 0
        """Nanoseconds."""
        for location in locations:
            self.ask("vdev")
            for option, value in options:
                self.ask(f"option {option} {value}")
            if location:
                self.ask(f"loc {location}")
        self.ask("start")
        if len(locations) > 1:
            self.ask("use 0")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the rig; a report that a sanitizer made at the very end counts too."""
        _, text = self._process.communicate(timeout=60)
        if self._process.returncode and error is None:
            raise RigEnded(self._process.returncode, text)

    def script(self, lines: Iterable[str]) -> list[str]:
        """Runs many commands, returns their answers."""
        assert self._process.stdin
        assert self._process.stdout
        pending, answers = list(lines), []
        for start in range(0, len(pending), CHUNK):
            chunk = pending[start : start + CHUNK]
            try:
                self._process.stdin.write("".join(f"{line}\n" for line in chunk))
                self._process.stdin.flush()
            except BrokenPipeError:
                self._ended()
            for line in chunk:
                answer = self._process.stdout.readline()
                if not answer.endswith("\n"):
                    self._ended()
                if answer.startswith("error"):
                    raise AssertionError(f"the rig does not understand '{line}'")
                answers.append(answer[:-1])
        return answers

    def _ended(self) -> None:
        status = self._process.wait(timeout=60)
        assert self._process.stderr
        raise RigEnded(status, self._process.stderr.read())

    def ask(self, line: str) -> str:
        return self.script([line])[0]

    def read(self, address: int | str, width: int = 1) -> int:
        return int(self.ask(f"in {address} {width}"), 0)

    def write(self, address: int | str, *values: int, width: int = 1) -> None:
        self.script(f"out {address} {value} {width}" for value in values)

    def sample(self, address: int | str, count: int, ns: int) -> bytes:
        """`count` byte reads, `ns` nanoseconds between them."""
        self.now += count * ns
        return bytes.fromhex(self.ask(f"sample {address} {count} {ns}"))

    def advance(self, ns: int) -> None:
        self.now += ns
        self.ask(f"advance {ns}")

    def stall(self, ns: int) -> None:
        """Time passes, timer callbacks come at its end: a host that was busy."""
        self.now += ns
        self.ask(f"stall {ns}")

    def edges(self) -> list[tuple[int, bool]]:
        """Edges on the interrupt line since the last time: nanoseconds and level."""
        edges = [edge.split(":") for edge in self.ask("edges").split()]
        return [(int(time), level == "1") for time, level in edges]

    def rises(self) -> list[int]:
        """When the interrupt line rose since the last time, in nanoseconds."""
        return [time for time, level in self.edges() if level]

    def count_rises(self) -> tuple[int, int, int]:
        """How often the interrupt line rose since the last time, and when first and last."""
        count, first, last = map(int, self.ask("rises").split())
        return count, first, last

    def feed(self, data: bytes) -> None:
        self.ask(f"feed {data.hex()}")

    def taken(self) -> bytes:
        """What the host device got since the last time."""
        return bytes.fromhex(self.ask("taken"))
