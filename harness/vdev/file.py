"""A vdev file on the lab controller: read once, audited, and described by its content.

Invariant: a `VdevFile` exists only for a readable shared object for a known machine whose file name is `vdev-NAME.so`.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import msgspec
from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection, Symbol, SymbolTableSection

from harness.errors import UseError

FILE_NAME = re.compile(r"vdev-(?P<name>[A-Za-z0-9_.+-]+)\.so")
ARCHITECTURES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
"""ELF machine to the words of a board file's `board.arch`."""
REGISTRATION = "vdev_register_factory"
ENDERS = ("exit", "_exit", "_Exit", "quick_exit", "abort", "raise", "kill")
"""Functions that, called inside a vdev, end the whole qvm process."""


class NotAVdev(UseError):
    """A file that cannot be a vdev of this board: not there, misnamed, no shared object, or made for another machine."""

    def __init__(self, path: Path, what: str, next_step: str) -> None:
        super().__init__(f"{path} {what}", next_step)
        self.path = path


class VdevFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a vdev file without running it."""

    path: Path
    name: str
    """The type a VM configuration uses: `vdev NAME`."""
    architecture: str
    size: int
    sha256: str
    sha1: str
    """What the host's `sha1sum` must say of the copy."""
    build_id: str
    """The linker's build id in hex, empty when it was linked without one."""
    needed: tuple[str, ...]
    """Shared objects the host's loader must find (DT_NEEDED)."""
    undefined: tuple[str, ...]
    """Symbols that qvm or a needed object must have."""
    remarks: tuple[str, ...]
    """What an engineer should know before running it. Never a verdict."""

    @classmethod
    def read(cls, path: Path, architecture: str | None = None) -> VdevFile:
        """Reads and audits a file; with `architecture` (`board.arch`) it must be made for that machine. Raises `NotAVdev`."""
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise NotAVdev(path, "is not named vdev-NAME.so", "rename it: qvm finds `vdev NAME` by that file name")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise NotAVdev(path, f"cannot be read ({error.strerror})", "build it, or correct the path given with --vdevs") from None
        try:
            audit = _audit(path, content)
        except (ELFError, KeyError, ValueError, UnicodeDecodeError) as error:
            raise NotAVdev(path, f"is not a complete ELF file ({error})", "build it again as a shared object") from None
        made_for = audit["architecture"]
        if architecture is not None and made_for != architecture:
            raise NotAVdev(
                path, f"is made for {made_for}, the board is {architecture}", f"build it for {architecture}, or choose another board"
            )
        return cls(
            path=path,
            name=match["name"],
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            sha1=hashlib.sha1(content, usedforsecurity=False).hexdigest(),
            **audit,
        )

    def digest(self, tool: str) -> str:
        """What a digest tool of the host must print for the copy. Raises `UseError` for a tool that is not known."""
        digests = {"sha1sum": self.sha1, "sha256sum": self.sha256}
        if tool not in digests:
            raise UseError(f"the board file's host.digest is {tool}", f"let it be one of {', '.join(digests)}")
        return digests[tool]

    def provenance(self) -> dict[str, Any]:
        """The record that goes into the evidence of a run."""
        record: dict[str, Any] = msgspec.to_builtins(self, enc_hook=str)
        return record


def collect(directory: Path, architecture: str | None = None) -> tuple[VdevFile, ...]:
    """Every vdev file in a directory, by name. Raises `NotAVdev` for the first that cannot be used, and when there is none."""
    if not directory.is_dir():
        raise NotAVdev(directory, "is not a directory", "give --vdevs the directory that holds the vdev-NAME.so files")
    paths = sorted(directory.glob("vdev-*.so"))
    if not paths:
        raise NotAVdev(directory, "holds no vdev-NAME.so", "build the vdevs first, or give --vdevs another directory")
    return tuple(VdevFile.read(path, architecture) for path in paths)


def _audit(path: Path, content: bytes) -> dict[str, Any]:
    elf = ELFFile(io.BytesIO(content))
    machine, kind = elf["e_machine"], elf["e_type"]
    if machine not in ARCHITECTURES:
        raise NotAVdev(path, f"is made for {machine}", f"build it for one of {', '.join(sorted(ARCHITECTURES.values()))}")
    if kind != "ET_DYN":
        raise NotAVdev(path, f"is not a shared object ({kind})", "link it with -shared -fPIC")
    dynamic = next((section for section in elf.iter_sections() if isinstance(section, DynamicSection)), None)
    if dynamic is None or any(segment["p_type"] == "PT_INTERP" for segment in elf.iter_segments()):
        raise NotAVdev(path, "is a program, not a shared object", "link it with -shared -fPIC")
    imported = undefined(elf)
    return {
        "architecture": ARCHITECTURES[machine],
        "build_id": _build_id(elf),
        "needed": tuple(_string_of(tag) for tag in dynamic.iter_tags("DT_NEEDED")),
        "undefined": imported,
        "remarks": _remarks(imported),
    }


def _string_of(tag: object) -> str:
    """pyelftools gives a DT_NEEDED tag its string as an attribute that its types do not know."""
    return str(vars(tag)["needed"])


def undefined(elf: ELFFile) -> tuple[str, ...]:
    """The symbols that somebody else must have."""
    table = elf.get_section_by_name(".dynsym")
    if not isinstance(table, SymbolTableSection):
        return ()
    return tuple(sorted(symbol.name for symbol in table.iter_symbols() if symbol.name and _must_be_found(symbol)))


def _must_be_found(symbol: Symbol) -> bool:
    return bool(symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_WEAK")


def _build_id(elf: ELFFile) -> str:
    for section in elf.iter_sections():
        if isinstance(section, NoteSection):
            for note in section.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
    return ""


def _remarks(undefined: tuple[str, ...]) -> tuple[str, ...]:
    remarks = [f"imports {name}(): a call ends the whole qvm process" for name in ENDERS if name in undefined]
    if REGISTRATION not in undefined:
        remarks.append(f"does not import {REGISTRATION}(): it may register no vdev")
    return tuple(remarks)
