"""Writes a bench file for a person to fill in. The invariant: no file that exists is ever changed."""

from __future__ import annotations

from pathlib import Path

from harness.boardfile.load import NAME, UnknownBoard, known_boards, read
from harness.boardfile.places import bench_directories
from harness.boardfile.schema import Board
from harness.boardfile.validate import suggestion
from harness.errors import UseError

BY_ID = Path("/dev/serial/by-id")
"""Where Linux names serial adapters by maker and serial number, whatever the order they were plugged in."""

TEXT = """\
# {name}: one board of the type {type} ({description}).
# The type says what every such board is; here stands what is true of this one. Take the # away where you fill something in.
# Every key, with its unit: harness/boardfile/schema.py. How it is wired: boards/README.md.
extends = "{type}"

# The console of the host, {baud} baud{device}. Any pyserial URL does: a device, rfc2217://HOST:PORT, socket://HOST:PORT.
[console.host]
{ports}

# The line of the guest's console{guest_device}. Without it, nothing that boots a guest can be tested.
[console.guest]
# url = "/dev/serial/by-id/..."

# Every further serial line between the board and this machine, by a name of yours.
# [line.ser2]
# device = "/dev/ser2"          # its name on the host
# url = "/dev/serial/by-id/..."

# What switches the board: a channel of a bench supply. Set voltage and current limit at the instrument.
[power]
# driver = "scpi"
# resource = "TCPIP::ADDRESS::5555::SOCKET"
# channel = 1
# reset_channel = 2             # a relay across the board's reset pins, if there is one

# The host's SSH server. Without host, the console is the only way in.
[ssh]
# host = "ADDRESS"
# identity = "~/.ssh/id_bench"  # without it: what your ssh configuration says
# host_key = "ssh-ed25519 AAAA" # the only key to accept; leave it out where keys change with every boot

# Which board of this type it is: a command that only reads, and what only this board answers; both, or neither. Nothing is written to
# another one.
[identity]
# command = ["ifconfig", "genet0"]
# answer = "MAC ADDRESS"
"""


def write(type_name: str, name: str = "") -> Path:
    """Writes the bench file `name` (default: my-TYPE) of a board type where such files are looked for first, and says where.

    Raises `UseError` for a type there is not, a board that needs no bench file, and a name that is taken.
    """
    name = name or f"my-{type_name}"
    if not NAME.fullmatch(name):
        raise UseError(f"{name!r} is no name of a bench", "use letters, digits, dots, hyphens and underscores")
    board = _type(type_name)
    for directory in bench_directories():
        if (directory / f"{name}.toml").exists():
            raise UseError(f"{directory / name}.toml is there already", "choose another name, or edit that file")
    path = bench_directories()[0] / f"{name}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text(board, name, serial_ports()))
    except OSError as error:
        raise UseError(
            f"{path} cannot be written: {error.strerror}", "mend its permissions, or let $HARNESS_BENCHES name another place"
        ) from None
    return path


def text(board: Board, name: str, ports: list[str]) -> str:
    """What stands in a new bench file. `ports` are those of this machine, offered as comments."""
    offered = [f'# url = "{port}"' for port in ports] or ['# url = "/dev/serial/by-id/..."    # no serial adapter is plugged in now']
    return TEXT.format(
        name=name,
        type=board.name,
        description=board.board.description,
        baud=board.console.host.baud,
        device=" (one of these that are plugged in now?)" if ports else "",
        guest_device=f", {board.vm.console_device} on the host" if board.vm.console_device else "",
        ports="\n".join(offered),
    )


def serial_ports(directory: Path = BY_ID) -> list[str]:
    """The serial adapters of this machine, by names that stay."""
    return sorted(str(path) for path in directory.iterdir()) if directory.is_dir() else []


def _type(name: str) -> Board:
    types = {found.name: found for found in known_boards() if found.kind == "type"}
    if name not in types:
        raise UnknownBoard(f"{name} is no board type", suggestion(name, types))
    board = read(types[name])
    if board.launch:
        raise UseError(f"{name} is a board made of software and needs no bench file", f"run `pytest --board={name}`")
    return board
