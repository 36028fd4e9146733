"""The Linux guest's kernel, initrd and shell, really booted: by QEMU itself on this machine, without a hypervisor host between."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.console import Console
from harness.errors import DeviceError
from harness.events import Event, Events
from harness.guest.linux import LinuxGuest, build
from harness.guest.vm import GuestCommandFailed, GuestNotUp, GuestUnresponsive, GuestWaits
from harness.vm import Ending
from harness.vm.linux import BASE_CMDLINE

SECONDS = 60.0


class MachineEnded(DeviceError):
    """What `QvmEnded` is for a qvm."""


class Machine:
    """A PC of QEMU's that waits for `start`. Its monitor is on standard input and output, its UART on a pty."""

    system = "pc"

    def __init__(self, cmdline: str, *, initrd: bool = True) -> None:
        images = build()
        command = [
            "setpriv",
            "--pdeathsig",
            "TERM",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-m",
            "256",
            "-display",
            "none",
            "-nodefaults",
            "-no-reboot",
            "-S",
        ]
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

    def output(self) -> str:
        return ""

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise MachineEnded("the machine ended")

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
        return Ending(-1 if status is None else status, "SIGTERM")

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
        self.guest = LinuxGuest(self.console, machine, events, 20.0)

    def boot(self, seconds: float = SECONDS) -> LinuxGuest:
        self.guest.boot(5, seconds, 10)
        return self.guest

    def close(self) -> None:
        self.machine.close()
        self.console.close()


@contextmanager
def bench_with(directory: Path, cmdline: str = " ".join(BASE_CMDLINE), *, initrd: bool = True) -> Iterator[Bench]:
    bench = Bench(Machine(cmdline, initrd=initrd), directory)
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A guest that is up, for the tests that only look."""
    with bench_with(tmp_path_factory.mktemp("console")) as bench:
        bench.boot()
        yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_with(tmp_path) as bench:
        yield bench


@pytest.fixture
def without_initrd(tmp_path: Path) -> Iterator[Bench]:
    with bench_with(tmp_path, initrd=False) as bench:
        yield bench


@pytest.fixture
def without_disk(tmp_path: Path) -> Iterator[Bench]:
    with bench_with(tmp_path, "console=ttyS0,115200n8 rdinit=/bin/nothing root=/dev/nothing rootwait") as bench:
        yield bench


def test_commands_run_in_the_guest(up: Bench) -> None:
    """Status and bytes, as on any shell."""
    assert up.guest.run(["sh", "-c", "printf '%s' \"$1\"; exit 7", "sh", "a  b"], 10).stdout == b"a  b"
    assert up.guest.run(["false"], 10).status == 1
    assert up.guest.run_text("uname -s | tr a-z A-Z", 10).text == "LINUX\n"


def test_files_of_the_guest_are_read(up: Bench) -> None:
    """Text, bytes, checksums; a file that is not there is told with the guest's own words."""
    data = bytes(range(256)) * 40
    up.guest.run_text(f"{octal(data[:256])} >/tmp/once", 10)
    up.guest.run_text("for i in 1 2 3 4 5 6 7 8; do cat /tmp/once /tmp/once /tmp/once /tmp/once /tmp/once; done >/tmp/data", 10)
    assert up.guest.cksum("/tmp/data") == up.guest.cksum_of(data)
    assert up.guest.fetch("/tmp/data") == data
    assert up.guest.read("/sys/class/tty/ttyS0/type") == "4"
    with pytest.raises(GuestCommandFailed, match="cat /nothing") as failure:
        up.guest.read("/nothing")
    assert "No such file" in failure.value.evidence


def octal(data: bytes) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in data) + "'"


def test_a_script_runs_beside_the_shell(up: Bench) -> None:
    """It reads what is written later, and the block ends when it has ended."""
    up.guest.run(["mkfifo", "/tmp/fifo"])
    with up.guest.background("exec 3<>/tmp/fifo; head -c 5 <&3 >/tmp/got") as job:
        job.reading("/tmp/fifo")
        up.guest.run_text("printf hello >/tmp/fifo")
    assert up.guest.read("/tmp/got") == "hello"


def test_a_script_that_fails_beside_the_shell_is_told(up: Bench) -> None:
    with pytest.raises(GuestCommandFailed, match="status 3") as failure, up.guest.background("echo trouble >&2; exit 3"):
        pass
    assert "trouble" in failure.value.evidence


def test_a_script_does_not_outlive_a_block_that_fails(up: Bench) -> None:
    with pytest.raises(ZeroDivisionError), up.guest.background("sleep 7777; true"):
        raise ZeroDivisionError
    assert up.guest.run_text("ps | grep -q '[7]777'").status == 1


def test_a_conversation_answers_lines(up: Bench) -> None:
    """Each answer is for its line, and the shell is there afterwards."""
    script = 'n=0; while read -r line && [ "$line" != end ]; do n=$((n + 1)); echo "=$n $line="; done'
    with up.guest.conversation(script, end="end") as ask:
        answers = [ask(word, rb"=(\d+) (\w+)=", Deadline.after(5, word)) for word in ("one", "two", "three")]
    assert [(answer.group(1), answer.group(2)) for answer in answers] == [(b"1", b"one"), (b"2", b"two"), (b"3", b"three")]
    assert up.guest.run(["true"]).status == 0


def test_an_answer_that_does_not_come_is_the_devices_failure(up: Bench) -> None:
    with (
        pytest.raises(GuestUnresponsive, match="the answer to 'x'"),
        up.guest.conversation("read -r line; read -r line", end="") as ask,
    ):
        ask("x", b"never", Deadline.after(0.5, "an answer"))
    assert up.guest.run(["true"]).status == 0


def test_the_kernels_ticks_are_counted(up: Bench) -> None:
    before = up.guest.interrupts()["0"]
    up.guest.run(["sleep", "0.2"], 10)
    after = up.guest.interrupts()["0"]
    assert before.device == "timer"
    assert after.total > before.total


def test_the_kernel_log_holds_the_whole_boot(up: Bench) -> None:
    log = up.guest.kernel_log()
    assert "Linux version" in log
    assert "is a 16550A" in log


def test_dynamic_debug_and_the_stock_modules_are_there(up: Bench) -> None:
    """What a test of silent work-arounds needs, and what the power button needs."""
    assert up.guest.run(["test", "-w", "/sys/kernel/debug/dynamic_debug/control"], 10).status == 0
    modules = up.guest.run(["lsmod"], 10).text
    assert {"button", "evdev"} <= {line.split()[0] for line in modules.splitlines()}


def test_the_console_is_quiet_after_the_boot(up: Bench) -> None:
    """A kernel message goes to the log, not into the answers of the shell."""
    offset = up.console.offset
    up.guest.run_text("echo '<3>noise from the kernel' >/dev/kmsg", 10)
    assert "noise from the kernel" in up.guest.kernel_log()
    sent = up.console.slice(offset).split(b"dmesg")[0]
    assert sent.count(b"noise from the kernel") <= 1


def test_the_milestones_have_times(up: Bench) -> None:
    [end] = [event for event in up.seen if event.name == "guest.boot.end"]
    times = list(end.fields["milestones"].values())
    assert len(times) == 7
    assert times == sorted(times)


def test_a_shell_that_is_left_comes_back(bench: Bench) -> None:
    """init keeps one on the console."""
    bench.boot()
    cursor = bench.console.cursor()
    bench.console.write(b"exit\n", Deadline.after(5, "a line"))
    cursor.expect(b"guest ready", Deadline.after(10, "the next shell"))


def test_the_power_button_switches_the_guest_off(bench: Bench) -> None:
    """The button's event reaches acpid through the stock modules; whoever then asks the guest hears that its machine ended."""
    guest = bench.boot()
    assert bench.machine.stop(Deadline.after(20, "the power button")) == Ending(0, "SIGTERM")
    with pytest.raises(MachineEnded):
        guest.run(["true"], 0.5)


def test_a_script_that_waits_for_lost_bytes_says_how_far_it_came(up: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the guest is there afterwards."""
    monkeypatch.setattr(up.guest, "command_seconds", 1.5)
    up.guest.must(["mkfifo", "/tmp/lossy"])
    with (
        pytest.raises(
            GuestWaits, match=r"the guest answers, and `exec .*` in it has not ended after 1\.5 s, with 4 bytes in /tmp/came; see"
        ),
        up.guest.background("exec 3<>/tmp/lossy; dd bs=1 count=5 <&3 >/tmp/came"),
    ):
        up.guest.must(["sh", "-c", "printf lost >/tmp/lossy"])
    assert "count=5" not in up.guest.run(["ps"], 10).text


def test_a_command_that_does_not_end_is_the_devices_failure(up: Bench) -> None:
    """It is interrupted, and the guest is there afterwards."""
    with pytest.raises(GuestUnresponsive, match="answers, and has not ended `sleep 60`"):
        up.guest.run(["sleep", "60"], 1)
    assert up.guest.run(["true"], 10).status == 0


def test_a_guest_that_dies_is_told_in_its_kernels_words(bench: Bench) -> None:
    guest = bench.boot()
    with pytest.raises(GuestUnresponsive, match=r"died at `echo c .*: the guest's kernel panicked: sysrq triggered crash"):
        guest.run_text("echo c >/proc/sysrq-trigger", 3)


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


def test_a_guest_that_hangs_is_told_by_its_last_milestone(without_disk: Bench) -> None:
    """It waits for a disk for ever."""
    with pytest.raises(GuestNotUp, match=r"was not up within 6 s; it got to the UART's driver, next would be the first process"):
        without_disk.boot(6)
