"""The Linux guest's kernel, initrd and shell, really booted: by QEMU itself on this machine, without a hypervisor host between."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.console import Console
from harness.errors import DeviceError
from harness.events import Event, Events
from harness.guest.linux import build
from harness.guest.linux.guest import GuestNotUp, GuestUnresponsive, LinuxGuest
from harness.vm import Ending
from harness.vm.linux import BASE_CMDLINE

SECONDS = 60.0


class Machine:
    """A PC of QEMU's that waits for `start`. Its monitor is on standard input and output, its UART on a pty."""

    system = "pc"

    def __init__(self, cmdline: str, *, initrd: bool = True) -> None:
        images = build()
        command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-display", "none", "-nodefaults", "-no-reboot", "-S"]
        command += ["-monitor", "stdio", "-serial", "pty", "-kernel", str(images.kernel), "-append", cmdline]
        command += ["-initrd", str(images.initrd)] if initrd else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        line = next(line for line in self.process.stdout if "redirected" in line)
        found = re.search(r"/dev/pts/\d+", line)
        assert found
        self.port = found[0]

    def command(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def start(self, deadline: Deadline) -> None:
        assert not deadline.expired
        self.command("cont")

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise DeviceError("the machine ended")

    def wait(self, deadline: Deadline) -> int | None:
        try:
            return self.process.wait(deadline.remaining)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        """The power button of ACPI."""
        self.command("system_powerdown")
        status = self.wait(deadline)
        if status is None and power_cut:
            self.close()
        return Ending(-1 if status is None else status, "TERM")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Bench:
    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine = machine
        self.seen: list[Event] = []
        events = Events()
        events.listen(self.seen.append)
        self.console = Console("guest", machine.port, 115200, directory / "guest.log", events)
        self.guest = LinuxGuest(self.console, machine, events)

    def boot(self, seconds: float = SECONDS) -> LinuxGuest:
        deadlines = [Deadline.after(length, "the guest") for length in (5, seconds, 10)]
        self.guest.boot(*deadlines)
        return self.guest

    def close(self) -> None:
        self.machine.close()
        self.console.close()


def bench_with(directory: Path, cmdline: str = " ".join(BASE_CMDLINE), *, initrd: bool = True) -> Iterator[Bench]:
    bench = Bench(Machine(cmdline, initrd=initrd), directory)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A guest that is up, for the tests that only look."""
    for bench in bench_with(tmp_path_factory.mktemp("console")):
        bench.boot()
        yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_with(tmp_path)


@pytest.fixture
def without_initrd(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_with(tmp_path, initrd=False)


@pytest.fixture
def without_console(tmp_path: Path) -> Iterator[Bench]:
    yield from bench_with(tmp_path, "console=ttyS0,115200n8 panic=-1 rdinit=/bin/nothing root=/dev/nothing rootwait")


def test_commands_run_in_the_guest(up: Bench) -> None:
    """Status and bytes, as on any shell."""
    assert up.guest.run(["sh", "-c", "printf '%s' \"$1\"; exit 7", "sh", "a  b"], 10).stdout == b"a  b"
    assert up.guest.run(["false"], 10).status == 1
    assert up.guest.run_text("uname -s | tr a-z A-Z", 10).text == "LINUX\n"


def test_the_kernels_ticks_are_counted(up: Bench) -> None:
    before = up.guest.interrupts(10)["0"]
    up.guest.run(["sleep", "0.2"], 10)
    after = up.guest.interrupts(10)["0"]
    assert before.description.endswith("timer")
    assert after.total > before.total


def test_the_kernel_log_holds_the_whole_boot(up: Bench) -> None:
    log = up.guest.kernel_log(10)
    assert "Linux version" in log
    assert "is a 16550A" in log


def test_dynamic_debug_and_the_stock_modules_are_there(up: Bench) -> None:
    """What a test of silent work-arounds needs (devices.md 3.2), and what the power button needs."""
    assert up.guest.run(["test", "-w", "/sys/kernel/debug/dynamic_debug/control"], 10).status == 0
    modules = up.guest.run(["lsmod"], 10).text
    assert {"button", "evdev"} <= {line.split()[0] for line in modules.splitlines()}


def test_the_console_is_quiet_after_the_boot(up: Bench) -> None:
    """A kernel message goes to the log, not into the answers of the shell."""
    offset = up.console.offset
    up.guest.run_text("echo '<3>noise from the kernel' >/dev/kmsg", 10)
    assert "noise from the kernel" in up.guest.kernel_log(10)
    sent = up.console.slice(offset).split(b"dmesg")[0]
    assert sent.count(b"noise from the kernel") <= 1


def test_the_milestones_have_times(up: Bench) -> None:
    [end] = [event for event in up.seen if event.name == "guest.boot.end"]
    times = list(end.fields["milestones"].values())
    assert len(times) == 7
    assert times == sorted(times)


def test_a_shell_that_is_left_comes_back(bench: Bench) -> None:
    """init keeps one on the console; the power button then switches the guest off through acpid."""
    guest = bench.boot()
    cursor = bench.console.cursor()
    bench.console.write(b"exit\n", Deadline.after(5, "a line"))
    cursor.expect(b"guest ready", Deadline.after(10, "the next shell"))
    assert bench.machine.stop(Deadline.after(20, "the power button")).status == 0
    with pytest.raises((GuestUnresponsive, DeviceError)):
        guest.run(["true"], 5)


def test_a_guest_switches_itself_off(bench: Bench) -> None:
    guest = bench.boot()
    assert guest.shutdown(Deadline.after(20, "the end")) == Ending(0, "")
    with pytest.raises(GuestUnresponsive, match="is not up"):
        guest.run(["true"], 5)


def test_a_panic_is_told_at_once(without_initrd: Bench) -> None:
    """With the kernel's own words, long before the deadline."""
    with pytest.raises(GuestNotUp, match="kernel panicked: VFS: Unable to mount root fs") as error:
        without_initrd.boot(600)
    assert "next would be the first process" in error.value.sentence


def test_a_guest_that_hangs_is_told_by_its_last_milestone(without_console: Bench) -> None:
    """It waits for a disk for ever."""
    with pytest.raises(GuestNotUp, match=r"was not up within 6 s; it got to the UART's driver, next would be the first process"):
        without_console.boot(6)
