"""An SSH server in this process, with a real shell behind it: what the harness's OpenSSH client is tested against.

It can be made to hang up on everybody, and shows whatever host key it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncssh


class Server:
    """Runs from `start` to `stop` on a loopback port of its own; `port` stays the same over several starts."""

    def __init__(self, directory: Path, shell: str = "mksh", *, sftp: bool = True, path: str = "") -> None:
        self.directory = directory
        self.shell = shutil.which(shell) or shell
        self.port = 0
        self.connections = 0
        self._sftp = sftp
        self._environment = {"HOME": "/"} | ({"PATH": path} if path else {})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor: Any = None
        self._open: list[asyncssh.SSHServerConnection] = []
        self.identity = str(directory / "id_ed25519")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.identity], check=True)
        self.new_host_key()

    @property
    def host_key(self) -> str:
        """As a board file pins it."""
        return " ".join(self._key.export_public_key().decode().split()[:2])

    def new_host_key(self) -> None:
        """The server shows another key from its next start on."""
        self._key = asyncssh.generate_private_key("ssh-ed25519")

    def start(self) -> None:
        self._acceptor = self._call(self._listen())
        self.port = self._acceptor.get_port()

    def hang_up(self) -> None:
        """Ends every connection without a word, as a power cut does."""
        self._call(self._abort())

    def stop(self) -> None:
        if self._acceptor:
            self._call(self._close())
            self._acceptor = None

    def close(self) -> None:
        self.stop()
        self._call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _listen(self) -> Any:
        owner = self

        class Login(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                owner.connections += 1
                owner._open.append(conn)

        return await asyncssh.create_server(
            Login,
            "127.0.0.1",
            self.port,
            server_host_keys=[self._key],
            authorized_client_keys=f"{self.identity}.pub",
            process_factory=self._run,
            sftp_factory=self._sftp,
            encoding=None,
        )

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            self.shell,
            "-c",
            process.command or "exit 1",
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert child.stdin
            assert child.stdout
            assert child.stderr
            feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
            await asyncio.gather(_pass_on(child.stdout, process.stdout), _pass_on(child.stderr, process.stderr))
            status = await child.wait()
            feeding.cancel()
            process.exit(status if status >= 0 else 128 - status)
        except (asyncssh.Error, OSError):
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _abort(self) -> None:
        for connection in self._open:
            connection.abort()
        self._open.clear()

    async def _end_tasks(self) -> None:
        """What still runs for somebody who is gone."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self) -> None:
        self._acceptor.close()
        await self._abort()
        await self._acceptor.wait_closed()


async def _pass_on(source: Any, target: Any) -> None:
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


async def _feed(source: Any, target: Any) -> None:
    await _pass_on(source, target)
    target.close()


@contextlib.contextmanager
def serving(directory: Path, **how: Any) -> Iterator[Server]:
    server = Server(directory, **how)
    try:
        server.start()
        yield server
    finally:
        server.close()
