"""A process on the host that outlives the connection it was started over.

The invariant: its exit status is in a file that a shell which waited for it wrote, so it is known however late somebody asks, and a
process number is never signalled once that file is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.clock import Deadline
from harness.command import Result
from harness.errors import BenchError
from harness.events import Events


def _start(prepare: str, streams: str, hold: str, leave: str) -> str:
    return f"""\
cd "$1" || exit
base=$1/$2
shift 2
rm -f "$base.status"
{prepare}
{{
    {{
        trap '' HUP
        exec </dev/null 2>/dev/null
        (trap - INT QUIT; exec "$@") {streams} 2>"$base.err" &
        {hold}
        echo $!
        exec >/dev/null
        wait $!
        echo $? >"$base.status"
        {leave}
    }} &
}} | {{
    read -r pid
    echo "$pid"
}}
"""


START = _start(prepare=":", streams='>"$base.out"', hold=":", leave=":")
"""$1 the directory, $2 the name, then the command. A shell lets what it starts in the background ignore SIGINT and SIGQUIT; those
mean something to qvm, so they are given back. The number is printed when the process is there. The shell that waits holds no
descriptor of ours, or the connection would stay open in it: `exec` puts ours away for good, where a redirection of the whole block or a
command substitution would keep copies (mksh does)."""

START_ON_FIFOS = _start(
    prepare='rm -f "$base.in" "$base.fifo"; mkfifo "$base.in" "$base.fifo" && : >"$base.out" || exit',
    streams='<"$base.in" >"$base.fifo"',
    hold='exec 3>"$base.in" 4<"$base.fifo" 5<"$base.in"',
    leave='rm -f "$base.in" "$base.fifo"',
)
"""The same with standard input and output on two FIFOs, NAME.in and NAME.fifo, which others may open and leave as they like: the shell that
waits holds the far ends, so the process sees no end of its input and no closed output. It opens them in the order in which the
process does, each end waiting for the other; the third is for whoever opens NAME.in when the process is gone and would wait for ever."""

POLL = """\
if test -s "$1.status"; then cat "$1.status"
elif kill -0 "$2" 2>/dev/null; then echo running
elif test -s "$1.status"; then cat "$1.status"
else echo lost; fi
"""
WAIT = (
    """\
tries=0
until test -s "$1.status" || test $tries -ge "$3"; do
    kill -0 "$2" 2>/dev/null || test -s "$1.status" || sleep 0.1
    sleep 0.1
    tries=$((tries + 1))
done
"""
    + POLL
)
SIGNAL = 'test -s "$1.status" || kill -s "$3" "$2"'

HEAD, TAIL = 1 << 16, 1 << 20
"""Bytes of what a process printed that are read when it printed more than both together: how it began, and what it said last."""
READ = f"""\
size=$(wc -c <"$1") || exit
echo $size
if test $size -le {HEAD + TAIL}; then cat "$1"; else head -c {HEAD} "$1" && tail -c {TAIL} "$1"; fi
"""
"""$1 the file. The first line of the answer is the file's whole size in bytes."""

LOOK = 2.0
"""Seconds the host itself waits before it is asked again."""


class ProcessLost(BenchError):
    """A process is gone and left no exit status: the shell that waited for it was killed, or the host rebooted."""


class Run(Protocol):
    """`Host.run`."""

    def __call__(self, argv: Sequence[str], check: bool = True, /) -> Result:
        """Runs a program. With `check`, raises `CommandFailed` for a status other than 0."""
        ...


class HostProcess:
    """Made by `Host.start`."""

    def __init__(self, run: Run, base: str, pid: int, events: Events) -> None:
        self._run = run
        self._events = events
        self.base = base
        """Its files on the host are named so, each with an ending of its own."""
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit status, 128 + N for a death by signal N; None while it runs. Raises `ProcessLost`."""
        if self._status is None:
            self._take(self._script(POLL))
        return self._status

    def wait(self, deadline: Deadline) -> int | None:
        """The exit status once it has ended, None when it did not by the deadline. Raises `ProcessLost`."""
        while self._status is None and not deadline.expired:
            tenths = max(1, int(10 * min(LOOK, deadline.remaining)))
            self._take(self._script(WAIT, str(tenths)))
        return self._status

    def signal(self, name: str) -> None:
        """Sends a signal (`TERM`, `QUIT`, `USR1`); nothing when it has ended. Raises `ValueError` for KILL, which no qvm may get."""
        short = name.upper().removeprefix("SIG")
        if short in ("KILL", "9"):
            raise ValueError("a process on the host is never killed by SIGKILL: it would leave the hardware as it is")
        if self._status is None and self._script(SIGNAL, short, check=False).status and self.poll() is None:
            raise BenchError(f"SIG{short} could not be sent to process {self.pid} on the host", "see which user runs it")

    def stdout(self) -> bytes:
        """What it printed so far: all, or of a long text its first 64 KiB, a line that says how much is left out, and its last MiB."""
        return self._printed(f"{self.base}.out")

    def stderr(self) -> bytes:
        """As `stdout`."""
        return self._printed(f"{self.base}.err")

    def _printed(self, file: str) -> bytes:
        size, _, text = self._run(["sh", "-c", READ, "sh", file]).stdout.partition(b"\n")
        if int(size) <= HEAD + TAIL:
            return text
        self._events.emit("host.output_cut", file=file, bytes=int(size), kept=HEAD + TAIL)
        note = f"\n[{int(size) - HEAD - TAIL} of {int(size)} bytes are left out here by the harness]\n"
        return text[:HEAD] + note.encode() + text[HEAD:]

    def _script(self, script: str, *arguments: str, check: bool = True) -> Result:
        return self._run(["sh", "-c", script, "sh", self.base, str(self.pid), *arguments], check)

    def _take(self, result: Result) -> None:
        """A process that just ended has no status for a moment, until the shell that waits for it has written it."""
        answer = result.text.strip()
        if answer == "lost":
            answer = self._script(WAIT, "5").text.strip()
        if answer.isdigit():
            self._status = int(answer)
        elif answer != "running":
            raise ProcessLost(
                f"process {self.pid} on the host is gone without an exit status ({self.base}.status)",
                "see on the console what became of the host",
            )
