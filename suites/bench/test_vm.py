"""A VM comes up and goes down the documented ways."""

from __future__ import annotations

from fixtures.marks import judge
from harness.bench import LinuxGuests

pytestmark = judge("bench")


def test_dryrun_is_clean(linux_guests: LinuxGuests) -> None:
    """`qvm @file dryrun` accepts the configuration: status 0, `dryrun complete`, no diagnostics."""
    result = linux_guests.dryrun()
    assert result.clean, f"status {result.status}: {result.output}"


def test_the_power_button_shuts_the_guest_down(linux_guests: LinuxGuests) -> None:
    """SIGTERM asks the guest to shut down; `qvm` ends with 0 and `/dev/qvm/SYSTEM` is gone."""
    guest = linux_guests.boot()
    assert guest.run(["true"]).status == 0
    ended = linux_guests.stop()
    assert ended.signal == "SIGTERM", "the guest did not answer the power button and had to be cut off with SIGQUIT"
    assert ended.status == 0
    assert not linux_guests.present()


def test_a_power_cut_ends_the_guest(linux_guests: LinuxGuests) -> None:
    """SIGQUIT is a power cut: `qvm` ends at once with status 3."""
    linux_guests.boot()
    ended = linux_guests.cut()
    assert ended.status == 3
    assert not linux_guests.present()
