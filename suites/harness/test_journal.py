"""The journal keeps every event whole, survives what a run does not, and costs next to nothing; so does its directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boardfile import checkout
from harness.errors import UseError
from harness.events import Event, Events
from harness.evidence.journal import DAMAGED, PLANNED, VERDICT, Journal, read, without_verdict
from harness.evidence.rundir import RunDirectory

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def written(path: Path, *events: tuple[str, dict[str, Any]]) -> list[Event]:
    stream = Events()
    with Journal(path) as journal:
        journal.listen(stream)
        for name, fields in events:
            stream.emit(name, **fields)
    return list(read(path))


def test_every_event_is_one_line(path: Path) -> None:
    written(path, ("power.on", {"channel": 1}), ("console.noise", {"text": "a\nb\r\u2028"}))
    lines = path.read_text().split("\n")
    assert len(lines) == 3
    first = json.loads(lines[0])
    assert (first["event"], first["fields"]) == ("power.on", {"channel": 1})
    assert abs(first["wall"] - time.time()) < 10
    assert json.loads(lines[1])["fields"]["text"] == "a\nb\r\u2028"


@given(st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), JSON, max_size=3))))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, dict[str, Any]]]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        for name, fields in events:
            journal.write(Event(name, 1.5, 2.5, fields))
    assert [(event.name, event.fields) for event in read(path)] == events


def test_what_json_has_no_word_for_is_kept_readable(path: Path) -> None:
    fields = {"file": Path("/a/b"), "error": ValueError("no"), "text": os.fsdecode(b"caf\xe9"), "key": {("a", 1): 2}}
    (event,) = written(path, ("odd", fields))
    assert event.fields["file"] == "/a/b"
    assert event.fields["error"] == "no"
    assert event.fields["text"] == "caf\\udce9"
    assert event.fields["key"] == {"('a', 1)": 2}


def test_an_event_is_in_the_file_before_emit_returns(path: Path) -> None:
    stream, journal = Events(), Journal(path)
    remove = journal.listen(stream)
    stream.emit("one")
    assert [event.name for event in read(path)] == ["one"]
    remove()
    stream.emit("two")
    assert [event.name for event in read(path)] == ["one"]
    journal.close()
    journal.close()


def test_a_killed_run_leaves_everything_it_said(path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from harness.events import Events\nfrom harness.evidence.journal import Journal\n"
        "events = Events()\nJournal(Path(sys.argv[1])).listen(events)\n"
        "for number in range(100): events.emit('step', number=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=checkout(), check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [event.fields["number"] for event in read(path)] == list(range(100))


def test_a_cut_last_line_is_reported_and_nothing_else_lost(path: Path) -> None:
    written(path, ("one", {}), ("two", {"text": "abc"}))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert [event.name for event in read(path)] == ["one", DAMAGED]
    (damaged,) = [event for event in read(path) if event.name == DAMAGED]
    assert damaged.fields["line"] == 2
    assert "two" in damaged.fields["text"]


def test_a_journal_cut_anywhere_is_read_up_to_there(path: Path) -> None:
    written(path, *((f"event{number}", {"text": "ä" * number}) for number in range(5)))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        complete = whole[:size].count(b"\n")
        events = list(read(path))
        assert [event.name for event in events[:complete]] == [f"event{number}" for number in range(complete)]
        assert len(events) - complete in (0, 1)


def test_a_journal_is_continued_after_a_cut(path: Path) -> None:
    written(path, ("one", {}), ("two", {}))
    path.write_bytes(path.read_bytes()[:-5])
    events = written(path, ("guardian.off", {}))
    assert [event.name for event in events] == ["one", DAMAGED, "guardian.off"]


@pytest.mark.parametrize("line", [b"[]\n", b"3\n", b'{"event": "x"}\n', b"\xff\xfe\n", b"{\n"])
def test_a_line_that_is_no_event_is_reported(path: Path, line: bytes) -> None:
    path.write_bytes(line)
    assert [event.name for event in read(path)] == [DAMAGED]


def test_lines_from_several_threads_stay_whole(path: Path) -> None:
    stream = Events()

    def report(name: str) -> None:
        for number in range(50):
            stream.emit(name, text="x" * 5000, number=number)

    with Journal(path) as journal:
        journal.listen(stream)
        threads = [threading.Thread(target=report, args=(name,)) for name in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = list(read(path))
    for name in ("a", "b", "c"):
        assert [event.fields["number"] for event in events if event.name == name] == list(range(50))


def test_a_disk_that_takes_nothing_is_remembered_and_stops_nobody() -> None:
    """Whoever reports may be switching a board off."""
    stream, journal = Events(), Journal(Path("/dev/full"))
    journal.listen(stream)
    stream.emit("one")
    stream.emit("two")
    assert journal.failure is not None
    assert str(journal.failure) == "/dev/full cannot be written: No space left on device; make room in /dev and try again"
    journal.close()


def test_planned_tests_without_a_verdict_are_known(path: Path) -> None:
    events = written(path, (PLANNED, {"tests": ["a", "b", "c"]}), (VERDICT, {"test": "b", "verdict": "passed"}))
    assert without_verdict(events) == ["a", "c"]


def test_an_event_costs_less_than_a_millisecond(path: Path) -> None:
    stream, count = Events(), 2000
    with Journal(path) as journal:
        journal.listen(stream)
        began = time.process_time()
        for number in range(count):
            stream.emit("vdev.deployed", vdev="timer8254", sha256="0" * 64, number=number, seconds=0.125)
        cost = (time.process_time() - began) / count
    assert cost < 1e-3


# The run's directory.


class At:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_800_000_000.0


def test_a_run_has_its_directories_and_is_the_latest(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "build/runs", "pc", At())
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(At().wall()))
    assert run.path == tmp_path / f"build/runs/{stamp}-pc"
    assert sorted(entry.name for entry in run.path.iterdir()) == ["allure", "consoles", "vm"]
    assert (run.path.parent / "latest").resolve() == run.path
    assert (run.path.parent / "latest").readlink() == Path(run.path.name)


def test_two_runs_in_one_second_have_their_own_directories(tmp_path: Path) -> None:
    first, second = RunDirectory.create(tmp_path, "pc", At()), RunDirectory.create(tmp_path, "pc", At())
    assert second.path.name == f"{first.path.name}-2"
    assert (tmp_path / "latest").resolve() == second.path


def test_latest_is_never_missing(tmp_path: Path) -> None:
    """Whoever looks while runs come and go always finds one."""
    RunDirectory.create(tmp_path, "pc", At())
    missing, done = list[float](), threading.Event()

    def look() -> None:
        while not done.is_set():
            if not (tmp_path / "latest").exists():
                missing.append(time.monotonic())

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(100):
        RunDirectory.create(tmp_path, "pc", At())
    done.set()
    watcher.join()
    assert not missing
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_records_are_saved_whole(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "pc")
    run.save(run.vdevs, [{"name": "timer8254", "path": Path("/x")}])
    run.save(run.vdevs, [{"name": "ser8250"}])
    assert json.loads(run.vdevs.read_text()) == [{"name": "ser8250"}]
    assert sorted(entry.name for entry in run.path.iterdir()) == ["allure", "consoles", "vdevs.json", "vm"]


def test_a_place_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UseError, match=r"runs: no directory for this run: File exists; mend"):
        RunDirectory.create(tmp_path / "runs", "pc")
    (tmp_path / "other/latest").mkdir(parents=True)
    with pytest.raises(UseError, match="no directory for this run: Is a directory"):
        RunDirectory.create(tmp_path / "other", "pc")
