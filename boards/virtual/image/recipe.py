"""What the virtual host is made of, as data: packages, programs, modules. Which tools it has is in tools.py."""

from __future__ import annotations

from typing import Final

from boards.virtual.image import tools

KERNEL_META: Final = "linux-image-cloud-amd64"

PROGRAMS: Final[dict[str, tuple[str, str]]] = {
    "bin/ksh": ("mksh", "bin/mksh"),
    "bin/stty": ("coreutils", "bin/stty"),
    "usr/bin/toybox": ("toybox", "bin/toybox"),
    "usr/lib/busybox": ("busybox-static", "bin/busybox"),
    "usr/bin/getconf": ("libc-bin", "usr/bin/getconf"),
    "usr/bin/scp": ("openssh-client", "usr/bin/scp"),
    "usr/bin/ssh": ("openssh-client", "usr/bin/ssh"),
    "usr/lib/ssh-keygen": ("openssh-client", "usr/bin/ssh-keygen"),
    "usr/sbin/sshd": ("openssh-server", "usr/sbin/sshd"),
    "usr/libexec/sftp-server": ("openssh-sftp-server", "usr/lib/openssh/sftp-server"),
}
"""Path on the host: the package and the path in it. What lies in usr/lib can be called by the host itself, and is in nobody's PATH."""

COMPILED: Final = {
    "init": ("init.c", "injection.c", "unkind.c", "-static"),
    "bin/uname": ("uname.c",),
    "usr/sbin/devc-pty": ("standins/devc-pty.c",),
    "usr/lib/console-line": ("standins/console-line.c",),
} | {f"usr/bin/{tool}": (f"standins/{tool}.c",) for tool in ("on", "pidin", "slay", "slog2info", "waitfor")}
"""Path on the host: the sources beside this file, and what the compiler is told besides."""

_LIBRARIES: Final = """
    libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libcrypt1 libgcc-s1 libgcrypt20 libgpg-error0 libgssapi-krb5-2 libk5crypto3
    libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1 liblzma5 libnsl2 libpam0g libpcre2-8-0 libselinux1 libssl3 libsystemd0
    libtirpc3 libwrap0 libzstd1 zlib1g
"""
LIBRARIES: Final = tuple(_LIBRARIES.split())
"""Packages in which the shared objects of the programs are looked for. A missing one is named when the image is built."""

LOADER: Final = "lib64/ld-linux-x86-64.so.2"
"""The program loader, at the path that stands in every program."""

LOADED_AT_RUN_TIME: Final = ("libgcc_s.so.1",)
"""Shared objects that no program names: the C library loads this one when a thread is cancelled."""

MODULES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "disk": ("lib/modules", ("virtio_pci", "virtio_blk")),
    "network": ("usr/lib/modules", ("virtio_net",)),
    "hypervisor": ("usr/lib/modules", ("kvm-amd",)),
}
"""Kernel modules by the group init.c loads them in: their place, and their names. Prerequisites are found in the modules themselves."""

LINKS: Final[dict[str, str]] = (
    {
        "bin/sh": "ksh",
        "tmp": "dev/shmem",
        "var/log": "/dev/shmem",
        "usr/tmp": "/dev/shmem",
    }
    | {f"bin/{tool}": "../usr/bin/toybox" for tool in tools.TOYBOX}
    | {f"bin/{tool}": "../usr/lib/busybox" for tool in tools.BUSYBOX}
)
"""Symbolic links. As on QNX, /tmp and its relatives are the memory behind /dev/shmem."""

DIRECTORIES: Final = ("data", "dev", "etc/ssh", "lib/dll", "proc", "root", "run/sshd", "sbin", "sys", "usr/lib", "var")
