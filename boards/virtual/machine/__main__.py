"""`python -m boards.virtual.machine --name NAME`: the launch protocol.

Standard output carries one JSON line, standard error is for people.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import sys
from pathlib import Path

from boards.virtual import image
from boards.virtual.machine import qemu, state, unkind
from boards.virtual.machine.bench import Bench, Board, hardware
from boards.virtual.machine.forward import Port
from harness.boardfile.load import NAME
from harness.errors import HarnessError, UseError

CANNOT_START = 3


def main() -> int:
    arguments = _arguments()
    os.umask(0o022)
    try:
        _run(arguments)
    except HarnessError as error:
        print(f"boards.virtual.machine: {error}", file=sys.stderr)
        return CANNOT_START
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m boards.virtual.machine",
        description="Starts a virtual bench; its board is off.",
        epilog=f"what a host can be unkind in (--unkind):\n{unkind.described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="the bench's name")
    parser.add_argument("--arch", choices=sorted(qemu.PROGRAM), default="x86_64")
    parser.add_argument("--state", type=Path, help="directory for the disk and the keys (default: build/benches/NAME)")
    parser.add_argument("--unkind", default="", metavar="NAME,NAME", help="make the host as unkind as a stock image: names below, or all")
    clocks = "the board's time is the wall's, or counts instructions; leaping, it also leaves out what nobody does anything in"
    parser.add_argument("--clock", choices=qemu.CLOCKS, default=qemu.WALL, help=f"{clocks} (default: {qemu.WALL})")
    parser.add_argument("--bare", action="store_true", help="boot nothing but a kernel and a shell: the reference for boot times")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    if not NAME.fullmatch(arguments.name):
        raise UseError(f"{arguments.name!r} is no name of a bench", "use letters, digits, dots, hyphens and underscores for --name")
    unkindness = unkind.chosen(arguments.unkind)
    qemu.program(arguments.arch)
    life = _life()
    directory = (arguments.state or image.BUILD / "benches" / arguments.name).resolve()
    boot = image.built(report=_say)
    with state.opened(directory) as files:
        port = Port()
        files.new_keys_at_boot = "keys" in unkindness
        machine = hardware(boot, files, port, arch=arguments.arch, bare=arguments.bare, clock=arguments.clock, unkindness=unkindness)
        bench = Bench(arguments.name, Board(machine), port, files)
        print(json.dumps(bench.endpoints()), flush=True)
        bench.serve(life)


def _life() -> int:
    """The file descriptor whose end is the board's; a file, /dev/null or nothing at all has none that could be waited for."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ)
        return sys.stdin.fileno()
    except (OSError, ValueError):
        raise UseError("standard input is neither a terminal nor a pipe, and its end takes the board down", "start it with one") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
