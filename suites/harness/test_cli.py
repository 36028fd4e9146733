"""The `harness` command, run as a user runs it: what it prints, and that a mistake is a sentence and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.boardfile import checkout

NOTE = """
struct note { int namesz, descsz, type; char name[12]; char desc[52]; };
__attribute__((section(".note.vdev.defects"), aligned(4), used)) static const struct note note =
    { 12, 52, 1, "vdev-defect", "pit.slow\\0the rate is 1 % too low\\0PIT-034 PIT-079" };
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty configuration directory."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    return {**kept, "XDG_CONFIG_HOME": str(tmp_path / "config"), "NO_COLOR": "1"}


def harness(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *arguments],
        cwd=checkout(),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in text.splitlines()}


def test_boards_lists_types_and_benches(home: dict[str, str], tmp_path: Path) -> None:
    benches = tmp_path / "config/harness/benches"
    benches.mkdir(parents=True)
    (benches / "left-desk.toml").write_text('extends = "rpi4"\n')
    ended = harness(home, "boards")
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = rows(ended.stdout)
    assert listed["rpi4"][1] == "real"
    assert listed["virtual-x86_64"][1] == "launched"
    assert listed["left-desk"][1] == "real"
    assert f"(bench, {benches}/left-desk.toml)" in ended.stdout


def test_boards_shows_a_broken_file_beside_the_others(home: dict[str, str], tmp_path: Path) -> None:
    benches = tmp_path / "config/harness/benches"
    benches.mkdir(parents=True)
    (benches / "desk.toml").write_text('extends = "rpi4"\n[power]\ndrvier = "scpi"\n')
    ended = harness(home, "boards")
    assert ended.returncode == 0
    listed = rows(ended.stdout)
    assert listed["desk"][1] == "broken"
    assert "power.drvier is unknown; did you mean driver?" in ended.stdout
    assert "rpi4" in listed


def test_boards_outside_of_a_checkout_says_where_to_look(home: dict[str, str], tmp_path: Path) -> None:
    ended = harness({**home, "HARNESS_BOARDS": str(tmp_path / "none")}, "boards")
    assert ended.returncode == 0
    assert "$HARNESS_BOARDS" in ended.stdout


def test_defects_are_listed_from_the_file_itself(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pit.c").write_text(NOTE)
    vdev = tmp_path / "vdev-pit.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", vdev, tmp_path / "pit.c"], check=True)
    ended = harness(home, "vdev", "defects", str(vdev))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "pit.slow  PIT-034 PIT-079  the rate is 1 % too low\n"


def test_a_vdev_without_defects_says_so(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pit.c").write_text("void vdev_register_factory(void); void begin(void) { vdev_register_factory(); }")
    vdev = tmp_path / "vdev-pit.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", vdev, tmp_path / "pit.c"], check=True)
    assert harness(home, "vdev", "defects", str(vdev)).stdout == f"{vdev} carries no defects\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vdev", "defects", "/no/vdev-x.so"], "harness: /no/vdev-x.so cannot be read (No such file or directory); "),
        (["vdev", "defects", "pyproject.toml"], "harness: pyproject.toml is not an ELF file"),
        (["vdev", "defects", "/bin/ls"], "harness: /bin/ls is no vdev: it does not import vdev_register_factory(); name a vdev file"),
        (["vdev", "defects", "/tmp"], "harness: /tmp cannot be read (Is a directory); name a vdev file"),
        (["vdev", "defects"], "Missing argument"),
        (["guest", "build", "windows"], "'windows' is not one of 'linux'"),
        (["bords"], "No such command 'bords'"),
        (["boards", "--all"], "No such option"),
    ],
)
def test_a_mistake_is_a_sentence_and_status_2(home: dict[str, str], arguments: list[str], said: str) -> None:
    ended = harness(home, *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_a_sentence_that_nobody_can_be_told_leaves_its_status(home: dict[str, str], redirect: str) -> None:
    command = f'"$@" {redirect}'
    words = [sys.executable, "-c", "from harness.cli import main; main()", "vdev", "defects", "/no/vdev-x.so"]
    assert subprocess.run(["sh", "-c", command, "sh", *words], cwd=checkout(), env=home).returncode == 2


@pytest.mark.parametrize("group", [[], ["bench"], ["vdev"], ["guest"]], ids=" ".join)
def test_no_command_s_one_line_is_cut(home: dict[str, str], group: list[str]) -> None:
    """The list of commands shows the first sentence of each, as far as it fits."""
    listed = harness(home, *group, "--help").stdout.partition("Commands:\n")[2]
    assert listed
    assert "..." not in listed


def test_what_could_not_be_done_is_status_3(home: dict[str, str]) -> None:
    script = (
        "from harness import cli\nfrom harness.errors import BenchError\n"
        "@cli.app.command()\ndef broken() -> None: raise BenchError('the bench is off', 'switch it on')\ncli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", script, "broken"], cwd=checkout(), env=home, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, "harness: the bench is off; switch it on\n")


def test_the_version_is_printed(home: dict[str, str]) -> None:
    ended = harness(home, "--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("harness ")


def test_a_user_who_types_nothing_sees_the_commands(home: dict[str, str]) -> None:
    shown = harness(home)
    assert all(command in shown.stdout + shown.stderr for command in ("boards", "vdev", "guest"))


def test_heavy_imports_wait_for_the_command_that_needs_them(home: dict[str, str]) -> None:
    script = "import sys, harness.cli; print({'numpy', 'pyvisa', 'elftools', 'pytest', 'serial', 'msgspec'} & sys.modules.keys())"
    ended = subprocess.run([sys.executable, "-c", script], cwd=checkout(), env=home, capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
