"""The CRC that the POSIX tool `cksum` prints (POSIX.1-2017, cksum: polynomial 0x04C11DB7, the length appended, complemented)."""

from __future__ import annotations

import zlib

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""zlib computes the CRC of the same polynomial from the other end of each byte, and gives it mirrored."""
_FROM_ZERO = 0xFFFF_FFFF
"""zlib complements what it starts from; `cksum` starts from 0."""


def cksum(data: bytes) -> int:
    """The first number `cksum` prints for `data`."""
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "little")
    mirrored = zlib.crc32(length.translate(_MIRRORED), zlib.crc32(data.translate(_MIRRORED), _FROM_ZERO))
    return int(f"{mirrored:032b}"[::-1], 2)
