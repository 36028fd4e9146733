"""How much of a serial line's time a file on its way uses, and what comes of it: on a line alone, and to the virtual board's disk.

The limits are those of the wire at 115200 bit/s, 8N1: 11,520 bytes in a second, of which base64 in lines of 242 bytes carries 8,568.
A machine that is busy otherwise makes the line stand still: take the figures on a quiet one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench import Bench, Plan
from harness.clock import Deadline
from harness.console import KSH, Console, Shell, transfer
from harness.events import Events
from harness.host import ConsoleTransport
from suites.harness.relay import shell

SIZE = 600_000
LINE_RATE = 11_520
OCCUPIED = 0.9
FILE_RATE = 7_500


@pytest.fixture(scope="module")
def figures() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    print("\n\nfiles over a console at 115200 bit/s\n" + "\n".join(rows))


class Meter:
    """Counts what a console is given to send, and the time."""

    def __init__(self, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent, write = 0, console.write

        def counted(data: bytes, deadline: Deadline, *, echo: bool = False, paced: bool = True) -> None:
            self.sent += len(data)
            write(data, deadline, echo=echo, paced=paced)

        monkeypatch.setattr(console, "write", counted)
        self.begin = time.monotonic()

    def judge(self, where: str, figures: list[str]) -> None:
        seconds = time.monotonic() - self.begin
        occupied, rate = self.sent / seconds / LINE_RATE, SIZE / seconds
        figures.append(
            f"  {where:<20} {rate:6.0f} file bytes/s (at least {FILE_RATE}), line occupied {occupied:.1%} (at least {OCCUPIED:.0%})"
        )
        assert occupied >= OCCUPIED
        assert rate >= FILE_RATE


def test_on_a_line_alone(figures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first question to the shell's prompt: with what is set up before and asked afterwards."""
    with shell(["mksh", "-i"]) as relay, Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console:
        sh = Shell.attach(console, KSH, Deadline.after(30, "a shell"))
        data, meter = os.urandom(SIZE), Meter(console, monkeypatch)
        transfer.send(sh, data, str(tmp_path / "far"))
        meter.judge("line alone", figures)
        assert (tmp_path / "far").read_bytes() == data
        sh.detach(Deadline.after(20, "the shell to be left"))


def test_to_the_virtual_board(figures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of random bytes into its place on the host, checked there: nothing can be compressed."""
    plan = Plan.read("virtual-x86_64", None, [])
    local, far = tmp_path / "local", "/data/harness.benchmark"
    local.write_bytes(os.urandom(SIZE))
    with Bench(plan.board, Events(), tmp_path, "make benchmark", ssh=False).opened() as bench:
        assert isinstance(bench.host.transport, ConsoleTransport)
        meter = Meter(bench.console("host"), monkeypatch)
        bench.host.put({local: far})
        meter.judge("virtual board", figures)
        bench.host.run(["sh", "-c", 'rm -f "$1" "$2"/wire-local-*', "sh", far, plan.board.host.store])
