"""The hypervisor host in QNX's words: run, put, processes, digests; by SSH, else by the console alone.

    host = Host(ssh, board, events)          # or Host(ConsoleTransport(shell), board, events)
    host.run(["ls", "/dev/qvm"]).text
    qvm = host.start(["/sbin/qvm", "@vm.qvmconf"], "/data/harness/run-1", "vm", {"LD_LIBRARY_PATH": "…"})

The invariant: every command is given its whole environment from the board file. No login shell, profile or server setting is relied on.
"""

from harness.host.host import Host
from harness.host.process import HostProcess, ProcessLost
from harness.host.transport import ConsoleTransport, NoTransfer, Transport

__all__ = ["ConsoleTransport", "Host", "HostProcess", "NoTransfer", "ProcessLost", "Transport"]
