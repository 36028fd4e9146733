"""The tools of a QNX 8.0 image, as data, and where this host has each from.

The invariant: what can be called on the board is what QNX's list has, less `ABSENT` and with `ADDED`, nothing more and nothing less
(suites/harness/test_host_tools.py), so that a harness that leans on another tool fails here first.
"""

from __future__ import annotations

from typing import Final

_QNX: Final = """
    confstr df hostname kill ksh mount on pidin slay slog2info slogger2 sync umount waitfor mqueue pipe shutdown getconf hd ldd setconf
    top use dumper random tracelogger sh toybox
    cat chmod cp dd echo ln ls mkdir mv pwd rm sed uname ascii base64 basename bc bunzip2 bzcat cal chgrp chown cksum clear cmp comm cpio
    crc32 cut date diff dirname dos2unix du egrep env expand expr false fgrep file find grep groups gunzip gzip head id install link
    logname md5sum mkfifo mktemp more nl nohup od paste patch printenv printf readlink realpath rmdir seq sha1sum sleep sort split stat
    strings tail tar tee test time timeout touch true truncate tty uniq unix2dos unlink uudecode uuencode uuidgen wc which whoami xargs
    xxd yes zcat
    io-sock ifconfig dhcpcd sshd scp ssh sftp-server qconn devc-pty tcpdump qvm
"""
QNX: Final = frozenset(_QNX.split())
"""Programs, toybox links, network programs, and the hypervisor's own."""

_SERVERS: Final = "slogger2 mqueue pipe dumper random io-sock dhcpcd qconn"
ABSENT: Final = dict.fromkeys(_SERVERS.split(), "a server whose work the kernel does") | {
    "confstr": "settings of QNX's kernel",
    "setconf": "settings of QNX's kernel",
    "tracelogger": "traces of QNX's kernel",
    "tcpdump": "nothing but the way in is on this network",
}
"""What a QNX image has and this host has not, and why."""

ADDED: Final = {"stty": "in QNX's system, but not in the list of this image: `--unkind stty` takes it away"}
"""What this host has and that list has not."""

BUSYBOX: Final = ("bc", "dd", "diff", "expr", "gzip", "ifconfig", "more", "top")
"""Links to busybox: what Debian's toybox was built without."""

_ELSEWHERE: Final = """
    ksh sh toybox sshd scp ssh sftp-server getconf uname pidin slay on slog2info waitfor use hd ldd shutdown devc-pty qvm
"""
ELSEWHERE: Final = frozenset(_ELSEWHERE.split())
"""Programs of other packages, and our own."""

TOYBOX: Final = tuple(sorted(QNX - ABSENT.keys() - set(BUSYBOX) - ELSEWHERE))
"""Links to toybox."""
