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
cat >"$2"
kill $reader
"""
"""$1 what is read, $2 what is written; one terminal, or two FIFOs. The second `cat` ends with the connection. A slave of devc-pty edits and
echoes unless told otherwise, which takes a host with stty."""


class NoRoute(UseError):
    """The board file's way to a guest's console is not there: a key is missing, or there is no SSH to go by."""


def check(board: Board, *, ssh: bool, launched: bool = False) -> None:
    """Raises `NoRoute` for a way that cannot be gone: its keys are wrong, or it goes by SSH and there is none.

    `ssh` is whether the user allows it; where it is, a board that is a program only says when it has been launched.
    """
    kind, device = board.vm.console.route, board.vm.console_device
    if kind == "serial":
        return
    key = f'{board.files[-1]}: vm.console.route = "{kind}"'
    if kind == "pty" and not (board.vm.console.slave and device):
        raise NoRoute(f"{key} needs a pair", "name its ends: vm.console_device and vm.console.slave")
    if kind == "stdout" and device != "-":
        raise NoRoute(
            f'{key} goes by qvm\'s standard input and output, and vm.console_device is "{device}"',
            'set that to "-" (">-" has no input, and a shell needs one)',
        )
    missing = "--no-ssh forbids that" if not ssh else "" if board.ssh.host or (board.launch and not launched) else "ssh.host is missing"
    if missing:
        remedy = "add it" if ssh else "run without it"
        raise NoRoute(
            f"{key} goes by SSH, and {missing}",
            f'{remedy}, or wire [console.guest], name its port in vm.console_device and set the route to "serial"',
        )


def route(board: Board, events: Events, *, ssh: bool = True) -> GuestRoute | None:
    """The way the board file names; None for a cable. The board has been launched. Raises `NoRoute`."""
    check(board, ssh=ssh, launched=True)
    return None if board.vm.console.route == "serial" else GuestRoute(board, events)


class GuestRoute:
    """A terminal of this machine, joined to where a guest's console ends on the host: a pty's slave, or what qvm reads and writes."""

    def __init__(self, board: Board, events: Events) -> None:
        self._console = board.vm.console
        self._path = ":".join(board.host.path)
        self._events = events
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.url = os.ttyname(self._near)
        """What a `Console` opens."""
        self._carrier: subprocess.Popen[bytes] | None = None

    def attach(self, ssh: SshConnection, process: str) -> None:
        """A qvm has the other end open: from now on its bytes come here. `process` is what its files on the host are named after."""
        self.detach()
        ends = [self._console.slave] * 2 if self._console.route == "pty" else [f"{process}.fifo", f"{process}.in"]
        script = exports({"PATH": self._path}) + quote(["sh", "-c", CARRY, "sh", *ends])
        self._carrier = ssh.start(script, self._far)
        self._events.emit("guest.console", route=self._console.route, device=ends[0])

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
