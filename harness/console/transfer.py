"""Bytes into a file at the other end of a console, at the line's own pace, over a line that may lose or change any of them.

A loop of the far shell reads base64 lines of at most `LINE` bytes and acknowledges each; never more than `WINDOW` of them are on their
way, so that no buffer there overflows while the next lines are already being sent. Beside it a second loop decodes one chunk after the
other and adds it to the file when its checksum is right. The invariant: the file is always a prefix of the data, so whatever cuts a
transfer short, the next one goes on behind it.

It needs `base64` and other tools there: `NEEDED`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.clock import Deadline
from harness.command import CommandFailed, Result
from harness.console.cksum import cksum
from harness.errors import BenchError, HarnessError

if TYPE_CHECKING:
    from harness.console.cursor import Match
    from harness.console.shell import Shell

NEEDED = ("base64", "cat", "cksum", "head", "mv", "printf", "rm", "wc")
WINDOW = 4
"""Lines sent and not yet acknowledged: 968 bytes, less than any tty keeps for a reader, and the time of three lines for an answer."""
LINE_BYTES = 180
"""Bytes in a line: a digit and 240 characters of base64."""
_LAST = 150
"""Bytes that fit behind the numbers of a chunk's last line."""
CHUNK = 63 * LINE_BYTES + _LAST
_LEAST = 4 * LINE_BYTES
"""Bytes of a chunk on a line that changes much: each that arrives changed halves the next."""
AHEAD = 3
"""Chunks sent and not yet checked: they lie in the memory of the other side."""
PATIENCE = 0.5
"""Seconds of silence after which the other side is asked where it is."""
STALLED = 30.0
"""Seconds without progress after which a transfer is given up."""
_STARTS = 4
_CALM = 64
"""Lines after which a window that was made smaller may grow again."""
_ABANDONED = ":-:0:0:"
"""Ends a chunk that is not worth going on with."""
_SMALLEST = 4096
"""Bytes; a shorter beginning is not worth looking for."""

_WHERE, _END = ":", ": end"

RECEIVER = f"""\
tag=$1$2 have=$3 work=$4.w
read -r part <$4.p
rm -f $work.*
exec 4>&1
reader() {{
digit=0 next=0 chunk=0 told=
exec 3>$work.0
echo "$tag+0." >&4
while read -r line; do
case $line in
$digit:*:*:*:*)
rest=${{line##*:}} line=${{line%:*}}
[ -z "$rest" ] || echo "$rest" >&3
echo "$chunk${{line#?}}"
chunk=$((chunk+1))
exec 3>$work.$chunk ;;
$digit*)
if [ ${{#line}} != {1 + LINE_BYTES // 3 * 4} ]; then
echo "$tag-$next." >&4
told=1
continue
fi
echo "${{line#?}}" >&3 ;;
'{_WHERE}')
echo "$tag-$next." >&4
echo '{_WHERE}'
continue ;;
'{_END}') break ;;
*)
case $line in [0-9]*) back=$(((digit+10-${{line%"${{line#?}}"}})%10)) ;; *) back=9 ;; esac
if [ -z "$told" ] && [ $back -ge 5 ]; then
echo "$tag-$next." >&4
told=1
fi
continue ;;
esac
next=$((next+1)) digit=$((next%10)) told=
echo "$tag+$next." >&4
done
rm -f $work.$chunk
}}
checker() {{
last=-1
while IFS=: read -r chunk offset sum size; do
if [ "$chunk" ]; then
last=$chunk
if [ "$offset" = $have ] && base64 -d <$work.$chunk >$work.d && [ "$(cksum <$work.d)" = "$sum $size" ]; then
cat $work.d >>"$part" || {{ echo "$tag*."; break; }}
have=$((have+size))
fi
rm -f $work.$chunk
fi
echo "$tag=$last,$have."
done
rm -f $work.d
}}
reader | checker
echo "$tag!."
"""
"""$1 and $2 the tag in halves, $3 the file's length, $4 where work files go; the file's name is in the work file `p`.

What it is sent, each line behind the last digit of its number: base64; `:OFFSET:CKSUM:SIZE:BASE64`, the end of a chunk; and without a
digit `:` (where are you) and `: end`, which are nothing to a shell. What it says: TAG+N. (N lines taken), TAG-N. (line N is wanted, others
came), TAG=CHUNK,LENGTH. (checked, the length of the file now), TAG*. (cannot write), TAG!. (the end). Lines that come twice are nothing
new and not answered.
"""

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived for good and the bytes there are."""


class TransferStalled(BenchError):
    """A file on its way over a console got no further. What has arrived stays there; the next try goes on behind it."""


class NoRoom(BenchError):
    """The other side could not write what it received."""


def send(shell: Shell, data: bytes, path: str, progress: Progress = lambda *_: None) -> int:
    """Makes the file at `path` `data`, going on behind what an earlier try left there. The number of bytes sent this time.

    Raises `TransferStalled`, `NoRoom`, or what the shell raises.
    """
    already = _beginning(shell, data, path)
    if already == len(data):
        return 0
    sender = _Sender(shell, data, already, progress)
    try:
        sender.start(path)
        sender.send()
    except BaseException:
        with contextlib.suppress(HarnessError):
            shell.resync(Deadline.after(10, "the shell after a transfer"))
        raise
    if not sender.end():
        shell.resync(Deadline.after(10, "the shell after a transfer"))
    return len(data) - already


def _beginning(shell: Shell, data: bytes, path: str) -> int:
    """How much of `data` is in the file already. What is there besides, or instead, is taken away."""
    file = shlex.quote(path)
    there = int(_run(shell, f"if test -f {file}; then wc -c <{file}; else : >{file}; echo 0; fi").text)
    length = min(there, len(data))
    while length and not _same(shell, data[:length], file):
        length = length // 2 if length >= 2 * _SMALLEST else 0
    if length != there:
        _run(shell, f"head -c {length} <{file} >{file}.cut && mv {file}.cut {file}")
    return length


def _same(shell: Shell, data: bytes, file: str) -> bool:
    said = _run(shell, f"head -c {len(data)} <{file} | cksum").stdout.split()
    return said[:2] == [b"%d" % cksum(data), b"%d" % len(data)]


def _run(shell: Shell, script: str) -> Result:
    result = shell.run_text(script, STALLED)
    if result.status:
        raise CommandFailed(f"console {shell.console.name}", script, result)
    return result


@dataclass
class _Chunk:
    offset: int
    size: int
    stale: bool = False
    """It lies behind one that has to be sent again."""


@dataclass
class _Sender:
    """One run of the receiver. Line and chunk numbers are its own."""

    shell: Shell
    data: bytes
    arrived: int
    """Bytes that are in the file."""
    progress: Progress
    _tag: tuple[str, str] = field(default_factory=lambda: (os.urandom(3).hex(), os.urandom(3).hex()))
    _window: int = WINDOW
    _lines: list[str] = field(default_factory=list)
    """Sent and not acknowledged."""
    _taken: int = 0
    """Lines acknowledged."""
    _sent: int = 0
    """Of `_lines`, how many are on their way."""
    _rest: list[str] = field(default_factory=list)
    """What is still to be sent of the present chunk."""
    _chunks: dict[int, _Chunk] = field(default_factory=dict)
    """By number; those not checked yet."""
    _chunk: int = CHUNK
    """Bytes of the next one."""
    _count: int = 0
    _next: int = 0
    """Where the next chunk begins."""

    def start(self, path: str) -> None:
        """Starts the receiver, which is put there first unless it is there unharmed."""
        shell, text = self.shell, RECEIVER.encode()
        self._next = self.arrived
        self._cursor = shell.console.cursor(raw=True)
        self._heard = re.compile(re.escape("".join(self._tag).encode()) + rb"([-+=*!?])(?:(\d+),)?(\d*)\.")
        _run(shell, f"printf '%s\\n' {shlex.quote(path)} >{shell.base}.p")
        half, rest = self._tag
        unharmed = f'[ "$(cksum <{shell.base}.r)" = "{cksum(text)} {len(text)}" ]'
        for _ in range(_STARTS):
            self._cursor.skip()
            self._type(f"{unharmed} && ( . {shell.base}.r {half} {rest} {self.arrived} {shell.base} ) || echo {half}''{rest}?.")
            found = self._hear(4 * PATIENCE)
            if found is None:
                self._type(_WHERE)
                found = self._hear(4 * PATIENCE)
            if found and found.group(1) in (b"+", b"-"):
                self.progress(self.arrived, len(self.data))
                return
            if found is None:
                shell.resync(Deadline.after(10, "the shell before a transfer"))
            shell.keep(text, "r", Deadline.after(STALLED, "the receiver's way to the other side"))
        raise self._stalled()

    def send(self) -> None:
        """Sends until the last chunk is in the file."""
        moved = Deadline.after(STALLED, "progress")
        before = (self.arrived, self._taken)
        while self.arrived < len(self.data):
            while self._sent < self._window and self._more():
                self._type_next()
                while found := self._hear(0):
                    self._take(found)
            found = self._hear(PATIENCE)
            if found:
                self._take(found)
            else:
                self._type(_WHERE)
            if (self.arrived, self._taken) != before:
                before = (self.arrived, self._taken)
                moved = Deadline.after(STALLED, "progress")
            elif moved.expired:
                raise self._stalled()

    def end(self) -> bool:
        """Lets the receiver end; False when it does not say so."""
        self._type(_END)
        while found := self._hear(4 * PATIENCE):
            if found.group(1) == b"!":
                return True
        return False

    def _more(self) -> bool:
        """Whether there is a line to send; cuts the next chunk into lines when there is room for it."""
        if self._sent < len(self._lines) or self._rest:
            return True
        if self._next == len(self.data) or len(self._chunks) == AHEAD:
            return False
        chunk = self.data[self._next : self._next + self._chunk]
        whole, over = divmod(len(chunk), LINE_BYTES)
        if over > _LAST:
            chunk = chunk[: whole * LINE_BYTES + _LAST]
        lines = [base64.b64encode(chunk[at : at + LINE_BYTES]).decode() for at in range(0, whole * LINE_BYTES, LINE_BYTES)]
        rest = base64.b64encode(chunk[whole * LINE_BYTES :]).decode()
        self._rest = [*lines, f":{self._next}:{cksum(chunk)}:{len(chunk)}:{rest}"]
        self._chunks[self._count] = _Chunk(self._next, len(chunk))
        self._count += 1
        self._next += len(chunk)
        return True

    def _type_next(self) -> None:
        if self._sent == len(self._lines):
            self._lines.append(self._rest.pop(0))
        number = self._taken + self._sent
        self._type(f"{number % 10}{self._lines[self._sent]}")
        self._sent += 1

    def _take(self, found: Match) -> None:
        kind, number = found.group(1), int(found.group(3) or 0)
        if kind in (b"+", b"-"):
            self._take_lines(number, wanted=kind == b"-")
        elif kind == b"=":
            self._take_chunk(int(found.group(2)), number)
        elif kind == b"*":
            raise NoRoom(
                f"console {self.shell.console.name}: the other side could not write what it received", "check the free space there (df)"
            )
        else:
            raise self._stalled()

    def _take_lines(self, count: int, *, wanted: bool) -> None:
        fresh = count - self._taken
        if not 0 <= fresh <= len(self._lines):
            return
        del self._lines[:fresh]
        self._taken, self._sent = count, max(0, self._sent - fresh)
        if wanted and self._sent:
            self._sent = 0
            self._window = max(1, self._window - 1)
            self.shell.console.events.emit("console.noise", console=self.shell.console.name, what="line of a file", line=count)
        elif fresh and count % _CALM == 0:
            self._window = min(WINDOW, self._window + 1)

    def _take_chunk(self, number: int, length: int) -> None:
        """The checker has looked at a chunk; what it said of those before may have been lost."""
        chunk = self._chunks.pop(number, None)
        for before in [other for other in self._chunks if other < number]:
            del self._chunks[before]
        self.arrived = length
        self.progress(length, len(self.data))
        if chunk is None or chunk.stale:
            return
        if length == chunk.offset + chunk.size:
            self._chunk = min(CHUNK, 2 * self._chunk)
            return
        self._chunk = max(_LEAST, self._chunk // 2)
        for behind in self._chunks.values():
            behind.stale = True
        self._next = length
        self._rest = [_ABANDONED] if self._rest else []
        self.shell.console.events.emit("console.noise", console=self.shell.console.name, what="chunk of a file", offset=chunk.offset)

    def _type(self, line: str) -> None:
        self.shell.console.write(line.encode() + b"\n", Deadline.after(STALLED, "the port to take a line"), paced=False)

    def _hear(self, seconds: float) -> Match | None:
        return self._cursor.poll(self._heard, Deadline.after(seconds, "an acknowledgement"))

    def _stalled(self) -> TransferStalled:
        return TransferStalled(
            f"console {self.shell.console.name}: {self.arrived} of {len(self.data)} bytes arrived, then nothing went on for {STALLED:g} s",
            "see what the console said, and run again: it goes on where it ended",
            evidence=self.shell.console.log.tail(),
        )
