"""Checks one file's tables against the schema and says what is wrong in a person's words.

The invariant: every file is checked alone, before it is merged, so the sentence names the file that holds the mistake.
What only the merged tables can tell (a required key that no file has) is checked after.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import msgspec

from harness.errors import UseError

_MESSAGE = re.compile(r"Expected `(?P<what>.+?)`(?P<bound>(?: of length)? [<>]=? [^,`]+?)?(?:, got `.*?`)?(?P<at> - at `\$\[.*)?")
"""How msgspec says what it expected; suites/harness/test_boardfile.py has a sentence of each kind."""


class BadBoardFile(UseError):
    """A board or bench file cannot be used as it stands: its syntax, a key that does not exist, a value of the wrong kind."""


def check(kind: type[msgspec.Struct], tables: Mapping[str, Any], label: str, dotted: str = "") -> None:
    """Raises `BadBoardFile` for the first key in `tables` that `kind` does not know or whose value does not fit."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in tables.items():
        where = f"{dotted}{key}"
        if key not in fields:
            raise BadBoardFile(f"{label}: {where} is unknown", suggestion(key, fields))
        _check_value(fields[key].type, value, label, where)


def check_complete(kind: type[msgspec.Struct], tables: Mapping[str, Any], label: str, dotted: str = "") -> None:
    """Raises `BadBoardFile` for the first required key that is missing."""
    for field in msgspec.structs.fields(kind):
        where = f"{dotted}{field.encode_name}"
        if field.required and field.encode_name not in tables:
            raise BadBoardFile(f"{label}: {where} is missing", "add it")
        struct = _struct_in(field.type)
        if struct and field.encode_name in tables:
            check_complete(struct, tables[field.encode_name], label, f"{where}.")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean driver?`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(names) or 'nothing'}"


def _check_value(kind: Any, value: Any, label: str, where: str) -> None:
    struct = _struct_in(kind)
    if struct or get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise BadBoardFile(f"{label}: {where} must be a table, not {_shown(value)}")
        if struct:
            check(struct, value, label, f"{where}.")
            return
        for key, item in value.items():
            _check_value(get_args(kind)[1], item, label, f"{where}.{key}")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadBoardFile(f"{label}: {where} must be {_expected(kind, str(error))}, not {_shown(value)}") from None


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct in `S` or `S | None`."""
    for candidate in get_args(kind) if get_origin(kind) is UnionType else (kind,):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _expected(kind: Any, message: str) -> str:
    """What a type says of itself, or msgspec's message says was expected: `int >= 1`; for an item of a list, of each item."""
    for said in getattr(kind, "__metadata__", ()):
        if isinstance(said, msgspec.Meta) and said.description:
            return said.description
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    expected = _MESSAGE.fullmatch(message)
    if not expected:
        return message[:1].lower() + message[1:]
    what = expected["what"].replace(" | null", "").replace("array", "a list").replace("object", "a table")
    return f"{'a list of ' if expected['at'] else ''}{what}{expected['bound'] or ''}"


def _shown(value: Any, longest: int = 60) -> str:
    if isinstance(value, dict):
        return "a table (a name with a dot in it needs quotes)"
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
