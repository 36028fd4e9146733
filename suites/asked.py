"""Sizes that whoever starts a suite asks for by environment variables: `make soak` asks for larger ones."""

from __future__ import annotations

import math
import os
from typing import TypeVar

from harness.errors import UseError

Number = TypeVar("Number", int, float)


def asked(variable: str, default: Number) -> Number:
    """The number above 0 in `variable`, else `default`, whose type says whether it is a whole one. Raises `UseError`."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    kind = type(default)
    try:
        number = kind(text)
    except ValueError:
        number = kind(0)
    if not (math.isfinite(number) and number > 0):
        what = "whole number" if kind is int else "number"
        raise UseError(f"{variable}={text} is no {what} above 0", f"give one, or leave it out for {default}")
    return number
