"""Hands a console to the person at the keyboard, until the escape key.

The invariant: however it ends, the terminal is as it was. What the console says is in its log whether anybody looks or not.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness.clock import Deadline
from harness.console.console import Console
from harness.errors import UseError

ESCAPE, ESCAPE_NAME = b"\x1d", "Ctrl-]"
WRITE_SECONDS = 10.0
"""What the port may take to swallow what was typed."""
PATIENCE = 1.8
"""Seconds a console may say nothing at first before the person at the keyboard is told that it is the board who is silent."""
_CHUNK = 1024


class NoTerminal(UseError):
    """Standard input or output is no terminal, and there is nobody to hand a console to."""


def require_terminal() -> None:
    """Raises `NoTerminal`; asked for before a bench is taken."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("there is no terminal to hand the console to", "run it at a terminal; a test uses `bench.console(NAME)`")


def converse(console: Console, begin: int) -> None:
    """Shows what the console says from `begin` (an offset) on and sends what is typed, until the escape key or the end of input."""
    shown, stop = sys.stdout.fileno(), threading.Event()
    viewer = threading.Thread(target=_show, args=(console, begin, shown, stop), name=f"view of {console.name}", daemon=True)
    with _raw(sys.stdin.fileno()) as keyboard:
        viewer.start()
        try:
            for typed in _typed(keyboard, viewer):
                console.write(typed, Deadline.after(WRITE_SECONDS, "the port to take what was typed"))
        finally:
            stop.set()
            console.log.wake()
            viewer.join()


def _typed(keyboard: int, viewer: threading.Thread) -> Iterator[bytes]:
    """What is typed, up to the escape key."""
    while viewer.is_alive():
        if not select.select([keyboard], [], [], 0.5)[0]:
            continue
        typed, escape, _ = os.read(keyboard, _CHUNK).partition(ESCAPE)
        if typed:
            yield typed
        if escape or not typed:
            return


def _show(console: Console, begin: int, shown: int, stop: threading.Event) -> None:
    """Ends when told to, or when nobody can see it any more."""
    if not console.log.wait(begin, PATIENCE, stop.is_set) and not stop.is_set():
        with suppress(OSError):
            os.write(shown, f"[{console.name} says nothing yet; {ESCAPE_NAME} ends this]\r\n".encode())
    while not stop.is_set():
        if console.offset == begin:
            console.log.wait(begin, 1.0, stop.is_set)
            continue
        said = console.slice(begin, min(console.offset, begin + 65536))
        begin += len(said)
        try:
            while said:
                said = said[os.write(shown, said) :]
        except OSError:
            return


@contextmanager
def _raw(keyboard: int) -> Iterator[int]:
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
