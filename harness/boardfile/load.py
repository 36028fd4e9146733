"""Finds board types and bench files by name and reads them into a `Board`.

A board type is `NAME.toml` in `$HARNESS_BOARDS`, else in the checkout's `boards/`. A bench file is `NAME.toml` in a directory of
`$HARNESS_BENCHES`, then the user's, then the system's; it says `extends = "TYPE"` and is merged over that type. A board type that differs
little from another says `variant_of = "TYPE"`, is merged over it, and names the tables of it that it does not have in `without`.
The invariant: a bench file extends a board type, never another bench file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.boardfile.places import bench_directories, board_directory, label_of
from harness.boardfile.schema import Board, Tables
from harness.boardfile.sense import check_sense
from harness.boardfile.validate import BadBoardFile, check, check_complete, suggestion
from harness.errors import UseError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a board or bench may be called."""


class UnknownBoard(UseError):
    """No board type and no bench file has this name."""


@dataclass(frozen=True)
class Found:
    """A board type or a bench file."""

    name: str
    path: Path
    kind: Literal["type", "bench"]


def find(name: str) -> Found:
    """The bench file of that name, else the board type. Raises `UnknownBoard`."""
    for directory in [*bench_directories(), board_directory()]:
        path = directory / f"{name}.toml"
        if NAME.fullmatch(name) and (path.exists() or path.is_symlink()):
            return Found(name, path, _kind(path))
    known = {found.name for found in known_boards()}
    if not known:
        raise UnknownBoard(
            f"board {name} is unknown: there is no board file in {board_directory()}",
            "run in a checkout, or let $HARNESS_BOARDS name its boards directory",
        )
    nearest = suggestion(name, known)
    listed = f"known here: {', '.join(sorted(known))}"
    raise UnknownBoard(f"board {name} is unknown", nearest if nearest == listed else f"{listed}; {nearest}")


def known_boards() -> list[Found]:
    """Every board type, then every bench file that its name reaches."""
    types = [Found(path.stem, path, "type") for path in sorted(board_directory().glob("*.toml")) if _kind(path) == "type"]
    benches: dict[str, Found] = {}
    for directory in bench_directories():
        for path in sorted(directory.glob("*.toml")):
            if path.stem not in benches and _kind(path) == "bench":
                benches[path.stem] = Found(path.stem, path, "bench")
    return [*types, *benches.values()]


def _kind(path: Path) -> Literal["type", "bench"]:
    """By the directory it lies in. Where one directory holds both, a bench file is the one that says `extends`."""
    is_type = path.parent.resolve() == board_directory().resolve()
    if is_type and path.is_file() and any(path.parent.resolve() == directory.resolve() for directory in bench_directories()):
        with suppress(OSError):  # whoever reads it gets the sentence
            return "bench" if re.search(r"^\s*extends\s*=", path.read_text(errors="replace"), re.MULTILINE) else "type"
    return "type" if is_type else "bench"


def load(name: str) -> Board:
    """The board or bench of that name, checked. Raises `UnknownBoard` or `BadBoardFile`.

    A real board's type loads without a bench file, so that its tests can be listed; `Board.require_bench` says what a run needs.
    """
    return read(find(name))


def read(found: Found) -> Board:
    """The board in a file that was found."""
    if found.kind == "type":
        return _board(found.name, *_type(found.path))
    path, tables = found.path, _tables(found.path)
    extends = tables.pop("extends", None)
    check(Tables, tables, label_of(path))
    base_path = _named(extends, "extends", path)
    if "extends" in _tables(base_path):
        itself = "this file itself" if base_path.resolve() == path.resolve() else f"{label_of(base_path)}, a bench file"
        raise BadBoardFile(f"{label_of(path)}: extends must name a board type, and {extends!r} is {itself}", "name the board type")
    base, files = _type(base_path)
    return _board(found.name, merged(base, tables), (*files, label_of(path)))


def _named(name: object, key: str, path: Path) -> Path:
    """The board type that a file names."""
    found = board_directory() / f"{name}.toml"
    if not isinstance(name, str) or not NAME.fullmatch(name) or not found.is_file():
        types = [board.name for board in known_boards() if board.kind == "type"]
        raise BadBoardFile(
            f"{label_of(path)}: {key} must name a board type" + (f", not {name!r}" if name is not None else ""),
            suggestion(str(name), types),
        )
    return found


def _type(path: Path, variants: tuple[Path, ...] = ()) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A board type's tables, and the files they are from."""
    label, tables = label_of(path), _tables(path)
    if "extends" in tables:
        raise BadBoardFile(
            f"{label}: extends has no place in a board type", "only a bench file extends one; a type is a variant_of another"
        )
    base_name, without = tables.pop("variant_of", None), tables.pop("without", [])
    check(Tables, tables, label)
    if base_name is None:
        if without:
            raise BadBoardFile(f"{label}: without has no place here", "it goes with variant_of")
        return tables, (label,)
    base_path = _named(base_name, "variant_of", path)
    if base_path in (path, *variants):
        raise BadBoardFile(f"{label}: variant_of {base_name!r} leads back to this file", "name a board type that stands by itself")
    base, files = _type(base_path, (path, *variants))
    if not isinstance(without, list) or not all(isinstance(name, str) and _take_away(base, name) for name in without):
        raise BadBoardFile(
            f"{label}: without must be a list of what {label_of(base_path)} has", f"not {without!r}; console.guest for example"
        )
    return merged(base, tables), (*files, label)


def _take_away(tables: dict[str, Any], dotted: str) -> bool:
    """Removes a table or a key; False when it is not there."""
    *path, last = dotted.split(".")
    for name in path:
        below = tables.get(name)
        if not isinstance(below, dict):
            return False
        tables = below
    return tables.pop(last, None) is not None


def with_endpoints(board: Board, endpoints: Mapping[str, Any], label: str) -> Board:
    """The board with the end points its launch line names, checked by the same schema. Raises `BadBoardFile` naming `label`."""
    check(Tables, endpoints, label)
    return msgspec.convert(merged(msgspec.to_builtins(board), endpoints), Board)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`: tables merge key by key, everything else (lists too) is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _board(name: str, tables: dict[str, Any], files: tuple[str, ...]) -> Board:
    check_complete(Tables, tables, files[0])
    board = msgspec.convert({**tables, "name": name, "files": files}, Board)
    check_sense(board)
    return board


def _tables(path: Path) -> dict[str, Any]:
    label, text = label_of(path), ""
    if path.exists() and not path.is_file():
        raise BadBoardFile(f"{label} is not a file", "remove it, or write the board file in its place")
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", where)
        number = line[1] if line else len(text.splitlines())
        raise BadBoardFile(f"{label}:{number}: not TOML: {what}", "mend that line") from None
    except UnicodeDecodeError as error:
        raise BadBoardFile(f"{label}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    except OSError as error:
        raise BadBoardFile(f"{label} cannot be read: {error.strerror}", "mend its permissions") from None
