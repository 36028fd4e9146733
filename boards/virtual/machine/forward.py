"""The way in for SSH: a loopback port that is forwarded to the board, open only while the board's network is up.

Before that, QEMU would accept a connection for a board that cannot answer: its first packet would be lost, and the next comes after 6 s.
So a board that is still booting refuses, and one that listens is reached at once.
"""

from __future__ import annotations

import socket
import threading

from boards.virtual.machine.qmp import Qmp
from harness.errors import BenchError

LOOPBACK = "127.0.0.1"
ADAPTER_CHANGED = "NIC_RX_FILTER_CHANGED"
"""The board's driver set up the adapter. QEMU says so once, until it is asked for the filter."""
NETWORK_UP = "01:00:5e:00:00:fb"
"""The group the board joins as the last step of its network's start (`image/init.c`)."""


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
            if event == ADAPTER_CHANGED and not is_open:
                is_open = any(NETWORK_UP in adapter["multicast-table"] for adapter in qmp.execute("query-rx-filter"))
                if is_open:
                    qmp.execute("human-monitor-command", **{"command-line": f"hostfwd_add {way}-:22"})
            elif event == "RESET":
                if is_open:
                    qmp.execute("human-monitor-command", **{"command-line": f"hostfwd_remove {way}"})
                is_open = False
                qmp.execute("query-rx-filter")
    except BenchError:
        monitor.close()  # the power went
