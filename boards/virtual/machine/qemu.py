"""The board itself: one QEMU process per power cycle.

It ends with the process that started it, however that one ends, and it is killed, never asked, when the power goes.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from boards.virtual.machine.forward import keep_forwarding
from boards.virtual.machine.qmp import Qmp
from boards.virtual.machine.unkind import DATE
from harness.errors import BenchError, UseError

PROGRAM = {"x86_64": "qemu-system-x86_64"}
SERIAL_PORTS = ((0x3F8, 4), (0x2F8, 3), (0x3E8, 7), (0x2E8, 12))
"""I/O base and interrupt of ser1 to ser4. None shares an interrupt: on ISA's edges, two that share one lose some."""
MACHINE = "q35,i8042=off,vmport=off,usb=off,smbus=off,sata=off"
"""A PC with nothing on it that a serial board has not; q35, because its PCI interrupts need no slow set-up through ACPI."""
PROCESSOR = "EPYC,+svm,+npt"
NOT_EMULATED = "rdseed sha-ni fxsr-opt misalignsse 3dnowprefetch osvw topoext nrip-save xsavec"
"""What an EPYC has and QEMU's emulation lacks; said so, QEMU does not warn about each."""
TRANSLATIONS = 96
"""MB for translated code. A board's boot and a guest take about half of it; when it is full QEMU begins anew, which costs little."""
KERNEL_COMMAND_LINE = "console=ttyS0,115200 quiet panic=-1 reboot=p"
"""reboot=p: by the chipset's reset register; Linux would first wait long for a keyboard controller that is not there."""
WALL = "wall"
CLOCKS = {
    WALL: (),
    "instructions": ("-icount", "shift=3,sleep=on"),
    "leaping": ("-icount", "shift=3,sleep=off"),
}
"""What the board's time is, and QEMU's words for it. An instruction takes 2^3 ns; a processor that waits waits as long as on a wall, or
not at all: "leaping" goes to the next moment at which something is due."""
MONITORS = ("control", "watch")
NETWORK = "net"
_PR_SET_PDEATHSIG = 1


class QemuMissing(UseError):
    """The program that is the virtual board's processor is not installed."""


@dataclass(frozen=True)
class Hardware:
    """What stays the same over power cycles."""

    arch: str
    accelerator: str
    kernel: Path
    initrd: Path
    usr: Path | None
    """The disk with the host's own programs, only read."""
    data: Path | None
    """The disk that is the user's."""
    ssh_port: int | None
    memory: int = 2048
    """MiB."""
    clock: str = WALL
    """A name in `CLOCKS`. One that counts instructions asks for emulation."""
    unkindness: tuple[str, ...] = ()
    """Names in `boards.virtual.machine.unkind`."""


def program(arch: str) -> str:
    """The full path of the QEMU for `arch`."""
    found = shutil.which(PROGRAM[arch])
    if found is None:
        raise QemuMissing(f"{PROGRAM[arch]} is not installed", "run `make setup`, which installs it")
    return found


def command(hardware: Hardware, sockets: Sequence[int]) -> list[str]:
    """QEMU's arguments. `sockets` are the file descriptors it finds its monitors and then its serial lines on."""
    monitors, serial = sockets[: len(MONITORS)], sockets[len(MONITORS) :]
    arguments = [program(hardware.arch), "-nodefaults", "-no-user-config", "-display", "none"]
    arguments += ["-machine", MACHINE, "-accel", _accelerator(hardware.accelerator), "-smp", "1", *CLOCKS[hardware.clock]]
    arguments += ["-cpu", _processor(hardware.accelerator), "-m", str(hardware.memory)]
    arguments += ["-kernel", str(hardware.kernel), "-initrd", str(hardware.initrd), "-append", _command_line(hardware.unkindness)]
    if "date" in hardware.unkindness:
        arguments += ["-rtc", f"base={DATE}"]
    for name, fd in zip(MONITORS, monitors, strict=True):
        arguments += ["-chardev", f"socket,id={name},fd={fd}", "-mon", f"chardev={name},mode=control"]
    for number, (fd, (base, irq)) in enumerate(zip(serial, SERIAL_PORTS, strict=True)):
        arguments += ["-chardev", f"socket,id=ser{number + 1},fd={fd}"]
        arguments += ["-device", f"isa-serial,index={number},chardev=ser{number + 1},iobase={base:#x},irq={irq}"]
    # cache=unsafe: the lab controller's page cache survives the board's power cut, so the board's flushes need not reach a platter.
    for name, file, options in (("usr", hardware.usr, ",readonly=on"), ("data", hardware.data, ",cache=unsafe")):
        if file is not None:
            arguments += ["-drive", f"if=none,id={name},format=raw,file={_escaped(file)}{options}"]
            arguments += ["-device", f"virtio-blk-pci,drive={name},serial={name},disable-legacy=on"]
    if hardware.ssh_port is not None:
        # restrict=on: a program on the board must not reach the lab controller's own services, the bench supply among them.
        arguments += ["-netdev", f"user,id={NETWORK},restrict=on"]
        arguments += ["-device", f"virtio-net-pci,netdev={NETWORK},disable-legacy=on,romfile=,status=off"]
    return arguments


class Qemu:
    """One power cycle. `serial` are the lab side's ends of the four lines, to be closed by whoever takes them."""

    def __init__(self, hardware: Hardware) -> None:
        pairs = [socket.socketpair() for _ in range(len(MONITORS) + len(SERIAL_PORTS))]
        ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        self.serial = ours[len(MONITORS) :]
        for end in theirs[len(MONITORS) :]:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is, so that the UART feels the wire's pace
        self._process = subprocess.Popen(
            command(hardware, [end.fileno() for end in theirs]),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=[end.fileno() for end in theirs],
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509  # it makes two system calls and takes no lock
        )
        for end in theirs:
            end.close()
        try:
            self._control = Qmp(ours[0])
        except BenchError:
            self._end()
            for end in ours:
                end.close()
            raise
        self._forward = keep_forwarding(ours[1], hardware.ssh_port, NETWORK) if hardware.ssh_port else None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def hold(self) -> None:
        """The reset line is pulled: the processor stands still."""
        self._control.execute("stop")

    def release(self) -> None:
        """The reset line is let go: every device and the processor start over; memory keeps its content."""
        self._control.execute("system_reset")
        self._control.execute("cont")

    def kill(self) -> None:
        """The plug is pulled."""
        self._end()
        self._control.close()
        if self._forward is not None:
            self._forward.join()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def _command_line(unkindness: Sequence[str]) -> str:
    return " ".join([KERNEL_COMMAND_LINE, *([f"unkind={','.join(unkindness)}"] if unkindness else [])])


def _accelerator(name: str) -> str:
    """With the room it takes by itself (1 GB) the translator keeps so many blocks of one page that throwing them away, when the page gets
    other content, stopped the whole board for 10 s: the first start of another guest kernel after a long test."""
    return f"{name},tb-size={TRANSLATIONS}" if name == "tcg" else name


def _processor(accelerator: str) -> str:
    if accelerator != "tcg":
        return "host"
    return ",".join([PROCESSOR, *(f"-{feature}" for feature in NOT_EMULATED.split())])


def _die_with(parent: int) -> Callable[[], None]:
    """Runs in the child: be killed when the parent is. The check closes the gap between fork and prctl."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _escaped(path: Path) -> str:
    """QEMU's option syntax takes a doubled comma for a comma."""
    return str(path).replace(",", ",,")
