"""Boards as data: board types, bench files, and boards that are programs.

    board = load("virtual-x86_64")
    board.require_bench()
    with launch(board) as launched:
        launched.board.console.host.url

The invariant: whoever holds a `Board` never asks where it came from.
"""

from harness.boardfile.load import Found, UnknownBoard, find, known_boards, load, read, with_endpoints
from harness.boardfile.places import bench_directories, board_directory, checkout
from harness.boardfile.program import Launched, LaunchFailed, LaunchRefused, launch
from harness.boardfile.schema import Board, Claim, Line, NoBench, Phase, Port, Power, QnxImage, Ssh, Timing
from harness.boardfile.validate import BadBoardFile, suggestion

__all__ = [
    "BadBoardFile",
    "Board",
    "Claim",
    "Found",
    "LaunchFailed",
    "LaunchRefused",
    "Launched",
    "Line",
    "NoBench",
    "Phase",
    "Port",
    "Power",
    "QnxImage",
    "Ssh",
    "Timing",
    "UnknownBoard",
    "bench_directories",
    "board_directory",
    "checkout",
    "find",
    "known_boards",
    "launch",
    "load",
    "read",
    "suggestion",
    "with_endpoints",
]
