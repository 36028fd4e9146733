"""The way in for SSH: a loopback port that is forwarded to the board, open only while the board's network adapter is driven.

Before that, QEMU would accept a connection for a board that cannot answer, and whoever connected would wait in vain. So a board that
is still booting refuses, and one that listens is reached at once.
"""

from __future__ import annotations

import socket
import threading

from boards.virtual.machine.qmp import Qmp
from harness.errors import BenchError

LOOPBACK = "127.0.0.1"
ADAPTER_DRIVEN = "NIC_RX_FILTER_CHANGED"
"""A driver on the board set up the adapter. QEMU says so once, until it is asked for the filter."""


class Port:
    """A loopback port that stays ours while QEMU comes and goes: bound here, listened on by QEMU (both with SO_REUSEADDR)."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]


def keep_forwarding(monitor: socket.socket, port: int, network: str) -> threading.Thread:
    """Forwards `port` to the board's SSH port from now until QEMU's end, over a monitor of its own."""
    thread = threading.Thread(target=_forward, args=(monitor, port, network), name="forward", daemon=True)
    thread.start()
    return thread


def _forward(monitor: socket.socket, port: int, network: str) -> None:
    way, is_open = f"{network} tcp:{LOOPBACK}:{port}", False
    try:
        qmp = Qmp(monitor)
        while True:
            event = qmp.event()
            if event == ADAPTER_DRIVEN and not is_open:
                qmp.execute("human-monitor-command", **{"command-line": f"hostfwd_add {way}-:22"})
                is_open = True
            elif event == "RESET":
                if is_open:
                    qmp.execute("human-monitor-command", **{"command-line": f"hostfwd_remove {way}"})
                is_open = False
                qmp.execute("query-rx-filter")
    except BenchError:
        monitor.close()  # the power went
