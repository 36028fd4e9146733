"""The assembled bench: a board with its power switch, consoles, lines and host; the guests on it; and who keeps it safe."""

from harness.bench.bench import Bench
from harness.bench.guests import LinuxGuests
from harness.bench.plan import Plan
from harness.bench.reference import ReferenceClock
from harness.bench.route import check as check_route

__all__ = ["Bench", "LinuxGuests", "Plan", "ReferenceClock", "check_route"]
