"""One serial line: a pty at the lab controller's end, a socket at the board's end, and the wire's own speed in between.

A line outlives the board's power: its pty keeps its name while the socket comes and goes. Bytes take the time they take on a wire
(ten bit times each, at the speed the lab controller set on the pty), in both directions, and none arrives early.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
import tty

BITS_PER_BYTE = 10
"""Start bit, eight data bits, stop bit."""
BURST = 16
"""Bytes handed over at once: what a 16550A's FIFO holds."""
UNREAD_LIMIT = 16384
"""Bytes kept for a reader that is late. Beyond it the oldest are lost, as on a port that nobody reads."""
LATE = 0.02
"""Seconds this process may be behind the wire and still catch up; more than that counts as idle line."""
STALLED = 1.0
"""Seconds the board may leave a byte in the line. Then it overruns, as a receiver that nobody empties."""
DEFAULT_BAUD = 115200

_TCGETS2 = 0x802C542A
_TERMIOS2 = struct.Struct("=4I20B2I")
_OSPEED = -1


class Pace:
    """When bytes that follow each other on a line have all arrived."""

    def __init__(self) -> None:
        self._free = 0.0

    def arrival(self, count: int, baud: int, now: float, *, waiting: bool) -> float:
        """The moment the last of `count` bytes has arrived; `waiting` when the first was there before the line was free."""
        start = max(self._free, now - LATE) if waiting else max(self._free, now)
        self._free = start + count * BITS_PER_BYTE / baud
        return self._free


class Line:
    """A wire with a pty at one end. `connect` and `disconnect` are the board's power coming and going."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        self.url = os.ttyname(self._slave)
        tty.setraw(self._slave)
        settings = termios.tcgetattr(self._slave)
        settings[4] = settings[5] = termios.B115200
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        os.set_blocking(self._master, False)
        self._board: socket.socket | None = None
        self._up: threading.Thread | None = None
        threading.Thread(target=self._to_board, name=f"to board {self.url}", daemon=True).start()

    def connect(self, board: socket.socket) -> None:
        """The board is powered and drives the line through `board`."""
        self._board = board
        self._up = threading.Thread(target=self._to_lab, args=(board,), name=f"to lab {self.url}", daemon=True)
        self._up.start()

    def disconnect(self) -> None:
        """The board lost power: what was on the wire is lost with it."""
        board, self._board = self._board, None
        if board is None:
            return
        try:
            board.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        if self._up is not None:
            self._up.join()
        board.close()

    def baud(self) -> int:
        """The speed the lab controller set on the pty, any number of bits per second."""
        settings = _TERMIOS2.unpack(fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2.size)))
        return int(settings[_OSPEED]) or DEFAULT_BAUD

    def _to_board(self) -> None:
        """From the pty to whatever board is connected at the moment of arrival; bytes for a board without power are lost."""
        pace, waiting, stalled = Pace(), False, False
        while True:
            if not waiting:
                select.select([self._master], [], [])
            data = os.read(self._master, BURST)
            waiting = _sleep_until(pace.arrival(len(data), self.baud(), time.monotonic(), waiting=waiting), self._master)
            board = self._board
            if board is None:
                continue
            try:
                _, writable, _ = select.select([], [board], [], 0 if stalled else STALLED)
                stalled = not writable
                if writable:
                    board.sendall(data)
            except (OSError, ValueError):
                stalled = False  # the power went in this moment; disconnect() tidies up

    def _to_lab(self, board: socket.socket) -> None:
        """From this board to the pty, until its socket closes."""
        pace, waiting, unread = Pace(), False, bytearray()
        while True:
            if not waiting:
                readable, writable, _ = select.select([board], [self._master] if unread else [], [])
                if writable:
                    self._to_pty(unread)
                if not readable:
                    continue
            try:
                data = board.recv(BURST)
            except ConnectionError:
                return
            if not data:
                return
            waiting = _sleep_until(pace.arrival(len(data), self.baud(), time.monotonic(), waiting=waiting), board.fileno())
            unread += data
            del unread[: max(0, len(unread) - UNREAD_LIMIT)]
            self._to_pty(unread)

    def _to_pty(self, unread: bytearray) -> None:
        with contextlib.suppress(BlockingIOError):
            del unread[: os.write(self._master, unread)]


def _sleep_until(moment: float, source: int) -> bool:
    """Waits as the wire does. Whether more bytes were there before the moment, as far as anybody saw: if in doubt they come after it."""
    waiting = _readable(source, 0)
    while (remaining := moment - time.monotonic()) > 0:
        if waiting:
            time.sleep(remaining)
        else:
            waiting = _readable(source, remaining) and time.monotonic() < moment
    return waiting


def _readable(source: int, seconds: float) -> bool:
    return bool(select.select([source], [], [], seconds)[0])
