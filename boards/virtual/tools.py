"""Runs the programs that `make setup` installs, and says what to do when one is not there or fails."""

from __future__ import annotations

import os
import shutil
import subprocess

from harness.errors import UseError

SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin")
"""Debian keeps mke2fs where the PATH of a user who is not root does not look."""


class ToolFailed(UseError):
    """A program the virtual board is made with failed, or is not there."""


def run(program: str, *arguments: object) -> None:
    """Runs `program` to its end; what it prints is shown only when it fails."""
    path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES]))
    if path is None:
        raise ToolFailed(f"the program `{program}` is not there", "run `make setup`, which installs it")
    result = subprocess.run([path, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ToolFailed(f"`{program}` ended with status {result.returncode}", "see its own words", evidence=result.stderr or result.stdout)
