"""The Linux guest: its images, what it prints while it boots, and its shell.

Loaded without the console: building images needs none of it (`harness.guest.linux.guest` has `LinuxGuest`).
"""

from harness.guest.linux.image import GuestImages, build
from harness.guest.linux.interrupts import Interrupt, parse_interrupts

__all__ = ["GuestImages", "Interrupt", "build", "parse_interrupts"]
