"""qvm's reader of configurations on files that somebody damaged: it reads or refuses, in one sentence, under both sanitizers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from suites.asked import asked
from suites.harness.qvm_local import SANITIZER_OPTIONS, furnish
from suites.harness.test_qvm_configuration import BAD, GOOD, HEAD, PIC

FILES = asked("HARNESS_FILES", 1000)
"""`make soak` reads a hundred times as many."""

TEXTS = [("\n".join(lines) + "\n").encode() for lines in (*GOOD.values(), *(lines for lines, _, _ in BAD.values()))]
WORDS = sorted({word for text in TEXTS for word in text.split() if b"/" not in word})
"""Paths are left out: a damaged text opens what it names."""

REFUSALS = {0, 6, 64, 65}
"""Read; refused; 6 is for the vdevs among the examples that crash or leave."""


class Parser:
    """The reader, a process that reads each text in a child of its own."""

    def __init__(self, program: Path, vdevs: Path, directory: Path) -> None:
        environment = {**os.environ, "LD_LIBRARY_PATH": str(vdevs), "LC_ALL": "C", "ASAN_OPTIONS": SANITIZER_OPTIONS}
        self._process = subprocess.Popen([program], cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, text: bytes) -> tuple[int, bytes]:
        """Exit status (negative: the signal) and what was said."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"%d\n%s" % (len(text), text))
        self._process.stdin.flush()
        status, size = map(int, self._process.stdout.readline().split())
        return status, self._process.stdout.read(size)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(10) == 0


@pytest.fixture(scope="module")
def parser(sanitized: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    directory = tmp_path_factory.mktemp("texts")
    furnish(directory)
    reader = Parser(sanitized / "qvm_parser", sanitized, directory)
    yield reader
    reader.close()


@some.composite
def damaged(draw: some.DrawFn) -> bytes:
    """One of the examples with a few words or bytes taken out, put in, doubled or changed."""
    text = bytearray(draw(some.sampled_from(TEXTS)))
    for _ in range(draw(some.integers(1, 4))):
        at = draw(some.integers(0, len(text)))
        length = draw(some.integers(0, 12))
        piece = draw(
            some.sampled_from(WORDS).map(lambda word: b" %s " % word)
            | some.binary(max_size=3)
            | some.integers(0, 2**65).map(lambda number: b" %#x," % number)
            | some.just(bytes(text[at : at + length]) * 2)
            | some.sampled_from([b'"', b"\\\n", b"#", b"\n", b"", b"x" * 5000])
        )
        text[at : at + length] = piece
    return bytes(text).replace(b"/", b"_")


def test_the_reader_reads_what_is_right(parser: Parser) -> None:
    """So that the test below cannot pass on a reader that refuses everything."""
    assert parser.read(("\n".join(HEAD)).encode()) == (0, b"")


def test_a_refused_file_leaves_nothing_behind(parser: Parser) -> None:
    """Found by a damaged file: what `hostdev` named before it was named again stayed allocated when the next option was refused."""
    text = "\n".join((*HEAD, PIC, "vdev ser8250 hostdev >- hostdev >- intr nobody:4")) + "\n"
    status, said = parser.read(text.encode())
    assert status in (64, 65), said
    assert b"no vdev has the name" in said


@settings(max_examples=FILES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=damaged())
def test_a_damaged_file_is_read_or_refused_in_one_sentence(parser: Parser, text: bytes) -> None:
    """No sanitizer's report, no signal, no silence: a refusal says why, and an accepted text says nothing but warnings."""
    status, said = parser.read(text)
    assert status in REFUSALS, said
    assert b"Sanitizer" not in said
    assert b"runtime error" not in said
    if status in (64, 65):
        assert re.search(rb"\S[^\n]*\n\Z", said)
