"""The guest that most tests of ser8250 ask for."""

from __future__ import annotations

import pytest

from harness.bench import LinuxGuests
from harness.guest.linux import LinuxGuest
from suites.ser8250.driver import make_raw


@pytest.fixture
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """A guest whose ttyS1 is raw at the line's bit rate."""
    booted = linux_guests.boot()
    make_raw(booted)
    return booted
