"""A script that runs in a Linux guest beside what is asked of its shell."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.clock import Deadline
from harness.command import Result, quote
from harness.guest.vm import GuestCommandFailed, GuestWaits

RunText = Callable[[str], Result]
LOOKS = 20
"""Twentieths of a second, at least, between two questions whether it has ended."""
FILES = re.compile(r"(?<!<)>\s*(/tmp/[\w.]+)")
"""What a script redirects to."""


class Background:
    """Made by `LinuxGuest.background`. Files BASE.status and BASE.out in the guest tell how it ended."""

    def __init__(self, run_text: RunText, script: str, base: str, pid: int) -> None:
        self._run_text = run_text
        self._script = script
        self._base = base
        self.pid = pid

    @classmethod
    def start(cls, run_text: RunText, script: str, base: str) -> Background:
        """Not in a session of its own: the leader of one takes the first tty it opens, and hangs it up when it ends."""
        text = f"( ( {script}\n) </dev/null; echo $? >{base}.new; mv {base}.new {base}.status ) >{base}.out 2>&1 &\necho $!"
        return cls(run_text, script, base, int(run_text(text).stdout))

    def reading(self, path: str) -> None:
        """Waits until a process has a file open that nobody else has, so that nothing sent to it from now on is lost."""
        self._run_text(f"until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q -- {quote([f'-> {path}$'])}; do sleep 0.05; done")

    def finish(self, seconds: float) -> None:
        """Waits until it has ended. Raises `GuestCommandFailed` when its status is not 0, `GuestWaits` when it does not end in time."""
        look = f"for n in $(seq {LOOKS}); do [ -e {self._base}.status ] && break; sleep 0.05; done"
        deadline = Deadline.after(seconds, "the end of a script in the guest")
        while not (text := self._run_text(f"{look}; [ -e {self._base}.status ] && cat {self._base}.status {self._base}.out; true").text):
            if deadline.expired:
                raise GuestWaits(self._script, seconds, self._written())
        status, _, said = text.partition("\n")
        if status != "0":
            raise GuestCommandFailed(self._script, int(status), said)

    def _written(self) -> str:
        """How much is in each file that its script writes."""
        files = sorted(set(FILES.findall(self._script)))
        return self._run_text(f"for file in {' '.join(files)}; do [ -f $file ] && wc -c $file; done; true").text if files else ""

    def end(self) -> None:
        """Ends it and what it started, before their time."""
        tree = "end() { set -- $1 $(cat /proc/$1/task/*/children 2>/dev/null); kill $1 2>/dev/null; shift; for c do end $c; done; }"
        self._run_text(f"{tree}; end {self.pid}")
