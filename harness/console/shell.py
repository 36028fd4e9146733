"""Commands over a console whose other end anything may talk to.

"Run once, read many, checksum": a command is named by a nonce and runs once at most; its output stays in files in RAM on the other
side and is read until sizes and checksums match. The invariant: what `run` returns is what the command did, or it raises. No text from
elsewhere, wherever it falls, is ever taken for output, and no damaged line is ever run.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Sequence

from harness.clock import Deadline
from harness.command import CommandTimeout, Result, quote, shown
from harness.console import transfer
from harness.console.cksum import cksum
from harness.console.console import Console
from harness.console.cursor import Cursor, Match, Pattern
from harness.console.dialect import INLINE, LINE, Dialect, blocks_of, fresh_nonce, functions, pieces, remembered
from harness.console.trouble import login_wanted, no_shell, too_noisy

PATIENCE = 1.0
"""Seconds a short answer may take beyond its time on the line before it is asked for again; doubled each time."""
TRIES = 40
"""How often in a row something is asked for again before the console is given up."""
_SLOW = 8
"""Times `PATIENCE` for an answer that has begun."""
_RESYNC = 5
"""Tries."""
_RESYNC_SECONDS = 8.0
_SETTLE = 0.3
"""Seconds a shell may take to say its prompt after an interrupt."""
_PAUSE = 0.05
"""Seconds, at most, before something is said again: at random, so that a talker with a steady beat does not hit every answer."""
_NEVER = re.compile(rb"(?!)")
TYPED = 2048
"""Bytes; longer input goes as a file does."""
_SMALLEST = 64
"""Bytes of the smallest piece of output that is asked for."""
_HEADER, _HAS_RUN, _CONTINUED = 0, 1, 3
"""Which of the things that may be heard after a command was typed."""
_INTERRUPT = b"\x03"
_LOGIN = re.compile(rb"(?:login|[Pp]assword): ?(?:echo [0-9a-f]{6}|\^C|[\r\n]|\Z)")
"""A login that waits, or that took what was typed for a name."""


class Shell:
    """A shell on a console. Made by `attach`; not for use by several threads."""

    def __init__(self, console: Console, dialect: Dialect) -> None:
        """For `attach`."""
        self.console = console
        self.dialect = dialect
        self.echo = True
        """Whether the tty still echoes: harmless, but seen in the log."""
        self.noise = 0
        """How often something had to be said again because it did not arrive unharmed."""
        self.base = f"/tmp/h{fresh_nonce()}"
        """What its files on the other side begin with."""
        self._remembered = False
        """Whether the shell keeps what it was before `set_up`."""
        prompt = fresh_nonce()
        self.prompt = f"{prompt}# ".encode()
        self._continued = f"{prompt}> ".encode()
        self._cursor: Cursor = console.cursor(raw=True)

    @classmethod
    def attach(cls, console: Console, dialect: Dialect, deadline: Deadline) -> Shell:
        """Meets a shell and sets it up. Raises `NoShell`."""
        self = cls.meet(console, dialect, deadline)
        self.set_up(deadline)
        return self

    @classmethod
    def meet(cls, console: Console, dialect: Dialect, deadline: Deadline) -> Shell:
        """Proves that there is a shell. Nothing on the other side has changed, and `set_up` comes before commands. Raises `NoShell`."""
        self = cls(console, dialect)
        self._prove(deadline, interrupt_first=False)
        return self

    def set_up(self, deadline: Deadline) -> None:
        """No echo, no line editor, no terminal tricks, a prompt of its own, and functions in a file; each proved by its effect.

        Raises `NoShell`.
        """
        for attempt in range(_RESYNC):
            if attempt:
                self._noise("set-up")
                self._prove(deadline, interrupt_first=True)
            self._remembered = self._remembered or self._remember(deadline)
            if self._remembered and self._quiet(deadline) and self._teach(deadline):
                said = {"console": self.console.name, "dialect": self.dialect.name, "echo": self.echo, "noise": self.noise}
                self.console.events.emit("shell.ready", **said)
                return
            if deadline.expired:
                break
        raise no_shell(
            self.console, self._cursor, f"a {self.dialect.name} answers, but could not be set up within {deadline.seconds:.3g} s"
        )

    def run(self, argv: Sequence[str], timeout: float, input: bytes | None = None) -> Result:
        """Runs a program with its arguments, each arriving unchanged; see `run_text`."""
        return self.run_text(quote(argv), timeout, input)

    def run_text(self, script: str, timeout: float, input: bytes | None = None) -> Result:
        """Runs shell text in a subshell, exactly once. Its standard input is `input`, or empty.

        Raises `CommandTimeout` (it was interrupted), `ShellNoise` (it ran, its output could not be read), `NoShell` (whether it ran
        is unknown).
        """
        text = script.encode()
        if b"\0" in text:
            raise ValueError("a script cannot hold a NUL byte")
        if input is not None:
            self._send_input(input, timeout)
            text = f"exec <{self.base}.i\n".encode() + text
        return self._run(text, Deadline.after(timeout, f"the end of `{shown(script)}`"))

    def resync(self, deadline: Deadline) -> None:
        """Ends whatever is in the foreground or half typed and proves that the shell answers. Raises `NoShell`."""
        self._prove(deadline, interrupt_first=True)

    def detach(self, deadline: Deadline) -> None:
        """Leaves files, functions, echo, line editor, prompts and terminal as they were found. Raises `NoShell`.

        Harmless when there was no `set_up`, or when repeated.
        """
        if not self._remembered:
            return
        for attempt in range(TRIES):
            if attempt:
                self._noise("leaving")
                self.resync(deadline)  # something may run in the foreground
            half, rest = fresh_nonce(), fresh_nonce()
            self._cursor.skip()
            self._type(f"_hl {half} {rest}", deadline)
            if self._cursor.poll(f"{half}{rest}.-".encode(), within(PATIENCE, deadline)):
                self._type("unset -f _hl", deadline)
                self._remembered = False
                self.console.events.emit("shell.left", console=self.console.name)
                return
            if deadline.expired:
                break
        raise no_shell(self.console, self._cursor, "the shell did not answer when it was left")

    # How a shell is found and set up

    def _prove(self, deadline: Deadline, *, interrupt_first: bool) -> None:
        """An `echo` whose answer has to be evaluated. The first try is a newline only: there may be something that ^C would end."""
        patience = PATIENCE
        for attempt in range(10_000):
            self._cursor.skip()
            half, factor = fresh_nonce(), int.from_bytes(os.urandom(2), "big")
            if interrupt_first or attempt:
                self.console.write(_INTERRUPT, deadline)
                # What is typed before the shell has seen the signal would still belong to an unfinished line (seen in mksh).
                self._cursor.poll(self.prompt, within(_SETTLE, deadline))
            self.console.write(b"\n", deadline)
            self._type(f"echo {half}''$(({factor}*7))", deadline)
            if self._cursor.poll(f"{half}{factor * 7}".encode(), within(patience, deadline)):
                return
            if _LOGIN.search(self.console.slice(self._cursor.offset)):
                raise login_wanted(self.console)
            if deadline.expired or (interrupt_first and attempt >= _RESYNC):
                break
            patience = min(2 * patience, 3.0)
        raise no_shell(self.console, self._cursor, f"no shell answered within {deadline.seconds:.3g} s")

    def _remember(self, deadline: Deadline) -> bool:
        half, rest = fresh_nonce(), fresh_nonce()
        self._type(f"{remembered(self.dialect)} && echo {half}''{rest}", deadline)
        return bool(self._cursor.poll(f"{half}{rest}".encode(), within(2.0, deadline)))

    def _quiet(self, deadline: Deadline) -> bool:
        """Line editor and echo off, no terminal, own prompts; then a probe that shows all of it."""
        prompt = self.prompt.decode()[:-2]
        silent, half, rest = fresh_nonce(), fresh_nonce(), fresh_nonce()
        self._type(f"{self.dialect.quiet}; export TERM=dumb; PS1='{prompt}''# ' PS2='{prompt}''> '", deadline)
        if not self._cursor.poll(self.prompt, within(2.0, deadline)):
            return False
        self._type(f": {silent}; echo {half}''{rest}$TERM", deadline)
        found = self._cursor.poll(f"{half}{rest}dumb".encode(), within(2.0, deadline))
        if not found:
            return False
        self.echo = silent.encode() in found.before
        return bool(self._cursor.poll(self.prompt, within(2.0, deadline)))

    def _teach(self, deadline: Deadline) -> bool:
        """Types the functions into a file, which the shell reads only if it arrived unharmed."""
        text, file = functions(self.dialect, self.base), f"{self.base}.f"
        assert "'" not in text and "\\" not in text
        blocks = blocks_of(text, LINE - len(f"echo '' >>{file}\n"))
        redirect = ">"
        for block in blocks:
            self._type(f"echo '{block}' {redirect}{file}", deadline)
            redirect = ">>"
        data = b"".join(block.encode() + b"\n" for block in blocks)
        half, rest = fresh_nonce(), fresh_nonce()
        self._cursor.skip()
        self._type(
            f"""[ "$(cksum <{file})" = "{cksum(data)} {len(data)}" ] && . {file} && _hr {half} {rest} 0 || echo {half}''{rest}.-""",
            deadline,
        )
        found = self._cursor.poll(re.compile(f"{half}{rest}.([!-])".encode()), within(2.0, deadline))
        return found is not None and found.group(1) == b"!"

    # How a command is run

    def _run(self, script: bytes, deadline: Deadline) -> Result:
        nonce = (fresh_nonce(), fresh_nonce())
        start = f"_hx {nonce[0]} {nonce[1]} {cksum(script)}"
        parts = pieces(script, LINE - 1 - len(start) - len(" ''"))
        if len(parts) == 1:
            start += f" '{parts[0]}'"

        def begin() -> None:
            if len(parts) > 1:
                self.keep(script, "s", deadline)
            self._cursor.skip()
            self._type(start, deadline)

        begin()
        patience = PATIENCE + len(start) * 10 / self.console.baud
        for number in range(1, TRIES):
            header = self._outcome(nonce, number, begin, patience, deadline)
            if result := self._read(nonce, header, number):
                return result
            self._noise("output")
            self._ask(f"_hr {nonce[0]} {nonce[1]} {number}")
        raise too_noisy(self.console, TRIES)

    def _outcome(self, nonce: tuple[str, str], number: int, begin: Callable[[], None], patience: float, deadline: Deadline) -> Match:
        """Waits for the header of the answer and begins anew what did not begin, until the deadline."""
        tag = re.escape("".join(nonce).encode())
        header = re.compile(tag + rb"\.(\d+)<([\d ]*)>")
        heard = [header, re.compile(tag + rb"\.\+"), re.compile(tag + rb"\.[!?]"), re.compile(re.escape(self._continued))]
        asked = False
        for _ in range(TRIES):
            found = self._cursor.poll(heard, within(patience, deadline))
            if found and found.index == _HEADER:
                return found
            if found is None and deadline.expired:
                return self._last_chance(nonce, header, deadline)
            if found is None:  # it still runs, or something was lost on the way
                patience, asked = 2 * patience, False
                self._ask(f"_hq {nonce[0]} {nonce[1]}")
            elif found.index == _HAS_RUN:
                if not asked:
                    self._noise("output")
                    self._ask(f"_hr {nonce[0]} {nonce[1]} {number}")
                asked = True
            else:
                self._noise("command")
                if found.index == _CONTINUED:
                    self.resync(_resync_deadline("a lost quote"))
                begin()
        raise no_shell(self.console, self._cursor, "the shell did not take a command unharmed")

    def _last_chance(self, nonce: tuple[str, str], header: re.Pattern[bytes], deadline: Deadline) -> Match:
        """At the deadline: the answer may have been lost; else the command is interrupted. Raises `CommandTimeout`."""
        self._ask(f"_hr {nonce[0]} {nonce[1]} {TRIES}")
        if found := self._cursor.poll(header, within(2 * PATIENCE, None)):
            return found
        lines = self.console.log.tail(start=self._cursor.offset)
        self.resync(_resync_deadline(f"interrupting {deadline.awaited.removeprefix('the end of ')}"))
        raise CommandTimeout(
            f"console {self.console.name}: {deadline.awaited} was not seen within {deadline.seconds:.3g} s, it was interrupted",
            "raise its timeout or look what it waits for",
            evidence=lines,
        )

    def _read(self, nonce: tuple[str, str], header: Match, number: int) -> Result | None:
        """The result behind a header; None when it did not arrive unharmed."""
        numbers = header.group(2).split(b" ")
        if len(numbers) != 5 or not all(number.isdigit() for number in numbers):
            if header.group(2).startswith(b" "):
                raise no_shell(self.console, self._cursor, "a command was interrupted from elsewhere before it ended")
            return None
        status, out_sum, out_size, err_sum, err_size = map(int, numbers)
        if out_size + err_size > INLINE:
            stdout = self._fetch(nonce, "o", out_size, out_sum)
            stderr = self._fetch(nonce, "e", err_size, err_sum)
            return Result(status, stdout, stderr)
        body = self._body(header, out_size + err_size, number)
        if body is None or cksum(body[:out_size]) != out_sum or cksum(body[out_size:]) != err_sum:
            return None
        return Result(status, body[:out_size], body[out_size:])

    def _body(self, header: Match, size: int, number: int = 1) -> bytes | None:
        """The `size` bytes between a header and its repetition, the tty's carriage returns taken back.

        At the next `number` it may take longer: a host that has other things to do stops in the middle of an answer.
        """
        wire = 2 * (size + 100) * 10 / self.console.baud
        patience = within(PATIENCE * min(number, _SLOW) + wire, None)
        trailer = self._cursor.poll([header.group(0), self.prompt], patience)
        while trailer and trailer.index and trailer.start < header.end + size:  # a prompt within the output
            trailer = self._cursor.poll([header.group(0), self.prompt], patience)
        if not trailer or trailer.index:
            return None
        raw = self.console.slice(header.end, trailer.start)
        for newline, undo in ((b"\r\n", True), (b"\n", False)):
            if raw.startswith(newline):
                body = raw[len(newline) :]
                body = body.replace(b"\r\n", b"\n") if undo else body
                return body if len(body) == size else None
        return None

    def _fetch(self, nonce: tuple[str, str], file: str, size: int, total: int) -> bytes:
        """A file of output in pieces; each that arrives harmed is asked for again, at half its length."""
        data, count, failed = b"", INLINE, 0
        while len(data) < size:
            self._cursor.skip()
            half, number = nonce[1], len(data)
            self._ask(f"_hg {nonce[0]} {half} {number} {len(data) + 1} {count} {file}")
            piece = self._piece(nonce, number, min(count, size - len(data)))
            if piece is not None:
                data, failed = data + piece, 0
                continue
            self._noise("output")
            failed, count = failed + 1, max(_SMALLEST, count // 2)
            if failed > TRIES:
                raise too_noisy(self.console, TRIES)
            if failed > 2:
                self.resync(_resync_deadline("a lost piece of output"))
        if cksum(data) != total:
            raise too_noisy(self.console, TRIES)
        return data

    def _piece(self, nonce: tuple[str, str], number: int, size: int) -> bytes | None:
        tag = re.escape(f"{''.join(nonce)}.{number}".encode())
        header = self._cursor.poll(re.compile(tag + rb"<(\d+) (\d+)>"), within(5 * PATIENCE, None))
        if not header or int(header.group(2)) != size:
            return None
        body = self._body(header, size)
        return body if body is not None and cksum(body) == int(header.group(1)) else None

    # How something long gets there

    def _send_input(self, data: bytes, timeout: float) -> None:
        """Small input is typed as scripts are; starting a transfer is worth its while for more."""
        if len(data) > TYPED:
            transfer.send(self, data, f"{self.base}.i")
            return
        deadline = Deadline.after(max(timeout, 60 * len(data) / self.console.baud), "the input's way to the other side")
        for _ in range(TRIES):
            self.keep(data, "i", deadline)
            arrived = self._run(f"cksum <{self.base}.i".encode(), Deadline.after(timeout, "the input's checksum"))
            if arrived.stdout.split() == [str(cksum(data)).encode(), str(len(data)).encode()]:
                return
            self._noise("input")
        raise too_noisy(self.console, TRIES)

    def keep(self, data: bytes, file: str, deadline: Deadline) -> None:
        """Types bytes into a file, piece by piece; each is acknowledged and repeated until it is."""
        for number, piece in enumerate(pieces(data, 180)):
            for attempt in range(TRIES):
                half, rest = fresh_nonce(), fresh_nonce()
                self._cursor.skip()
                self._type(f"_hp {half} {rest} {number} {len(piece)} {file} '{piece}'", deadline)
                heard: list[Pattern] = [re.compile(f"{half}{rest}\\.(\\d+)\\+".encode()), self._continued]
                taken = self._cursor.poll(heard, within(PATIENCE * (2 + attempt), None))
                if taken and taken.index == 0 and int(taken.group(1)) > number:
                    break
                self._noise("piece")
                if not taken or taken.index:
                    self.resync(_resync_deadline("a lost piece"))
            else:
                raise no_shell(self.console, self._cursor, "the shell did not take a script unharmed")

    def _ask(self, line: str) -> None:
        self._type(line, Deadline.after(5 + LINE * 10 / self.console.baud, "the port to take a line"))

    def _type(self, line: str, deadline: Deadline) -> None:
        data = line.encode() + b"\n"
        assert len(data) <= LINE, line
        self.console.write(data, deadline)

    def _noise(self, what: str) -> None:
        self.noise += 1
        self.console.events.emit("console.noise", console=self.console.name, what=what, count=self.noise)
        self._cursor.poll(_NEVER, within(random.uniform(0, _PAUSE), None))


def _resync_deadline(what: str) -> Deadline:
    return Deadline.after(_RESYNC_SECONDS, f"the shell after {what}")


def within(seconds: float, deadline: Deadline | None) -> Deadline:
    """The moment some seconds from now, or an earlier deadline."""
    return Deadline.after(min(seconds, deadline.remaining) if deadline else seconds, "an answer")
