"""What a stock QNX image does to whoever takes the comforts of another for granted, each to be switched on (`--unkind`).

What documentation says of a stock image for certain is always so on this board (only its tools, /tmp in RAM, no login on the console).
The rest was seen on some images, or is likely on them, and is here; `boards/virtual-x86_64-unkind.toml` has all of it.
"""

from __future__ import annotations

from typing import Final

from boards.virtual.image import tools
from harness.errors import UseError

ALL: Final = "all"
DATE: Final = "1970-01-01T00:00:10"
"""Where a clock without a battery begins, UTC."""

UNKIND: Final[dict[str, str]] = {
    "date": f"the clock starts at {DATE}, as on a board without a battery",
    "dll": "/lib/dll is read-only, as in an image file system",
    "environment": "commands by SSH get no LD_LIBRARY_PATH and an empty PATH",
    "keys": "the SSH host keys are new at each boot, as where /etc/ssh is RAM",
    "lines": "the console takes 256 bytes of a line and drops the rest, as devc-ser8250 without -C",
    "mkdir": "no directory can be made under /tmp",
    "sftp": "sshd has no sftp subsystem",
    "stty": f"there is no stty ({tools.ADDED['stty'].partition(':')[0]})",
}
"""By name, what it does. The host reads the names from its kernel's command line (image/unkind.h)."""


class UnknownUnkindness(UseError):
    """A name after `--unkind` is none of those this board knows."""


def chosen(text: str) -> tuple[str, ...]:
    """The names in `NAME,NAME`, or all of them. Raises `UnknownUnkindness`."""
    names = tuple(sorted(UNKIND)) if text == ALL else tuple(sorted({name for name in text.split(",") if name}))
    for name in names:
        if name not in UNKIND:
            raise UnknownUnkindness(f"--unkind={text}: {name} is unknown", f"there are {', '.join(UNKIND)}, and {ALL}")
    return names


def described() -> str:
    """One line for each name, for people."""
    return "\n".join(f"  {name:12} {UNKIND[name]}" for name in UNKIND)
