"""qvm on the lab controller itself, built with the address and undefined-behaviour sanitizers: all that needs no guest.

Without usable hypervisor support there, a good configuration gets as far as `QVM disabled`; everything before that is the same.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

VIRTUAL = Path(__file__).parents[2] / "boards" / "virtual"
MISCHIEF = Path(__file__).with_name("vdev_mischief.c")
PARSER = Path(__file__).with_name("qvm_parser.c")
FLAGS = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]
SANITIZER_OPTIONS = "use_sigaltstack=0"
"""The stacks on which crashes are reported are qvm's own."""
VDEVS = ("ioapic", "8259", "timer8254", "ser8250")
VARIANTS = {
    "harmless": (),
    "nofactory": ("-DNO_FACTORY",),
    "twice": ("-DTWO_FACTORIES",),
    "alien": ("-DABI=1",),
    "exits": ("-DEXIT_IN_CONSTRUCTOR",),
    "crashes": ("-DCRASH_IN_CONSTRUCTOR",),
    "leaves": ("-DEXIT_IN_CONTROL",),
    "breaks": ("-DCRASH_IN_CONTROL",),
    "hasty": ("-DEARLY_SIGNAL",),
    "hopeless": ("-DFATAL_IN_CONTROL",),
    "idle": ("-DNO_CONTROL",),
    "fixed": ("-DFIXED",),
    "talkative": ("-DTALKATIVE",),
    "busy": ("-DREFUSE_OPTION",),
    "latecrash": ("-DCRASH_WHEN_STARTING",),
    "lateexit": ("-DEXIT_WHEN_STARTING",),
    "lateend": ("-DTERMINATE_WHEN_STARTING",),
}
"""Type of a misbehaving vdev: what its source is compiled with."""

KVM_GET_API_VERSION, KVM_CREATE_VM = 0xAE00, 0xAE01
TIMEOUT = 30.0


@dataclass
class Result:
    status: int
    output: str


@dataclass
class Qvm:
    program: Path
    vdevs: Path
    directory: Path

    def run(self, lines: tuple[str, ...], *options: str) -> Result:
        """Writes the configuration to `trial.conf` and runs qvm on it."""
        (self.directory / "trial.conf").write_text("\n".join(lines) + "\n")
        return self.call("@trial.conf", *options)

    def call(self, *arguments: str) -> Result:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self.vdevs), "LC_ALL": "C", "ASAN_OPTIONS": SANITIZER_OPTIONS}
        result = subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Result(result.returncode, result.stdout)


def bzimage(code: bytes = b"\xf4" * 16, *, version: int = 0x020F, flags: int = 1) -> bytes:
    """A Linux image after the 32-bit boot protocol with this code, by default `hlt`; bit 0 of `flags` is LOADED_HIGH."""
    image = bytearray(5 * 512)
    image[0x1F1] = 4  # setup_sects
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    struct.pack_into("<I", image, 0x202, int.from_bytes(b"HdrS", "little"))
    struct.pack_into("<H", image, 0x206, version)
    image[0x211] = flags
    struct.pack_into("<I", image, 0x214, 0x100000)  # code32_start
    struct.pack_into("<I", image, 0x22C, 0x7FFFFFFF)  # initrd_addr_max
    struct.pack_into("<I", image, 0x238, 255)  # cmdline_size
    struct.pack_into("<I", image, 0x260, 0x10000)  # init_size
    return bytes(image) + code


def elf(*, kind: int = 2, machine: int = 3, entry: int = 1 << 20, physical: int = 1 << 20) -> bytes:
    """An ELF file of 32 bits with one segment of 16 bytes, all `hlt`."""
    head = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return head + struct.pack("<8I", 1, 84, 1 << 20, physical, 16, 16, 7, 4) + b"\xf4" * 16


def hypervisor_support() -> bool:
    """Whether this machine makes VMs at all."""
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR)
    except OSError:
        return False
    try:
        if fcntl.ioctl(kvm, KVM_GET_API_VERSION, 0) != 12:
            return False
        os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError:
        return False
    finally:
        os.close(kvm)
    return True


def build(directory: Path) -> None:
    """qvm and all vdevs, with sanitizers, and the parser alone (`qvm_parser.c`)."""
    compiler = ["gcc", *FLAGS, f"-I{VIRTUAL / 'include'}"]
    shared = [*compiler, "-shared", "-fPIC", "-Wl,--build-id"]
    sources = [*sorted((VIRTUAL / "qvm").glob("*.c")), PARSER]
    objects = {source: directory / f"{source.stem}.o" for source in sources}
    commands = [
        [*compiler, "-fvisibility=hidden", f"-I{VIRTUAL / 'qvm'}", "-c", "-o", target, source] for source, target in objects.items()
    ]
    for name in VDEVS:
        parts = [VIRTUAL / "vdevs" / f"{name}.c", *sorted((VIRTUAL / "vdevs").glob(f"{name}_*.c"))]
        commands.append([*shared, "-o", directory / f"vdev-{name}.so", *parts])
    for name, definitions in VARIANTS.items():
        commands.append([*shared, *definitions, "-o", directory / f"vdev-{name}.so", MISCHIEF])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(_compile, commands):
            assert result.returncode == 0, result.stderr
    for program, without in (("qvm", PARSER), ("qvm_parser", VIRTUAL / "qvm" / "main.c")):
        linked = [target for source, target in objects.items() if source != without]
        result = _compile([*compiler, "-rdynamic", "-pthread", "-o", directory / program, *linked, "-ldl"])
        assert result.returncode == 0, result.stderr
    (directory / "vdev-text.so").write_text("no shared object\n")


def _compile(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def furnish(directory: Path) -> None:
    """The files that configurations load: the smallest kernel image the loader takes, and images that are wrong in one way each."""
    (directory / "kernel").write_bytes(bzimage())
    (directory / "zimage").write_bytes(bzimage(flags=0))
    (directory / "old").write_bytes(bzimage(version=0x020D))
    (directory / "short").write_bytes(bzimage()[:0x300])
    (directory / "large").write_bytes(bytes(1 << 20))
    (directory / "text").write_text("no kernel\n")
    (directory / "empty").touch()
    (directory / "elf").write_bytes(elf())
    (directory / "elf-arm").write_bytes(elf(machine=183))
    (directory / "elf-shared").write_bytes(elf(kind=3))
    (directory / "elf-short").write_bytes(elf()[:-8])
    (directory / "elf-astray").write_bytes(elf(entry=0x90000000))
    (directory / "elf-high").write_bytes(elf(physical=0x80000000))
