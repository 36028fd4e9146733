"""What the stock 8250 driver of a Linux guest tells of a port, and how a port is set up for a transfer."""

from __future__ import annotations

import pytest

from harness.boardfile import Board
from harness.guest.linux import LinuxGuest

PORT = "/dev/ttyS1"
"""The port that is bridged to the board's first free line."""
LINE = "3"
"""Its interrupt."""
ERRORS = ("fe", "pe", "brk", "oe")

TO_QVM = ">-"
"""`hostdev` of a port whose output is qvm's own: a board has no fourth line to spare."""


def four_ports(board: Board) -> list[str]:
    """The `hostdev` of ttyS1 to ttyS3 of a guest with all the ports a PC has; skips the test on a board with too few lines."""
    devices = [line.device for _, line in sorted(board.line.items()) if line.device]
    if len(devices) < 2:
        pytest.skip(f"four ports need two free lines, and {board.name} has {len(devices)}: add [line.NAME] with device to the bench file")
    return [*devices[:2], TO_QVM]


def make_raw(guest: LinuxGuest, port: str = PORT, *settings: str) -> None:
    """115200 8N1, every byte as it is, no flow control; `settings` are stty's and come last."""
    guest.must(["stty", "-F", port, "115200", "cs8", "-parenb", "-cstopb", "raw", "-echo", "-crtscts", "-ixon", "-ixoff", *settings])


def error_counters(guest: LinuxGuest, port: str = PORT) -> str:
    """The driver's own error counters of a port (`fe`, `pe`, `brk`, `oe`), as it prints them; empty without errors."""
    number = port.removeprefix("/dev/ttyS")
    line = next(line for line in guest.read("/proc/tty/driver/serial").splitlines() if line.startswith(f"{number}:"))
    return " ".join(word for word in line.split() if word.partition(":")[0] in ERRORS)


def assert_no_complaint(guest: LinuxGuest, port: str = PORT) -> None:
    """The driver counted no line error and never found an interrupt that would not end (UART-047, -057, -062)."""
    __tracebackhide__ = True
    assert error_counters(guest, port) == "", f"the driver counted line errors on {port}"
    complaints = guest.kernel_log("too much work|input overrun|soft lockup|nobody cared")
    assert complaints == "", f"the kernel complains: {complaints}"
