"""The stock kernel without its wrapping.

Debian's vmlinuz unpacks itself when it starts, which on an emulated processor takes a third of the boot. The same kernel is taken
out here once, and entered by its PVH entry point, as QEMU does with an ELF kernel. Not a byte of it is changed.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from boards.virtual.tools import run

LZ4_MAGIC = bytes.fromhex("02214c18")
_SETUP_SECTORS, _PAYLOAD_OFFSET = 0x1F1, 0x248
"""Fields of the setup header (Linux x86 boot protocol 2.08: setup_sects, payload_offset, payload_length)."""
_SIZE_FIELD = 4
"""Bytes behind an LZ4 payload that say how long it will be."""


def extract(bzimage: Path, output: Path) -> Path:
    """Writes the ELF kernel inside `bzimage`; a kernel compressed in another way than LZ4 is copied as it is, and boots as well."""
    content = bzimage.read_bytes()
    offset, length = struct.unpack_from("<II", content, _PAYLOAD_OFFSET)
    begin = (content[_SETUP_SECTORS] + 1) * 512 + offset
    payload = content[begin : begin + length - _SIZE_FIELD]
    if not payload.startswith(LZ4_MAGIC):
        shutil.copyfile(bzimage, output)
        return output
    compressed = output.with_suffix(".lz4")
    compressed.write_bytes(payload)
    run("lz4", "-d", "-q", "-f", compressed, output)
    return output
