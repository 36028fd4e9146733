"""The `harness` command. Thin: every command calls one function of the library and prints what it returns.

The invariant: what a user can cause ends in one sentence on standard error and an exit status, never a traceback:
0 done, 2 used wrong, 3 could not be done. Heavy imports happen inside the command that needs them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness import DEFAULT_BOARD
from harness.cli import benches
from harness.errors import HarnessError, UseError

USED_WRONG, NOT_DONE = 2, 3

app = typer.Typer(
    help="Tests of QNX hypervisor vdevs on boards.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
vdev = typer.Typer(help="vdev files.", no_args_is_help=True)
guest = typer.Typer(help="Guest images.", no_args_is_help=True)
app.add_typer(benches.app, name="bench")
app.command("console")(benches.console)
app.add_typer(vdev, name="vdev")
app.add_typer(guest, name="guest")


def main() -> None:
    """The console script."""
    try:
        app(prog_name="harness")
    except HarnessError as error:
        _complain(str(error))
        raise SystemExit(USED_WRONG if isinstance(error, UseError) else NOT_DONE) from None
    except OSError as error:
        _complain(f"{error.filename or 'the output'}: {error.strerror}; make room, or let it go elsewhere")
        raise SystemExit(NOT_DONE) from None


def _complain(sentence: str) -> None:
    """Where nobody listens, the exit status says it alone."""
    with suppress(OSError, AttributeError):  # a closed standard error is None
        sys.stderr.write(f"harness: {sentence}\n")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            typer.echo(f"harness {metadata.version('harness')}")
        except metadata.PackageNotFoundError:
            typer.echo("harness of a checkout that is not installed (`make setup` does that)")
        raise typer.Exit


class Guest(StrEnum):
    """The guests there is a recipe for."""

    LINUX = "linux"


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


@app.callback()
def _options(version: Version = False) -> None:
    """Options before the command."""


@app.command()
def boards() -> None:
    """List board types and bench files. Name, real or launched, description."""
    from harness.cli import tables

    typer.echo(tables.boards())


@vdev.command("build")
def vdev_build(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The .c files of a vdev, or directories of such.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where vdev-NAME.so goes.")] = Path("build/vdevs"),
    board: Annotated[str, typer.Option(metavar="NAME", help="The board to build for.")] = DEFAULT_BOARD,
) -> None:
    """Build vdevs from their sources. Says what an engineer should know of each."""
    from harness.cli import tables

    typer.echo(tables.built_vdevs(directory, output, board, report=lambda line: typer.echo(line, err=True)))


@vdev.command("defects")
def vdev_defects(file: Annotated[Path, typer.Argument(help="A vdev-NAME.so.")]) -> None:
    """List a reference vdev's deliberate mistakes. It makes them when it is told to (`defect NAME`)."""
    from harness.cli import tables

    typer.echo(tables.defects(file))


Kernel = Annotated[
    str, typer.Option(metavar="VERSION", help="A version Debian has as linux-image-VERSION-cloud-amd64: 6.12. Default: the release's own.")
]


@guest.command("build")
def guest_build(name: Annotated[Guest, typer.Argument(help="Which guest.")], kernel: Kernel = "") -> None:
    """Build a guest's images, or find them. Prints where they are."""
    from harness.cli import tables

    typer.echo(tables.guest_images(name, kernel, report=lambda line: typer.echo(line, err=True)))
