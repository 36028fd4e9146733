"""The power switch against a bench supply on a loopback port that can be told to misbehave: the contract every driver has to keep."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import lease
from harness.bench import Bench
from harness.boardfile import Board, Port, Power
from harness.boardfile.schema import About, Consoles, Timing
from harness.clock import Deadline
from harness.errors import UseError
from harness.events import Event, Events
from harness.instruments import InstrumentRefused, InstrumentSilent, Link
from harness.power import NotAvailable, PowerFault, PowerSwitch, State, switch


class Supply:
    """Two channels of a Rigol DP800. What it is told is in `heard`, with the time."""

    def __init__(self) -> None:
        self.outputs = {1: False, 2: False}
        self.heard: list[tuple[float, str]] = []
        self.errors: list[str] = []
        self.stuck: set[int] = set()
        """Channels that stay as they are."""
        self.answers: dict[str, str] = {}
        """Other answers than the right ones."""
        self.late: dict[str, float] = {}
        """Seconds by which the next answer to a question is late."""
        self.silent = False
        owner = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the client hung up
                    for line in self.rfile:
                        answer = owner.execute(line.decode().strip())
                        if answer is not None and not owner.silent:
                            self.wfile.write(answer.encode() + b"\n")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Session)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def resource(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commands(self) -> list[str]:
        """What set something."""
        return [line for _, line in self.heard if "?" not in line]

    def execute(self, line: str) -> str | None:
        self.heard.append((time.monotonic(), line))
        time.sleep(self.late.pop(line, 0.0))
        if line in self.answers:
            return self.answers[line]
        if line == "*IDN?":
            return "HARNESS,DP832-SIM,1,1.0"
        if line == "SYST:ERR?":
            return self.errors.pop(0) if self.errors else '0,"No error"'
        if asked := re.fullmatch(r":OUTP\? CH(\d)", line):
            return "ON" if self.outputs[int(asked[1])] else "OFF"
        if told := re.fullmatch(r":OUTP CH(\d),(ON|OFF)", line):
            if int(told[1]) not in self.stuck:
                self.outputs[int(told[1])] = told[2] == "ON"
            return None
        self.errors.append('-113,"Undefined header"')
        return None


def board(driver: str, resource: str, **power: Any) -> Board:
    about = About(description="a bench of this test", arch="x86_64", os="qnx-8.0")
    table = Power(driver=driver, resource=resource, **power)
    return Board(name="bench", files=("bench.toml",), board=about, power=table, timing=Timing(power=1.0))


@pytest.fixture
def supply() -> Iterator[Supply]:
    server = Supply()
    yield server
    server.close()


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def power(supply: Supply, seen: list[Event]) -> Iterator[PowerSwitch]:
    events = Events()
    events.listen(seen.append)
    made = switch(board("scpi", supply.resource, reset_channel=2, off_time=0.4), events)
    yield made
    made.close()


def soon(seconds: float = 1.0) -> Deadline:
    return Deadline.after(seconds, "an answer")


# The switch


def test_making_a_switch_touches_nothing(supply: Supply, power: PowerSwitch) -> None:
    assert power
    assert supply.heard == []


def test_on_and_off_are_read_back(supply: Supply, power: PowerSwitch, seen: list[Event]) -> None:
    assert power.state() is State.OFF
    power.on()
    assert supply.outputs == {1: True, 2: False}
    assert power.state() is State.ON
    power.off()
    assert supply.outputs == {1: False, 2: False}
    assert power.state() is State.OFF
    assert [event.name for event in seen if event.name.startswith("power")] == [
        "power.on.begin",
        "power.on.end",
        "power.off.begin",
        "power.off.end",
    ]


def test_a_report_that_cannot_be_written_keeps_no_power_on(supply: Supply) -> None:
    def full(event: Event) -> None:
        raise OSError(28, "No space left on device", event.name)

    events = Events()
    events.listen(full)
    power = switch(board("scpi", supply.resource), events)
    power.on()
    power.off()
    assert power.state() is State.OFF
    assert isinstance(events.failure, OSError)
    power.close()


def test_on_when_on_is_nothing_and_off_is_always_said(supply: Supply, power: PowerSwitch) -> None:
    power.on()
    power.on()
    power.off()
    power.off()
    assert supply.commands() == [":OUTP CH1,ON", ":OUTP CH1,OFF", ":OUTP CH1,OFF"]


def test_the_off_time_is_waited_out_but_not_twice(supply: Supply, power: PowerSwitch) -> None:
    power.on()
    power.off()
    off_at = time.monotonic()
    threading.Event().wait(0.15)  # part of the time passes by itself
    power.on()
    assert 0.35 < time.monotonic() - off_at < 1.0
    power.off()
    threading.Event().wait(0.45)
    begin = time.monotonic()
    power.on()
    assert time.monotonic() - begin < 0.3
    assert supply.outputs[1]


def test_a_second_off_does_not_begin_the_off_time_anew(power: PowerSwitch) -> None:
    power.on()
    power.off()
    threading.Event().wait(0.45)
    power.off()
    begin = time.monotonic()
    power.on()
    assert time.monotonic() - begin < 0.3


def test_reset_pulses_the_relay_and_leaves_the_power(supply: Supply, power: PowerSwitch) -> None:
    power.on()
    supply.heard.clear()
    power.reset()
    times = {line: at for at, line in supply.heard if "?" not in line}
    assert supply.commands() == [":OUTP CH2,ON", ":OUTP CH2,OFF"]
    assert times[":OUTP CH2,OFF"] - times[":OUTP CH2,ON"] >= 0.1
    assert supply.outputs == {1: True, 2: False}


def test_a_reset_that_fails_still_lets_the_line_go(supply: Supply, power: PowerSwitch) -> None:
    supply.answers[":OUTP? CH2"] = "OFF"  # the relay works, its state reads wrong
    with pytest.raises(PowerFault):
        power.reset()
    assert supply.outputs[2] is False
    assert supply.commands() == [":OUTP CH2,ON", ":OUTP CH2,OFF"]


def test_a_bench_without_a_reset_line_says_so(supply: Supply) -> None:
    with pytest.raises(NotAvailable, match=r"power\.reset_channel"):
        switch(board("scpi", supply.resource), Events()).reset()


def test_an_output_that_does_not_follow_is_a_fault(supply: Supply, power: PowerSwitch) -> None:
    supply.stuck = {1}
    begin = time.monotonic()
    with pytest.raises(PowerFault, match="channel 1 of the bench supply was switched on and reads off"):
        power.on()
    assert time.monotonic() - begin < 3


def test_off_that_does_not_read_off_is_a_fault(supply: Supply, power: PowerSwitch) -> None:
    power.on()
    supply.stuck = {1}
    with pytest.raises(PowerFault):
        power.off()
    assert power.state() is State.ON


def test_what_cannot_be_read_is_unknown_and_not_off(supply: Supply, power: PowerSwitch, seen: list[Event]) -> None:
    supply.answers[":OUTP? CH1"] = "TRIPPED"
    assert power.state() is State.UNKNOWN
    del supply.answers[":OUTP? CH1"]
    supply.silent = True
    begin = time.monotonic()
    assert power.state() is State.UNKNOWN
    assert time.monotonic() - begin < 2
    assert "power.unknown" in [event.name for event in seen]


def test_newer_models_say_1_and_0(supply: Supply, power: PowerSwitch) -> None:
    supply.answers[":OUTP? CH1"] = "1"
    assert power.state() is State.ON


@pytest.mark.parametrize(("driver", "words"), [("scip", "did you mean scpi?"), ("", "known here: scpi")])
def test_an_unknown_driver_names_the_file_and_the_key(driver: str, words: str) -> None:
    with pytest.raises(UseError, match=rf"bench\.toml: power\.driver '{driver}' is unknown; {re.escape(words)}"):
        switch(board(driver, ""), Events())


def test_a_missing_resource_names_the_key() -> None:
    with pytest.raises(UseError, match=r"bench\.toml: power\.resource is missing"):
        switch(board("scpi", ""), Events())


# The link below it


def test_a_late_answer_is_never_the_next_one_s(supply: Supply) -> None:
    """The answer to the first question comes after its deadline; the second question gets its own."""
    with Link(supply.resource, "supply", Events()) as link:
        assert link.query(":OUTP? CH1", soon()) == "OFF"
        supply.late[":OUTP? CH1"] = 0.6
        with pytest.raises(InstrumentSilent, match=r"`:OUTP\? CH1`: no answer within 0\.2 s"):
            link.query(":OUTP? CH1", soon(0.2))
        assert link.query("*IDN?", soon()) == "HARNESS,DP832-SIM,1,1.0"
        threading.Event().wait(0.6)  # the late answer is on its way to nobody
        assert link.query(":OUTP? CH1", soon()) == "OFF"


def test_a_question_that_ctrl_c_ended_leaves_its_answer_to_nobody(supply: Supply) -> None:
    """The board is switched off next, and that command must not get the answer of the question before."""
    with Link(supply.resource, "supply", Events()) as link:
        assert link.query("*IDN?", soon()) == "HARNESS,DP832-SIM,1,1.0"
        for _ in range(10):
            supply.late["*IDN?"] = 0.1
            threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                link.query("*IDN?", soon())
            assert link.query(":OUTP? CH1", soon()) == "OFF"


def test_a_board_that_its_run_cannot_switch_off_is_left_to_the_guardian(supply: Supply, tmp_path: Path) -> None:
    """Its supply has an error to tell when the run leaves; the guardian, who asks anew, switches off, and only then is the bench free."""
    far, near = pty.openpty()
    console = Consoles(host=Port(url=os.ttyname(near)))
    bench = msgspec.structs.replace(board("scpi", supply.resource), name=f"supplied-{os.getpid()}", console=console)
    supply.outputs[1] = True
    try:
        with pytest.raises(InstrumentRefused), Bench(bench, Events(), tmp_path, "a test").attached():
            supply.errors.append('-222,"Data out of range"')
        assert supply.outputs[1] is False
        assert "the run ended without switching the board off; done" in (tmp_path / "guardian.log").read_text()
        lease.take(bench.name, "the next", directory=bench.lock_directory).release()
    finally:
        lease.lock_file(bench.name, bench.lock_directory).unlink(missing_ok=True)
        os.close(far)
        os.close(near)


def test_another_instrument_at_the_address_is_noticed(supply: Supply) -> None:
    with Link(supply.resource, "supply", Events()) as link:
        link.query("*IDN?", soon())
        link.close()
        supply.answers["*IDN?"] = "SOMEBODY,ELSE,2,1.0"
        with pytest.raises(InstrumentSilent, match="now says it is"):
            link.query(":OUTP? CH1", soon())


def test_a_closed_port_fails_when_opened(supply: Supply) -> None:
    """pyvisa-py itself opens it without complaint."""
    supply.close()
    with pytest.raises(InstrumentSilent, match="supply at TCPIP::127"):
        Link(supply.resource, "supply", Events()).query("*IDN?", soon())


def test_an_instrument_s_own_errors_end_the_command_that_made_them(supply: Supply) -> None:
    with Link(supply.resource, "supply", Events()) as link:
        with pytest.raises(InstrumentRefused, match=r"refused `:NONSENSE`: -113"):
            link.write(":NONSENSE", soon())
        link.write(":OUTP CH1,ON", soon())
    assert supply.outputs[1]


def test_an_error_queue_without_end_is_given_up(supply: Supply) -> None:
    supply.answers["SYST:ERR?"] = '-350,"Queue overflow"'
    with Link(supply.resource, "supply", Events()) as link, pytest.raises(InstrumentRefused):
        link.write(":OUTP CH1,ON", soon(3))
    assert [line for _, line in supply.heard].count("SYST:ERR?") <= 33


def test_threads_get_their_own_answers(supply: Supply) -> None:
    """Without a lock most answers go to the wrong thread."""
    supply.outputs[2] = True
    wrong: list[str] = []
    with Link(supply.resource, "supply", Events()) as link:
        link.query("*IDN?", soon())

        def ask(question: str, right: str) -> None:
            wrong.extend(answer for _ in range(50) if (answer := link.query(question, soon(10))) != right)

        threads = [threading.Thread(target=ask, args=pair) for pair in ((":OUTP? CH1", "OFF"), (":OUTP? CH2", "ON"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
