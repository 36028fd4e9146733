"""A console in pexpect's clothes.

The invariant: it only reads the console's log; a test may use it beside cursors and shells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pexpect import EOF, TIMEOUT
from pexpect.spawnbase import SpawnBase

from harness.clock import Deadline
from harness.console.cursor import NotSeen

if TYPE_CHECKING:
    from harness.console.console import Console


class ConsoleSpawn(SpawnBase):  # type: ignore[misc]  # pexpect has no types
    """`expect`, `expect_exact`, `send`, `sendline`, `before`, `after` as in pexpect, on bytes."""

    def __init__(self, console: Console, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self.name = f"<console {console.name}>"
        self._console = console
        self._cursor = console.cursor(raw=True)
        self.closed = False

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> bytes:
        """Up to `size` bytes, at least one. pexpect's own: -1 is the default timeout, None waits without end."""
        seconds = self.timeout if timeout == -1 else timeout
        deadline = Deadline.after(1e9 if seconds is None else seconds, "bytes")
        try:
            first = self._cursor.take(1, deadline)
        except NotSeen as error:
            raise TIMEOUT(str(error)) from None
        except Exception as error:
            self.flag_eof = True
            raise EOF(str(error)) from None
        rest = min(size - 1, self._console.offset - self._cursor.offset)
        data = first + (self._cursor.take(rest, deadline) if rest else b"")
        self._log(data, "read")
        return data

    def send(self, data: bytes | str) -> int:
        """Sends bytes; text as UTF-8."""
        raw = data.encode() if isinstance(data, str) else data
        self._log(raw, "send")
        self._console.write(raw, Deadline.after(self.timeout, "the port to take what is sent"))
        return len(raw)

    def sendline(self, data: bytes | str = b"") -> int:
        """Sends a line; returns how many bytes that were, the newline included. Raises as `send`."""
        return self.send(data) + self.send(b"\n")

    def isalive(self) -> bool:
        """Whether more may come: False once a read raised pexpect's `EOF`."""
        return not self.flag_eof

    def close(self) -> None:
        """Ends the reading; the console stays open."""
        self.closed = True
