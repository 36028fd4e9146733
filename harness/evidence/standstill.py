"""When this process itself did not run: somebody stopped it (Ctrl-Z, SIGSTOP), or its machine had no time for it.

What waited meanwhile ran out of time without anybody having looked, and that is no fault of a bench or a device.
"""

from __future__ import annotations

import threading

from harness.clock import SYSTEM

LOOK = 0.5
"""Seconds between two looks at the clock."""
LEAST = 1.0
"""Seconds by which a look must be late to be told; a busy machine is often some tenths late."""


class Standstill:
    """Looks at the clock from a thread of its own, from when it is made to `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = SYSTEM.monotonic()
        self._total = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standstill", daemon=True)
        self._thread.start()

    def seconds(self) -> float:
        """How long it stood still, all times since it was made together. The thread need not have looked since the last of them."""
        with self._lock:
            now = SYSTEM.monotonic()
            late = now - self._last - LOOK
            if late >= LEAST:
                self._total += late
            self._last = now
            return self._total

    def close(self) -> None:
        """Ends the thread that looks."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(LOOK):
            self.seconds()
