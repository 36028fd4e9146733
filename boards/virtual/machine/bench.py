"""The virtual bench: four lines, a supply on a loopback port, and the board between them.

One thread serves the supply, the standard input and the signals, and it is the one that starts QEMU: a process that is to die with
its parent dies with the *thread* that started it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Any

from boards.virtual.image import Image
from boards.virtual.machine import accelerator
from boards.virtual.machine.forward import LOOPBACK, Port
from boards.virtual.machine.lines import Line
from boards.virtual.machine.qemu import SERIAL_PORTS, WALL, Hardware, Qemu
from boards.virtual.machine.state import State
from boards.virtual.machine.supply import Supply

LINE_LIMIT = 1024
"""Bytes of a SCPI line; a longer one ends the connection."""


def hardware(
    boot: Image,
    files: State,
    port: Port,
    *,
    arch: str = "x86_64",
    bare: bool = False,
    clock: str = WALL,
    unkindness: tuple[str, ...] = (),
) -> Hardware:
    """The machine of a bench. A bare one differs in nothing but what its kernel unpacks."""
    return Hardware(
        arch=arch,
        accelerator=accelerator.choose(arch, boot) if clock == WALL else accelerator.EMULATED,
        kernel=boot.kernel,
        initrd=boot.bare if bare else files.initrd(boot.initrd),
        usr=boot.usr,
        data=files.disk,
        ssh_port=port.number,
        clock=clock,
        unkindness=unkindness,
    )


class Board:
    """The load on the supply's terminals: a QEMU process while there is power, and lines that are always there."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._qemu: Qemu | None = None
        self.lines = [Line() for _ in SERIAL_PORTS]

    @property
    def running(self) -> bool:
        return self._qemu is not None and self._qemu.alive

    def power(self, on: bool) -> None:
        if on:
            self._qemu = Qemu(self._hardware)
            for line, wire in zip(self.lines, self._qemu.serial, strict=True):
                line.connect(wire)
        elif self._qemu is not None:
            self._qemu.kill()
            self._qemu = None
            for line in self.lines:
                line.disconnect()

    def reset_line(self, asserted: bool) -> None:
        """A processor held in reset stands still, and starts over when it is let go."""
        if self._qemu is None or not self._qemu.alive:
            return
        if asserted:
            self._qemu.hold()
        else:
            self._qemu.release()


class Bench:
    """What the launch protocol describes, and the loop that serves it."""

    def __init__(self, name: str, board: Board, ssh_port: Port, state: State) -> None:
        self._board, self._ssh_port, self._state = board, ssh_port, state
        self._supply = Supply(board, name)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._selector = selectors.DefaultSelector()
        self._running = True

    def endpoints(self) -> dict[str, Any]:
        """The JSON line of the launch protocol."""
        ser1, ser2, ser3, ser4 = ({"url": line.url} for line in self._board.lines)
        return {
            "console": {"host": ser1, "guest": ser3},
            "line": {"ser2": ser2, "ser4": ser4},
            "power": {"resource": f"TCPIP::{LOOPBACK}::{self._listener.getsockname()[1]}::SOCKET"},
            "ssh": {
                "host": LOOPBACK,
                "port": self._ssh_port.number,
                "user": "root",
                "identity": str(self._state.identity),
                "host_key": self._state.public_host_key(),
            },
        }

    def serve(self, life: int) -> None:
        """Serves until the file descriptor `life` ends or SIGTERM comes; the board is without power afterwards."""
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGTERM, _wake)
        # Ctrl-C is for whoever holds our standard input; a person at a terminal does so himself.
        signal.signal(signal.SIGINT, _wake if os.isatty(life) else signal.SIG_IGN)
        self._selector.register(woken, selectors.EVENT_READ, self._stop)
        self._selector.register(life, selectors.EVENT_READ, lambda: self._watch(life))
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        try:
            while self._running:
                for key, _ in self._selector.select():
                    key.data()
        finally:
            self._board.power(False)

    def _stop(self) -> None:
        self._running = False

    def _watch(self, life: int) -> None:
        if not os.read(life, 4096):
            self._stop()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, self._conversation(connection))

    def _conversation(self, connection: socket.socket) -> Callable[[], None]:
        received = bytearray()

        def hear() -> None:
            try:
                data = connection.recv(4096)
            except ConnectionError:
                data = b""
            received.extend(data)
            while b"\n" in received:
                line, _, rest = bytes(received).partition(b"\n")
                received[:] = rest
                answer = self._supply.execute(line.decode("ascii", errors="replace"))
                if answer is not None:
                    with contextlib.suppress(OSError):
                        connection.sendall(answer.encode() + b"\n")
            if not data or len(received) > LINE_LIMIT:
                self._selector.unregister(connection)
                connection.close()

        return hear


def _wake(*_: object) -> None:
    """A signal does its work through the wake-up descriptor."""
