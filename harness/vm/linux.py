"""The documented VM for a Linux guest on x86_64 (User's Guide, "Linux guest" example), with what a test may vary as arguments."""

from __future__ import annotations

from harness.vm.model import Configuration, Cpu, Load, Memory, Ram, Reserve, Rom, Unsupported, Vdev, vdev

KIB, MIB = 1 << 10, 1 << 20

PIC = "myioapic"
LOW_MEMORY = 0xA0000
SER2_LOC, SER2_LINE = "io:0x2f8", 3

BASE_CMDLINE = ("pmtmr=0", "nolapic_timer", "hpet=disable", "reboot=t", "pci=off", "console=ttyS0,115200n8")
"""The documented example's words without its disk. `hpet=disable` and `nolapic_timer` leave the 8254 as the tick (devices.md 3.5)."""


def linux_configuration(
    system: str,
    kernel: str,
    initrd: str,
    console: str,
    *,
    second_port: str | None = None,
    ram: int = 256 * MIB,
    cpus: int = 1,
    cmdline: tuple[str, ...] = (),
    unsupported_reference: str = "ignore",
) -> Configuration:
    """A VM with I/O APIC, PIT, UART and the two dummy 8259.

    `console` is the host device behind ttyS0, `second_port` the one behind ttyS1; `ram` is in bytes, `cmdline` is added to
    `BASE_CMDLINE`. Paths are the host's.
    """
    return Configuration(
        system=system,
        memory=memory(ram),
        cpus=(Cpu(),) * cpus,
        unsupported=(Unsupported("reference", unsupported_reference),),
        loads=(Load(kernel), Load(initrd, "initrd")),
        cmdline=" ".join((*BASE_CMDLINE, *cmdline)),
        vdevs=vdevs(console, second_port),
    )


def memory(ram: int) -> tuple[Memory, ...]:
    """A PC's map: low memory, the VGA hole, the BIOS area, the rest from 1 MiB."""
    return (
        Ram(start=0, length=LOW_MEMORY),
        Reserve(start=LOW_MEMORY, length=128 * KIB),
        Rom(start=0xC0000, length=256 * KIB),
        Ram(start=MIB, length=ram - MIB),
    )


def vdevs(console: str, second_port: str | None = None) -> tuple[Vdev, ...]:
    """The devices of the VM, ports in the order of Linux's names."""
    ports = [vdev("ser8250", hostdev=console, intr=f"{PIC}:4", name="ttyS0")]
    if second_port is not None:
        ports.append(vdev("ser8250", loc=SER2_LOC, hostdev=second_port, intr=f"{PIC}:{SER2_LINE}", name="ttyS1"))
    return (
        vdev("ioapic", loc="0xf8000000", intr="apic", name=PIC),
        *ports,
        vdev("timer8254", intr=f"{PIC}:0", name="pit"),
        vdev("8259", loc="0x20"),
        vdev("8259", loc="0xa0"),
    )
