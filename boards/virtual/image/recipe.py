"""What the virtual host is made of, as data: packages, programs, tools, modules.

Only tools that a QNX 8.0 image has are here (facts/qnx.md 6.3), so that a harness that leans on another one fails here first.
"""

from __future__ import annotations

from typing import Final

KERNEL_META: Final = "linux-image-cloud-amd64"

PROGRAMS: Final[dict[str, tuple[str, str]]] = {
    "bin/ksh": ("mksh", "bin/mksh"),
    "bin/stty": ("coreutils", "bin/stty"),
    "usr/bin/toybox": ("toybox", "bin/toybox"),
    "usr/bin/scp": ("openssh-client", "usr/bin/scp"),
    "usr/sbin/sshd": ("openssh-server", "usr/sbin/sshd"),
    "usr/libexec/sftp-server": ("openssh-sftp-server", "usr/lib/openssh/sftp-server"),
}
"""Path on the host: the package and the path in it."""

COMPILED: Final = {"init": ("init.c", "-static"), "bin/uname": ("uname.c",)}
"""Path on the host: the source beside this file, and what the compiler is told besides."""

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

_TOOLS: Final = """
    ascii base64 basename bunzip2 bzcat cal cat chgrp chmod chown cksum clear cmp comm cp cpio crc32 cut date dirname dos2unix du
    echo egrep env expand false fgrep file find grep groups gunzip head id install link ln logname ls md5sum mkdir mkfifo mktemp
    mv nl nohup od paste patch printenv printf pwd readlink realpath rm rmdir sed seq sha1sum sleep sort split stat strings tail
    tar tee test time timeout touch true truncate tty uniq unix2dos unlink uudecode uuencode uuidgen wc which whoami xargs xxd
    yes zcat df hostname kill mount sync umount
"""
TOOLS: Final = tuple(_TOOLS.split())
"""Links to toybox. A QNX image also has `bc dd diff expr gzip more`, which Debian's toybox was built without."""

MODULES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "disk": ("lib/modules", ("virtio_pci", "virtio_blk")),
    "network": ("usr/lib/modules", ("virtio_net",)),
    "hypervisor": ("usr/lib/modules", ("kvm-amd",)),
}
"""Kernel modules by the group init.c loads them in: their place, and their names. Prerequisites are found in the modules themselves."""

LINKS: Final[dict[str, str]] = {
    "bin/sh": "ksh",
    "tmp": "dev/shmem",
    "var/log": "/dev/shmem",
    "usr/tmp": "/dev/shmem",
} | {f"bin/{tool}": "../usr/bin/toybox" for tool in TOOLS}
"""Symbolic links. As on QNX, /tmp and its relatives are the memory behind /dev/shmem."""

DIRECTORIES: Final = ("data", "dev", "etc/ssh", "lib/dll", "proc", "root", "run/sshd", "sbin", "sys", "usr/lib", "var")
