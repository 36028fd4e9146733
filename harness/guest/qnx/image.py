"""The image of a QNX guest as a file on the lab controller.

No document gives an image file system a signature, and a guest image may be any bytes that run from the first on. So this refuses what
certainly cannot run as one; what it lets pass may still be none.
"""

from __future__ import annotations

import io
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from harness.errors import UseError

MACHINES = {"x86_64": ("EM_X86_64", "EM_386"), "aarch64": ("EM_AARCH64",)}
"""By `board.arch`; a multiboot image of a PC is of 32 bits."""
TEXT = bytes([*range(0x07, 0x0E), 0x1B, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""What text in any encoding of bytes is made of: no NUL, which every program has."""
OTHERS = {(0, b"\x1f\x8b"): "is packed by gzip; unpack it", (0x202, b"HdrS"): "is a Linux kernel; name the image of a QNX guest"}
"""Place and bytes of what is known to be something else."""


class BadImage(UseError):
    """The image that a bench file names for a QNX guest is not there, or cannot be one."""


def check_image(path: Path, arch: str, largest: int, named: str) -> bytes:
    """The content of an image for a board of an architecture, of `largest` bytes at most.

    `named` says where the file was named. Raises `BadImage`.
    """

    def refused(what: str) -> BadImage:
        sentence, _, next_step = what.partition("; ")
        return BadImage(f"{named} is {path}, which {sentence}", next_step or "name the image of a QNX guest")

    try:
        if not path.is_file():
            raise refused(f"{'is no file' if path.exists() else 'is not there'}; correct it")
        size = path.stat().st_size
        if size > largest:
            raise refused(f"has {size} bytes, and the guest's memory takes {largest}")
        content = path.read_bytes()
    except OSError as error:
        raise refused(f"cannot be read: {error.strerror}; mend its permissions") from None
    if why := _unfit(content, arch):
        raise refused(why)
    return content


def _unfit(content: bytes, arch: str) -> str:
    """Why some bytes cannot run as a guest; empty when they may."""
    if not content:
        return "is empty"
    if not content.translate(None, TEXT):
        return "holds nothing but text"
    for (place, mark), what in OTHERS.items():
        if content.startswith(mark, place):
            return what
    return _unfit_elf(content, arch) if content.startswith(b"\x7fELF") else ""


def _unfit_elf(content: bytes, arch: str) -> str:
    try:
        elf = ELFFile(io.BytesIO(content))
        kinds = {segment["p_type"] for segment in elf.iter_segments()}
        ends = [segment["p_offset"] + segment["p_filesz"] for segment in elf.iter_segments()]
    except (ELFError, ValueError) as error:
        return f"is no complete ELF file ({error})"
    if elf["e_machine"] not in MACHINES[arch]:
        return f"is made for {elf['e_machine']}, and the board is {arch}"
    if elf["e_type"] != "ET_EXEC" or "PT_INTERP" in kinds or "PT_LOAD" not in kinds:
        return "is an ELF file for a system that runs already, as programs and libraries are"
    return f"ends before its own content, at {len(content)} of {max(ends)} bytes" if max(ends) > len(content) else ""
