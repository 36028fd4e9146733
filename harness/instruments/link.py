"""A line of SCPI to one instrument.

The invariant: an answer belongs to the question it is returned for. After anything that went wrong the session is poisoned: it is
closed, opened again and asked who it is before the next command, and the failed one is never repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any

from harness.clock import Deadline
from harness.errors import BenchError
from harness.events import Events

IDENTIFY = 3.0
"""Seconds an instrument may take to say who it is."""
_ERRORS = 32
"""Entries an error queue is emptied of at most."""


class InstrumentSilent(BenchError):
    """An instrument does not answer. Usual causes: it is off, its network address is another's, another program holds its only session."""


class InstrumentRefused(BenchError):
    """An instrument reported an error of its own about a command."""


class Link:
    """A session with one instrument. Threads may share it: each command and its error check are one piece."""

    def __init__(self, resource: str, name: str, events: Events) -> None:
        """`resource` as VISA has it; `name` is what errors call the instrument. Opened when first used."""
        self.resource = resource
        self.name = name
        self.identity = ""
        self._events = events
        self._session: Any = None
        self._lock = threading.Lock()

    def write(self, command: str, deadline: Deadline) -> None:
        """Sends a command and asks for errors. Raises `InstrumentSilent` or `InstrumentRefused`."""
        with self._lock:
            self._ensure(deadline)
            self._guarded(lambda session: session.write(command), command, deadline)
            self._drain_errors(command, deadline)

    def query(self, command: str, deadline: Deadline) -> str:
        """Sends a question, returns its answer without blanks around it, and asks for errors."""
        with self._lock:
            self._ensure(deadline)
            answer = self._ask(command, deadline)
            self._drain_errors(command, deadline)
            return answer

    def close(self) -> None:
        """Harmless when repeated; the next command opens again."""
        session, self._session = self._session, None
        if session is not None:
            # A session that hangs would hang in its close as well.
            threading.Thread(target=_close, args=(session,), daemon=True).start()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ensure(self, deadline: Deadline) -> None:
        """Opens when there is no session. pyvisa-py opens a closed port without complaint, so only an answer counts."""
        if self._session is not None:
            return
        patience = Deadline.after(min(IDENTIFY, deadline.remaining), "*IDN?")
        self._session = self._outside(lambda: _open(self.resource), "opening it", patience)
        identity = self._ask("*IDN?", patience)
        if self.identity and identity != self.identity:
            self.close()
            raise InstrumentSilent(
                f"{self.name} at {self.resource} now says it is {identity!r}; it was {self.identity!r}", "check its address"
            )
        if not self.identity:
            self._events.emit("instrument.open", name=self.name, resource=self.resource, identity=identity)
        self.identity = identity

    def _ask(self, command: str, deadline: Deadline) -> str:
        return str(self._guarded(lambda session: session.query(command), command, deadline)).strip()

    def _drain_errors(self, command: str, deadline: Deadline) -> None:
        """Empties the error queue, so that the next command's errors are its own."""
        errors = []
        for _ in range(_ERRORS):
            entry = self._ask("SYST:ERR?", deadline)
            if entry.split(",")[0].strip().lstrip("+-").strip("0") == "":
                break
            errors.append(entry)
        if errors:
            raise InstrumentRefused(f"{self.name} refused `{command}`: {'; '.join(errors)}", "see its programming guide and the board file")

    def _guarded(self, action: Callable[[Any], Any], command: str, deadline: Deadline) -> Any:
        session = self._session
        return self._outside(lambda: action(session), f"`{command}`", deadline)

    def _outside(self, action: Callable[[], Any], what: str, deadline: Deadline) -> Any:
        """Runs a call of the VISA library in a thread that may be left behind. Poisons the session when it fails, and when Ctrl-C ends
        the wait: its answer, when it comes, is nobody's."""
        results: list[Any] = []
        errors: list[BaseException] = []
        thread = threading.Thread(target=_keep, args=(action, results, errors), daemon=True)
        thread.start()
        try:
            thread.join(deadline.remaining)
        except BaseException:
            self.close()
            raise
        if results:
            return results[0]
        self.close()
        reason = _reason(errors[0]) if errors else f"no answer within {deadline.seconds:.3g} s"
        self._events.emit("instrument.poisoned", name=self.name, what=what, reason=reason)
        raise InstrumentSilent(
            f"{self.name} at {self.resource}: {what}: {reason}", "check that it is on, its address, and that nobody else uses it"
        )


@cache
def _manager() -> Any:
    """The only one in the process: a second would share the first one's sessions and close them."""
    import pyvisa

    return pyvisa.ResourceManager("@py")


def _open(resource: str) -> Any:
    session = _manager().open_resource(resource, open_timeout=int(IDENTIFY * 1000))
    session.timeout = 600_000  # milliseconds; the deadlines are ours
    session.read_termination = session.write_termination = "\n"
    return session


def _close(session: Any) -> None:
    _keep(session.close, [], [])


def _keep(action: Callable[[], Any], results: list[Any], errors: list[BaseException]) -> None:
    try:
        results.append(action())
    except Exception as error:
        errors.append(error)


def _reason(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
