"""The two ways to the host, console and SSH, reach the same machine and report what commands really did."""

from __future__ import annotations

import pytest

from fixtures.marks import judge
from harness.bench import Bench

pytestmark = judge("bench")

EVERY_BYTE = bytes(range(256)) * 4
"""More than one piece of a console's output, and every value a tty might take for its own."""


def test_console_and_ssh_reach_the_same_host(bench: Bench) -> None:
    """`uname -a` is the same on both ways, and a file written on one is read on the other."""
    if not bench.by_ssh:
        pytest.skip("the console is the only way to the host in this run: there is no second one to compare it with")
    assert bench.host_by_console.run(["uname", "-a"]).stdout == bench.host.run(["uname", "-a"]).stdout
    path = f"/tmp/{bench.nonce}.same"
    bench.host_by_console.run(["cp", "/etc/profile", path])
    try:
        assert bench.host.run(["cksum", path]).stdout.split()[:2] == bench.host.run(["cksum", "/etc/profile"]).stdout.split()[:2]
    finally:
        bench.host.run(["rm", "-f", path])


@pytest.mark.parametrize("status", [0, 1, 3, 127])
def test_exit_statuses_arrive_unchanged(bench: Bench, status: int) -> None:
    """A command's exit status is what the shell on the host says, on both ways."""
    assert bench.host_by_console.run(["sh", "-c", f"exit {status}"], check=False).status == status
    assert bench.host.run(["sh", "-c", f"exit {status}"], check=False).status == status


@pytest.mark.parametrize("argument", ["plain", "two words", "it's", 'say "so"', "$HOME `id` \\n", "a;b|c&d", "*", "", "ünï"])
def test_arguments_arrive_unchanged(bench: Bench, argument: str) -> None:
    """No shell on the way changes an argument."""
    expected = argument.encode() + b"|"
    assert bench.host_by_console.run(["printf", "%s|", argument]).stdout == expected
    assert bench.host.run(["printf", "%s|", argument]).stdout == expected


def test_every_byte_arrives_unchanged(bench: Bench) -> None:
    """What a command prints comes back byte for byte on both ways, control characters and all; so does what it is given to read."""
    assert bench.host.run(["cat"], input=EVERY_BYTE).stdout == EVERY_BYTE
    assert bench.host_by_console.run(["cat"], input=EVERY_BYTE).stdout == EVERY_BYTE
