"""The documented VMs for guests on x86_64 (User's Guide, "Linux guest" example), with what a test may vary as arguments."""

from __future__ import annotations

from collections.abc import Sequence

from harness.vm.model import Configuration, Cpu, Load, Memory, Ram, Reserve, Rom, Unsupported, Vdev, vdev

KIB, MIB = 1 << 10, 1 << 20

PIC = "myioapic"
LOW_MEMORY = 0xA0000
QNX_RAM = 512 * MIB
"""Bytes a QNX guest has, from 0 on."""
PORTS = ((0x3F8, 4), (0x2F8, 3), (0x3E8, 4), (0x2E8, 3))
"""I/O base and interrupt line of a PC's four ports, as a Linux kernel looks for them: two share a line."""

BASE_CMDLINE = ("pmtmr=0", "nolapic_timer", "hpet=disable", "reboot=t", "pci=off", "console=ttyS0,115200n8")
"""The documented example's words without its disk. `hpet=disable` and `nolapic_timer` leave the 8254 as the tick."""


def linux_configuration(
    system: str,
    kernel: str,
    initrd: str,
    console: str,
    *,
    further_ports: Sequence[str] = (),
    ram: int = 256 * MIB,
    cpus: int = 1,
    cmdline: tuple[str, ...] = (),
    without: Sequence[str] = (),
    unsupported_reference: str = "ignore",
) -> Configuration:
    """A VM with I/O APIC, PIT, UART and the two dummy 8259.

    `console` is the `hostdev` of ttyS0, `further_ports` are those of ttyS1 to ttyS3; `ram` is in bytes, `cmdline` is added to
    `BASE_CMDLINE`, and the words in `without` are taken off that. Paths are the host's.
    """
    return Configuration(
        system=system,
        memory=memory(ram),
        cpus=(Cpu(),) * cpus,
        unsupported=(Unsupported("reference", unsupported_reference),),
        loads=(Load(kernel), Load(initrd, "initrd")),
        cmdline=" ".join((*(word for word in BASE_CMDLINE if word not in without), *cmdline)),
        vdevs=vdevs(console, further_ports),
    )


def qnx_configuration(
    system: str, ifs: str, console: str, *, further_ports: Sequence[str] = (), ram: int = QNX_RAM, cmdline: str = ""
) -> Configuration:
    """The same devices under a QNX guest's image, without the disk and network of the documented QNX example."""
    return Configuration(
        system=system,
        memory=memory(ram),
        cpus=(Cpu(),),
        loads=(Load(ifs),),
        cmdline=cmdline or None,
        vdevs=vdevs(console, further_ports),
    )


def memory(ram: int) -> tuple[Memory, ...]:
    """A PC's map: low memory, the VGA hole, the BIOS area, the rest from 1 MiB."""
    return (
        Ram(start=0, length=LOW_MEMORY),
        Reserve(start=LOW_MEMORY, length=128 * KIB),
        Rom(start=0xC0000, length=256 * KIB),
        Ram(start=MIB, length=ram - MIB),
    )


def vdevs(console: str, further_ports: Sequence[str] = ()) -> tuple[Vdev, ...]:
    """The devices of the VM, ports in the order of Linux's names."""
    ports = [vdev("ser8250", hostdev=console, intr=f"{PIC}:4", name="ttyS0")]
    for number, (device, (base, line)) in enumerate(zip(further_ports, PORTS[1:], strict=False), start=1):
        ports.append(vdev("ser8250", loc=f"io:{base:#x}", hostdev=device, intr=f"{PIC}:{line}", name=f"ttyS{number}"))
    return (
        vdev("ioapic", loc="0xf8000000", intr="apic", name=PIC),
        *ports,
        vdev("timer8254", intr=f"{PIC}:0", name="pit"),
        vdev("8259", loc="0x20"),
        vdev("8259", loc="0xa0"),
    )
