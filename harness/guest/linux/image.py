"""Builds the images of the Linux guest: Debian's stock kernel, and an initrd of Debian's programs, the kernel's own modules and `init.sh`.

Invariant: a file's name carries the SHA-1 of its content, and the same packages and recipe give the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.boardfile import checkout
from harness.errors import writing
from harness.guest import debian, initrd, modules

STABLE = ""
"""Stands for the kernel of the Debian release at hand: 6.1 on Debian 12."""
NEWER = "6.12"
"""The second kernel that suites judge by: Debian 12 has it beside its own."""
PROGRAMS = {
    "bin/busybox": ("busybox-static", "bin/busybox"),
    "bin/cksum": ("coreutils", "usr/bin/cksum"),
    "lib64/ld-linux-x86-64.so.2": ("libc6", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    "bin/perl": ("perl-base", "usr/bin/perl"),
    "lib/libc.so.6": ("libc6", "lib/x86_64-linux-gnu/libc.so.6"),
    "lib/libm.so.6": ("libc6", "lib/x86_64-linux-gnu/libm.so.6"),
    "lib/libcrypt.so.1": ("libcrypt1", "lib/x86_64-linux-gnu/libcrypt.so.1"),
}
"""Path in the guest: the package and the path in it. Debian's busybox lacks `cksum`, which the shell on a console needs, and has nothing
that asks a driver by ioctl; perl does."""
MODULES = ("evdev", "button")
"""In the order init loads them: the button's input device needs evdev's node."""
INIT = Path(__file__).with_name("init.sh")
DIGITS = 12
"""Hexadecimal digits of the SHA-1 in a file's name."""

Report = Callable[[str], None]


class GuestImages(msgspec.Struct, frozen=True, kw_only=True):
    """A guest's files on the lab controller, and what they were made of. Written beside them as JSON."""

    kernel: Path
    initrd: Path
    kernel_sha1: str
    initrd_sha1: str
    kernel_version: str
    packages: tuple[str, ...]

    @property
    def files(self) -> dict[Path, str]:
        """Each file with its SHA-1."""
        return {self.kernel: self.kernel_sha1, self.initrd: self.initrd_sha1}


def build(
    kernel: str = STABLE,
    *,
    output: Path | None = None,
    cache: Path | None = None,
    report: Report = print,
) -> GuestImages:
    """The images made from the packages in `cache` (downloaded when it lacks them), built only when `output` has none of them yet.

    `kernel` is a version that Debian has a cloud kernel of: `6.12`. `report` hears of what takes time.
    Both directories are below the checkout's `build` by default. Raises `UseError`.
    """
    output = output or checkout() / "build" / "guests"
    cache = cache or checkout() / "build" / "cache" / "debian"
    with writing(cache):
        package = debian.kernel_package(meta_package(kernel), cache)
        debs = debian.fetch([package, *dict.fromkeys(name for name, _ in PROGRAMS.values())], cache, report=report)
    manifest = output / f"linux-{_key(debs)}.json"
    found = _read(manifest)
    if found is not None:
        return found
    report(f"building the Linux guest from {package}")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".linux-", dir=output) as scratch:
            images = _build(package, debs, Path(scratch), output)
        _replace(manifest, msgspec.json.format(msgspec.json.encode(images, enc_hook=lambda path: path.name)))
    return images


def meta_package(kernel: str = STABLE) -> str:
    """The Debian package that stands for the newest build of a kernel."""
    return f"linux-image-{kernel}-cloud-amd64" if kernel else "linux-image-cloud-amd64"


def _build(package: str, debs: dict[str, Path], scratch: Path, output: Path) -> GuestImages:
    unpacked, tree = scratch / "packages", scratch / "tree"
    for name, deb in debs.items():
        debian.unpack(deb, unpacked / name)
    version = package.removeprefix("linux-image-")
    for name in ("bin", "dev", "lib", "lib64", "modules", "proc", "sys", "tmp"):
        (tree / name).mkdir(parents=True)
    for target, (owner, source) in PROGRAMS.items():
        _install(unpacked / owner / source, tree / target)
    _install(INIT, tree / "init")
    for place, module in enumerate(modules.load_order(MODULES, unpacked / package / "lib" / "modules" / version)):
        (tree / "modules" / f"{place:02}-{modules.name_of(module)}.ko").write_bytes(modules.content(module))
    packed = initrd.pack(tree, scratch / "initrd", compress=False)
    kernel_file, kernel_sha1 = _keep(unpacked / package / "boot" / f"vmlinuz-{version}", output, f"vmlinuz-{version}")
    initrd_file, initrd_sha1 = _keep(packed, output, f"initrd-{version}")
    return GuestImages(
        kernel=kernel_file,
        initrd=initrd_file,
        kernel_sha1=kernel_sha1,
        initrd_sha1=initrd_sha1,
        kernel_version=version,
        packages=tuple(deb.name for deb in debs.values()),
    )


def _install(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _keep(file: Path, output: Path, name: str) -> tuple[Path, str]:
    content = file.read_bytes()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    kept = output / f"{name}-{sha1[:DIGITS]}"
    _replace(kept, content)
    return kept, sha1


def _replace(path: Path, content: bytes) -> None:
    """In one step, so that an interrupted build leaves no half file under a good name."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _key(debs: dict[str, Path]) -> str:
    recipe = [
        *(deb.name for deb in debs.values()),
        *(Path(file).read_text() for file in (__file__, INIT, initrd.__file__, modules.__file__)),
    ]
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:DIGITS]


def _read(manifest: Path) -> GuestImages | None:
    """What an earlier build left, when all of it is still there."""
    try:
        images = msgspec.json.decode(manifest.read_bytes(), type=GuestImages, dec_hook=lambda _, name: manifest.parent / name)
    except (OSError, msgspec.DecodeError):
        return None
    return images if all(file.is_file() for file in images.files) else None
