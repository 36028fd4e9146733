"""Refuses `--board`: these tests test the harness itself and switch boards of software on and off, never a real one."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--board"):
        raise pytest.UsageError("suites/harness takes no --board; run it with `make test`")
