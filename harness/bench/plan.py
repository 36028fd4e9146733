"""What the user asked for: a board, the vdevs under test, options for them. Read and refused before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import boardfile
from harness.boardfile import Board
from harness.vdev import VdevFile, collect
from harness.vm import VdevOption


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
        files = collect(directory, found.board.arch) if directory else ()
        return cls(found, tuple(files), tuple(VdevOption.parse(text) for text in options))
