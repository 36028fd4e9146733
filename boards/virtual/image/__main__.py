"""`python -m boards.virtual.image [--output DIR]`: builds the virtual host's image; says nothing when it is up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from boards.virtual.image import DEFAULT_OUTPUT, build
from harness.errors import HarnessError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m boards.virtual.image", description="Builds the virtual host's image.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="directory for kernel and initrd (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        build(arguments.output.resolve(), report=lambda line: print(line, flush=True))
    except HarnessError as error:
        print(f"boards.virtual.image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
