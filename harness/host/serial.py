"""The host by nothing but its console.

The invariant: a file travels once per content. What was sent is kept, compressed, under its SHA-1 in the board's store, whole or as far as
it came, and the next try goes on from there.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.clock import SYSTEM
from harness.command import CommandFailed, Result, quote
from harness.console import Shell, transfer
from harness.console.cksum import cksum
from harness.errors import BenchError, UseError, writing
from harness.events import Events

SMALL = 1024
"""Bytes; what is not larger is typed with the command that writes it."""
KEPT = 1 << 20
"""Bytes; what is larger on the line is not kept once it arrived: guest images are, unpacked."""
UNPACK: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gz": ("gunzip", lambda data: gzip.compress(data, mtime=0)),
    "bz2": ("bunzip2", bz2.compress),
}
"""By suffix: the tool on the host that unpacks its input to its output, and how it is packed here."""
PROBE = 'for tool do command -v "$tool" >/dev/null 2>&1 && echo "$tool"; done; true'
MINUTE = 60.0


class TransferDamaged(BenchError):
    """A file that came over the console is not what was sent, though each of its pieces was: another hand, or a broken disk."""


class ConsoleTransport:
    """A console's shell as a transport: runs commands, and copies files over the same line."""

    pipes = False
    """A command's input takes its time and is not kept for the next run."""

    def __init__(self, shell: Shell, store: str, events: Events) -> None:
        """`store` is the directory on the host where what was sent is kept."""
        self._shell = shell
        self._store = store.rstrip("/")
        self._events = events
        self._tools: set[str] | None = None

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        """Runs shell text as it is. Raises as `Shell.run_text`."""
        return self._shell.run_text(script, timeout, input)

    def put(self, files: Mapping[Path, str], timeout: float, /) -> str:
        """Copies files to the host; returns the name of the way. `timeout` is for the commands around each: the line sets its own pace."""
        for local, remote in files.items():
            if not local.is_file():
                raise UseError(f"{local} is not there", "build it, or correct the path")
            content = local.read_bytes()
            if len(content) <= SMALL:
                self._run(f"cat >{quote([remote])}", timeout, content)
            else:
                self._send(local.name, content, remote, timeout)
        return "serial"

    def get(self, files: Mapping[str, Path], timeout: float, /) -> str:
        """Copies files from the host."""
        for remote, local in files.items():
            content = self._run(f"cat {quote([remote])}", timeout).stdout
            with writing(local.parent):
                local.write_bytes(content)
        return "serial"

    def _send(self, name: str, content: bytes, remote: str, timeout: float) -> None:
        suffix, packed = self._pack(content)
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        kept = f"{self._store}/wire-{re.sub('[^A-Za-z0-9._-]', '_', name)}-"
        wire = f"{kept}{sha1}.{suffix}"
        self._run(f"mkdir -p {quote([self._store])}", timeout)
        sent = transfer.send(self._shell, packed, wire, self._progress(name))
        self._events.emit("host.sent", file=name, bytes=len(content), packed=len(packed), sent=sent, form=suffix)
        tool = UNPACK[suffix][0] if suffix in UNPACK else "cat"
        path = quote([remote])
        said = self._run(f"{tool} <{quote([wire])} >{path} && cksum <{path}", max(timeout, MINUTE)).text.split()
        if said != [str(cksum(content)), str(len(content))]:
            self._run(f"rm -f {quote([wire])}", timeout)
            raise TransferDamaged(
                f"{remote} on the host is not what was sent over the console", "check the free space there (df) and run again"
            )
        others = f'for old in {quote([kept])}*; do [ "$old" = {quote([wire])} ] || rm -f "$old"; done'
        self._run(others if len(packed) <= KEPT else f"rm -f {quote([kept])}*", timeout)

    def _pack(self, content: bytes) -> tuple[str, bytes]:
        """The shortest form the host can unpack, and its suffix."""
        if self._tools is None:
            tools = [*transfer.NEEDED, *(tool for tool, _ in UNPACK.values())]
            self._tools = set(self._run(quote(["sh", "-c", PROBE, "sh", *tools]), MINUTE).text.split())
            self._events.emit("host.serial_tools", found=sorted(self._tools))
        if missing := [tool for tool in transfer.NEEDED if tool not in self._tools]:
            raise BenchError(
                f"console {self._shell.console.name}: the host has no {', '.join(missing)}, and no file travels over its console without",
                "add it to the host's image, or give the board a network and ssh.host in its bench file",
            )
        forms = {suffix: pack(content) for suffix, (tool, pack) in UNPACK.items() if tool in self._tools}
        return min({"raw": content, **forms}.items(), key=lambda form: len(form[1]))

    def _progress(self, name: str) -> transfer.Progress:
        """Tells the rate, and the time left at that rate."""
        begin, first = SYSTEM.monotonic(), -1

        def tell(done: int, total: int) -> None:
            nonlocal first
            if first < 0:
                first = done
            seconds = SYSTEM.monotonic() - begin
            rate = (done - first) / seconds if seconds else 0.0
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            self._events.emit("progress", text=f"{name}: {done / 1e6:.2f} of {total / 1e6:.2f} MB at {rate / 1e3:.1f} kB/s{left}")

        return tell

    def _run(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        result = self._shell.run_text(script, timeout, input)
        if result.status:
            raise CommandFailed(f"console {self._shell.console.name}", script, result)
        return result
