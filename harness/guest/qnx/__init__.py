"""A QNX guest: an image file system (IFS) that the user supplies, its boot text, its shell, and what its own tools print."""

from harness.guest.qnx.guest import QnxGuest
from harness.guest.qnx.pidin import Thread, parse_pidin

__all__ = ["QnxGuest", "Thread", "parse_pidin"]
