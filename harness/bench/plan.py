"""What the user asked for: a board, the vdevs under test, options for them. Read and refused before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import boardfile
from harness.boardfile import Board
from harness.errors import UseError
from harness.vdev import VdevFile, collect
from harness.vm import Option, Unwritable, linux, write_option


@dataclass(frozen=True)
class VdevOption:
    """`--vdev-option NAME:OPTION[=VALUE]`: an option for every vdev of that type in every VM configuration of the run."""

    vdev: str
    option: str
    value: str | None

    @classmethod
    def parse(cls, text: str) -> VdevOption:
        """Raises `UseError` for what does not have the form, or cannot be in a VM configuration."""
        vdev, colon, rest = text.partition(":")
        option, equals, value = rest.partition("=")
        if not (vdev and colon and option) or any(c.isspace() for c in vdev + option):
            raise UseError(f"--vdev-option={text} does not have the form NAME:OPTION[=VALUE]", "write for instance ser8250:batch=1000")
        try:
            write_option(Option(option, (value,) if equals else ()))
        except Unwritable as fault:
            raise UseError(f"--vdev-option={vdev}:{option}: {fault.sentence}", fault.next_step) from None
        return cls(vdev, option, value if equals else None)

    def __str__(self) -> str:
        return f"{self.vdev}:{self.option}" + ("" if self.value is None else f"={self.value}")


@dataclass(frozen=True)
class Plan:
    """Board, vdevs and options of a run."""

    board: Board
    vdevs: tuple[VdevFile, ...]
    options: tuple[VdevOption, ...]

    @classmethod
    def read(cls, board: str, vdevs: str | None, options: Sequence[str]) -> Plan:
        """Loads the board file and audits the vdev files. Raises `UseError`."""
        found = boardfile.load(board)
        directory = Path(vdevs) if vdevs else found.root / found.vdevs.directory if found.vdevs.directory else None
        files = collect(directory, found) if directory else ()
        return cls(found, files, cls.parse(options))

    @staticmethod
    def parse(options: Sequence[str]) -> tuple[VdevOption, ...]:
        """What `--vdev-option` may say. Raises `UseError`."""
        return tuple(_for_a_known_vdev(VdevOption.parse(text)) for text in options)

    def hosts_own(self) -> list[str]:
        """The vdevs of the run's VMs that are not under test: the host's own are used."""
        under_test = {vdev.name for vdev in self.vdevs}
        return [name for name in _types() if name not in under_test]


def _types() -> list[str]:
    return sorted({vdev.type for vdev in linux.vdevs("console", ["second port"])})


def _for_a_known_vdev(option: VdevOption) -> VdevOption:
    known = _types()
    if option.vdev not in known:
        raise UseError(f"--vdev-option={option}: no vdev {option.vdev} is in any VM of this run", f"there are {', '.join(known)}")
    return option
