"""A process on the host that outlives the command that started it; its output and exit status are files beside each other.

The invariant: it is signalled by its own id and never by SIGKILL, and only while it has not ended.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.clock import Deadline
from harness.command import Result
from harness.errors import BenchError

LOOK = 5.0
"""Seconds that one command on the host waits for the end; then the deadline is looked at again."""

START = """\
cd "$1" || exit
name=$2
shift 2
rm -f "$name.status"
( trap '' HUP
  "$@" >"$name.out" 2>"$name.err" </dev/null &
  pid=$!
  echo $pid
  exec >/dev/null 2>&1 </dev/null
  wait $pid
  echo $? >"$name.part"
  mv "$name.part" "$name.status"
) &
"""
"""$1 directory, $2 name, then the command. Prints the process's own id; the subshell that waits for it holds no descriptor of ours."""

AWAIT = """\
tries=0
until test -s "$1.status" || test $tries -ge $3; do
    if ! kill -0 $2 2>/dev/null; then sleep 0.1; test -s "$1.status" || { echo gone; exit; }; fi
    sleep 0.05
    tries=$((tries + 1))
done
cat "$1.status" 2>/dev/null
exit 0
"""
"""$1 the files' common path, $2 the process, $3 twentieths of a second."""


class ProcessLost(BenchError):
    """A process is gone and nobody waited for it: the host was restarted."""


class HostProcess:
    """A detached process. Made by `Host.start`."""

    def __init__(self, run: Callable[..., Result], pid: int, base: str) -> None:
        self._run = run
        self._base = base
        self._status: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        """The exit status, None while it runs. A process ended by signal N has status 128 + N. Raises `ProcessLost`."""
        return self._look(0)

    def wait(self, deadline: Deadline) -> int | None:
        """The exit status once it has ended, None when it did not by the deadline. Raises `ProcessLost`."""
        status = self._look(min(LOOK, deadline.remaining))
        while status is None and not deadline.expired:
            status = self._look(min(LOOK, deadline.remaining))
        return status

    def signal(self, name: str) -> None:
        """Sends a signal, "TERM" for instance, unless it has ended."""
        assert name != "KILL", "never SIGKILL: on QNX it leaves the hardware as it is"
        if self._status is None:
            self._run(["kill", f"-{name}", str(self.pid)], check=False)

    def stdout(self) -> bytes:
        return self._run(["cat", f"{self._base}.out"]).stdout

    def stderr(self) -> bytes:
        return self._run(["cat", f"{self._base}.err"]).stdout

    def _look(self, seconds: float) -> int | None:
        if self._status is None:
            said = self._run(["sh", "-c", AWAIT, "sh", self._base, str(self.pid), str(int(20 * seconds))], timeout=seconds + 10).text.strip()
            if said == "gone":
                raise ProcessLost(f"process {self.pid} ({self._base}) is gone without a trace", "see the host's console: was it restarted?")
            self._status = int(said) if said.isdigit() else None
        return self._status
