"""What the exit status of qvm says (8.0 User's Guide, "Exit codes"; the constants are in `guest.h`)."""

from __future__ import annotations

NORMAL = 0
CONFIGURATION_FAILED = frozenset({64, 65})
"""65 is the documented status of a configuration error, 64 was seen for one on 8.0; both mean that no guest was started."""
NOT_STARTED = frozenset({126, 127})
"""What a shell says of a program that it could not run or did not find."""
BY_A_VDEV = frozenset({6, *range(32, 64)})
"""An error of a vdev, and causes that a vdev sets."""
KILLED = 128 + 9
"""No qvm gets a SIGKILL from the harness."""

MEANINGS = {
    0: "ran as designed and ended by a normal shutdown or restart",
    3: "ended by an action like a power cut",
    4: "ended by a watchdog",
    5: "unsupported operation",
    6: "unexpected vdev error",
    7: "unexpected error",
    64: "fatal error before the guest started",
    65: "fatal configuration error",
    96: "fatal error after the guest started",
}


def meaning(status: int) -> str:
    """The status in words. A shell reports a process that died of signal N as 128 + N."""
    if status in MEANINGS:
        return MEANINGS[status]
    if 32 <= status <= 63:
        return f"cause {status} set by a vdev or the user"
    if status == KILLED:
        return "killed by the host (SIGKILL), usually for want of memory"
    if status > 128:
        return f"died of signal {status - 128}"
    return "not a documented status of qvm"
