"""The QNX guest: its boot text and its tools' output, from logs written after the documented texts; a real ksh is behind the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.console import Console
from harness.errors import DeviceError
from harness.events import Events
from harness.guest.qnx import QnxGuest, Thread, parse_pidin
from harness.guest.vm import GuestCommandFailed, GuestNotUp
from harness.vm import Ending
from suites.harness.relay import shell

RECORDED = Path(__file__).with_name("recorded")
BOOT = RECORDED / "qnx-8.0-guest-boot.log"
PROMPT = "[armv8 guest QNX 8.x guest 1]% "
"""The one of the documented guest image."""


class Machine:
    """A VM whose guest says what it is given to say; it starts when it is sent a line."""

    system = "qnx-1"

    def __init__(self, console: Console, ended: bool) -> None:
        self.console = console
        self.ended = ended

    def start(self, deadline: Deadline) -> None:
        self.console.write(b"start\n", deadline)

    def output(self) -> str:
        return ""

    def check_alive(self) -> None:
        if self.ended:
            raise DeviceError("qvm ended")

    def wait(self, deadline: Deadline) -> int | None:
        raise NotImplementedError

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        raise NotImplementedError


@contextmanager
def guest(directory: Path, says: str, ended: bool = False) -> Iterator[QnxGuest]:
    """A guest on a line, which runs `says` when it is started."""
    script = directory / "guest"
    script.write_text(f"read start\n{says}\n")
    with shell(["mksh", str(script)]) as relay, Console("guest", relay.url, 115200, directory / "guest.log", Events()) as console:
        yield QnxGuest(console, Machine(console, ended), Events(), PROMPT, 10.0)


def test_a_guest_is_up_at_its_prompt(tmp_path: Path) -> None:
    """Greeting, prompt, then a shell whose commands end with their own status; the release is the greeting's."""
    profile = tmp_path / "profile"
    profile.write_text(f"PS1='{PROMPT}'\n")
    with guest(tmp_path, f"cat {BOOT}; export ENV={profile}; exec mksh -i") as qnx:
        qnx.boot(5, 20, 20)
        assert qnx.release == "8.0.0"
        assert qnx.must(["echo", "two  words"]).text == "two  words\n"
        with pytest.raises(GuestCommandFailed, match="status 3"):
            qnx.must(["sh", "-c", "exit 3"])


@pytest.mark.parametrize(
    ("says", "sentence"),
    [("sleep 60", "it printed no greeting"), (f"cat {BOOT}; sleep 60", "it greeted, and its prompt .* did not come")],
)
def test_a_guest_that_stops_says_how_far_it_got(says: str, sentence: str, tmp_path: Path) -> None:
    with guest(tmp_path, says) as qnx, pytest.raises(GuestNotUp, match=sentence):
        qnx.boot(5, 1, 5)


def test_a_qvm_that_ended_is_told_first(tmp_path: Path) -> None:
    with guest(tmp_path, "sleep 60", ended=True) as qnx, pytest.raises(DeviceError, match="qvm ended"):
        qnx.boot(5, 1, 5)


def test_pidin_is_read_by_its_columns() -> None:
    """Every thread, a name with a space, a state with nothing behind it; the heading is no thread."""
    threads = parse_pidin((RECORDED / "qnx-8.0-pidin.txt").read_text())
    assert len(threads) == 8
    assert threads[4] == Thread(12292, 1, "proc/boot/devc-ser8250", "24o", "RECEIVE", "1")
    assert threads[4].program == "devc-ser8250"
    assert (threads[5].name, threads[5].state, threads[5].blocked) == ("usr/sbin/my daemon", "NANOSLEEP", "")
    assert parse_pidin("") == []
