"""The Linux guest: its images, its boot text, and its copies on the host. A real boot is in the device suites."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from pathlib import Path

import pytest

from harness.errors import BenchError
from harness.events import Event, Events
from harness.guest.linux import GuestImages, Interrupt, build, parse_interrupts
from harness.guest.linux.image import meta_package
from harness.guest.linux.milestones import MILESTONES, READY, fatal, progress, sightings
from harness.guest.modules import ModuleMissing, content, load_order, name_of
from harness.guest.store import CopyFailed, GuestStore
from suites.harness.local_host import LocalTransport, host

RECORDED = Path(__file__).with_name("recorded") / "linux-6.1-boot.log"
"""The console of a Debian 6.1 cloud kernel with our initrd, booted directly by QEMU."""


@pytest.fixture(scope="module")
def log() -> bytes:
    return RECORDED.read_bytes()


def test_every_milestone_is_in_a_recorded_boot(log: bytes) -> None:
    """In the order of the table, each after the one before."""
    seen = sightings(log)
    assert [sighting.milestone for sighting in seen] == list(MILESTONES)
    assert [sighting.end for sighting in seen] == sorted({sighting.end for sighting in seen})
    assert fatal(log) == ""


def test_a_boot_that_stops_is_told_by_its_last_milestone(log: bytes) -> None:
    """Cut after each milestone, the sentence names it and the next."""
    assert progress(b"") == "it printed nothing of a boot, next would be the kernel's first line"
    assert progress(b"\r\n") == "2 bytes came, none of them a known step of a boot, next would be the kernel's first line"
    for sighting, following in zip(sightings(log), MILESTONES[1:], strict=False):
        assert progress(log[: sighting.end + 1]) == f"it got to {sighting.milestone.name}, next would be {following.name}"
    assert progress(log) == f"it got to {READY.name}"


def test_a_quiet_boot_still_ends_at_the_banner() -> None:
    assert [sighting.milestone for sighting in sightings(b"\r\nguest ready\r\n/ # ")] == [READY]


def test_the_banner_must_be_a_line_of_its_own() -> None:
    """An echo of the script that prints it is no shell."""
    assert sightings(b"# echo guest ready\r\n") == []


def test_what_an_earlier_boot_left_does_not_count() -> None:
    """The banner of the boot before stands in front of the first line of this one."""
    assert [sighting.milestone.name for sighting in sightings(b"guest ready\r\n[    0.0] Linux version 6.1\r\n")] == [
        "the kernel's first line"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n", "panicked: VFS: Unable to mount root fs"),
        (b"Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug\r\n", "IO-APIC + timer doesn't work"),
    ],
)
def test_a_boot_that_cannot_go_on_is_told_at_once(text: bytes, says: str) -> None:
    assert says in fatal(text)
    assert fatal(text.rstrip()) == ""


INTERRUPTS = """\
           CPU0       CPU1
  0:       1196          4   IO-APIC   0-edge      timer
  4:        132          0   IO-APIC   4-edge      ttyS0
LOC:          0          7   Local timer interrupts
ERR:          3
"""


def test_interrupts_are_counted_by_line() -> None:
    found = parse_interrupts(INTERRUPTS)
    assert found["0"] == Interrupt("0", (1196, 4), "IO-APIC 0-edge", "timer")
    assert found["0"].total == 1200
    assert found["LOC"] == Interrupt("LOC", (0, 7), "Local timer interrupts", "")
    assert found["ERR"] == Interrupt("ERR", (3,), "", "")
    assert parse_interrupts("") == {}


def module(path: Path, depends: str) -> Path:
    """An object with the one note a kernel module has about its needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f'const char depends[] __attribute__((section(".modinfo"))) = "depends={depends}";'
    subprocess.run(["gcc", "-x", "c", "-c", "-o", path, "-"], input=source.encode(), check=True)
    return path


def test_a_module_comes_after_those_it_needs(tmp_path: Path) -> None:
    """However deep they lie, each once; a hyphen in a file name is an underscore in a dependency."""
    for name, depends in (("evdev", ""), ("virtio-pci", "virtio_ring,virtio"), ("virtio_ring", "virtio"), ("virtio", "")):
        module(tmp_path / name[0] / f"{name}.ko", depends)
    ordered = load_order(("evdev", "virtio_pci"), tmp_path)
    assert [path.stem for path in ordered] == ["evdev", "virtio", "virtio_ring", "virtio-pci"]


def test_compressed_modules_are_as_good(tmp_path: Path) -> None:
    """Debian's 6.12 has them as `.ko.xz`: the same order, and the content is what the kernel loads."""
    for name, depends in (("virtio", ""), ("virtio-ring", "virtio")):
        plain = module(tmp_path / f"{name}.ko", depends)
        (tmp_path / f"{name}.ko.xz").write_bytes(lzma.compress(plain.read_bytes()))
        plain.unlink()
    ordered = load_order(("virtio_ring",), tmp_path)
    assert [name_of(path) for path in ordered] == ["virtio", "virtio_ring"]
    assert all(content(path).startswith(b"\x7fELF") for path in ordered)


def test_a_kernel_is_named_by_its_version() -> None:
    assert (meta_package(), meta_package("6.12")) == ("linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64")


def test_a_kernel_without_the_module_is_refused(tmp_path: Path) -> None:
    module(tmp_path / "a.ko", "b")
    with pytest.raises(ModuleMissing, match="has no module b"):
        load_order(("a",), tmp_path)


@pytest.fixture(scope="module")
def images() -> GuestImages:
    """The checkout's own, as `make setup` built them."""
    return build()


def test_the_images_are_named_by_their_content(images: GuestImages) -> None:
    for file, sha1 in images.files.items():
        assert hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest() == sha1
        assert file.name.endswith(sha1[:12])
    assert images.kernel_version in images.kernel.name


def test_the_kernel_is_debians_own(images: GuestImages, tmp_path: Path) -> None:
    """Unmodified: the bytes in the package."""
    cache = images.kernel.parents[1] / "cache" / "debian"
    [deb] = [cache / name for name in images.packages if name.startswith("linux-image-")]
    subprocess.run(["dpkg", "-x", deb, tmp_path], check=True)
    assert (tmp_path / "boot" / f"vmlinuz-{images.kernel_version}").read_bytes() == images.kernel.read_bytes()


def test_the_same_packages_give_the_same_images(images: GuestImages, tmp_path: Path) -> None:
    """Reproducible to the byte; built again only when a file is gone."""
    told: list[str] = []
    cache = images.kernel.parents[1] / "cache" / "debian"
    again = build(output=tmp_path, cache=cache, report=told.append)
    assert again.initrd.read_bytes() == images.initrd.read_bytes()
    assert build(output=tmp_path, cache=cache, report=told.append) == again
    assert len(told) == 1
    again.initrd.unlink()
    assert build(output=tmp_path, cache=cache, report=told.append) == again
    assert again.initrd.is_file()
    assert len(told) == 2


class Store:
    def __init__(self, directory: Path) -> None:
        self.transport = LocalTransport()
        self.directory = directory / "data" / "guests"
        self.seen: list[Event] = []
        events = Events()
        events.listen(self.seen.append)
        self.store = GuestStore(host(directory, self.transport, events), str(self.directory), events)
        self.image = directory / "vmlinuz"
        self.image.write_bytes(b"kernel")
        self.files = {self.image: hashlib.sha1(b"kernel").hexdigest()}

    @property
    def copies(self) -> int:
        return sum(event.name == "guest.store.begin" for event in self.seen)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_an_image_is_copied_once_and_kept(store: Store) -> None:
    kept = store.store.keep(store.files)
    assert Path(kept[store.image]).read_bytes() == b"kernel"
    assert store.store.keep(store.files) == kept
    assert store.copies == 1
    assert [path.name for path in store.directory.iterdir()] == [f"{store.files[store.image]}-vmlinuz"]


def test_a_spoiled_image_on_the_host_is_replaced(store: Store) -> None:
    """A power cut in the middle of an earlier write."""
    path = Path(store.store.keep(store.files)[store.image])
    path.write_bytes(b"ker")
    store.store.keep(store.files)
    assert path.read_bytes() == b"kernel"
    assert store.copies == 2


def test_an_interrupted_copy_leaves_nothing(store: Store) -> None:
    store.transport.interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        store.store.keep(store.files)
    assert list(store.directory.iterdir()) == []


def test_an_image_is_on_the_disk_before_it_has_its_name(store: Store) -> None:
    """A power cut between the two leaves no good name on an empty file: content, `sync`, name, `sync`."""
    store.store.keep(store.files)
    naming = next(script for script in store.transport.scripts if "mv " in script)
    assert naming.index("sync") < naming.index("mv ") < naming.rindex("sync")


def test_a_spoiled_copy_never_gets_its_name(store: Store) -> None:
    store.transport.spoil = "vmlinuz"
    with pytest.raises(CopyFailed, match="vmlinuz on the host has SHA-1") as failure:
        store.store.keep(store.files)
    assert isinstance(failure.value, BenchError)
    assert list(store.directory.iterdir()) == []
