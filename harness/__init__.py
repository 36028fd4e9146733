"""The library behind the pytest plugin and the `harness` command."""

DEFAULT_BOARD = "virtual-x86_64"
"""The board when none is named."""
