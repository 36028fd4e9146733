"""The hypervisor host in QNX's words: run, put, get, processes; by SSH, else by its console."""

from harness.host.host import Host, MissingOnHost, Transport
from harness.host.process import HostProcess, ProcessLost
from harness.host.transport import BySsh, OverConsole

__all__ = ["BySsh", "Host", "HostProcess", "MissingOnHost", "OverConsole", "ProcessLost", "Transport"]
