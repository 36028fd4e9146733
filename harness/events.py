"""The stream every layer reports to. The journal and the terminal only listen to it.

An event is a name in the form `layer.what` (`power.on`, `console.noise`, `vdev.deployed`) and a flat set of JSON values.
A listener that fails breaks neither who reports, who may be in the middle of switching a board off, nor the other listeners; its first
exception is kept in `failure`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from harness.clock import SYSTEM, Clock


@dataclass(frozen=True)
class Event:
    """One thing that happened. `at` is monotonic, `wall` for people; both in seconds."""

    name: str
    at: float
    wall: float
    fields: dict[str, Any]


Listener = Callable[[Event], None]


@dataclass
class Events:
    """A stream of events in the order they were emitted, also from several threads."""

    clock: Clock = SYSTEM
    _listeners: list[Listener] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    failure: Exception | None = None
    """What the first listener that failed raised."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Adds a listener; the returned function removes it."""
        with self._lock:
            self._listeners.append(listener)

        def remove() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return remove

    def emit(self, name: str, /, **fields: Any) -> None:
        """Reports that `name` happened."""
        event = Event(name, self.clock.monotonic(), self.clock.wall(), fields)
        with self._lock:
            for listener in list(self._listeners):
                try:
                    listener(event)
                except Exception as error:
                    self.failure = self.failure or error

    @contextmanager
    def step(self, name: str, /, **fields: Any) -> Iterator[dict[str, Any]]:
        """Reports `name.begin` and `name.end` (with `seconds` and, when it raised, `error`) around a phase.

        What the body puts into the yielded dictionary is reported with the end.
        """
        begin = self.clock.monotonic()
        self.emit(f"{name}.begin", **fields)
        results: dict[str, Any] = {}
        try:
            yield results
        except BaseException as error:
            results["error"] = str(error) or type(error).__name__
            raise
        finally:
            self.emit(f"{name}.end", seconds=round(self.clock.monotonic() - begin, 6), **fields, **results)
