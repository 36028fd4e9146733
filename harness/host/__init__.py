"""The hypervisor host in QNX's words: run, put, processes, digests; by SSH, else by the console alone.

    host = Host(SshTransport(ssh, board.host.path, events), board, events)   # or ConsoleTransport(shell, board.host.store, events)
    host.run(["ls", "/dev/qvm"]).text
    qvm = host.start(["/sbin/qvm", "@vm.qvmconf"], "/data/harness/run-1", "vm", {"LD_LIBRARY_PATH": "…"})

The invariant: every command is given its whole environment from the board file. No login shell, profile or server setting is relied on.
"""

from harness.host.by_ssh import SshTransport
from harness.host.host import Host
from harness.host.process import HostProcess, ProcessLost
from harness.host.serial import ConsoleTransport, TransferDamaged
from harness.host.transport import Transport

__all__ = ["ConsoleTransport", "Host", "HostProcess", "ProcessLost", "SshTransport", "TransferDamaged", "Transport"]
