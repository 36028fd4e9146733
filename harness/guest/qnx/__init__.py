"""A QNX guest: an image file system (IFS) that the user supplies, its boot text, its shell, and what its own tools print."""

from harness.guest.qnx.guest import QnxGuest
from harness.guest.qnx.image import BadImage, check_image
from harness.guest.qnx.pidin import Thread, parse_pidin

__all__ = ["BadImage", "QnxGuest", "Thread", "check_image", "parse_pidin"]
