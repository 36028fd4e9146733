"""The virtual bench's instrument and wires alone, without a board behind them."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from boards.virtual.machine.lines import UNREAD_LIMIT, Line, Pace
from boards.virtual.machine.supply import Supply
from harness.errors import BenchError


class Load:
    """What hangs on the supply: remembers what was done to it."""

    def __init__(self) -> None:
        self.running = False
        self.broken = False
        self.resets: list[bool] = []

    def power(self, on: bool) -> None:
        if self.broken:
            raise BenchError("QEMU has ended")
        self.running = on

    def reset_line(self, asserted: bool) -> None:
        self.resets.append(asserted)


@pytest.fixture
def load() -> Load:
    return Load()


@pytest.fixture
def supply(load: Load) -> Supply:
    return Supply(load, "bench")


def test_the_supply_says_that_it_is_simulated(supply: Supply) -> None:
    assert "SIM" in str(supply.execute("*IDN?"))


@pytest.mark.parametrize("on", ["OUTP CH1,ON", ":OUTPut:STATe CH1,1", "outp ch1, on"])
def test_channel_1_switches_the_board(supply: Supply, load: Load, on: str) -> None:
    assert supply.execute(on) is None
    assert (load.running, supply.execute("OUTP? CH1")) == (True, "ON")
    assert float(supply.execute(":MEAS:CURR? CH1") or 0) > 0
    supply.execute("OUTP CH1,OFF")
    assert (load.running, supply.execute("OUTP? CH1"), supply.execute(":MEAS:CURR? CH1")) == (False, "OFF", "0.0000")


def test_channel_2_is_the_reset_line_and_a_repeated_command_is_no_second_edge(supply: Supply, load: Load) -> None:
    for command in ("OUTP CH2,ON", "OUTP CH2,ON", "OUTP CH2,OFF"):
        supply.execute(command)
    assert load.resets == [True, False]


@pytest.mark.parametrize(("command", "code"), [("OUTP CH4,ON", "-224"), ("OUTP CH1,PERHAPS", "-113"), ("NONSENSE?", "-113")])
def test_what_it_cannot_do_goes_into_its_error_queue_once(supply: Supply, command: str, code: str) -> None:
    assert supply.execute(command) is None
    assert str(supply.execute("SYST:ERR?")).startswith(code + ",")
    assert supply.execute("SYST:ERR?") == '0,"No error"'


def test_a_board_that_does_not_start_is_an_execution_error(supply: Supply, load: Load) -> None:
    load.broken = True
    supply.execute("OUTP CH1,ON")
    assert supply.execute("SYST:ERR?") == '-200,"Execution error; QEMU has ended"'


def test_an_error_queue_that_runs_over_says_so(supply: Supply) -> None:
    for _ in range(40):
        supply.execute("NONSENSE")
    errors = [str(supply.execute("SYST:ERR?")) for _ in range(33)]
    assert errors[31:] == ['-350,"Queue overflow"', '0,"No error"']


@pytest.fixture
def wire() -> Iterator[tuple[Line, socket.socket, int]]:
    """A line, the board's end of it, and the lab controller's."""
    line, (lab, board) = Line(), socket.socketpair()
    line.connect(lab)
    terminal = os.open(line.url, os.O_RDWR | os.O_NOCTTY)
    yield line, board, terminal
    line.disconnect()
    os.close(terminal)


def set_speed(terminal: int, speed: int) -> None:
    settings = termios.tcgetattr(terminal)
    settings[4] = settings[5] = speed
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def receive(fd: int, count: int) -> bytes:
    received = b""
    while len(received) < count:
        assert select.select([fd], [], [], 5)[0], f"only {len(received)} bytes of {count} arrived"
        received += os.read(fd, count - len(received))
    return received


@pytest.mark.parametrize(("speed", "baud", "count"), [(termios.B115200, 115200, 4000), (termios.B9600, 9600, 400)])
@pytest.mark.parametrize("direction", ["to the lab", "to the board"])
def test_bytes_take_ten_bit_times_each(wire: tuple[Line, socket.socket, int], direction: str, speed: int, baud: int, count: int) -> None:
    line, board, terminal = wire
    set_speed(terminal, speed)
    assert line.baud() == baud
    ratios = []
    for _ in range(3):
        sent = os.urandom(count)
        begin = time.monotonic()
        if direction == "to the lab":
            board.sendall(sent)
            received = receive(terminal, count)
        else:
            os.write(terminal, sent)
            received = receive(board.fileno(), count)
        ratios.append((time.monotonic() - begin) / (count * 10 / baud))
        assert received == sent
    assert 0.98 < min(ratios) < 2, (
        ratios
    )  # from before the first byte to after the last: a busy lab controller makes it longer, nothing shorter


def test_the_first_bytes_after_power_on_take_their_time_too(wire: tuple[Line, socket.socket, int]) -> None:
    """Nobody looked at the line before they came, so nothing says that they were on it for a while."""
    line, _, terminal = wire
    line.disconnect()
    lab, board = socket.socketpair()
    board.sendall(b"x" * 100)
    begin = time.monotonic()
    line.connect(lab)
    assert receive(terminal, 100) == b"x" * 100
    assert time.monotonic() - begin >= 100 * 10 / 115200


def test_a_late_process_catches_up_but_never_runs_ahead() -> None:
    pace = Pace()
    assert pace.arrival(16, 115200, 100.0, waiting=False) == pytest.approx(100.00138889)
    assert pace.arrival(16, 115200, 100.005, waiting=True) == pytest.approx(100.00277778)
    assert pace.arrival(16, 115200, 100.005, waiting=False) == pytest.approx(100.00638889)


def test_what_nobody_reads_is_lost_from_its_beginning(wire: tuple[Line, socket.socket, int]) -> None:
    """The newest bytes are there for whoever looks later, and no more of the old ones than the buffers hold."""
    _, board, terminal = wire
    set_speed(terminal, termios.B4000000)
    board.sendall(b"o" * 3 * UNREAD_LIMIT + b"last")
    wait_until_sent(board)
    termios.tcflush(terminal, termios.TCIFLUSH)
    seen = b""
    while select.select([terminal], [], [], 0.5)[0]:
        seen += os.read(terminal, 65536)
    assert seen.endswith(b"last")
    assert len(seen) <= UNREAD_LIMIT


def test_the_line_survives_the_board(wire: tuple[Line, socket.socket, int]) -> None:
    line, _, terminal = wire
    line.disconnect()
    os.write(terminal, b"into the dark")
    termios.tcdrain(terminal)
    time.sleep(0.05)  # the wire itself: thirteen bytes take 1.1 ms, and are gone by then
    lab, board = socket.socketpair()
    line.connect(lab)
    os.write(terminal, b"hello")
    assert receive(board.fileno(), 5) == b"hello"


def wait_until_sent(sender: socket.socket) -> None:
    """Until the other end has taken everything (SIOCOUTQ of unix(7))."""
    deadline = time.monotonic() + 5
    while struct.unpack("i", fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4)))[0]:
        assert time.monotonic() < deadline, "the line does not take what the board sends"
        time.sleep(0.01)
