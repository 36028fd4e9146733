"""The virtual host's kernel and root file system, built from Debian packages without root and without installing anything.

An image is known by its content: its key is a hash over the recipe's sources, the packages, and our `qvm` and vdevs, and nothing is
built while the key is the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boards.virtual.image import disk, recipe, tree
from boards.virtual.image.kernel import extract
from boards.virtual.tools import run
from harness.errors import UseError, writing
from harness.guest import debian, initrd, modules

CHECKOUT = Path(__file__).resolve().parents[3]
BUILD = CHECKOUT / "build"
DEFAULT_OUTPUT = BUILD / "virtual" / "image"
SOURCES = Path(__file__).parent
OVERLAY = SOURCES / "root"
"""Files that go into the image as they are."""

Report = Callable[[str], None]


class ImageMissing(UseError):
    """Nothing was built yet for a virtual board to boot."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots: the stock kernel, the host's root file system with its /usr, and the smallest one (only a shell) to compare."""

    kernel: Path
    initrd: Path
    usr: Path
    bare: Path

    @classmethod
    def at(cls, directory: Path) -> Image:
        return cls(directory / "kernel", directory / "initrd", directory / "usr", directory / "bare")

    @property
    def complete(self) -> bool:
        return all(part.is_file() for part in (self.kernel, self.initrd, self.usr, self.bare))


def build(output: Path = DEFAULT_OUTPUT, *, report: Report) -> Image:
    """The image of the present sources; builds it when it is not there or when anything it is made of has changed."""
    with writing(output), _alone(output):
        cache = BUILD / "cache" / "debian"
        kernel = debian.kernel_package(recipe.KERNEL_META, cache)
        names = [kernel, *{package for package, _ in recipe.PROGRAMS.values()}, *recipe.LIBRARIES]
        packages = debian.fetch(names, cache, report=report)
        key, stamp, image = _key(packages), output / "key", Image.at(output)
        if stamp.is_file() and stamp.read_text() == key and image.complete:
            return image
        report(f"building the virtual host's image ({kernel})")
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=".work-", dir=output) as scratch:
            _assemble(kernel, packages, Path(scratch), image)
        stamp.write_text(key)
        return image


def built(output: Path = DEFAULT_OUTPUT, *, report: Report) -> Image:
    """The image for somebody who boots it: brought up to date, but never made from nothing, which takes a download."""
    if not Image.at(output).complete:
        raise ImageMissing(f"there is no image of the virtual host in {output}", "run `make setup`, which builds it")
    return build(output, report=report)


def inputs() -> dict[str, Path]:
    """Our own binaries that go into the image, by their path on the host. Those not built yet are left out."""
    virtual = BUILD / "virtual"
    found = {"sbin/qvm": virtual / "qvm"} if (virtual / "qvm").is_file() else {}
    return found | {f"lib/dll/{vdev.name}": vdev for vdev in sorted((virtual / "vdevs").glob("vdev-*.so"))}


def _key(packages: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(packages.items()):
        digest.update(f"{name} {file.name} {file.stat().st_size}\n".encode())
    sources = [file for file in SOURCES.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    for file in sorted([*sources, Path(debian.__file__), Path(initrd.__file__), Path(modules.__file__)]):
        digest.update(f"{file.relative_to(CHECKOUT)} {file.stat().st_mode & 0o100:o}\n".encode() + file.read_bytes())
    for target, file in inputs().items():
        digest.update(f"{target}\n".encode() + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """One build in `output` at a time; the second one then finds everything done."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _assemble(kernel: str, packages: dict[str, Path], scratch: Path, image: Image) -> None:
    unpacked = scratch / "packages"
    for name, file in packages.items():
        debian.unpack(file, unpacked / name)
    compiled = {target: _compile(words, scratch / Path(target).name) for target, words in recipe.COMPILED.items()}
    host = tree.Host(scratch / "host")
    host.lay_out(tree.Parts(kernel, unpacked, OVERLAY, compiled | inputs()))
    tree.bare(scratch / "bare", unpacked)
    disk.make(host.usr, scratch / "usr.ext4").replace(image.usr)
    initrd.pack(host.root, image.initrd, compress=False)
    initrd.pack(scratch / "bare", image.bare, compress=False)
    stock = unpacked / kernel / "boot" / f"vmlinuz-{kernel.removeprefix('linux-image-')}"
    extract(stock, scratch / "kernel").replace(image.kernel)


def _compile(words: Iterable[str], output: Path) -> Path:
    sources = [SOURCES / word if word.endswith(".c") else word for word in words]
    run("gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-s", "-o", output, *sources)
    return output
