"""A bench that is ours and switched on: launch, lease, guardian, consoles, power, host shell, SSH, in that order, and back.

The invariant: whatever happens between `open` and `close`, the board ends without power, by `close` or by the guardian.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from harness import boardfile, lease, power
from harness.bench import identity
from harness.bench.guardian import Guardian
from harness.bench.reference import ReferenceClock, host_clock, lab_clock
from harness.bench.route import GuestRoute, route
from harness.boardfile import Board, Launched, LaunchFailed, Port
from harness.clock import Deadline
from harness.console import KSH, Console, Cursor, NoShell, Questions, Shell
from harness.errors import BenchError
from harness.events import Events
from harness.host import ConsoleTransport, Host, SshTransport, Transport
from harness.power import PowerSwitch, State
from harness.ssh import SshConnection, SshLost

LEAVING = 3.0
"""Seconds, at most, for leaving the host's shell."""


class HostRebooted(BenchError):
    """The host started anew though nobody switched or reset it. Usual causes: it crashed, its watchdog bit, its supply dipped."""

    def __init__(self, board: str, last_lines: str) -> None:
        super().__init__(
            f"{board}: the host rebooted by itself, its banner came again on the console",
            "look at what it said before, in consoles/host.log of the run",
            evidence=last_lines,
        )


class HostGone(BenchError):
    """The host can be reached no more. Usual causes: its power failed, it hangs, a cable came off, its SSH server ended."""


class Bench:
    """What a test gets: `board`, `power`, `host`, `host_by_console`, and every serial port by `console(name)`."""

    def __init__(self, board: Board, events: Events, consoles: Path, purpose: str, *, ssh: bool = True) -> None:
        """`ssh=False` leaves the host's network alone: everything goes over its console."""
        self.board = board
        self.events = events
        self.nonce = secrets.token_hex(4)
        """Names what this run puts on the host, so that two runs never share a name."""
        self.boots = 0
        """How often the host came up; what ran on it before is gone."""
        self.identity = ""
        """What the host says of itself: `uname -a`."""
        self._version = ""
        self._logs = consoles
        self._purpose = purpose
        self._use_ssh = ssh
        self._held = ExitStack()
        self._ports: dict[str, Console] = {}
        self._ssh: SshConnection | None = None
        self._route: GuestRoute | None = None
        self._begin = 0
        """Where on the host's console the present boot began."""
        self._next_boot: Cursor | None = None
        """Looks for the banner of a boot that nobody asked for; None while the board is off or comes up."""
        self._ours: Shell | None = None
        """The host's shell while it holds something of ours."""
        self._launched: Launched | None = None
        self._gone: BenchError | None = None
        """Why the host is not the one that was met any more."""

    def open(self) -> None:
        """Takes the bench and switches it on. Raises `UseError` when it is taken, `BenchError` when it does not come up."""
        try:
            self._take()
            self.power_off()
            self.power_on()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Switches off and gives the bench back. Harmless when repeated."""
        with self.events.step("bench.close"):
            self._held.close()

    @contextmanager
    def opened(self) -> Iterator[Bench]:
        """`open` and `close` around a block."""
        self.open()
        try:
            yield self
        finally:
            self.close()

    @contextmanager
    def attached(self) -> Iterator[Bench]:
        """The bench taken and switched on, not met: for a person at a console. A board that is on already stays so until the end."""
        try:
            self._take()
            if self.power.state() is not State.ON:
                self.power.on()
            yield self
        finally:
            self.close()

    @property
    def consoles(self) -> dict[str, Console]:
        """Every serial port the lab controller has open: consoles and lines, by name."""
        return dict(self._ports)

    def console(self, name: str) -> Console:
        """`host`, `guest` or the name of a line."""
        return self._ports[name]

    def reference(self) -> AbstractContextManager[ReferenceClock]:
        """The clock that the time of guests is judged by. While it is the host's, nothing else can be asked over the host's console."""
        if self.board.reference.clock == "lab controller":
            return lab_clock()
        return host_clock(self._shell, self.board.seconds("command"))

    def reach_guest(self, process: str) -> None:
        """A VM is there: the `guest` console leads to it from now on. Nothing to do where a cable does that.

        `process` is what the files of its qvm on the host are named after (`HostProcess.base`).
        """
        if self._route:
            assert self._ssh is not None, "a route is refused without SSH"
            self._route.attach(self._ssh, process)

    def power_off(self) -> None:
        """Cuts the power; the host's shell and SSH are gone."""
        self._leave_host()
        self._program_there()
        self.power.off()

    def power_on(self) -> None:
        """Switches on and waits for the host."""
        self._program_there()
        self._begin = self.console("host").offset
        self.power.on()
        self._meet_host(self._begin)

    def reset(self) -> None:
        """Pulses the reset line and waits for the host."""
        self._leave_host()
        self._program_there()
        self._begin = self.console("host").offset
        self.power.reset()
        self._meet_host(self._begin)

    def _take(self) -> None:
        held = self._held
        taken = held.enter_context(lease.take(self.board.name, self._purpose, directory=self.board.lock_directory))
        launched = held.enter_context(boardfile.launch(self.board, events=self.events, log=self._logs / "launch.log"))
        self.board, self._launched = launched.board, launched
        self.power: PowerSwitch = power.switch(self.board, self.events)
        self._route = route(self.board, self.events, ssh=self._use_ssh)
        if self._route:
            held.callback(self._route.close)
        # The ports first: somebody who has one open may have the board on as well, and it is not ours to switch off then.
        guest = Port(url=self._route.url) if self._route else self.board.console.guest
        ports = {"host": self.board.console.host, "guest": guest, **self.board.line}
        for name, port in ports.items():
            if port.url:
                console = Console(name, port.url, port.baud, self._logs / f"{name}.log", self.events)
                console.still_there = self._program_there
                held.callback(console.close)
                self._ports[name] = console
        guardian = Guardian.start(self.board, taken.fileno(), self._logs / "guardian.log")
        held.callback(self._switch_off, guardian)

    def _switch_off(self, guardian: Guardian) -> None:
        try:
            try:
                self._leave_host()
            finally:  # a way to the host that cannot be left is no reason to keep it switched on
                self._program_there()  # with the program the board has ended, and its power switch
                if self.power.state() is not State.OFF:
                    self.power.off()
        except LaunchFailed:
            guardian.release()
            raise
        except BaseException:
            guardian.take_over()
            raise
        guardian.release()

    def _leave_host(self) -> None:
        self._next_boot = None
        shell, self._ours = self._ours, None
        if shell and self._gone is None and self.power.state() is State.ON:
            self._leave_shell(shell)
        if self._route:
            self._route.detach()
        if self._ssh is not None:
            self._ssh.close()
            self._ssh = None

    def _leave_shell(self, shell: Shell) -> None:
        """Nothing of ours stays on the host. One that does not let go of it keeps nobody waiting: its power is about to go."""
        try:
            shell.detach(Deadline.after(LEAVING, "the host's shell to be left"))
        except BenchError as error:
            self.events.emit("shell.not_left", console="host", reason=error.sentence)

    def _meet_host(self, begin: int) -> None:
        """From power to a host that answers on its console and by SSH."""
        board, console = self.board, self.console("host")
        with self.events.step("bench.boot"):
            cursor = console.cursor(begin)
            up = Deadline.after(board.seconds("boot"), f"the host's banner ({board.host.banner})")
            seen = cursor.expect(board.host.banner.encode(), up)
            self._next_boot, self._gone = console.cursor(seen.end), None
            self._shell = Shell.meet(console, KSH, Deadline.after(board.seconds("shell"), "the host's shell"))
            asked = Questions(self._shell, board.host.path, board.seconds("command"))
            self.identity, self._version = identity.check(asked.run, board, "its console")
            self._ours = self._shell
            self._shell.set_up(Deadline.after(board.seconds("shell"), "the host's shell"))
        by_console = ConsoleTransport(self._shell, board.host.store, self.events)
        self.host_by_console = self._reach("host_by_console", by_console)
        if self.by_ssh:
            with self.events.step("bench.ssh"):
                self._ssh = SshConnection(board, self.events)
                self._ssh.connect(Deadline.after(board.seconds("ssh"), "the host's SSH server"))
        self.host = self._reach("host", SshTransport(self._ssh, board.host.path, self.events) if self._ssh else by_console)
        if self._ssh:
            self.identity, self._version = identity.check(partial(self.host.run, check=False), board, f"SSH ({board.ssh.host})")
        self.boots += 1
        self.events.emit("bench.identity", uname=self.identity, mode=self.mode)

    def still_there(self, failure: BenchError | None = None) -> None:
        """Raises `HostRebooted` once the host came up without being told to, `HostGone` once `failure` showed that it cannot be reached,
        `LaunchFailed` once the program that is the board has ended.

        It is the same exception until the bench is switched on anew: one cause, however many tests meet it.
        """
        self._program_there(failure)
        if self._gone is None and self._next_boot is not None:
            self._gone = self._reboot() or (self._loss(failure) if isinstance(failure, SshLost | NoShell) else None)
        if self._gone is not None:
            raise self._gone.with_traceback(None) from failure

    def _program_there(self, failure: BenchError | None = None) -> None:
        """Raises `LaunchFailed` once the program that is the board has ended: the same for everything that is tried from then on."""
        try:
            if self._launched and not isinstance(self._gone, LaunchFailed):
                self._launched.check()
        except LaunchFailed as ended:
            self._gone = ended
        if isinstance(self._gone, LaunchFailed):
            raise self._gone.with_traceback(None) from (None if failure is self._gone else failure)

    def _reboot(self, seconds: float = 0.0) -> HostRebooted | None:
        """What the banner of a boot that nobody asked for means; `seconds` is how long it may take to come."""
        assert self._next_boot is not None
        again = self._next_boot.poll(self.board.host.banner.encode(), Deadline.after(seconds, "another banner"))
        if not again:
            return None
        self.events.emit("bench.rebooted", offset=again.start)
        return HostRebooted(self.board.name, self._last_lines(again.start))

    def _loss(self, failure: BenchError) -> BenchError | None:
        """Why the host does not answer any more, by what the other ways to it show: the power switch, then the console."""
        name = self.board.name
        if self.power.state() is State.OFF:
            return HostGone(f"{name}: the board's power is off, and this run did not switch it", "look at its supply, and who else does")
        try:
            self._shell.resync(Deadline.after(self.board.seconds("shell"), "the host's shell"))
        except NoShell:
            sentence = f"{name}: the host is gone: no answer on its console, and before that: {failure.sentence}"
            rebooted = self._reboot(self.board.seconds("boot"))
            return rebooted or HostGone(sentence, "look at what it said last, in consoles/host.log of the run", evidence=self._last_lines())
        if isinstance(failure, NoShell):
            return None
        return HostGone(f"{failure.sentence}; its console still answers", "look at its network and its SSH server")

    def _last_lines(self, end: int | None = None) -> str:
        """Of the host's present boot, on its console."""
        return "\n".join(self.console("host").slice(self._begin, end).decode("utf-8", "replace").splitlines()[-20:])

    def _reach(self, name: str, transport: Transport) -> Host:
        """The host by a transport. It stays the same object over power cycles, for those who hold on to it."""
        host: Host | None = getattr(self, name, None)
        if host is None:
            host = Host(transport, self.board, self.events)
            host.still_there = self.still_there
        host.transport = transport
        return host

    @property
    def by_ssh(self) -> bool:
        """Whether `host` is reached by SSH; else it is the one on the console."""
        return self._use_ssh and bool(self.board.ssh.host)

    @property
    def boot_banner_seen(self) -> bool:
        """Whether the host told its banner on the console since it was last switched on or reset."""
        return self.board.host.banner.encode() in self.console("host").slice(self._begin)

    def facts(self) -> dict[str, str]:
        """What the reports say of this bench."""
        return {"board": self.board.name, "mode": self.mode, "host": self.identity}

    @property
    def mode(self) -> str:
        """`virtual` or `hardware`: the host's own word (`uname -v`), whatever the files say."""
        return "virtual" if "virtual" in self._version else "hardware"
