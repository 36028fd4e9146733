"""The CRC that the POSIX tool `cksum` prints (POSIX.1-2017, cksum: polynomial 0x04C11DB7, the length appended, complemented)."""

from __future__ import annotations

_POLYNOMIAL = 0x04C11DB7


def _entry(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_POLYNOMIAL if value & 0x8000_0000 else 0)
    return value & 0xFFFF_FFFF


_TABLE = [_entry(byte) for byte in range(256)]


def cksum(data: bytes) -> int:
    """The first number `cksum` prints for `data`."""
    crc, length = 0, len(data)
    for byte in data + length.to_bytes((length.bit_length() + 7) // 8, "little"):
        crc = (crc << 8 & 0xFFFF_FFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc ^ 0xFFFF_FFFF
