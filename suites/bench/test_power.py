"""The power switch switches this board: seen on its console, not only read back from the switch."""

from __future__ import annotations

import pytest

from fixtures.marks import judge
from harness.bench import Bench
from harness.power import State

pytestmark = judge("bench")


def test_power_off_silences_the_console_and_power_on_is_seen_there(bench: Bench) -> None:
    """Cuts the power under a running host: the outlet that is switched is the one that feeds this board."""
    marker = f"/tmp/{bench.nonce}.power"  # in RAM on every board
    bench.host.run(["touch", marker])
    bench.power_off()
    assert bench.power.state() is State.OFF
    assert not bench.console("host").answers(b"\n", within=bench.board.timing.shell / 4), "the console answers though the power is off"
    bench.power_on()
    assert bench.power.state() is State.ON
    assert bench.boot_banner_seen, "the host's banner was not seen on the console after power on"
    assert not bench.host.exists(marker), "what was in the host's RAM is still there: the host did not start anew"


def test_reset_restarts_the_host(bench: Bench) -> None:
    """The reset line restarts the host without the power going away."""
    if not bench.board.power.reset_channel:
        pytest.skip(f"{bench.board.name} has no reset line")
    bench.reset()
    assert bench.boot_banner_seen, "the host's banner was not seen on the console after the reset"
