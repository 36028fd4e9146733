"""Commands over a console: with a real shell behind a line that is slow, noisy, or loses bytes, a result is right or there is none."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import Deadline
from harness.command import CommandTimeout
from harness.console import ASH, KSH, Console, Dialect, NoShell, Shell
from harness.console.cksum import cksum
from harness.console.dialect import LINE, pieces
from harness.errors import HarnessError
from harness.events import Event, Events
from suites.harness.relay import Relay, shell

SHELLS = {"ksh": (["mksh", "-i"], KSH), "ash": (["busybox", "ash", "-i"], ASH)}


@contextmanager
def attached(name: str, directory: Path, events: Events | None = None, **line: float) -> Iterator[tuple[Shell, Relay]]:
    argv, dialect = SHELLS[name]
    with shell(argv, **line) as relay, Console("host", relay.url, 115200, directory / "host.log", events or Events()) as console:
        sh = Shell.attach(console, dialect, Deadline.after(30, "a shell"))
        yield sh, relay
        relay.noise = relay.drop = 0.0
        with suppress(HarnessError):  # some tests end the shell
            sh.detach(Deadline.after(5, "the shell to be left"))


@pytest.fixture(scope="module", params=list(SHELLS))
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with attached(request.param, tmp_path_factory.mktemp("console")) as (attached_shell, _):
        yield attached_shell


@given(st.binary(max_size=300))
@settings(max_examples=30)
def test_cksum_is_the_tool_s(data: bytes) -> None:
    said = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout.split()
    assert [cksum(data), len(data)] == [int(word) for word in said]


@given(st.binary(max_size=500), st.integers(5, 200))
def test_pieces_hold_nothing_a_shell_acts_on(data: bytes, length: int) -> None:
    found = pieces(data, length)
    assert all(len(piece) <= length for piece in found)
    assert set("".join(found)).isdisjoint("'\"$`;&|<>()\n")
    assert subprocess.run(["printf", "%b", "".join(found)], capture_output=True, check=True).stdout == data


@pytest.mark.parametrize("status", [0, 1, 3, 127, 255])
def test_statuses_arrive(clean: Shell, status: int) -> None:
    assert clean.run(["sh", "-c", f"exit {status}"], 5).status == status
    assert clean.run_text(f"exit {status}", 5).status == status


@pytest.mark.parametrize(
    "argument", ["two words", "it's", 'say "so"', "$HOME `id` \\n", "a;b|c&d>e", "*", "", "ünï", "line\nline", "-n", "\\0101"]
)
def test_arguments_arrive_unchanged(clean: Shell, argument: str) -> None:
    assert clean.run(["printf", "%s|", argument], 5).stdout == argument.encode() + b"|"


def test_output_and_error_are_kept_apart_byte_for_byte(clean: Shell) -> None:
    script = "printf 'a\\r\\n\\000\\033[31m\\177\\377 no newline'; printf 'b\\n\\n' >&2"
    result = clean.run_text(script, 5)
    assert (result.stdout, result.stderr) == (b"a\r\n\0\x1b[31m\x7f\xff no newline", b"b\n\n")


def test_long_scripts_long_output_and_input(clean: Shell) -> None:
    """Each is longer than a typed line or an answer may be, so that each travels in pieces."""
    words = [f"word{number}" for number in range(150)]
    assert clean.run(["printf", "%s.", *words], 10).stdout == "".join(f"{word}." for word in words).encode()
    assert clean.run_text("seq 1 3000", 20).stdout == b"".join(b"%d\n" % number for number in range(1, 3001))
    data = bytes(range(256)) * 2
    assert clean.run(["cat"], 10, input=data).stdout == data
    assert clean.run(["cat"], 10).stdout == b""


def test_a_command_changes_nothing_for_the_next(clean: Shell) -> None:
    clean.run_text("cd /; PATH=/nowhere; IFS=x; set -f; trap '' INT; exec >/dev/null", 5)
    assert clean.run_text('pwd; echo "$PATH" a*b', 5).stdout.splitlines()[1:] == [b"/usr/bin:/bin:/usr/sbin:/sbin a*b"]


def test_output_may_hold_the_prompt_and_what_the_protocol_says(clean: Shell) -> None:
    """As `set` prints them."""
    script = 'i=0; while [ $i -lt 20 ]; do echo "$PS1 $_hd.0<0 1 2 3 4>"; i=$((i+1)); done'
    lines = clean.run_text(script, 5).stdout.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith(clean.prompt)


def test_a_syntax_error_is_a_result(clean: Shell) -> None:
    result = clean.run_text("echo 'open", 5)
    assert result.status != 0
    assert result.stderr
    assert clean.run(["echo", "on"], 5).stdout == b"on\n"


def test_no_typed_line_is_too_long(clean: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[bytes] = []
    write = clean.console.write

    def spy(data: bytes, deadline: Deadline) -> None:
        typed.append(data)
        write(data, deadline)

    monkeypatch.setattr(clean.console, "write", spy)
    clean.run(["echo", "x'" * 300], 10)
    assert typed
    assert max(map(len, typed)) <= LINE


def test_a_clean_run_is_cheap(clean: Shell) -> None:
    """At 115200 baud, beyond the command itself. The limit of 60 ms is for a quiet machine; the median of many forgives a busy one."""
    times = []
    for _ in range(21):
        begin = time.monotonic()
        clean.run(["true"], 5)
        times.append(time.monotonic() - begin)
    assert sorted(times)[10] < 0.06, times


def test_a_command_that_hangs_is_interrupted_and_the_shell_lives(clean: Shell) -> None:
    with pytest.raises(CommandTimeout, match=r"`sleep 100` was not seen within 0\.5 s, it was interrupted"):
        clean.run(["sleep", "100"], 0.5)
    assert clean.run(["echo", "alive"], 5).stdout == b"alive\n"


def test_a_command_longer_than_any_patience_runs_once(clean: Shell, tmp_path: Path) -> None:
    result = clean.run_text(f"echo ran >>{tmp_path}/count; sleep 1.5; cat {tmp_path}/count", 10)
    assert result.stdout == b"ran\n"


def test_what_others_say_meanwhile_is_not_output(tmp_path: Path) -> None:
    """Kernel text before, within and after a command's answer, and text that looks like an answer."""
    with attached("ksh", tmp_path) as (sh, relay):
        stop = threading.Event()

        def chatter() -> None:
            while not stop.wait(0.03):
                relay.say(b"\r\n[  12.3] abc.0<0 4294967295 0 4294967295 0> # \r\n")

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            for number in range(1000):  # how many answers are hit is chance
                assert sh.run(["echo", str(number)], 10).stdout == b"%d\n" % number
                if sh.noise > 5:
                    break
        finally:
            stop.set()
            thread.join()
        assert sh.noise > 5, "next to nothing was hit: this test means nothing"


@pytest.mark.parametrize(
    ("name", "noise", "drop", "runs"),
    [("ksh", 0.002, 0.0, 30), ("ash", 0.002, 0.0, 10), ("ash", 0.0, 0.001, 20), ("ksh", 0.0, 0.001, 10), ("ksh", 0.002, 0.0005, 10)],
)
def test_on_a_bad_line_no_result_is_wrong_and_nothing_runs_twice(name: str, noise: float, drop: float, runs: int, tmp_path: Path) -> None:
    """Chances per byte: a kernel line towards us, a loss towards the board."""
    expected = b"".join(b"line %d of ten, with a few words\n" % number for number in range(10))
    count = tmp_path / "count"
    loop = 'i=0; while [ $i -lt 10 ]; do echo "line $i of ten, with a few words"; i=$((i+1)); done'
    script = f"echo ran >>{count}; {loop}; echo 'err' >&2; exit 3"
    seen: list[Event] = []
    events = Events()
    events.listen(seen.append)
    with attached(name, tmp_path, events, noise=noise, drop=drop) as (sh, relay):
        results = [sh.run_text(script, 30) for _ in range(runs)]
        disturbed = relay.inserted + relay.dropped
    assert {(result.status, result.stdout, result.stderr) for result in results} == {(3, expected, b"err\n")}
    assert count.read_bytes() == b"ran\n" * runs
    assert disturbed > 5, "the line was too good for this test to mean anything"
    assert any(event.name == "console.noise" for event in seen)


def test_long_output_survives_noise(tmp_path: Path) -> None:
    """Read in pieces that shrink until they pass between two disturbances."""
    with attached("ash", tmp_path, noise=0.001) as (sh, relay):
        assert sh.run_text("seq 1 2000", 30).stdout == b"".join(b"%d\n" % number for number in range(1, 2001))
        assert relay.inserted


@pytest.mark.parametrize("name", list(SHELLS))
def test_a_shell_is_found_behind_a_half_typed_line(name: str, tmp_path: Path) -> None:
    """A lost quote left the shell in its continuation prompt; what was typed by somebody else is not run."""
    argv, dialect = SHELLS[name]
    with shell(argv) as relay, Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console:
        cursor = console.cursor()
        console.write(b"\n", Deadline.after(5, "a line"))
        cursor.expect(b"# ", Deadline.after(5, "a prompt"))
        console.write(b"touch " + os.fsencode(tmp_path) + b"/touched 'open\n", Deadline.after(5, "a line"))
        attached_shell = Shell.attach(console, dialect, Deadline.after(20, "a shell"))
        assert attached_shell.run(["echo", "here"], 5).stdout == b"here\n"
    assert not (tmp_path / "touched").exists()


def test_set_up_is_proved_by_its_effect(tmp_path: Path) -> None:
    """mksh starts with its line editor and its own echo on; afterwards nothing typed comes back and its prompt is ours."""
    with attached("ksh", tmp_path) as (sh, _):
        assert not sh.echo
        before = sh.console.offset
        sh.run(["true"], 5)
        assert b"_hx" not in sh.console.slice(before)
        assert sh.run_text(
            'echo "$TERM"; for o in emacs vi; do [ -o $o ] && echo $o; done; stty -a </dev/tty | grep -o -- "-echo "', 5
        ).stdout.split() == [
            b"dumb",
            b"-echo",
        ]


def test_a_tty_that_cannot_be_silenced_works_as_well(tmp_path: Path) -> None:
    """A host without `stty`: the echo stays, and no echo is taken for an answer."""
    argv, _ = SHELLS["ksh"]
    deaf = Dialect("ksh", "set +o emacs +o vi; sttty -echo", "print -n --")
    with shell(argv) as relay, Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console:
        sh = Shell.attach(console, deaf, Deadline.after(20, "a shell"))
        assert sh.echo
        assert sh.run_text("seq 1 2000", 20).stdout == b"".join(b"%d\n" % number for number in range(1, 2001))
        assert sh.run(["cat"], 10, input=b"x" * 400).stdout == b"x" * 400


def settings_of(console: Console) -> bytes:
    """What the shell and its tty say of themselves."""
    cursor = console.cursor(raw=True)
    console.write(b"""echo be''gin; stty -a; echo "$PS1|$PS2|$TERM"; set -o; set | grep ^_h; echo e''nd\n""", Deadline.after(5, "the port"))
    return cursor.expect(re.compile(rb"begin\r*\n(.*?)end", re.DOTALL), Deadline.after(5, "the settings")).group(1)


@pytest.mark.parametrize("name", SHELLS)
def test_detach_leaves_nothing(name: str, tmp_path: Path) -> None:
    """Files, the tty's settings, prompts, terminal and line editor are as they were: in the middle of something, and over a bad line."""
    argv, dialect = SHELLS[name]
    with shell(argv) as relay, Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console:
        sh = Shell.meet(console, dialect, Deadline.after(20, "a shell"))
        console.write(b"PS1='lab# ' PS2='more> '\n", Deadline.after(5, "the port"))
        before = settings_of(console)
        assert b" echo " in before
        assert b"lab# |more> |vt100" in before
        sh.set_up(Deadline.after(20, "the shell"))
        assert sh.run(["cat"], 10, input=b"kept").stdout == b"kept"
        assert list(Path("/tmp").glob(f"{Path(sh.base).name}.*"))
        console.write(b"sleep 600\n", Deadline.after(5, "the port"))
        relay.noise = relay.drop = 0.005
        sh.detach(Deadline.after(20, "the shell"))
        relay.noise = relay.drop = 0.0
        sh.resync(Deadline.after(5, "the shell"))  # its last line may have lost its end
        assert settings_of(console).split(b"\r\n") == before.split(b"\r\n")
        assert not list(Path("/tmp").glob(f"{Path(sh.base).name}.*"))


def test_a_silent_line_is_no_shell(tmp_path: Path) -> None:
    with (
        shell(["sleep", "60"]) as relay,
        Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console,
        pytest.raises(NoShell, match=r"console host: no shell answered within 1\.5 s"),
    ):
        Shell.attach(console, KSH, Deadline.after(1.5, "a shell"))


def test_a_login_prompt_is_named(tmp_path: Path) -> None:
    script = "printf 'board login: '; while read -r name; do printf 'Password: '; read -r secret; printf 'board login: '; done"
    with (
        shell(["dash", "-c", script]) as relay,
        Console("host", relay.url, 115200, tmp_path / "host.log", Events()) as console,
        pytest.raises(NoShell, match="a login is asked for"),
    ):
        Shell.attach(console, KSH, Deadline.after(1.5, "a shell"))


def test_a_shell_that_dies_is_no_wrong_result(tmp_path: Path) -> None:
    with attached("ksh", tmp_path) as (sh, _), pytest.raises((NoShell, CommandTimeout)):
        sh.run_text("kill -9 $$", 2)
