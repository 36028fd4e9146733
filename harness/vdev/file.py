"""A vdev file on the lab controller: read once, audited, and described by its content.

Invariant: a `VdevFile` exists only for a readable shared object for a known machine whose file name is `vdev-NAME.so`.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
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
        super().__init__(f"{shown(path)} {what}", next_step)
        self.path = path
        self.what = what


def shown(path: Path) -> str:
    """A path in a sentence: as it is when it fits in a line of text, else written with escapes."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


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
    asked: tuple[str, ...] | None
    """Those of them that qvm must have; None when a needed object has no symbol versions, so that nobody can tell."""
    system: str
    """The system it was linked for as far as the file shows it: `linux`, `qnx` or empty."""
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

    def digest(self, tool: Literal["sha1sum", "sha256sum"]) -> str:
        """What a digest tool of the host must print for the copy."""
        return {"sha1sum": self.sha1, "sha256sum": self.sha256}[tool]

    def provenance(self) -> dict[str, Any]:
        """The record that goes into the evidence of a run."""
        record: dict[str, Any] = msgspec.to_builtins(self, enc_hook=str)
        return record


def _audit(path: Path, content: bytes) -> dict[str, Any]:
    elf = ELFFile(io.BytesIO(content))
    machine, kind = elf["e_machine"], elf["e_type"]
    if machine not in ARCHITECTURES:
        raise NotAVdev(path, f"is made for {machine}", f"build it for one of {', '.join(sorted(ARCHITECTURES.values()))}")
    if kind != "ET_DYN":
        raise NotAVdev(path, f"is not a shared object ({kind})", "link it with -shared -fPIC")
    if elf.get_section_by_name(".dynamic") is None or any(segment["p_type"] == "PT_INTERP" for segment in elf.iter_segments()):
        raise NotAVdev(path, "is a program, not a shared object", "link it with -shared -fPIC")
    objects = needed(elf)
    imported = undefined(elf)
    promised = _versioned(elf)
    build_id = _build_id(elf)
    return {
        "architecture": ARCHITECTURES[machine],
        "build_id": build_id,
        "needed": objects,
        "undefined": imported,
        "asked": _asked(imported, objects, promised),
        "system": _system(elf, promised),
        "remarks": _remarks(imported, build_id),
    }


def needed(elf: ELFFile) -> tuple[str, ...]:
    """The shared objects that the loader must find (DT_NEEDED); none for what is linked statically."""
    section = elf.get_section_by_name(".dynamic")
    tags = section.iter_tags("DT_NEEDED") if isinstance(section, DynamicSection) else ()
    return tuple(str(vars(tag)["needed"]) for tag in tags)  # an attribute that pyelftools' types do not know


def undefined(elf: ELFFile) -> tuple[str, ...]:
    """The symbols that somebody else must have."""
    table = elf.get_section_by_name(".dynsym")
    if not isinstance(table, SymbolTableSection):
        return ()
    return tuple(sorted(symbol.name for symbol in table.iter_symbols() if symbol.name and _must_be_found(symbol)))


def _must_be_found(symbol: Symbol) -> bool:
    return bool(symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_WEAK")


def _versioned(elf: ELFFile) -> dict[str, set[str]]:
    """Symbols that are bound to a version of a needed object, by the object's name: nobody else can have them."""
    needs, versions, table = (elf.get_section_by_name(name) for name in (".gnu.version_r", ".gnu.version", ".dynsym"))
    if not (isinstance(needs, GNUVerNeedSection) and isinstance(versions, GNUVerSymSection) and isinstance(table, SymbolTableSection)):
        return {}
    objects = {version["vna_other"]: str(need.name) for need, versions_of in needs.iter_versions() for version in versions_of}
    found: dict[str, set[str]] = {name: set() for name in objects.values()}
    for symbol, version in zip(table.iter_symbols(), versions.iter_symbols(), strict=True):
        if version["ndx"] in objects:
            found[objects[version["ndx"]]].add(symbol.name)
    return found


def _asked(undefined: tuple[str, ...], needed: tuple[str, ...], promised: dict[str, set[str]]) -> tuple[str, ...] | None:
    if set(needed) - promised.keys():
        return None
    return tuple(name for name in undefined if not any(name in names for names in promised.values()))


def _system(elf: ELFFile, promised: dict[str, set[str]]) -> str:
    """QNX's linker leaves a note of its own; the GNU C library binds its symbols to versions named after it."""
    notes = (note["n_name"] for section in elf.iter_sections() if isinstance(section, NoteSection) for note in section.iter_notes())
    if "QNX" in notes:
        return "qnx"
    return "linux" if elf["e_ident"]["EI_OSABI"] == "ELFOSABI_LINUX" or "libc.so.6" in promised else ""


def _build_id(elf: ELFFile) -> str:
    for section in elf.iter_sections():
        if isinstance(section, NoteSection):
            for note in section.iter_notes():
                if note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
    return ""


def _remarks(undefined: tuple[str, ...], build_id: str) -> tuple[str, ...]:
    remarks = [f"imports {name}(): a call ends the whole qvm process" for name in ENDERS if name in undefined]
    if REGISTRATION not in undefined:
        remarks.append(f"does not import {REGISTRATION}(): it may register no vdev")
    if not build_id:
        remarks.append("has no build id: link it with -Wl,--build-id to tell its builds apart")
    return tuple(remarks)
