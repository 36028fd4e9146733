"""Reads the text of a VM configuration, and says where each entry stood.

Invariant: what is read is what qvm's documentation says the text means; anything else is a `ConfigurationSyntax` with file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.errors import UseError
from harness.vm import grammar
from harness.vm.model import Configuration, Cpu, Load, Logger, Memory, Option, Pass, Ram, Reserve, Rom, Set, Unsupported, Vdev
from harness.vm.writer import write


class ConfigurationSyntax(UseError):
    """A VM configuration that does not follow the grammar; the sentence begins with `FILE:LINE`."""

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(f"{file}:{line}: {what}", "correct the VM configuration")
        self.file = file
        self.line = line


CONTEXT_GROUPS = {"cpu": "cpus", "vdev": "vdevs", "pass": "passes", "reserve": "memory"}
"""The field of a `Configuration` that the entries of a context go to."""


class Parsed(msgspec.Struct, frozen=True):
    """A configuration, and the line of each entry by group and index (`("vdevs", 2)`, `("cmdline", 0)`)."""

    configuration: Configuration
    file: str
    lines: dict[tuple[str, int], int]


@dataclass(frozen=True)
class Token:
    """A word of a configuration, the line it stands on (from 1), and whether it was quoted."""

    text: str
    line: int
    quoted: bool = False


def parse(text: str, file: str = "configuration", *, flags: frozenset[str] = frozenset()) -> Parsed:
    """Reads a configuration. `flags` names options without an argument beyond the documented ones. Raises `ConfigurationSyntax`."""
    return _Reader(file, list(_tokens(text, file)), grammar.FLAGS | flags).read()


def with_base_options(configuration: Configuration, options: Mapping[str, str]) -> Configuration:
    """The configuration with the VM options a board gives every VM (`[vm] base_options`: option to the rest of its line)."""
    if not options:
        return configuration
    lines = "".join(f"{option} {rest}\n" for option, rest in options.items())
    return parse(write(configuration) + lines, "[vm] base_options").configuration


def _tokens(text: str, file: str) -> Iterator[Token]:
    position, line = 0, 1
    while position < len(text):
        character = text[position]
        if character.isspace():
            line += character == "\n"
            position += 1
        elif character == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif character == '"':
            end = text.find('"', position + 1)
            if end < 0:
                raise ConfigurationSyntax(file, line, "a string has no closing quote")
            raw = text[position + 1 : end]
            yield Token(raw.replace("\\\n", ""), line, quoted=True)
            line += raw.count("\n")
            position = end + 1
        else:
            end = position
            while end < len(text) and not text[end].isspace() and text[end] not in '"#':
                end += 1
            yield Token(text[position:end], line)
            position = end


@dataclass
class _Reader:
    """One pass over the tokens. An open context has its place in its group already; closing it fills the place."""

    file: str
    tokens: list[Token]
    flags: frozenset[str]
    at: int = 0
    context: str = ""
    options: list[Option] = field(default_factory=list)
    close: Callable[[], None] = field(default=lambda: None)
    groups: dict[str, list[Any]] = field(default_factory=dict)
    lines: dict[tuple[str, int], int] = field(default_factory=dict)
    single: dict[str, Any] = field(default_factory=dict)

    def read(self) -> Parsed:
        while self.at < len(self.tokens):
            self._entry(self._next("an option"))
        self._end_context()
        if "system" not in self.single:
            raise ConfigurationSyntax(self.file, 1, "the VM has no name; `system NAME` must be the first entry")
        fields = self.single | {group: tuple(entries) for group, entries in self.groups.items()}
        return Parsed(Configuration(**fields), self.file, self.lines)

    def _entry(self, token: Token) -> None:
        word = token.text
        if token.quoted:
            raise self._wrong(token, f'an option was expected, not the string "{word}"')
        if word in grammar.CONTEXTS:
            self._open(token)
        elif word in grammar.BLOBS and self._peek() == "load":
            self._next("load")
            self._load(token, word)
        elif word in grammar.VM_OPTIONS:
            self._vm_option(token)
        elif self.context:
            self._context_option(token)
        else:
            raise self._wrong(token, f"'{word}' is no option of a VM")

    def _open(self, token: Token) -> None:
        self._end_context()
        self.context = token.text
        kind = self._argument(token).text if token.text == "vdev" else ""
        entries = self._add(CONTEXT_GROUPS[token.text], None, token)
        place = len(entries) - 1

        def close() -> None:
            entries[place] = self._made(token, kind)

        self.close = close

    def _end_context(self) -> None:
        self.close()
        self.context, self.options, self.close = "", [], lambda: None

    def _made(self, token: Token, kind: str) -> Vdev | Cpu | Pass | Reserve:
        options = tuple(self.options)
        if token.text == "vdev":
            return Vdev(kind, options)
        if token.text == "cpu":
            return Cpu(options)
        if token.text == "pass":
            return Pass(options)
        start, length = self._range(token, options[-1].arguments[0]) if options else (None, 0)
        if start is None:
            raise self._wrong(token, "`reserve` needs `loc START,LENGTH`")
        return Reserve(start, length)

    def _context_option(self, token: Token) -> None:
        known = {"cpu": grammar.CPU_OPTIONS, "pass": grammar.PASS_OPTIONS, "reserve": frozenset({"loc"})}.get(self.context)
        if known is not None and token.text not in known:
            raise self._wrong(token, f"'{token.text}' is no option of `{self.context}`")
        count = 0 if self.context == "vdev" and token.text in self.flags else grammar.ARGUMENTS.get(token.text, 1)
        self.options.append(Option(token.text, tuple(self._argument(token).text for _ in range(count))))

    def _vm_option(self, token: Token) -> None:
        word = token.text
        self.lines[word, 0] = token.line
        if word == "system":
            if self.at != 1:
                raise self._wrong(token, "`system` must be the first entry")
            self.single[word] = self._argument(token).text
        elif word in ("ram", "rom"):
            self._memory(token)
        elif word == "load":
            self._load(token, "")
        elif word in ("dryrun", "safety"):
            self.single[word] = True
        elif word == "tolerance":
            self.single[word] = self._number(token, self._argument(token).text)
        elif word in ("cmdline", "dump"):
            self.single[word] = self._argument(token).text
        else:
            self._pair(token)

    def _pair(self, token: Token) -> None:
        first, second = self._argument(token).text, self._argument(token).text
        if token.text == "set":
            self._add("variables", Set(first, second), token)
        elif token.text == "logger":
            filters = tuple(self._word(token, word, grammar.SEVERITIES) for word in first.split(","))
            self._add("loggers", Logger(filters, self._word(token, second, grammar.DESTINATIONS)), token)
        else:
            what, action = self._word(token, first, grammar.UNSUPPORTED), self._word(token, second, grammar.ACTIONS)
            self._add("unsupported", Unsupported(what, action), token)

    def _memory(self, token: Token) -> None:
        start, length = self._range(token, self._argument(token).text)
        entry: Memory
        if token.text == "ram":
            entry = Ram(length, start)
        elif start is None:
            raise self._wrong(token, "`rom` needs START,LENGTH")
        else:
            entry = Rom(start, length)
        self._add("memory", entry, token)

    def _load(self, token: Token, blob: str) -> None:
        text = self._argument(token).text
        head, comma, rest = text.partition(",")
        if comma and grammar.NUMBER.fullmatch(head):
            self._add("loads", Load(rest, blob, grammar.number(head)), token)
        else:
            self._add("loads", Load(text, blob), token)

    def _add(self, group: str, entry: object, token: Token) -> list[Any]:
        entries = self.groups.setdefault(group, [])
        self.lines[group, len(entries)] = token.line
        entries.append(entry)
        return entries

    def _next(self, expected: str) -> Token:
        if self.at >= len(self.tokens):
            line = self.tokens[-1].line if self.tokens else 1
            raise ConfigurationSyntax(self.file, line, f"the file ends where {expected} was expected")
        self.at += 1
        return self.tokens[self.at - 1]

    def _peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def _argument(self, token: Token) -> Token:
        return self._next(f"the argument of `{token.text}`")

    def _range(self, token: Token, text: str) -> tuple[int | None, int]:
        start, comma, length = text.rpartition(",")
        return (self._number(token, start) if comma else None), self._number(token, length)

    def _number(self, token: Token, text: str) -> int:
        try:
            return grammar.number(text)
        except ValueError as error:
            raise self._wrong(token, f"`{token.text}`: {error}") from None

    def _word(self, token: Token, word: str, known: frozenset[str]) -> str:
        if word not in known:
            raise self._wrong(token, f"`{token.text}`: '{word}' is none of {', '.join(sorted(known))}")
        return word

    def _wrong(self, token: Token, what: str) -> ConfigurationSyntax:
        return ConfigurationSyntax(self.file, token.line, what)
