"""What goes wrong between the harness and a shell on a console; each sentence is made here."""

from __future__ import annotations

from harness.clock import Deadline
from harness.console.console import Console
from harness.console.cursor import Cursor
from harness.errors import BenchError


class NoShell(BenchError):
    """No shell answered on a console. Usual causes: the board is off or still boots, a program runs in the foreground, it wants a login."""


class ShellNoise(BenchError):
    """A console mangles so much of what is said that a command's output could not be read unharmed. The command did run, once."""


def no_shell(console: Console, cursor: Cursor, what: str) -> NoShell:
    """`cursor` is where an answer was looked for."""
    error = cursor.not_seen(Deadline.after(0, "a shell"))
    heard = f"{error.received} bytes came" if error.received else f"silence for {error.silence:.1f} s"
    return NoShell(
        f"console {console.name}: {what}; {heard}",
        "check that the board is on and what runs on its console",
        evidence=console.log.tail(),
    )


def login_wanted(console: Console) -> NoShell:
    """What asks for a name and a password is no shell."""
    return NoShell(
        f"console {console.name}: a login is asked for where a shell was expected",
        "let the board log in on its console by itself",
        evidence=console.log.tail(),
    )


def too_noisy(console: Console, tries: int) -> ShellNoise:
    """After so many tries to read one thing."""
    return ShellNoise(
        f"console {console.name}: output could not be read unharmed in {tries} tries",
        "silence what else talks on that console",
        evidence=console.log.tail(),
    )
