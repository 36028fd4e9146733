"""Files over a console: on a line that is slow, noisy, loses or changes bytes, or ends, what arrives is what was sent."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.command import Result
from harness.console import DIALECTS, KSH, Console, Shell, transfer
from harness.console.dialect import LINE
from harness.errors import BenchError
from harness.events import Event, Events
from harness.host import ConsoleTransport
from suites.harness.relay import Relay, shell

SHELLS = {"ksh": ["mksh", "-i"], "ash": ["busybox", "ash", "-i"]}


@contextmanager
def attached(directory: Path, name: str = "ksh", events: Events | None = None) -> Iterator[tuple[Shell, Relay]]:
    """A shell on a line that is still good."""
    with (
        shell(SHELLS[name]) as relay,
        Console("host", relay.url, 115200, directory / "host.log", events or Events()) as console,
    ):
        yield Shell.attach(console, DIALECTS[name], Deadline.after(30, "a shell")), relay


@pytest.mark.parametrize("name", list(SHELLS))
@pytest.mark.parametrize("size", [0, 1, 149, 150, 151, 179, 180, 181, transfer.CHUNK - 1, transfer.CHUNK, transfer.CHUNK + 1])
def test_every_length_arrives(name: str, size: int, lengths: dict[str, Shell], tmp_path: Path) -> None:
    """Around the lengths of lines and chunks; the file is replaced, longer or shorter."""
    far, data = tmp_path / "it's far", os.urandom(size)
    far.write_bytes(b"something else" * 20)
    assert transfer.send(lengths[name], data, str(far)) == size
    assert far.read_bytes() == data


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shell]]:
    with attached(tmp_path_factory.mktemp("ksh")) as (ksh, _), attached(tmp_path_factory.mktemp("ash"), "ash") as (ash, _):
        yield {"ksh": ksh, "ash": ash}


@pytest.mark.parametrize(
    ("name", "bad", "what"),
    [
        ("ksh", {"noise": 0.005}, ""),
        ("ash", {"noise": 0.005}, ""),
        ("ksh", {"drop": 0.001}, "line of a file"),
        ("ash", {"drop": 0.001}, "line of a file"),
        ("ksh", {"change": 0.0002}, "chunk of a file"),
        ("ksh", {"noise": 0.005, "drop": 0.0005, "change": 0.00003}, "line of a file"),
    ],
)
def test_on_a_bad_line_what_arrives_is_what_was_sent(name: str, bad: dict[str, float], what: str, tmp_path: Path) -> None:
    """Chances per byte: a kernel line towards us, a loss or a change towards the board."""
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    data = os.urandom(15_000)
    with attached(tmp_path, name, events) as (sh, relay):
        transfer.send(sh, b"the receiver is there now", str(tmp_path / "first"))
        for rate, chance in bad.items():
            setattr(relay, rate, chance)
        transfer.send(sh, data, str(tmp_path / "far"))
        assert relay.inserted + relay.dropped + relay.changed, "the line was too good for this test to mean anything"
    assert (tmp_path / "far").read_bytes() == data
    assert not what or what in [event.fields["what"] for event in seen if event.name == "console.noise"]


def test_no_line_is_too_long_and_no_more_are_on_their_way_than_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted at the port: bytes sent behind the last acknowledged line."""
    with attached(tmp_path) as (sh, _):
        lines: list[int] = []
        furthest = 0
        write = sh.console.write

        def spy(data: bytes, deadline: Deadline, *, echo: bool = False, paced: bool = True) -> None:
            nonlocal furthest
            lines.append(len(data))
            if not paced and data[:1].isdigit():
                acknowledged = int(re.findall(rb"\+(\d+)\.", sh.console.slice(begin))[-1])
                numbered.append(len(data))
                furthest = max(furthest, sum(numbered[acknowledged:]))
            write(data, deadline, echo=echo, paced=paced)

        transfer.send(sh, b"the receiver is there now", str(tmp_path / "first"))
        begin, numbered = sh.console.offset, list[int]()
        monkeypatch.setattr(sh.console, "write", spy)
        transfer.send(sh, os.urandom(30_000), str(tmp_path / "far"))
    assert max(lines) <= LINE
    assert 2 * 242 < furthest <= 1024


class Cut(Exception):
    pass


def test_what_was_cut_goes_on_where_it_ended(tmp_path: Path) -> None:
    """The line goes away in the middle; on the next one only the rest is sent."""
    data, far = os.urandom(60_000), tmp_path / "far"

    def cut(done: int, _total: int) -> None:
        if done > 30_000:
            relay.drop = 1.0  # nobody hears us any more, and the console goes away
            console.close()
            raise Cut

    with shell(SHELLS["ksh"]) as relay, Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console:
        sh = Shell.attach(console, KSH, Deadline.after(30, "a shell"))
        with pytest.raises(Cut):
            transfer.send(sh, data, str(far), cut)
    there = far.stat().st_size
    assert data.startswith(far.read_bytes())
    with attached(tmp_path) as (sh, _):
        assert transfer.send(sh, data, str(far)) == len(data) - there
        assert transfer.send(sh, data, str(far)) == 0, "nothing is sent again"
    assert 30_000 < there < 60_000
    assert far.read_bytes() == data


def test_a_file_emptied_behind_its_beginning_is_mended(tmp_path: Path) -> None:
    """As a power cut leaves one: the right length, and zeros at the end."""
    data, far = os.urandom(50_000), tmp_path / "far"
    far.write_bytes(data[:26_000] + bytes(24_000))
    with attached(tmp_path) as (sh, _):
        assert transfer.send(sh, data, str(far)) == 25_000
    assert far.read_bytes() == data


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    with attached(tmp_path) as (sh, _):
        with pytest.raises(transfer.NoRoom, match=r"could not write what it received; check the free space there \(df\)"):
            transfer.send(sh, os.urandom(20_000), "/dev/full")
        assert sh.run(["echo", "alive"], 5).text == "alive\n"


@pytest.fixture
def serial(tmp_path: Path) -> Iterator[tuple[ConsoleTransport, list[Event]]]:
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    with attached(tmp_path) as (sh, _):
        yield ConsoleTransport(sh, str(tmp_path / "store"), events), seen


def sent(seen: list[Event]) -> list[tuple[str, int]]:
    return [(event.fields["form"], event.fields["sent"]) for event in seen if event.name == "host.sent"]


def test_a_file_travels_once_per_content_and_compressed(serial: tuple[ConsoleTransport, list[Event]], tmp_path: Path) -> None:
    """Also to another place; what is new replaces what was kept under that name."""
    by_console, seen = serial
    local, far = tmp_path / "vdev.so", [tmp_path / "one", tmp_path / "two"]
    for round_, content in enumerate((b"first " * 2000, b"first " * 2000, b"other " * 3000)):
        local.write_bytes(content)
        by_console.put({local: str(far[round_ % 2])}, 10)
        assert far[round_ % 2].read_bytes() == content
    first, again, other = sent(seen)
    assert 0 < first[1] < 1000
    assert again[1] == 0
    assert 0 < other[1] < 1000
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_a_host_that_cannot_unpack_gets_it_as_it_is(
    serial: tuple[ConsoleTransport, list[Event]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_console, seen = serial
    (tmp_path / "local").write_bytes(b"once more " * 500)
    bare = tmp_path / "bare"
    bare.mkdir()
    for tool in ("base64", "cksum", "cat", "rm", "mkdir", "mv", "head", "tail", "wc", "sh", "printf"):
        (bare / tool).symlink_to(shutil.which(tool) or tool)
    run_text = by_console._shell.run_text

    def poor(script: str, timeout: float, input: bytes | None = None) -> Result:
        return run_text(f"PATH={bare}\n{script}", timeout, input)

    monkeypatch.setattr(by_console._shell, "run_text", poor)
    by_console.put({tmp_path / "local": str(tmp_path / "far")}, 10)
    assert (tmp_path / "far").read_bytes() == b"once more " * 500
    assert sent(seen) == [("raw", 5000)]


def test_a_host_without_base64_is_told(
    serial: tuple[ConsoleTransport, list[Event]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_console, _ = serial
    (tmp_path / "local").write_bytes(b"once more " * 500)
    run_text = by_console._shell.run_text
    monkeypatch.setattr(
        by_console._shell, "run_text", lambda script, timeout, input=None: run_text(script.replace(" base64 ", " base63 "), timeout, input)
    )
    with pytest.raises(BenchError, match=r"the host has no base64, and no file travels over its console without; "):
        by_console.put({tmp_path / "local": str(tmp_path / "far")}, 10)
