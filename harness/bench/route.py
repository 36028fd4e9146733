"""How a guest's console reaches the lab controller where no cable carries it: over the host, by SSH.

On this side it is a terminal like any serial port, so whoever uses the `guest` console knows of no route. The invariant: one program
on the host reads the guest's console at a time, and none is left there after `detach`.
"""

from __future__ import annotations

import os
import subprocess
import tty

from harness.boardfile import Board
from harness.command import exports, quote
from harness.errors import UseError
from harness.events import Events
from harness.ssh import SshConnection

CARRY = """\
stty raw -echo <"$1" 2>/dev/null
cat <"$1" &
reader=$!
cat >"$1"
kill $reader
"""
"""$1 the terminal. The second `cat` ends with the connection. A slave of devc-pty edits and echoes unless told otherwise, which takes a
host with stty."""


class NoRoute(UseError):
    """The board file's way to a guest's console is not there: a key is missing, or there is no SSH to go by."""


def route(board: Board, events: Events) -> GuestRoute | None:
    """The way the board file names; None for a cable. Raises `NoRoute`."""
    console = board.vm.console
    if console.route == "serial":
        return None
    if not console.slave or not board.vm.console_device:
        raise NoRoute(f'{board.name}: vm.console.route = "pty" needs a pair', "name its ends: vm.console_device and vm.console.slave")
    if not board.ssh.host:
        raise NoRoute(
            f'{board.name}: vm.console.route = "pty" goes by SSH, and the board has no ssh.host',
            'add it, or wire [console.guest] and set the route to "serial"',
        )
    return GuestRoute(board, events)


class GuestRoute:
    """A pty pair on the host, joined to one on this machine."""

    def __init__(self, board: Board, events: Events) -> None:
        self._slave = board.vm.console.slave
        self._path = ":".join(board.host.path)
        self._events = events
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.url = os.ttyname(self._near)
        """What a `Console` opens."""
        self._carrier: subprocess.Popen[bytes] | None = None

    def attach(self, ssh: SshConnection | None) -> None:
        """A qvm has the other end open: from now on its bytes come here. Raises `NoRoute` on a bench without SSH."""
        self.detach()
        if ssh is None:
            raise NoRoute("the guest's console is reached by SSH on this bench, and there is none", "run without --no-ssh")
        script = exports({"PATH": self._path}) + quote(["sh", "-c", CARRY, "sh", self._slave])
        self._carrier = ssh.start(script, self._far)
        self._events.emit("guest.console", route="pty", device=self._slave)

    def detach(self) -> None:
        """Leaves the guest's console. Harmless when repeated."""
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.terminate()
            carrier.wait()

    def close(self) -> None:
        """The end; `url` is no terminal any more."""
        self.detach()
        os.close(self._far)
        os.close(self._near)
