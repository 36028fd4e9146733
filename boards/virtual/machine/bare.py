"""The reference for every boot time: the same machine and kernel with nothing started on it but a shell."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from boards.virtual import image
from boards.virtual.machine import state
from boards.virtual.machine.bench import Board, hardware
from boards.virtual.machine.forward import Port
from harness.errors import BenchError

PROMPT = b"# "


def seconds_to_prompt(directory: Path, limit: float = 60.0) -> float:
    """Seconds from power-on to the shell's prompt on ser1. The machine is a bench's own, with its state in `directory`."""
    with state.opened(directory) as files:
        return _measure(Board(hardware(image.built(report=print), files, Port(), bare=True)), limit)


def _measure(board: Board, limit: float) -> float:
    console = os.open(board.lines[0].url, os.O_RDONLY | os.O_NOCTTY)
    begin = time.monotonic()
    try:
        board.power(True)
        seen = b""
        while PROMPT not in seen:
            remaining = begin + limit - time.monotonic()
            if remaining <= 0 or not select.select([console], [], [], remaining)[0]:
                raise BenchError(f"no prompt from a bare boot within {limit:.0f} s", evidence=seen.decode(errors="replace"))
            seen += os.read(console, 4096)
        return time.monotonic() - begin
    finally:
        board.power(False)
        os.close(console)
