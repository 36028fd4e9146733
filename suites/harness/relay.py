"""A serial line without a board: a real shell on a pty, and a line in between that takes its time and can be made bad.

`Relay` gives a pty for the lab controller's side. Towards it, whole lines as a kernel prints them are inserted at random places;
away from it, bytes are lost at random. Both directions take the time the bytes would take at a bit rate.
"""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence

KERNEL_LINE = b"\r\n[ 1234.567890] usb 1-1: new high-speed USB device number 3 using xhci_hcd\r\n"
FIFO = 16
LATE = 0.02
"""Seconds this machine may be behind the line and still catch up."""


class Relay:
    """`url` is the lab controller's end. The other end is a descriptor, given by `shell` or by a test."""

    def __init__(self, far: int, *, noise: float = 0.0, drop: float = 0.0, change: float = 0.0, baud: int = 115200, seed: int = 1) -> None:
        self.noise = noise
        """Chance of a kernel line before each byte towards the lab controller."""
        self.drop = drop
        """Chance that a byte towards the board is lost."""
        self.change = change
        """Chance that a digit or letter towards the board becomes another one."""
        self.inserted = self.dropped = self.changed = 0
        self._far = far
        self._byte = 10 / baud
        self._random = random.Random(seed)
        self._near, slave = pty.openpty()
        tty.setraw(slave)
        self.url = os.ttyname(slave)
        self._slave = slave
        self._end = os.eventfd(0)
        self._threads = [threading.Thread(target=self._up, daemon=True), threading.Thread(target=self._down, daemon=True)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        os.eventfd_write(self._end, 1)
        for thread in self._threads:
            thread.join()
        for descriptor in (self._near, self._slave, self._end):
            os.close(descriptor)

    def say(self, data: bytes) -> None:
        """Bytes from the board, past the noise."""
        os.write(self._near, data)

    def _up(self) -> None:
        self._pump(self._far, self._near, self._with_noise)

    def _down(self) -> None:
        self._pump(self._near, self._far, self._with_losses)

    def _pump(self, source: int, target: int, change: Callable[[bytes], bytes]) -> None:
        free = 0.0
        while True:
            poll = select.poll()
            poll.register(source, select.POLLIN)
            poll.register(self._end, select.POLLIN)
            waiting = bool(poll.poll(0))
            if self._end in {descriptor for descriptor, _ in poll.poll()}:
                return
            try:
                data = change(os.read(source, FIFO))
            except OSError:
                return
            # a UART sends bytes that wait without a pause, however late this thread is
            free = max(free, time.monotonic() - (LATE if waiting else 0)) + len(data) * self._byte
            time.sleep(max(0.0, free - time.monotonic()))  # the line's own time
            with contextlib.suppress(OSError):
                os.write(target, data)

    def _with_noise(self, data: bytes) -> bytes:
        if not self.noise:
            return data
        out = bytearray()
        for byte in data:
            if self._random.random() < self.noise:
                out += KERNEL_LINE
                self.inserted += 1
            out.append(byte)
        return bytes(out)

    def _with_losses(self, data: bytes) -> bytes:
        if self.change:
            data = bytes(self._other(byte) if self._random.random() < self.change else byte for byte in data)
        if not self.drop:
            return data
        kept = bytes(byte for byte in data if self._random.random() >= self.drop)
        self.dropped += len(data) - len(kept)
        return kept

    def _other(self, byte: int) -> int:
        if not chr(byte).isalnum():
            return byte
        self.changed += 1
        return byte ^ 1 if chr(byte ^ 1).isalnum() else ord("8")


@contextlib.contextmanager
def shell(argv: Sequence[str], **line: float) -> Iterator[Relay]:
    """A shell as root's console shell is: interactive, on a tty that is its controlling terminal, at the far end of a line."""
    far, slave = pty.openpty()
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/", "TERM": "vt100", "PS1": "# "}
    command = ["setsid", "--ctty", *argv]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    relay = Relay(far, **line)  # type: ignore[arg-type]
    try:
        yield relay
    finally:
        relay.close()
        os.close(far)  # the hang-up ends the shell
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
