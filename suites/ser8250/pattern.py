"""The pattern that crosses the bridged port: blocks that number themselves and hold every byte value.

A lost, doubled, swapped or changed byte moves everything behind it, so the first difference names the byte.
"""

from __future__ import annotations

from suites.asked import asked

BLOCK = 256
KIB, BOTH_KIB = asked("HARNESS_KIB", 256), asked("HARNESS_KIB", 32)
"""KiB that cross each way, in one direction and in both at once; `make soak` asks for 1024."""
BLOCKS = KIB * 1024 // BLOCK
SIZE = BLOCK * BLOCKS


def pattern(blocks: int = BLOCKS) -> bytes:
    """Five digits and a newline, then the byte values 6..255, and so on."""
    tail = bytes(range(6, BLOCK))
    return b"".join(b"%05d\n" % number + tail for number in range(blocks))


def script(path: str, blocks: int = BLOCKS) -> str:
    """The same pattern, made by a shell in the guest into the file `path`."""
    tail = "".join(f"\\{value:03o}" for value in range(6, BLOCK))
    return f"i=0; while [ $i -lt {blocks} ]; do printf '%05d\\n{tail}' $i; i=$((i+1)); done >{path}"


def first_difference(expected: bytes, received: bytes) -> str:
    """Where two byte strings part, in words a person can search for."""
    if expected == received:
        return "no difference"
    at = next((i for i, (a, b) in enumerate(zip(expected, received, strict=False)) if a != b), min(len(expected), len(received)))
    return (
        f"{len(received)} of {len(expected)} bytes arrived; first difference at byte {at} (block {at // BLOCK}): "
        f"expected {expected[at : at + 16].hex(' ')}, got {received[at : at + 16].hex(' ') or 'nothing'}"
    )
