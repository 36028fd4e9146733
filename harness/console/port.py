"""The serial port itself: opened for us alone, read and written by descriptor where it has one.

The invariant: DTR and RTS stay as opening the device left them, also when it is closed (no HUPCL): on some boards they are wired to reset.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import termios
from pathlib import Path
from typing import Any

from harness.errors import BenchError, UseError

_CHUNK = 65536
_FALLBACK_WAIT = 0.1
"""Seconds a port without a descriptor (`rfc2217://`) is waited for before it is asked whether it should close."""


class PortMissing(BenchError):
    """A console's device is not there or cannot be reached. Usual causes: its adapter is not plugged in, the board file names another."""


class PortBusy(BenchError):
    """Another program has the console's device open. Two readers would each get half of the bytes."""


class PortGone(Exception):
    """The device vanished while it was open: unplugged, or the other end of a pty closed."""


class Port:
    """A serial port by its pyserial URL."""

    def __init__(self, name: str, url: str, baud: int) -> None:
        """Opens it. Raises `PortMissing` or `PortBusy`."""
        self._name = name
        self._url = url
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._serial = self._open(url, baud)
        except BaseException:
            os.close(self._wake)
            raise
        self._descriptor = _descriptor(self._serial)
        if self._descriptor is not None and os.isatty(self._descriptor):
            _keep_lines(self._descriptor)

    def read(self) -> bytes:
        """Waits for bytes; none when `interrupt` was called. Raises `PortGone`."""
        try:
            if self._descriptor is None:
                return bytes(self._serial.read(max(1, self._serial.in_waiting)))
            if self._interrupted(self._descriptor, select.POLLIN, None):
                return b""
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        except (OSError, TypeError) as error:  # pyserial raises TypeError when the port was closed meanwhile
            raise PortGone(str(error)) from error
        if not data:
            raise PortGone("end of file")
        return data

    def write(self, data: bytes, seconds: float) -> int:
        """Hands over some bytes and says how many; none when the port took none for some seconds. Raises `PortGone`."""
        try:
            if self._descriptor is None:
                self._serial.write(data)
                return len(data)
            if not _ready(self._descriptor, select.POLLOUT, seconds):
                return 0
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except (OSError, TypeError) as error:
            raise PortGone(str(error)) from error

    def configure(self, baud: int, data_bits: int, parity: str, stop_bits: float) -> None:
        """Sets the speed and the format, as far as the device knows such a thing; a pty takes the speed only.

        Raises `PortGone`; the old ones hold then, if the device is there at all.
        """
        wanted = {"baudrate": baud, "bytesize": data_bits, "parity": parity, "stopbits": stop_bits}
        before = {name: getattr(self._serial, name) for name in wanted}
        try:
            self._serial.apply_settings(wanted)
        except (OSError, ValueError, termios.error) as error:  # the last is no OSError, and looks like one
            for name, value in before.items():  # pyserial keeps what was refused, and would try it again with every other setting
                with contextlib.suppress(OSError, termios.error):
                    setattr(self._serial, name, value)
            what = error.args[-1] if error.args else error
            raise PortGone(f"it does not take {data_bits}{parity}{stop_bits:g} at {baud} bit/s: {what}") from error

    def request_to_send(self, on: bool) -> None:
        """Drives RTS. Raises `PortGone`."""
        try:
            self._serial.rts = on
        except (OSError, termios.error) as error:
            raise PortGone(str(error)) from error

    def send_break(self, seconds: float) -> None:
        """Holds the line in break for some seconds. Raises `PortGone`."""
        try:
            self._serial.send_break(seconds)
        except (OSError, termios.error) as error:
            raise PortGone(str(error)) from error

    def interrupt(self) -> None:
        """Ends a `read` of another thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Not while another thread reads."""
        with contextlib.suppress(OSError):
            self._serial.close()
        os.close(self._wake)

    def _interrupted(self, descriptor: int, events: int, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(descriptor, events)
        poll.register(self._wake, select.POLLIN)
        return self._wake in {ready for ready, _ in poll.poll(None if seconds is None else seconds * 1000)}

    def _open(self, url: str, baud: int) -> Any:
        import serial

        try:
            return serial.serial_for_url(url, baudrate=baud, timeout=_FALLBACK_WAIT, exclusive=True)
        except ValueError as error:
            raise UseError(f"console {self._name}: {url} is no port: {error}", "mend its url or baud in the board file") from None
        except termios.error as error:
            raise self._refusal(OSError(*error.args)) from None
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> BenchError:
        where = f"console {self._name}: {self._url}"
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            return PortBusy(f"{where} is in use by {_holder(self._url) or 'another program'}", "end that program, or ask its owner")
        if error.errno == errno.EACCES:
            return PortMissing(f"{where} may not be opened by this user", "add the user to the device's group (dialout) and log in again")
        if error.errno == errno.ENOENT:
            return PortMissing(f"{where} is not there", "plug the adapter in, or correct the url in the board file")
        return PortMissing(f"{where} cannot be opened: {error}", "check the url in the board file and what is at its other end")


def _descriptor(port: Any) -> int | None:
    """Of ports that have one: devices, ptys, `socket://`."""
    try:
        return int(port.fileno())
    except (AttributeError, OSError):
        return None


def _keep_lines(descriptor: int) -> None:
    """Closing the port shall not lower DTR."""
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(descriptor)
        if attributes[2] & termios.HUPCL:
            attributes[2] &= ~termios.HUPCL
            termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _ready(descriptor: int, events: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(seconds * 1000))


def _holder(device: str) -> str:
    """Who has a device open, as far as this user may see."""
    with contextlib.suppress(OSError):
        node = Path(device).stat().st_rdev
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if any(node and link.stat().st_rdev == node for link in (process / "fd").iterdir()):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    return f"`{' '.join(command.split())}` (pid {process.name})"
    return ""
