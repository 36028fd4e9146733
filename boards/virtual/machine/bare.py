"""The reference for every boot time: the same machine and kernel with nothing in it but a shell."""

from __future__ import annotations

import os
import select
import time

from boards.virtual import image
from boards.virtual.machine.bench import Board
from boards.virtual.machine.qemu import Hardware
from harness.errors import BenchError

PROMPT = b"# "


def seconds_to_prompt(boot: image.Image, limit: float = 60.0) -> float:
    """Seconds from power-on to the shell's prompt on ser1, through the same lines and at the same speed as the host's console."""
    board = Board(Hardware("x86_64", "tcg", boot.kernel, boot.bare, usr=None, data=None, ssh_port=None))
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
