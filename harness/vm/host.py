"""What a qvm process asks of the hypervisor host; `harness.host.Host` and `HostProcess` are such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.clock import Deadline
from harness.command import Result


class Process(Protocol):
    """A detached process on the host."""

    @property
    def base(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, deadline: Deadline) -> int | None: ...

    def signal(self, name: str) -> None: ...

    def stdout(self) -> bytes: ...

    def stderr(self) -> bytes: ...


class QvmHost(Protocol):
    """What a qvm process asks of the hypervisor host."""

    def run(self, argv: Sequence[str], check: bool = True, *, timeout: float | None = None) -> Result: ...

    def put(self, files: Mapping[Path, str]) -> object: ...

    def exists(self, path: str) -> bool: ...

    def start(self, argv: Sequence[str], directory: str, name: str, environment: Mapping[str, str], *, fifos: bool) -> Process: ...
