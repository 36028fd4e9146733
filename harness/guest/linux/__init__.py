"""The Linux guest: its images, what it prints while it boots, its shell."""

from harness.guest.linux.background import Background
from harness.guest.linux.guest import LinuxGuest
from harness.guest.linux.image import NEWER, STABLE, GuestImages, build
from harness.guest.linux.interrupts import Interrupt, parse_interrupts

__all__ = [
    "NEWER",
    "STABLE",
    "Background",
    "GuestImages",
    "Interrupt",
    "LinuxGuest",
    "build",
    "parse_interrupts",
]
