"""The pattern that crosses the bridged port: 256 KiB in blocks that number themselves and hold every byte value.

A lost, doubled, swapped or changed byte moves everything behind it, so the first difference names the byte.
"""

from __future__ import annotations

BLOCK = 256
BLOCKS = 1024
SIZE = BLOCK * BLOCKS


def pattern() -> bytes:
    """`BLOCKS` blocks: five digits and a newline, then the byte values 6..255."""
    tail = bytes(range(6, BLOCK))
    return b"".join(b"%05d\n" % number + tail for number in range(BLOCKS))


def script(path: str) -> str:
    """The same pattern, made by a shell in the guest into the file `path`."""
    tail = "".join(f"\\{value:03o}" for value in range(6, BLOCK))
    return f"i=0; while [ $i -lt {BLOCKS} ]; do printf '%05d\\n{tail}' $i; i=$((i+1)); done >{path}"


def first_difference(expected: bytes, received: bytes) -> str:
    """Where two byte strings part, in words a person can search for."""
    if expected == received:
        return "no difference"
    at = next((i for i, (a, b) in enumerate(zip(expected, received, strict=False)) if a != b), min(len(expected), len(received)))
    return (
        f"{len(received)} of {len(expected)} bytes arrived; first difference at byte {at} (block {at // BLOCK}): "
        f"expected {expected[at : at + 16].hex(' ')}, got {received[at : at + 16].hex(' ') or 'nothing'}"
    )
