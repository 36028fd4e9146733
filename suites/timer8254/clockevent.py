"""How the kernel drives its clock event devices."""

from __future__ import annotations

import re

from harness.guest.linux import LinuxGuest

PERIODIC = ("nohz=off", "highres=off", "tsc=unstable", "clocksource=refined-jiffies", "iomem=relaxed")
"""Arguments of a kernel whose tick device is periodic, and its ticks all the time it has; root may touch its I/O APIC."""
CLOCK_EVENTS = "/sys/devices/system/clockevents"
MODES = {"0": "detached", "1": "shutdown", "2": "periodic", "3": "one-shot", "4": "one-shot, stopped"}
"""Linux's states of a clock event device."""


def clock_event(guest: LinuxGuest, device: str = "pit") -> str:
    """The mode in which the kernel drives a clock event device, by `/proc/timer_list`."""
    text = guest.must(["sh", "-c", "grep -A 20 'Tick Device' /proc/timer_list"]).text
    found = re.search(rf"Clock Event Device: {device}\n(?:.*\n)*? mode:\s+(\d)", text)
    assert found, f"the kernel has no tick device {device}: {text}"
    return MODES[found.group(1)]
