"""QEMU's control protocol: one command at a time over a socket, with the events that come in between kept in order."""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

from harness.errors import BenchError

TIMEOUT = 10.0
"""Seconds QEMU may take to answer. An event may take for ever."""


class QemuDied(BenchError):
    """QEMU ended. While it is being started: out of memory, an image that is not there, a disk somebody else has open."""


class Qmp:
    """One monitor of a QEMU process; the greeting is awaited when it is made."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""
        self._events: deque[str] = deque()
        self._message(TIMEOUT)
        self.execute("qmp_capabilities")

    def execute(self, name: str, **arguments: Any) -> Any:
        """The result of a command."""
        request = {"execute": name} | ({"arguments": arguments} if arguments else {})
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise QemuDied("QEMU has ended") from None
        while True:
            message = self._message(TIMEOUT)
            if "event" in message:
                self._events.append(message["event"])
            elif "error" in message:
                raise BenchError(f"QEMU refused {name}: {message['error'].get('desc')}")
            else:
                return message["return"]

    def event(self) -> str:
        """The next event's name; waits for it. Raises `QemuDied` at the end."""
        if self._events:
            return self._events.popleft()
        while "event" not in (message := self._message(None)):
            pass
        name: str = message["event"]
        return name

    def close(self) -> None:
        self._socket.close()

    def _message(self, timeout: float | None) -> dict[str, Any]:
        self._socket.settimeout(timeout)
        while b"\n" not in self._unread:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise BenchError(f"QEMU does not answer on its control socket for {TIMEOUT:.0f} s") from None
            except OSError:
                data = b""
            if not data:
                raise QemuDied("QEMU has ended", "its own words are on the machine's standard error")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
