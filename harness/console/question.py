"""Questions to a shell that is not known yet.

The invariant: nothing is changed on the other side, neither a file nor a setting. So there is nothing to count and to check an answer
with: it is asked for until two in a row agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.clock import Deadline
from harness.command import CommandTimeout, Result, exports, quote, shown
from harness.console.dialect import LINE, fresh_nonce
from harness.console.shell import PATIENCE, Shell, within
from harness.console.trouble import ShellNoise

ASKED = 8
"""How often, at most, before the console is given up."""

LONGEST = 4.0
"""Seconds, at most, one answer may take before it is asked for again."""


class Questions:
    """A shell that was met and not set up: runs commands that only read, and that may run several times."""

    def __init__(self, shell: Shell, path: Sequence[str], timeout: float) -> None:
        """`shell` is from `Shell.meet`; commands are found in `path`, and each answers within `timeout` seconds."""
        self._shell = shell
        self._path = exports({"PATH": ":".join(path)})
        self._timeout = timeout

    def run(self, argv: Sequence[str]) -> Result:
        """What a command prints, its errors among it. Typed in one line, or in as many as its arguments have: none may be longer than
        a tty takes. Raises `CommandTimeout`, `ShellNoise`, `NoShell`.
        """
        deadline = Deadline.after(self._timeout, f"the end of `{shown(quote(argv))}`")
        before = None
        for attempt in range(ASKED):
            answer = self._ask(self._path + quote(argv), deadline, min(PATIENCE * 2**attempt, LONGEST))
            if answer is not None and answer == before:
                return answer
            before = answer
        raise ShellNoise(
            f"console {self._shell.console.name}: no two answers to one question were the same in {ASKED} tries",
            "silence what else talks on that console",
            evidence=self._shell.console.log.tail(),
        )

    def _ask(self, script: str, deadline: Deadline, patience: float) -> Result | None:
        """One answer, between two nonces that are typed in halves; None when its end did not come within `patience` seconds."""
        console, halves = self._shell.console, [fresh_nonce() for _ in range(4)]
        cursor = console.cursor(raw=True)
        begin, end = ("".join(halves[place : place + 2]) for place in (0, 2))
        for line in [f"(echo {halves[0]}''{halves[1]}", *script.splitlines(), f"); echo {halves[2]}''{halves[3]}.$?."]:
            data = line.encode() + b"\n"
            if len(data) > LINE:
                raise ValueError(f"a question's line of {len(data)} bytes may not arrive")
            console.write(data, deadline)
        found = cursor.poll(re.compile(f"{begin}\\r*\\n(.*?){end}\\.(\\d+)\\.".encode(), re.DOTALL), within(patience, deadline))
        if found:
            return Result(int(found.group(2)), found.group(1).replace(b"\r\n", b"\n"), b"")
        if deadline.expired:
            raise CommandTimeout(
                f"console {console.name}: {deadline.awaited} was not seen within {deadline.seconds:.3g} s",
                "look whether something else talks on that console",
                evidence=console.log.tail(start=cursor.offset),
            )
        self._shell.resync(deadline)
        return None
