"""Vdev files: audited on the lab controller, deployed to a private place, taken away again."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
from pathlib import Path
from random import Random

import msgspec
import pytest

from harness.command import CommandTimeout
from harness.events import Event, Events
from harness.ssh import SshLost
from harness.vdev import Deployment, DeploymentFailed, Leftovers, NotAVdev, VdevFile, collect, defects, hosts_own
from suites.harness.local_host import LocalTransport, board, host, link_tools

SOURCE = """
#include <stdlib.h>
extern void vdev_register_factory(void *, unsigned);
void leave(void) { exit(3); }
__attribute__((constructor)) static void begin(void) { vdev_register_factory((void *)0, 1); }
"""

NOTES = r"""
#define NOTE(ident, text) \
    __attribute__((section(".note.vdev.defects"), used, aligned(4))) static const struct { \
        unsigned namesz, descsz, type; char name[12]; char desc[(sizeof text + 3) / 4 * 4]; \
    } ident = { 12, sizeof text, 1, "vdev-defect", text }
NOTE(one, "pit.slow\0runs slow\0PIT-034 PIT-079");
NOTE(two, "pit.dead\0never ticks\0PIT-110");
"""


def build(path: Path, source: str = SOURCE, *flags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.with_suffix(".c")
    text.write_text(source)
    subprocess.run(["gcc", *(flags or ("-shared", "-fPIC", "-Wl,--build-id")), "-o", path, text], check=True)
    return path


@pytest.fixture(scope="module")
def vdev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("vdevs") / "vdev-timer8254.so")


def test_a_vdev_is_described_by_its_content(vdev: Path) -> None:
    """Name, machine, hashes, build id, imports: what the evidence of a run needs to say which object was judged."""
    file = VdevFile.read(vdev, "x86_64")
    content = vdev.read_bytes()
    assert (file.name, file.architecture, file.size) == ("timer8254", "x86_64", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.sha1 == hashlib.sha1(content).hexdigest()
    assert len(file.build_id) == 40
    assert file.undefined == ("exit", "vdev_register_factory")
    assert "libc.so.6" in file.needed
    assert [remark for remark in file.remarks if "exit()" in remark]
    assert file.provenance()["path"] == str(vdev)


def test_a_vdev_that_cannot_register_is_remarked(tmp_path: Path) -> None:
    """An object without the registration call loads, but gives qvm no vdev."""
    file = VdevFile.read(build(tmp_path / "vdev-empty.so", "int nothing;"))
    assert [remark for remark in file.remarks if "vdev_register_factory" in remark]


def with_machine(content: bytes, machine: int) -> bytes:
    return content[:18] + struct.pack("<H", machine) + content[20:]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        pytest.param("timer8254.so", lambda content: content, "not named vdev-NAME.so", id="name"),
        pytest.param("vdev-x.so", lambda _: b"#!/bin/sh\n", "not a complete ELF file", id="no-elf"),
        pytest.param("vdev-x.so", lambda _: b"", "not a complete ELF file", id="empty"),
        pytest.param("vdev-x.so", lambda content: content[:600], "not a complete ELF file", id="cut"),
        pytest.param("vdev-x.so", lambda content: with_machine(content, 183), "made for aarch64, the board is x86_64", id="other-board"),
        pytest.param("vdev-x.so", lambda content: with_machine(content, 243), "made for EM_RISCV", id="unknown-machine"),
    ],
)
def test_what_is_no_vdev_is_refused_with_a_next_step(vdev: Path, tmp_path: Path, name: str, change, says: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / name
    path.write_bytes(change(vdev.read_bytes()))
    with pytest.raises(NotAVdev, match=says) as refusal:
        VdevFile.read(path, "x86_64")
    assert str(path) in refusal.value.sentence
    assert refusal.value.next_step


def test_a_program_is_no_vdev(tmp_path: Path) -> None:
    """A position-independent program has the ELF type of a shared object."""
    path = build(tmp_path / "vdev-main.so", "int main(void) { return 0; }", "-pie", "-fPIE")
    with pytest.raises(NotAVdev, match="is a program"):
        VdevFile.read(path)


def test_a_relocatable_object_is_no_vdev(tmp_path: Path) -> None:
    path = build(tmp_path / "vdev-object.so", "int nothing;", "-c")
    with pytest.raises(NotAVdev, match="not a shared object"):
        VdevFile.read(path)


@pytest.mark.parametrize("length", range(0, 2000, 97))
def test_a_cut_file_never_escapes_as_another_error(vdev: Path, tmp_path: Path, length: int) -> None:
    """Whatever a broken download left, the answer is a sentence."""
    path = tmp_path / "vdev-cut.so"
    path.write_bytes(vdev.read_bytes()[:length])
    with pytest.raises(NotAVdev):
        VdevFile.read(path)


def test_the_vdevs_of_a_directory_come_by_name(vdev: Path, tmp_path: Path) -> None:
    for name in ("vdev-ser8250.so", "vdev-ioapic.so", "notes.txt"):
        (tmp_path / name).write_bytes(vdev.read_bytes())
    assert [file.name for file in collect(tmp_path)] == ["ioapic", "ser8250"]


def test_a_directory_without_vdevs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAVdev, match=r"holds no vdev-NAME\.so"):
        collect(tmp_path)
    with pytest.raises(NotAVdev, match="is not a directory"):
        collect(tmp_path / "missing")


def test_the_defects_of_a_vdev_stand_in_its_notes(tmp_path: Path) -> None:
    """In the order of the object, each with its summary and the specification lines it breaks."""
    found = defects(build(tmp_path / "vdev-timer8254.so", NOTES))
    assert [(defect.name, defect.summary, defect.lines) for defect in found] == [
        ("pit.slow", "runs slow", ("PIT-034", "PIT-079")),
        ("pit.dead", "never ticks", ("PIT-110",)),
    ]


def test_a_vdev_without_notes_has_no_defects(vdev: Path) -> None:
    assert defects(vdev) == []


def test_a_spoilt_file_is_refused_in_a_sentence_or_read(vdev: Path, tmp_path: Path) -> None:
    """Whatever stands in the headers of an object, asking for its defects ends with a list or with `NotAVdev`."""
    whole, spoilt, random, refused = vdev.read_bytes(), tmp_path / "vdev-spoilt.so", Random(8254), 0
    for _ in range(500):
        content = bytearray(whole[: random.choice((len(whole), random.randrange(len(whole))))])
        for _ in range(20):
            content[random.choice((random.randrange(64), random.randrange(len(content)))) % len(content)] = random.randrange(256)
        spoilt.write_bytes(content)
        try:
            defects(spoilt)
        except NotAVdev:
            refused += 1
    assert refused > 100


def test_defects_of_no_elf_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text")
    with pytest.raises(NotAVdev, match="is not an ELF file"):
        defects(tmp_path / "x")
    with pytest.raises(NotAVdev, match="cannot be read"):
        defects(tmp_path / "missing")


DEPLOYING = ("cat", "ls", "mkdir", "rm", "rmdir", "sha1sum", "sync")
"""What a deployment needs of a host, whichever way its files go."""


class Bench:
    """A local host with a scratch directory that is not there yet and the host's own vdev in place."""

    def __init__(self, directory: Path, vdev: Path, *, pipes: bool) -> None:
        self.transport = LocalTransport(pipes=pipes)
        self.own = directory / "dll"
        self.own.mkdir()
        (self.own / "vdev-timer8254.so").write_bytes(b"the host's own")
        self.scratch = directory / "data" / "harness"
        self.file = VdevFile.read(vdev)
        self.seen: list[Event] = []
        self.events = Events()
        self.events.listen(self.seen.append)
        self.host = host(directory, self.transport, self.events)
        self.root = directory

    def deploy(self, run: str = "1") -> Deployment:
        return Deployment.install(self.host, board(self.root), [self.file], run=run, events=self.events)

    def tree(self) -> dict[str, bytes | None]:
        return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(self.root.rglob("*"))}


@pytest.fixture(params=["archive", "no tar", "no pipe"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, vdev: Path) -> Bench:
    if request.param == "no tar":
        link_tools(tmp_path, *DEPLOYING)
    return Bench(tmp_path, vdev, pipes=request.param != "no pipe")


def test_a_deployed_vdev_comes_before_the_hosts_own(bench: Bench) -> None:
    """The private directory is first in the library path, and holds what was sent."""
    deployment = bench.deploy()
    copy = Path(deployment.library_path.split(":")[0]) / "vdev-timer8254.so"
    assert copy.read_bytes() == bench.file.path.read_bytes()
    assert deployment.library_path.endswith(":/lib:/lib/dll")
    assert (bench.own / "vdev-timer8254.so").read_bytes() == b"the host's own"


def test_deployment_takes_one_round_trip_and_one_back(bench: Bench, request: pytest.FixtureRequest) -> None:
    """On a board each costs a process over SSH; deployment must stay below a third of a boot. Without an archive it takes two more."""
    deployment = bench.deploy()
    deployed = 1 if request.node.callspec.params["bench"] == "archive" else 3
    assert bench.transport.trips == deployed
    deployment.restore()
    assert bench.transport.trips == deployed + 1


def test_restoring_leaves_the_host_as_found(bench: Bench) -> None:
    before = bench.tree()
    deployment = bench.deploy()
    (Path(deployment.directory) / "guest.out").write_text("what a qvm left")
    deployment.restore()
    assert bench.tree() == before
    deployment.restore()


def test_a_scratch_directory_that_was_there_stays(bench: Bench) -> None:
    bench.scratch.mkdir(parents=True)
    (bench.scratch / "somebody's").write_text("file")
    before = bench.tree()
    bench.deploy().restore()
    assert bench.tree() == before


def test_what_a_cut_off_run_left_is_removed(bench: Bench) -> None:
    """A run that was killed could not restore; the next one does it for it, and says so."""
    bench.deploy("old")
    stale = bench.scratch / "run-old"
    assert stale.is_dir()
    bench.deploy("new").restore()
    assert [event.fields["directory"] for event in bench.seen if event.name == "vdev.stale_removed"] == [str(stale)]
    assert not stale.exists()


def test_a_second_deployment_of_a_run_leaves_the_first(bench: Bench) -> None:
    """Both are there, each in its own place, and each takes away its own."""
    first = bench.deploy("run1")
    before = bench.tree()
    bench.deploy("run1.second").restore()
    assert bench.tree() == before
    first.restore()
    assert not bench.scratch.exists()


def test_a_copy_that_differs_fails_and_leaves_nothing(bench: Bench) -> None:
    before = bench.tree()
    bench.transport.spoil = "vdev-timer8254"
    with pytest.raises(DeploymentFailed, match=r"the sha1sum of vdev-timer8254\.so is \w+ on the host"):
        bench.deploy()
    assert bench.tree() == before


def test_a_scratch_directory_that_cannot_be_made_is_one_sentence(bench: Bench) -> None:
    """With the host's own reason; what is run there is nobody's business."""
    (bench.root / "data").write_text("a file")
    before = bench.tree()
    with pytest.raises(DeploymentFailed) as refusal:
        bench.deploy()
    assert re.fullmatch(r".*/harness/run-1 on the host cannot be written: mkdir: .*: Not a directory", refusal.value.sentence)
    assert f"let host.scratch name a directory on a disk, and check its free space (df {bench.scratch})" in str(refusal.value)
    assert bench.tree() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SshLost("the connection is gone"), CommandTimeout("too slow")], ids=repr)
@pytest.mark.parametrize("there", [False, True], ids=["no scratch directory", "scratch directory"])
def test_a_deployment_that_is_interrupted_leaves_nothing(bench: Bench, error: BaseException, there: bool) -> None:
    """The files had arrived, the host's answer had not: what is known of the host is only what it wrote down itself."""
    if there:
        bench.scratch.mkdir(parents=True)
    before = bench.tree()
    bench.transport.interrupt = error
    with pytest.raises(type(error)):
        bench.deploy()
    assert bench.tree() == before


def test_a_host_that_is_not_as_found_is_told(bench: Bench) -> None:
    """Something put a file beside the host's own vdevs during the run."""
    deployment = bench.deploy()
    (bench.own / "vdev-new.so").write_bytes(b"")
    with pytest.raises(Leftovers, match=r"vdev-new\.so"):
        deployment.restore()


def test_the_hosts_own_vdevs_are_told_by_the_file_its_loader_takes(bench: Bench) -> None:
    """The first in the library path; one that is nowhere has no digest; nobody is asked for nothing."""
    late = bench.root / "late"
    late.mkdir()
    for name in ("timer8254", "8259"):
        (late / f"vdev-{name}.so").write_bytes(b"another")
    profile = msgspec.structs.replace(board(bench.root).host, library_path=("/nowhere", str(bench.own), str(late)))
    first, second = (hashlib.sha1(content, usedforsecurity=False).hexdigest() for content in (b"the host's own", b"another"))
    assert hosts_own(bench.host, profile, ["8259", "ioapic", "timer8254"]) == [
        {"name": "8259", "from": "host", "path": f"{late}/vdev-8259.so", "sha1": second},
        {"name": "ioapic", "from": "host"},
        {"name": "timer8254", "from": "host", "path": f"{bench.own}/vdev-timer8254.so", "sha1": first},
    ]
    trips = bench.transport.trips
    assert hosts_own(bench.host, profile, []) == []
    assert bench.transport.trips == trips
