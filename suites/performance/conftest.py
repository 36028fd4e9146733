"""Refuses `--board`: the benchmark measures on boards of software, never a real one."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--board"):
        raise pytest.UsageError("suites/performance takes no --board; run it with `make benchmark`")
