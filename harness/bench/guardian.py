"""The process that leaves the bench safe when the run cannot: after SIGKILL, a crash, a lost terminal.

It holds one end of a pipe whose other end only the run has, and the lease's lock. When the pipe closes without a release, it
switches the board's power off; only then does the lock go. It never signals processes it did not start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from harness import power
from harness.boardfile import Board
from harness.events import Events

RELEASE = b"release\n"


class Guardian:
    """The run's end of the pipe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def start(cls, board: Board, lease: int, log: Path) -> Guardian:
        """Starts the guardian of `board`. `lease` is the descriptor of the lock it keeps; `log` is where it says what it did.

        It gets a session of its own, so that Ctrl-C at the terminal does not reach it.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import main; main()", str(lease)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(lease,),
                start_new_session=True,
            )
        guardian = cls(process)
        guardian._pipe.write(msgspec.json.encode(board) + b"\n")
        guardian._pipe.flush()
        return guardian

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def release(self) -> None:
        """The run has left the bench safe itself."""
        self._end(RELEASE)

    def take_over(self) -> None:
        """The run could not switch off; returns when the guardian has tried, with a power switch of its own."""
        self._end(b"")

    def _end(self, word: bytes) -> None:
        with suppress(BrokenPipeError):
            self._pipe.write(word)
            self._pipe.close()
        self._process.wait()


def main() -> None:
    """Waits for the end of the run; the lock passed as the first argument stays open until this process ends."""
    board = msgspec.json.decode(sys.stdin.buffer.readline(), type=Board)
    switch = power.switch(board, Events())
    if sys.stdin.buffer.readline() == RELEASE:
        return
    try:
        switch.off()
        print(f"{board.name}: the run ended without switching the board off; done", flush=True)
    except Exception as error:  # whatever it is, it must be in the log: nobody is left to raise to
        print(f"{board.name}: the run ended without switching the board off, and that failed: {error}", flush=True)
        sys.exit(1)
    finally:
        os.close(int(sys.argv[1]))
