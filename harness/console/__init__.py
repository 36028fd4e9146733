"""A serial port with somebody behind it.

    with Console("host", "/dev/serial/by-id/…", 115200, directory / "host.log", events) as console:
        cursor = console.cursor()
        console.write(b"\\n", Deadline.after(1, "a newline"))
        cursor.expect(b"# ", Deadline.after(10, "a prompt"))
        shell = Shell.attach(console, KSH, Deadline.after(10, "a shell"))
        shell.run(["uname", "-a"], timeout=10).text

The invariant: from open to close a thread reads everything the port says into a byte log, whatever a test does; whoever waits,
slices or attaches reads the log.
"""

from harness.console.console import Console, ConsoleDead, Gap, WriteStalled
from harness.console.cursor import Cursor, Match, NotSeen
from harness.console.dialect import ASH, DIALECTS, KSH, Dialect
from harness.console.log import ByteLog, Stamp
from harness.console.port import PortBusy, PortMissing
from harness.console.question import Questions
from harness.console.shell import Shell
from harness.console.trouble import NoShell, ShellNoise

__all__ = [
    "ASH",
    "DIALECTS",
    "KSH",
    "ByteLog",
    "Console",
    "ConsoleDead",
    "Cursor",
    "Dialect",
    "Gap",
    "Match",
    "NoShell",
    "NotSeen",
    "PortBusy",
    "PortMissing",
    "Questions",
    "Shell",
    "ShellNoise",
    "Stamp",
    "WriteStalled",
]
