"""The defects a vdev file says it carries: ELF notes of the owner `vdev-defect`.

Only `harness vdev defects FILE` asks. Nothing that tests or judges a vdev may: a suite that knows the defects proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection

from harness.vdev.file import REGISTRATION, NotAVdev, undefined

SECTION = ".note.vdev.defects"
OWNER = "vdev-defect"


@dataclass(frozen=True)
class Defect:
    """A deliberate mistake that an option of the vdev switches on."""

    name: str
    summary: str
    lines: tuple[str, ...]
    """The specification lines it breaks (`PIT-034`)."""


def defects(path: Path) -> list[Defect]:
    """The defects listed in a vdev file, in its order; none for a vdev that carries none.

    Raises `NotAVdev` when the file is missing, no complete ELF or no vdev, or when a note is cut short.
    """
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            section = elf.get_section_by_name(SECTION)
            notes = list(section.iter_notes()) if isinstance(section, NoteSection) else []
            registers = REGISTRATION in undefined(elf)
    except OSError as error:
        raise NotAVdev(path, f"cannot be read ({error.strerror})", "name a vdev file, vdev-NAME.so") from None
    except ELFError as error:
        raise NotAVdev(path, f"is not an ELF file ({error})", "name a vdev file, vdev-NAME.so") from None
    except (ConstructError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # what pyelftools meets in a cut or spoilt file
        raise NotAVdev(path, f"is not a complete ELF file ({error})", "build it again") from None
    if not registers and not notes:
        raise NotAVdev(path, f"is no vdev: it does not import {REGISTRATION}()", "name a vdev file, vdev-NAME.so")
    return [_defect(path, bytes(note["n_descdata"])) for note in notes if note["n_name"] == OWNER]


def _defect(path: Path, description: bytes) -> Defect:
    fields = description.split(b"\0")
    if len(fields) < 4:
        raise NotAVdev(path, f"has a cut note in {SECTION}", "build it again")
    name, summary, lines = (field.decode("utf-8", "replace") for field in fields[:3])
    return Defect(name, summary, tuple(lines.split()))
