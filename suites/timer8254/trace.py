"""What the guest's kernel traces: the entry of interrupt 0, and what else is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.guest.linux import LinuxGuest

TRACING = "/sys/kernel/debug/tracing"
TRACE = f"{TRACING}/trace"
MARKER = f"{TRACING}/trace_marker"
ENTRY = "irq/irq_handler_entry"
BUFFER = 8192
"""KiB: a minute of ticks and marks several times over."""


@contextmanager
def tracing(guest: LinuxGuest, events: Sequence[str] = (), *, clock: str = "local") -> Iterator[None]:
    """Traces interrupt 0 and those events, stamped by that clock of the kernel; `TRACE` has what was traced, until the next time."""
    files = " ".join(f"{TRACING}/events/{event}/enable" for event in [ENTRY, *events])
    switch = f'for file in {files} {TRACING}/tracing_on; do echo "$1" >$file || exit; done'
    prepare = (
        f"cd {TRACING} && echo nop >current_tracer && echo {clock} >trace_clock && echo {BUFFER} >buffer_size_kb"
        f" && echo irq==0 >events/{ENTRY}/filter && echo >trace"
    )
    guest.must(["sh", "-c", f"{prepare} && {switch}", "sh", "1"])
    try:
        yield
    finally:
        guest.must(["sh", "-c", switch, "sh", "0"])


def read_trace(guest: LinuxGuest, program: str, **variables: object) -> list[str]:
    """The words an awk program makes of the trace: tens of thousands of lines, and nothing else a guest does here takes as long."""
    given = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
    return guest.must(["awk", *given, program, TRACE], timeout=4 * guest.command_seconds).text.split()
