"""`pidin` of QNX 8.0 as data: its default columns are pid, tid, name, prio, state and what the thread is blocked on."""

from __future__ import annotations

import re
from dataclasses import dataclass

ROW = re.compile(r"^\s*(?P<pid>\d+)\s+(?P<tid>\d+)\s+(?P<name>\S.*?)\s+(?P<prio>\d+\w*)\s+(?P<state>[A-Z][A-Z0-9_]+)\s*(?P<blocked>.*)$")


@dataclass(frozen=True)
class Thread:
    """One line."""

    pid: int
    tid: int
    name: str
    """The process's, as it was started: `proc/boot/devc-ser8250`."""
    prio: str
    """Priority and scheduling policy: `10r`."""
    state: str
    blocked: str

    @property
    def program(self) -> str:
        """The name without its directory."""
        return self.name.rpartition("/")[2]


def parse_pidin(text: str) -> list[Thread]:
    """Every thread that is listed; the heading and what else is printed are left out."""
    rows = [row for line in text.splitlines() if (row := ROW.match(line))]
    return [Thread(int(row["pid"]), int(row["tid"]), row["name"], row["prio"], row["state"], row["blocked"].strip()) for row in rows]
