"""Several vCPUs, on a booted board: application processors wait for INIT and SIPI, and a stock Linux guest takes them all."""

from __future__ import annotations

from pathlib import Path

from harness.clock import Deadline
from harness.guest import linux
from harness.guest.linux import LinuxGuest
from harness.guest.store import GuestStore
from harness.vdev import Deployment
from harness.vm import Qvm, linux_configuration
from suites.harness.qvm_board import QvmBoard

WAKE_OTHERS = """
    mov $real_mode, %esi            # the trampoline, to where a SIPI can point
    mov $0x8000, %edi
    mov $(real_mode_end - real_mode), %ecx
    rep movsb
    movl $0x1ff, 0xfee000f0         # the boot vCPU's APIC on
    movl $0xc4500, 0xfee00300       # INIT to all but itself
    movl $0xc4608, 0xfee00300       # SIPI: 0x8000
1:  pause
    cmpb $2, 0x9000
    jb 1b
    mov 0x9001, %bl
    or 0x9002, %bl
    movzx %bl, %edi
    print_hex %edi
    stop
.code16
real_mode:
    mov $1, %eax
    cpuid
    shr $24, %ebx                   # the APIC id
    mov %bl, %cs:0x1000(%bx)
    lock incb %cs:0x1000
1:  hlt
    jmp 1b
real_mode_end:
.code32
"""


def test_application_processors_start_when_they_are_told(qvm_board: QvmBoard) -> None:
    """Each has the APIC id of its place in the configuration."""
    qvm_board.guest(WAKE_OTHERS)
    ended = qvm_board.run("cpu", "cpu", "cpu")
    assert (ended.status, ended.console) == (0, "00000003\n")


def test_processors_that_nobody_starts_do_not_hold_up_the_end(qvm_board: QvmBoard) -> None:
    qvm_board.guest("stop\n")
    assert qvm_board.run("cpu", "cpu", "cpu").status == 0


def test_linux_runs_on_two(qvm_board: QvmBoard, tmp_path: Path) -> None:
    """It has both online, both work, and it switches them off with the VM."""
    bench = qvm_board.bench
    images = linux.build()
    files = GuestStore(bench.host, bench.board.host.store, bench.events).keep(images.files)
    console = bench.board.vm.console_device
    configuration = linux_configuration("two", files[images.kernel], files[images.initrd], console, cpus=2, cmdline=("loglevel=4",))
    deployment = Deployment.install(bench.host, bench.board, [], run=bench.nonce, events=bench.events)
    vm = Qvm(bench.host, configuration, deployment, program=bench.board.host.qvm, evidence=tmp_path, events=bench.events)
    guest = LinuxGuest(bench.console("guest"), vm, bench.events, bench.board.seconds("guest_command"))
    try:
        guest.boot(bench.board.seconds("qvm_start"), bench.board.seconds("guest_boot"), bench.board.seconds("shell"))
        assert guest.read("/sys/devices/system/cpu/online").strip() == "0-1"
        assert guest.run_text("taskset 2 cat /proc/self/stat | cut -d' ' -f39").text.strip() == "1"
        assert guest.interrupts()["LOC"].total > 0
    finally:
        ending = vm.stop(Deadline.after(bench.board.seconds("guest_shutdown"), "the guest to shut down"))
    assert (ending.status, ending.signal) == (0, "SIGTERM")
