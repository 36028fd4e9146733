"""`harness bench …` and `harness console`: benches for people, where pytest is for tests."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from harness.boardfile import Board
    from harness.events import Events

app = typer.Typer(help="Benches: boards with their power switch, consoles and lines.", no_args_is_help=True)


@app.command("new")
def new(
    type_name: Annotated[str, typer.Argument(metavar="TYPE", help="A board type, as `harness boards` lists them.")],
    name: Annotated[str, typer.Argument(help="What to call the bench; without it, my-TYPE.")] = "",
) -> None:
    """Write a bench file to fill in. The serial adapters that are plugged in now are in it as comments. Nothing is overwritten."""
    from harness.boardfile.new import write

    path = write(type_name, name)
    typer.echo(f"{path} is written: fill it in, look at it with `harness bench list`, then `pytest --board={path.stem} suites/bench`")


@app.command("list")
def list_benches() -> None:
    """List benches, and who holds them. Name, board type, who holds it since when, file, what seems to be missing. Nothing is switched."""
    from harness.cli import tables

    typer.echo(tables.benches())


@app.command("check")
def check(name: Annotated[str, typer.Argument(help="A bench, as `harness bench list` lists them.")]) -> None:
    """Switch a bench on and meet its host. On the console and by SSH; says who it is, and switches it off. Writes nothing to the host."""
    from harness.bench import Bench

    _end_in_order()
    board, events, logs, purpose = _session(name)
    bench = Bench(board, events, logs, purpose)
    typer.echo(f"{name}: switching it off and on …", err=True)
    with _told(events), bench.opened():
        ways = "its console and SSH" if bench.board.ssh.host else "its console"
        typer.echo(f"{name}: {bench.identity} (mode: {bench.mode}), reached by {ways}")


def console(
    name: Annotated[str, typer.Argument(help="A bench, as `harness bench list` lists them.")],
    port: Annotated[str, typer.Argument(help="host, guest, or the name of a line.")] = "host",
) -> None:
    """Type on a bench's console. The board is switched on if it is off; Ctrl-] ends it and switches the board off. A log is kept."""
    from harness.bench import Bench
    from harness.console import keyboard

    keyboard.require_terminal()
    _end_in_order()
    board, events, logs, purpose = _session(name)
    known = {"host": board.console.host, "guest": board.console.guest, **board.line}
    if port not in known:
        raise UseError(f"{name} has no port {port}", f"there are {', '.join(known)}")
    typer.echo(f"{name}: taking the bench; {keyboard.ESCAPE_NAME} ends this and switches the board off")
    with ExitStack() as taken:
        with _told(events):
            bench = taken.enter_context(Bench(board, events, logs, purpose).attached())
        if port not in bench.consoles:
            raise UseError(f"{board.files[-1]} names no url for {port}", "add it to the bench file")
        keyboard.converse(bench.console(port), begin=0)
        typer.echo(f"\r\n{name}: switching the board off; what was said is in {logs}/{port}.log")


def _end_in_order() -> None:
    """SIGTERM and SIGHUP unwind, and the board goes off."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


@contextmanager
def _told(events: Events) -> Iterator[None]:
    """What goes on in a block is told on standard error."""
    from harness.report.narrator import Narrator

    def say(text: str) -> None:
        typer.echo(f"  · {text}", err=True)

    narrator = Narrator(say, say)
    remove = events.listen(narrator)
    try:
        yield
    finally:
        remove()
        narrator.close()


def _session(name: str) -> tuple[Board, Events, Path, str]:
    """The board, a stream of events, a place for its logs, and what the lease says we do."""
    import time

    from harness import boardfile
    from harness.events import Events

    board = boardfile.load(name)
    board.require_bench()
    logs = board.root / "build" / "consoles" / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UseError(f"{logs}: no place for the logs: {error.strerror}", "mend its permissions, or remove it") from None
    return board, Events(), logs, shlex.join(["harness", *sys.argv[1:]])
