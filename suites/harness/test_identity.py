"""Which host it is, is asked before anything is written to it."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import msgspec
import pytest

from harness.bench import identity
from harness.boardfile.schema import Identity
from harness.events import Events
from harness.host import Host
from suites.harness import local_host
from suites.harness.session import CHECKOUT
from suites.harness.session import pytest as run


def checked(directory: Path, asked: Identity) -> tuple[identity.Identity, list[str]]:
    """What `identity.check` makes of this machine, and the commands it ran to find out."""
    transport = local_host.LocalTransport()
    board = msgspec.structs.replace(local_host.board(directory), identity=asked, files=("boards/pc.toml", "desk.toml"))
    host = Host(transport, board, Events())
    return identity.check(lambda argv: host.run(argv, check=False), board, "its console"), transport.scripts


def test_the_right_host_is_met_and_only_asked(tmp_path: Path) -> None:
    asked = Identity(system="Linux", release=f"{platform.release()[:1]}*", command=("uname", "-n"), answer=platform.node())
    said, scripts = checked(tmp_path, asked)
    assert said.uname.startswith(f"Linux {platform.node()} ")
    assert said.version == platform.version()
    assert len(scripts) == 2
    assert all("uname" in script and ">" not in script for script in scripts)


@pytest.mark.parametrize(
    ("asked", "difference", "printed"),
    [
        (Identity(system="QNX"), "`uname -s` says Linux, identity.system is QNX", ""),
        (Identity(system="Linux", release="8.0.*"), f"`uname -r` says {platform.release()}, identity.release is 8.0.*", ""),
        (Identity(machine="RaspberryPi4B"), f"`uname -m` says {platform.machine()}, identity.machine is RaspberryPi4B", ""),
        (
            Identity(command=("echo", "dc:a6:32:02"), answer="dc:a6:32:01"),
            "`echo dc:a6:32:02` does not say dc:a6:32:01",
            "\ndc:a6:32:02",
        ),
        (
            Identity(command=("sh", "-c", "echo dc:a6:32:01; echo no such port >&2; exit 3"), answer="dc:a6:32:01"),
            "`sh -c echo dc:a6:32:01; echo no such port >&2; exit 3` ends with status 3",
            "\ndc:a6:32:01\nno such port",
        ),
        (Identity(command=("false",), answer="dc:a6:32:01"), "`false` ends with status 1", "\nit printed nothing"),
    ],
)
def test_another_host_is_a_sentence(asked: Identity, difference: str, printed: str, tmp_path: Path) -> None:
    with pytest.raises(identity.WrongHost) as caught:
        checked(tmp_path, asked)
    assert str(caught.value) == (
        f"local: the host reached by its console is another one: {difference}; nothing was written to it; "
        f"look where the cables lead, or correct [identity] in desk.toml{printed}"
    )


@pytest.mark.parametrize("way", [(), ("--no-ssh",)])
def test_a_run_on_another_host_writes_nothing(way: tuple[str, ...], tmp_path: Path) -> None:
    """The first test is *infra*, the rest is *blocked* by that one sentence; no file was sent, no shell set up, and the board is off."""
    text = (CHECKOUT / "boards" / "virtual-x86_64.toml").read_text()
    (tmp_path / "twin.toml").write_text(text.replace('machine = "x86pc"', 'machine = "RaspberryPi4B"'))
    ended = run("--board=twin", f"--run-directory={tmp_path}/runs", *way, "suites/bench/test_deploy.py", HARNESS_BOARDS=str(tmp_path))
    assert ended.status == 10, ended.output
    assert "`uname -m` says x86pc, identity.machine is RaspberryPi4B; nothing was written to it" in ended.output
    journal = [json.loads(line) for line in (tmp_path / "runs" / "latest" / "journal.jsonl").read_text().splitlines()]
    assert [event["fields"]["verdict"] for event in journal if event["event"] == "test.verdict"] == ["infra", "blocked", "blocked"]
    assert not {"shell.ready", "ssh.connected", "host.put.begin", "vdev.deploy.begin"} & {event["event"] for event in journal}
    assert [event["event"] for event in journal if event["event"].startswith("power.off")], "the board was not switched off"
    said = (tmp_path / "runs" / "latest" / "consoles" / "host.log").read_bytes()
    assert b"uname" in said
    assert not {word for word in (b"/tmp/", b"stty", b"PS1") if word in said}
