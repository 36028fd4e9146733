"""Whether the board may run on the lab controller's own processor (KVM), or must be emulated.

KVM is chosen only when *nested* virtualization is proven: the flag in the CPU, the kernel's word, and a trial board whose own
/dev/kvm appears. A /dev/kvm of the lab controller alone proves nothing.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from boards.virtual.image import Image
from boards.virtual.machine.qemu import Hardware, Qemu
from harness.errors import BenchError

EMULATED, NATIVE = "tcg", "kvm"
CPU_INFO = Path("/proc/cpuinfo")
NESTED = Path("/sys/module/kvm_amd/parameters/nested")
"""The image has KVM's module for AMD only, as the emulated processor is one."""
TRIAL_LIMIT = 20.0
PROBE = b"\n\n[ -c /dev/kvm ] && echo has-$((6*7))\n"
PROVED = b"has-42"


def choose(arch: str, image: Image) -> str:
    """QEMU's name of the accelerator to use."""
    return NATIVE if arch == "x86_64" and claimed() and _proved(image) else EMULATED


def claimed(cpu_info: Path = CPU_INFO, nested: Path = NESTED, device: Path = Path("/dev/kvm")) -> bool:
    if not (device.exists() and nested.is_file() and nested.read_text().strip() in ("1", "Y")):
        return False
    flags = next((line for line in cpu_info.read_text().splitlines() if line.startswith("flags")), "")
    return "svm" in flags.split()


def _proved(image: Image) -> bool:
    """Boots the host under KVM and asks it for its own /dev/kvm."""
    try:
        trial = Qemu(Hardware("x86_64", NATIVE, image.kernel, image.initrd, usr=image.usr, data=None, ssh_port=None))
    except BenchError:
        return False
    try:
        return _asked(trial.serial[0])
    finally:
        trial.kill()


def _asked(console: socket.socket) -> bool:
    seen, deadline = b"", time.monotonic() + TRIAL_LIMIT
    console.settimeout(0.5)
    while time.monotonic() < deadline:
        try:
            data = console.recv(4096)
        except TimeoutError:
            console.sendall(PROBE)
            continue
        if not data:
            return False
        seen += data
        if PROVED in seen:
            return True
    return False
