"""Every bench with who holds it and whether it seems to be there.

The invariant: looking changes nothing. No port is opened, no lease taken; a network end point is connected to and let go, and a supply
not even that, since some take one connection and no more.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness import boardfile, lease
from harness.boardfile import Board, Found
from harness.boardfile.places import label_of
from harness.errors import UseError

LOOK_SECONDS = 1.0
"""What an end point on the network gets to accept a connection. All benches are looked at side by side."""


@dataclass(frozen=True)
class Seen:
    """One bench as it looks from here."""

    found: Found
    type: str
    holder: str
    """`free`, or who holds it since when."""
    faults: tuple[str, ...]
    """What is missing, each in a few words; none when nothing was found to be."""


def benches() -> list[Seen]:
    """Every bench file, and every board that is its own bench because it is a program."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return [seen for seen in pool.map(_look, boardfile.known_boards()) if seen is not None]


def _look(found: Found) -> Seen | None:
    try:
        board = boardfile.read(found)
    except UseError as error:
        return Seen(found, "?", "free", (_own_words(error, found),)) if found.kind == "bench" else None
    if found.kind == "type" and not board.launch:
        return None
    holder = lease.holder(board.name, board.lock_directory)
    said = {"nobody": "free", "somebody": "held"}.get(holder, "") if isinstance(holder, str) else f"held by {holder}"
    return Seen(found, Path(board.files[0]).stem, said, tuple(_faults(board, found)))


def _own_words(error: UseError, found: Found) -> str:
    """What is wrong, without the file: its name stands beside."""
    return error.sentence.removeprefix(f"{label_of(found.path)}: ")


def _faults(board: Board, found: Found) -> list[str]:
    faults: list[str] = []
    if board.launch:
        return faults
    try:
        board.require_bench()
    except UseError as error:
        faults.append(_own_words(error, found))
    ports = {"console.host": board.console.host, "console.guest": board.console.guest, **{f"line.{n}": p for n, p in board.line.items()}}
    faults += [f"{name}: {why}" for name, port in ports.items() if port.url and (why := _port_fault(port.url))]
    if board.ssh.host and (why := _network_fault(board.ssh.host, board.ssh.port)):
        faults.append(f"ssh: {why} (right while the board is off)")
    return faults


def _port_fault(url: str) -> str:
    if "://" not in url:
        path = Path(url)
        if not path.exists():
            return f"{url} is not there"
        return "" if os.access(path, os.R_OK | os.W_OK) else f"{url} may not be opened by this user"
    parts = urlsplit(url)
    try:
        return _network_fault(parts.hostname, parts.port) if parts.hostname and parts.port else ""
    except ValueError:
        return f"{url} is no URL"


def _network_fault(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=LOOK_SECONDS).close()
    except OSError as error:
        return f"no answer from {host} port {port} ({error.strerror or error})"
    return ""
