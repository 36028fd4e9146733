"""What the commands print. The invariant: plain text, one thing a line, the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness import boardfile
from harness.errors import UseError


def boards() -> str:
    """Every board type and bench file. One that cannot be read is listed with what is wrong with it."""
    rows = []
    for found in boardfile.known_boards():
        try:
            board = boardfile.read(found)
        except UseError as error:
            rows.append((found.name, "broken", str(error)))
            continue
        kind = "launched" if board.launch else "real"
        of = "board type" if found.kind == "type" else f"bench, {found.path}"
        rows.append((found.name, kind, f"{board.board.description} ({of})"))
    if not rows:
        return f"no board files in {boardfile.board_directory()}; let $HARNESS_BOARDS name a checkout's boards directory"
    return columns(rows)


def benches() -> str:
    """Every bench: name, type, who holds it, whether it seems to be there, and its file."""
    from harness.bench.overview import benches

    rows = []
    for seen in benches():
        state = "; ".join(seen.faults) or ("a program of this machine" if seen.found.kind == "type" else "seems to be there")
        rows.append((seen.found.name, seen.type, seen.holder, str(seen.found.path), state))
    return columns(rows) if rows else "no benches; write a bench file with `harness bench new TYPE`"


def defects(path: Path) -> str:
    """The deliberate mistakes a vdev file carries: name, specification lines it breaks, what it does."""
    from harness import vdev

    found = vdev.defects(path)
    return columns([(defect.name, " ".join(defect.lines), defect.summary) for defect in found]) if found else f"{path} carries no defects"


def built_vdevs(directory: Path, output: Path, board: str, report: Callable[[str], None]) -> str:
    """Builds vdevs for a board: the compiler's warnings and the audit's remarks to `report`, then each object with its identity."""
    from harness import vdev

    built = vdev.build(directory, output, boardfile.load(board))
    for made in built:
        for line in made.warnings.splitlines():
            report(line)
        for remark in (*made.file.remarks, *(f"calls {name}(), which is this board's own, not QNX's" for name in made.own)):
            report(f"{made.file.path}: {remark}")
    return columns([(str(made.file.path), made.file.architecture, f"build id {made.file.build_id or 'none'}") for made in built])


def guest_images(name: str, kernel: str, report: Callable[[str], None]) -> str:
    """Builds a guest's images and says where each lies and what it is."""
    from harness.guest import linux

    images = {"linux": linux.build}[name](kernel, report=report)
    return columns([(str(path), f"sha1 {digest}") for path, digest in images.files.items()])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns in line; the last column is as wide as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows)
