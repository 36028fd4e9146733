"""A run told to a person while it goes on: its phases as they begin and end, and a line whenever nothing was said for a while.

The invariant: while a phase or a test goes on, no more than `QUIET_SECONDS` pass without a line. The signs of life come from a thread,
for whoever waits for a board has none of his own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.clock import SYSTEM
from harness.events import Event
from harness.evidence.journal import VERDICT

QUIET_SECONDS = 2.0
"""Nothing may stay silent for longer than this."""
BEAT = 0.9 * QUIET_SECONDS
"""Silence after which a sign of life is given."""

SPOKEN = {
    "launch": "starting the board's program",
    "power.on": "power on",
    "bench.boot": "waiting for the host's shell",
    "bench.ssh": "waiting for SSH",
    "vdev.deploy": "deploying vdevs",
    "guest.store": "copying guest images to the host",
    "guest.boot": "booting the guest",
    "guest.shutdown": "shutting the guest down",
    "bench.close": "switching the board off",
}
"""Phases worth a line, in words."""


class Narrator:
    """A listener for `Events`, from its making to `close`."""

    def __init__(self, say: Callable[[str], None], sign: Callable[[str], None], beat: float = BEAT) -> None:
        """`say` is called for what happened, by who reported it; `sign` for what goes on, by a thread of its own, never at the same time.

        An `OSError` of `sign` ends the signs of life: nobody is there to see them. `beat` is in seconds.
        """
        self._say = say
        self._sign = sign
        self._beat = beat
        self._speaking = threading.Lock()
        self._said = SYSTEM.monotonic()
        self._going_on: list[tuple[str, float]] = []
        """The running test and the phases that have begun, each with when; the innermost last."""
        self._unsaid = ""
        """Progress that came too soon after another line."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._give_signs, name="signs of life", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        """Takes an event of the thread that may speak."""
        phase, _, edge = event.name.rpartition(".")
        if event.name == "progress":
            self._progress(str(event.fields["text"]), event.at)
        elif event.name == "test.running":
            self._begin(str(event.fields["test"]).rpartition("::")[2])
        elif event.name == VERDICT:
            self._going_on.clear()
        elif edge == "begin" and phase in SPOKEN:
            self.say(f"{SPOKEN[phase]} …")
            self._begin(SPOKEN[phase])
        elif edge == "end" and phase in SPOKEN:
            del self._going_on[-1:]
            outcome = "failed" if "error" in event.fields else "done"
            self.say(f"{SPOKEN[phase]}: {outcome} after {event.fields['seconds']:.1f} s")

    def say(self, text: str) -> None:
        """Says a line that is no phase's."""
        with self._speaking:
            self._say(text)
            self._said, self._unsaid = SYSTEM.monotonic(), ""

    def close(self) -> None:
        """Ends the signs of life."""
        self._closing.set()
        self._thread.join()

    def _begin(self, what: str) -> None:
        with self._speaking:
            self._said = SYSTEM.monotonic()
            self._going_on.append((what, self._said))

    def _progress(self, text: str, at: float) -> None:
        if at - self._said >= self._beat:
            self.say(text)
        else:
            self._unsaid = text

    def _give_signs(self) -> None:
        while not self._closing.wait(max(0.0, self._said + self._beat - SYSTEM.monotonic())):
            with self._speaking:
                now = SYSTEM.monotonic()
                if now - self._said < self._beat:
                    continue
                if text := self._unsaid or self._goes_on(now):
                    try:
                        self._sign(text)
                    except OSError:
                        return
                self._said, self._unsaid = now, ""

    def _goes_on(self, now: float) -> str:
        if not self._going_on:
            return ""
        what, begin = self._going_on[-1]
        return f"{what}: {now - begin:.0f} s so far"
