"""qvm's configuration: what it accepts, what it refuses, with which words and which exit status."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suites.harness.qvm_local import Qvm, hypervisor_support

HEAD = ("system trial", "ram 0,640K", "ram 1m,63m", "load kernel")
PIC = "vdev ioapic loc 0xf8000000 intr apic name pic"


COMPLETE = (0, "Exiting: dryrun complete\n") if hypervisor_support() else (64, "QVM disabled: hypervisor support not available\n")

GOOD = {
    "the smallest VM": HEAD,
    "the documented Linux example": (
        *HEAD[:2],
        "reserve loc 0xa0000,0x20000",
        "rom 0xc0000,0x40000",
        "ram 1m,63m",
        "cpu",
        "cpu",
        "load ./kernel",
        'cmdline "pmtmr=0 nolapic_timer console=ttyS0,115200n8 reboot=t"',
        "vdev ioapic loc 0xf8000000 intr apic name myioapic",
        "vdev ser8250 hostdev >- intr myioapic:4",
        "vdev timer8254 intr myioapic:0",
        "vdev 8259 loc 0x20",
        "vdev 8259 loc 0xa0",
    ),
    "no name": HEAD[1:],
    "ram after the highest so far": ("ram 0xa0000", "rom 0xc0000,0x40000", "ram 63m", "load kernel"),
    "one line, tabs, comments, no line break": (
        "system trial#x",
        'ram\t0,640k ram 1M,64512K load kernel cmdline "a # b" # end',
    ),
    "a string over two lines": (*HEAD, 'cmdline "one \\', 'two"'),
    "the last one counts": (*HEAD, "vdev 8259 loc 0x1000 loc io:0x20", "cpu sched 8 sched 6 cpu"),
    "a VM option inside a context": (*HEAD, "vdev 8259", "tolerance 50", "loc 0x20"),
    "every VM option": (
        *HEAD,
        "set exit-on-halt on",
        "unsupported reference abort",
        "unsupported register ignore",
        "unsupported instruction fail",
        "logger error,fatal stderr",
        "logger info,debug none",
        "dump .",
        "data load 0x200000,text",
        "data load text",
        "load text",
        "cpu sched 12 runmask 0",
    ),
    "every common vdev option": (*HEAD, PIC, "vdev harmless loc io:0x310 intr pic:5 name x log warning,error none value 3 bare"),
    "the PIC comes later": (*HEAD, "vdev timer8254 intr pic:0", PIC),
    "two of a type": (*HEAD, PIC, "vdev ser8250 hostdev >- intr pic:4", "vdev ser8250 loc io:0x2f8 hostdev >- intr pic:3"),
    "a guest image by its blob": (*HEAD[:3], "guest load kernel"),
    "bytes for an image": (*HEAD[:3], "load text"),
    "bytes at an address": (*HEAD[:3], "guest load 0x200000,text"),
    "an ELF image": (*HEAD[:3], "load elf"),
    "a device that opens later": (*HEAD, PIC, "vdev ser8250 hostdev /nowhere/ser9 delayed forever intr pic:4 sched 11"),
}

BAD: dict[str, tuple[tuple[str, ...], int, str]] = {
    "an open string": ((*HEAD, 'cmdline "x', "cpu"), 65, "[trial.conf:5] the string that begins here has no closing quote"),
    "an unknown option": ((*HEAD, "colour blue"), 65, "[trial.conf:5] colour is no option of a VM; there are system, ram, rom, load, "),
    "a string for an option": ((*HEAD, '"cpu"'), 65, '[trial.conf:5] an option was expected, not the string "cpu"; each'),
    "no argument": ((*HEAD, "cmdline"), 65, "[trial.conf:5] the option cmdline lacks its argument; it takes 1\n"),
    "system not first": (("ram 1m", "system trial"), 65, "[trial.conf:2] system must be the first entry"),
    "system that leaves its directory": (
        ("system ../x",),
        65,
        "[trial.conf:1] system '../x': up to 64 letters, digits, '-', '_' and '.' make a name, and the first is no '.'",
    ),
    "ram that overlaps": ((*HEAD, "ram 2m,1m"), 65, "[trial.conf:5] ram 0x200000,0x100000 overlaps ram 0x100000,0x3f00000; move one\n"),
    "ram that is no number": (("ram 12Q",), 65, "[trial.conf:1] ram: '12Q' is no number; write 12, 0x1f or 64M\n"),
    "ram of half a page": (("ram 2049",), 65, "[trial.conf:1] ram: start and length must be multiples of 4 KiB, and the length not zero"),
    "ram beyond addresses": (("ram 0xfffffffffffff000,1m",), 65, "[trial.conf:1] ram 0xfffffffffffff000,0x100000 is beyond the 1 TiB"),
    "rom without an address": (("rom 1m",), 65, "[trial.conf:1] rom '1m': START,LENGTH was expected"),
    "reserve without loc": ((*HEAD, "reserve", "cpu"), 65, "[trial.conf:5] reserve needs loc START,LENGTH"),
    "no ram": (("load kernel",), 65, "[trial.conf:1] the VM has no ram; give it some"),
    "nothing to run": (HEAD[:3], 65, "[trial.conf:1] nothing is loaded that could run: load FILE is missing"),
    "a kernel that is not there": ((*HEAD[:3], "load vmlinux"), 64, "[trial.conf:4] Unable to open 'vmlinux': No such file or directory"),
    "a kernel that is a directory": ((*HEAD[:3], "load ."), 64, "[trial.conf:4] Unable to open '.': Is a directory"),
    "an initrd that is not there": ((*HEAD, "initrd load no"), 64, "[trial.conf:5] Unable to open 'no': No such file or directory"),
    "a device tree": ((*HEAD, "fdt load x"), 65, "[trial.conf:5] fdt load: a PC has no device tree; remove it"),
    "an empty file": ((*HEAD[:3], "load empty"), 65, "[trial.conf:4] 'empty' is empty; copy it again\n"),
    "two guest images": (
        (*HEAD, "load elf"),
        65,
        "[trial.conf:5] 'elf' is a second guest image beside 'kernel'; remove one, or say data load ADDRESS,FILE",
    ),
    "two initrds": ((*HEAD, "initrd load text", "initrd load text"), 65, "[trial.conf:6] 'text' is a second initrd beside 'text'"),
    "an initrd for bytes": (
        (*HEAD[:3], "load text", "initrd load text"),
        65,
        "[trial.conf:5] 'text' is no Linux or multiboot image, which",
    ),
    "a cmdline for bytes": ((*HEAD[:3], "load text", "cmdline x"), 65, "[trial.conf:5] 'text' is no Linux or multiboot image, which alone"),
    "ELF for another machine": ((*HEAD[:3], "load elf-arm"), 65, "[trial.conf:4] 'elf-arm' is an ELF file for another machine; build it"),
    "ELF without addresses": ((*HEAD[:3], "load elf-shared"), 65, "[trial.conf:4] 'elf-shared' is an ELF file without fixed addresses"),
    "ELF that is cut off": ((*HEAD[:3], "load elf-short"), 65, "[trial.conf:4] 'elf-short' is cut off; copy it again"),
    "ELF without a segment": ((*HEAD[:3], "load elf-astray"), 65, "[trial.conf:4] the entry 0x90000000 of 'elf-astray' is in none of its"),
    "ELF outside ram": ((*HEAD[:3], "load elf-high"), 65, "[trial.conf:4] no ram or rom at 0x80000000 for the 16 bytes of 'elf-high'"),
    "data upon the kernel": ((*HEAD, "data load 1m,text"), 65, "[trial.conf:5] 'text' at 0x100000 overlaps 'the kernel' at 0x100000"),
    "ram upon the local APIC": (("ram 0xfee00000,4k",), 65, "[trial.conf:1] ram 0xfee00000,0x1000 overlaps the local APIC or the pages"),
    "an unknown variable": ((*HEAD, "set speed 3"), 65, "[trial.conf:5] set: there is no variable speed; exit-on-halt is the only one\n"),
    "an unknown value": ((*HEAD, "set exit-on-halt 1"), 65, "[trial.conf:5] set exit-on-halt: 'on' or 'off' was expected, not '1'"),
    "pass-through": ((*HEAD, "pass loc mem:0x2000"), 65, "[trial.conf:5] pass: this qvm passes no hardware through; give the VM a vdev"),
    "a device tree to save": ((*HEAD, "set fdt-dump-file /tmp/x"), 65, "[trial.conf:5] set fdt-dump-file: a PC has no device tree; remove"),
    "a variable of ARM": ((*HEAD, "set psci-supported on"), 65, "[trial.conf:5] set psci-supported: that is for ARM VMs; remove it"),
    "a partition": ((*HEAD, "cpu partition x"), 65, "[trial.conf:5] partition: this host has no partitions; remove it"),
    "a second I/O APIC": (
        (*HEAD, PIC, "vdev ioapic loc 0xf8001000 intr apic name more"),
        65,
        "[trial.conf:6] vdev more is a second interrupt controller beside vdev pic, and would claim the same lines; remove it",
    ),
    "a dump to nowhere": ((*HEAD, "dump /nowhere"), 65, "[trial.conf:5] dump /nowhere: that is no directory to write to; make it"),
    "a dump to no command": ((*HEAD, 'dump "| "'), 65, '[trial.conf:5] dump "| ": a command was expected behind the bar'),
    "safety": ((*HEAD, "safety"), 65, "[trial.conf:5] safety: there are no safety variants of vdevs here; remove it"),
    "a logger to nowhere": ((*HEAD, "logger error paper"), 65, "[trial.conf:5] logger: 'paper' is no destination; there are stdout,"),
    "a severity of its own": ((*HEAD, "logger warn,loud stderr"), 65, "[trial.conf:5] logger: 'loud' is no severity; there are fatal,"),
    "unsupported what": ((*HEAD, "unsupported thing abort"), 65, "[trial.conf:5] unsupported: 'instruction', 'reference' or 'register'"),
    "unsupported how": ((*HEAD, "unsupported reference hide"), 65, "[trial.conf:5] unsupported reference: 'abort', 'fail' or 'ignore'"),
    "unsupported ignore": ((*HEAD, "unsupported instruction ignore"), 65, "[trial.conf:5] unsupported instruction ignore: how long such"),
    "tolerance": ((*HEAD, "tolerance soon"), 65, "[trial.conf:5] tolerance: 'soon' is no number"),
    "an option of no cpu": ((*HEAD, "cpu", "speed 3"), 65, "[trial.conf:5] cpu has no option speed; it has sched, runmask\n"),
    "a processor that is not there": ((*HEAD, "cpu runmask 0,64"), 65, "[trial.conf:5] runmask 0,64: this host has no CPU 64; it has "),
    "a priority that is none": ((*HEAD, "cpu sched 0"), 65, "[trial.conf:5] sched 0: a priority from 1 to 255 was expected"),
    "a vdev without a file": (
        (*HEAD, "vdev nothing"),
        65,
        "[trial.conf:5] vdev nothing cannot be loaded: vdev-nothing.so: cannot open shared",
    ),
    "a vdev by path": ((*HEAD, "vdev ../x"), 65, "[trial.conf:5] '../x' is no name of a vdev; NAME of a file"),
    "a vdev that is text": ((*HEAD, "vdev text"), 65, "[trial.conf:5] vdev text cannot be loaded: "),
    "a library that is no vdev": (
        (*HEAD, "vdev nofactory"),
        65,
        "[trial.conf:5] vdev-nofactory.so is no vdev: it registers no factory; call",
    ),
    "two factories": ((*HEAD, "vdev twice"), 65, "[trial.conf:5] vdev-twice.so registers more than one factory; make"),
    "another ABI": (
        (*HEAD, "vdev alien"),
        65,
        "[trial.conf:5] vdev-alien.so was built for another qvm: its ABI is 0x1, this qvm has 0x8000",
    ),
    "exit() in the constructor": ((*HEAD, "vdev exits"), 6, "vdev exits called exit(0)"),
    "a crash in the constructor": ((*HEAD, "vdev crashes"), 6, "vdev crashes crashed: SIGSEGV"),
    "exit() in control": ((*HEAD, "vdev leaves name x"), 6, "vdev x called exit(0)"),
    "a crash in control": ((*HEAD, "vdev breaks"), 6, "vdev breaks crashed: SIGSEGV"),
    "a call before its time": (
        (*HEAD, "vdev hasty"),
        64,
        "[trial.conf:5] vdev hasty called guest_intr_signal() before the guest was started",
    ),
    "qvm_fatal()": ((*HEAD, "vdev hopeless"), 64, "[vdev hopeless] nothing works"),
    "a refused option": (
        (*HEAD, "vdev busy", "value 3"),
        65,
        "[trial.conf:5] vdev busy refused the option value 3: Device or resource busy; its documentation says what it takes\n",
    ),
    "an unknown vdev option": (
        (*HEAD, "cpu", "vdev 8259", "colour blue"),
        65,
        "[trial.conf:6] vdev 8259 has no option colour; it has loc, name, log\n",
    ),
    "a vdev option without argument": (
        (*HEAD, "vdev harmless", "value"),
        65,
        "[trial.conf:5] the option value lacks its argument; it takes 1\n",
    ),
    "log with one argument": ((*HEAD, "vdev harmless", "log error"), 65, "[trial.conf:5] the option log lacks its argument; it takes 2\n"),
    "no loc": ((*HEAD, "vdev 8259"), 65, "[trial.conf:5] vdev 8259 needs loc io:PORT\n"),
    "no intr": ((*HEAD, "vdev ioapic loc 0xf8000000"), 65, "[trial.conf:5] vdev ioapic needs intr PIC:LINE"),
    "an intr it does not take": ((*HEAD, PIC, "vdev 8259 loc 0x20 intr pic:1"), 65, "[trial.conf:6] vdev 8259 takes no intr; remove it\n"),
    "ports for memory": (
        (*HEAD, "vdev ioapic loc io:0x20 intr apic"),
        65,
        "[trial.conf:5] vdev ioapic cannot be in port space; its loc is",
    ),
    "an I/O APIC in between": ((*HEAD, "vdev ioapic loc 0xf8000100 intr apic"), 65, "[trial.conf:5] ioapic: loc must be a"),
    "a loc on PCI": ((*HEAD, "vdev 8259 loc pci:0:1"), 65, "[trial.conf:5] loc pci:0:1: this qvm has no PCI; give"),
    "a loc that is none": ((*HEAD, "vdev 8259 loc here"), 65, "[trial.conf:5] loc here: [mem:]ADDRESS was expected, or [io:]PORT"),
    "a port beyond the last": (
        (*HEAD, "vdev 8259 loc 0xffff"),
        65,
        "[trial.conf:5] vdev 8259 does not fit at io:0xffff with its length of 2;",
    ),
    "two at one place": (
        (*HEAD, "vdev 8259 loc 0x20", "vdev 8259 loc 0x21 name b"),
        65,
        "[trial.conf:6] vdev b at io:0x21 overlaps vdev 8259 of trial.conf:5 at io:0x20; give one another loc",
    ),
    "a vdev in ram": (
        (*HEAD, "vdev ioapic loc 0x200000 intr apic"),
        65,
        "[trial.conf:5] vdev ioapic at mem:0x200000 overlaps the VM's memory; give it another loc",
    ),
    "a vdev on the local APIC": (
        (*HEAD, "vdev ioapic loc 0xfee00000 intr apic"),
        65,
        "[trial.conf:5] vdev ioapic at mem:0xfee00000 overlaps",
    ),
    "no such PIC": ((*HEAD, "vdev timer8254 intr pic:0"), 65, "[trial.conf:5] intr pic:0: no vdev has the name pic; give one"),
    "no such line": (
        (*HEAD, PIC, "vdev timer8254 intr pic:24"),
        65,
        "[trial.conf:6] intr pic:24: pic:LINE was expected, with a line from 0 to 23\n",
    ),
    "a PIC without a line": (
        (*HEAD, PIC, "vdev timer8254 intr pic"),
        65,
        "[trial.conf:6] intr pic: pic:LINE was expected, with a line from 0 to 23\n",
    ),
    "a line of what is no PIC": (
        (*HEAD, "vdev 8259 loc 0x20 name x", "vdev timer8254 intr x:1"),
        65,
        "[trial.conf:6] intr x:1: x is no interrupt controller; give the `name` of one",
    ),
    "a name twice": ((*HEAD, PIC, "vdev 8259 loc 0x20 name pic"), 65, "[trial.conf:6] the name pic is taken by another vdev; take another"),
    "a name of qvm's own": ((*HEAD, "vdev 8259 loc 0x20 name env"), 65, "[trial.conf:5] the name env is qvm's own in /dev/qvm; take"),
    "a PIC with a colon": (
        (*HEAD, "vdev ioapic loc 0xf8000000 intr apic name a:b"),
        65,
        "[trial.conf:5] name a:b: the name of an interrupt",
    ),
    "the local APIC for a device": ((*HEAD, "vdev timer8254 intr apic"), 65, "[trial.conf:5] intr apic: apic has no lines and is for"),
    "a line of the local APIC": (
        (*HEAD, PIC.replace("apic name", "apic:3 name")),
        65,
        "[trial.conf:5] intr apic:3: apic has no lines and is",
    ),
    "a timer without intr": ((*HEAD, "vdev timer8254"), 65, "[trial.conf:5] vdev timer8254 needs intr PIC:LINE"),
    "a UART without intr": ((*HEAD, "vdev ser8250 hostdev >-"), 65, "[trial.conf:5] vdev ser8250 needs intr PIC:LINE"),
    "hostvector": ((*HEAD, f"{PIC} hostvector 3"), 65, "[trial.conf:5] hostvector 3: this qvm passes no interrupts through; remove it"),
    "a priority without a use": ((*HEAD, "vdev 8259 sched 3"), 65, "[trial.conf:5] sched: vdev 8259 sends itself no pulses that could"),
    "a variable of one cpu": (
        (*HEAD, "cpu set exit-on-halt off"),
        65,
        "[trial.conf:5] set: a vCPU has no variables of its own",
    ),
    "a hostdev that is not there": (
        (*HEAD, PIC, "cpu", "vdev ser8250 intr pic:4", "hostdev /dev/ser9"),
        64,
        "[trial.conf:7] Unable to open '/dev/ser9': No such file or directory",
    ),
    "input from what is no terminal": (
        (*HEAD, PIC, "vdev ser8250 intr pic:4 hostdev <text"),
        64,
        "[trial.conf:6] Unable to open 'text': Inappropriate ioctl for device; input needs a terminal\n",
    ),
    "a batch that is no time": ((*HEAD, "vdev ser8250 batch -1"), 65, "[trial.conf:5] batch -1: microseconds from 0 to 1000000 were"),
    "a delay that is none": ((*HEAD, "vdev ser8250 delayed soon"), 65, "[trial.conf:5] delayed soon: seconds, or `forever`, were expected"),
    "a hostdev without a name": ((*HEAD, "vdev ser8250 hostdev >"), 65, "[trial.conf:5] hostdev >: [<|>]NAME was expected"),
    "two timers": (
        (*HEAD, PIC, "vdev timer8254 intr pic:0", "vdev timer8254 loc 0x140 intr pic:1 name b"),
        65,
        "[trial.conf:7] vdev b wants port 0x61, which vdev timer8254 has; give one loc mem:ADDRESS, or remove it",
    ),
    "a vdev on what is qvm's own": (
        (*HEAD, "vdev 8259 loc 0x600"),
        65,
        "[trial.conf:5] vdev 8259 at io:0x600 is where qvm has its own vdev power; give it another loc",
    ),
    "too many processors": ((*HEAD, *["cpu"] * 65), 65, "[trial.conf:69] a VM has at most 64 vCPUs; remove this one"),
    "an option of no reserve": ((*HEAD, "reserve size 3"), 65, "[trial.conf:5] reserve has no option size; it has loc"),
    "a tolerance of two seconds": ((*HEAD, "tolerance 2000000"), 65, "[trial.conf:5] tolerance 2000000: at most 1000000 microseconds"),
    "a table with an address": (
        (*HEAD, "acpi load 1m,text"),
        65,
        "[trial.conf:5] acpi load 1m,text: the tables are placed by qvm; give no",
    ),
    "a kernel that is no file": ((*HEAD[:3], "load /dev/null"), 64, "[trial.conf:4] Unable to open '/dev/null': it is no regular file\n"),
    "a name with a slash": ((*HEAD, "vdev 8259 name a/b"), 65, "[trial.conf:5] 'a/b' is no name for a vdev; take one without '/'"),
    "a log to nowhere": ((*HEAD, "vdev 8259 log error paper"), 65, "[trial.conf:5] log: 'paper' is no destination; there are stdout,"),
    "a vdev without a control function": ((*HEAD, "vdev idle"), 65, "[trial.conf:5] vdev-idle.so has a factory without a control function"),
    "a loc it does not take": ((*HEAD, "vdev fixed loc 0x310"), 65, "[trial.conf:5] vdev fixed takes no loc; remove it"),
    "a kernel for low memory": ((*HEAD[:3], "load zimage"), 65, "[trial.conf:4] 'zimage' is a zImage; build a bzImage"),
    "an old kernel": (
        (*HEAD[:3], "load old"),
        65,
        "[trial.conf:4] 'old' is too old: boot protocol 2.13, and at least 2.14 is needed; load",
    ),
    "a kernel that is cut off": ((*HEAD[:3], "load short"), 65, "[trial.conf:4] 'short' is cut off; copy it again"),
    "no ram for tables": (("ram 4g,1m", "guest load 4g,text"), 65, "[trial.conf:1] the VM has no ram below 4 GiB that could hold its"),
    "no room for the initrd": (
        ("ram 0,640k", "ram 1m,1m", "load kernel", "initrd load large"),
        65,
        "[trial.conf:4] no RAM for 'large' behind the kernel",
    ),
    "a kernel with an address": ((*HEAD[:3], "load 0x100000,kernel"), 65, "[trial.conf:4] 'kernel' says itself where it goes"),
    "too little ram for the kernel": (("ram 0,640k", "ram 1m,64k", "load kernel"), 65, "[trial.conf:3] no RAM at 0x100000,"),
    "data outside ram": ((*HEAD, "data load 1g,text"), 65, "[trial.conf:5] no ram or rom at 0x40000000 for the 10 bytes of 'text'; add"),
    "a table that is none": ((*HEAD, "acpi load text"), 65, "[trial.conf:5] 'text' is no ACPI table: its length or checksum is wrong"),
    "a long cmdline": ((*HEAD, f"cmdline {'x' * 256}"), 65, "[trial.conf:5] the cmdline has 256 bytes, and 'kernel' takes 255;"),
}
OPTIONS = "system, ram, rom, load, cmdline, set, dryrun, logger, unsupported, tolerance, dump, and cpu, vdev and reserve"
NEEDS_MACHINE = {
    "a kernel for low memory",
    "an old kernel",
    "a kernel that is cut off",
    "no ram for tables",
    "no room for the initrd",
    "an initrd for bytes",
    "a cmdline for bytes",
    "ELF for another machine",
    "ELF without addresses",
    "ELF that is cut off",
    "ELF without a segment",
    "ELF outside ram",
    "data upon the kernel",
    "a kernel with an address",
    "too little ram for the kernel",
    "data outside ram",
    "a table that is none",
    "a long cmdline",
    "an I/O APIC in between",
}
"""Found out only when the machine is there."""


@pytest.mark.parametrize("lines", GOOD.values(), ids=GOOD.keys())
def test_a_good_configuration_is_accepted_without_a_word(qvm: Qvm, lines: tuple[str, ...]) -> None:
    result = qvm.run(lines, "dryrun")
    assert (result.status, result.output) == COMPLETE


@pytest.mark.parametrize(("lines", "status", "text"), BAD.values(), ids=BAD.keys())
def test_a_bad_configuration_is_refused_where_it_is_bad(
    qvm: Qvm, request: pytest.FixtureRequest, lines: tuple[str, ...], status: int, text: str
) -> None:
    """One line on what is wrong, with the line of the option that opened the context; nothing else is said."""
    if request.node.callspec.id in NEEDS_MACHINE and not hypervisor_support():
        pytest.skip("qvm looks at this once it has made a VM, and this machine makes none")
    result = qvm.run(lines, "dryrun")
    assert result.output.startswith(text)
    assert (result.status, result.output.count("\n")) == (status, 1)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ((), 65, "usage: qvm @FILE [@FILE] [OPTION...]\n"),
        (("@missing.conf",), 64, "Unable to open 'missing.conf': No such file or directory\n"),
        (("@good.conf", "dryrun", "colour"), 65, f"[command line:3] colour is no option of a VM; there are {OPTIONS}\n"),
        (("@good.conf", "cmdline"), 65, "[command line:2] the option cmdline lacks its argument; it takes 1\n"),
        (("@good.conf", "@open.conf", "vdev", "8259"), 65, "[open.conf:2] the option loc lacks its argument; it takes 1\n"),
        (("@good.conf", "cmdline", "two words", "dryrun"), *COMPLETE),
        (("@good.conf", "@more.conf", "dryrun"), *COMPLETE),
        (("@kernel",), 65, "[kernel:1] the file is no text, for it holds a zero byte; give a VM configuration\n"),
        (("@empty",), 65, "[qvm:0] the VM has no ram; give it some with ram [START,]LENGTH\n"),
    ],
)
def test_files_and_options_of_the_command_line_are_one_text(qvm: Qvm, arguments: tuple[str, ...], status: int, text: str) -> None:
    """Options follow in the same grammar; an argument is in the file its option is in."""
    (qvm.directory / "good.conf").write_text("\n".join(HEAD))
    (qvm.directory / "more.conf").write_text("vdev 8259 loc 0x20")
    (qvm.directory / "open.conf").write_text("cpu\nvdev 8259 loc")
    result = qvm.call(*arguments)
    assert (result.status, result.output) == (status, text)


@pytest.mark.skipif(not hypervisor_support(), reason="this machine makes no VMs")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes /dev/qvm")
@pytest.mark.parametrize(
    ("vdev", "status", "text"),
    [
        ("latecrash", 6, "vdev latecrash crashed: SIGSEGV"),
        ("lateexit", 6, "vdev lateexit called exit(3)\n"),
        ("lateend", 40, "[vdev lateend] terminated\n"),
    ],
)
def test_a_vdev_ends_a_vm_that_starts(qvm: Qvm, tmp_path: Path, vdev: str, status: int, text: str) -> None:
    """Whichever way it ends, nothing of the VM is left in /dev/qvm."""
    system = f"trial-{tmp_path.name}"
    result = qvm.run((f"system {system}", *HEAD[1:], f"vdev {vdev}"))
    assert result.output.startswith(text)
    assert result.status == status
    assert not Path("/dev/qvm", system).exists()
