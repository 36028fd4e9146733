"""How the virtual host's image is put together, apart from booting it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from boards.virtual import image
from boards.virtual.image import disk, elf, kernel
from boards.virtual.machine import state
from harness.errors import CannotWrite, writing

C_LIBRARY = "libc.so.6"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that needs libouter, which needs libinner; both lie in `lib` beside it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "x.c").write_text("int inner(void) { return 0; } int outer(void) { return inner(); } int main(void) { return outer(); }")
    source, flags = tmp_path / "x.c", ["-Wl,--no-as-needed", f"-L{tmp_path}/lib"]
    for name, link in (("inner", []), ("outer", ["-linner"])):
        output = tmp_path / "lib" / f"lib{name}.so"
        subprocess.run(["gcc", "-shared", "-fPIC", *flags, "-o", output, source, f"-Wl,-soname,lib{name}.so", *link], check=True)
    subprocess.run(["gcc", *flags, "-o", tmp_path / "program", source, "-louter", f"-Wl,-rpath-link,{tmp_path / 'lib'}"], check=True)
    return tmp_path / "program"


def test_libraries_of_libraries_are_found(program: Path) -> None:
    found = elf.closure([program], [program.parent / "lib", Path("/lib/x86_64-linux-gnu")])
    assert {"libouter.so", "libinner.so", C_LIBRARY} <= set(found)


def test_a_missing_library_is_named_with_who_needs_it(program: Path) -> None:
    (program.parent / "lib" / "libinner.so").unlink()
    with pytest.raises(elf.LibraryMissing, match=r"libouter\.so needs libinner\.so, which no package has"):
        elf.closure([program], [program.parent / "lib", Path("/lib/x86_64-linux-gnu")])


def test_the_kernel_is_taken_out_of_its_wrapping() -> None:
    assert image.built(report=print).kernel.read_bytes()[:4] == b"\x7fELF"


def test_a_kernel_that_is_wrapped_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(bytes(4096))
    assert kernel.extract(tmp_path / "vmlinuz", tmp_path / "out").read_bytes() == bytes(4096)


def test_an_image_that_is_up_to_date_is_not_built_again() -> None:
    image.built(report=print)
    begin = time.monotonic()
    image.build(report=pytest.fail)
    assert time.monotonic() - begin < 1


def test_without_an_image_nothing_is_downloaded_on_the_side(tmp_path: Path) -> None:
    with pytest.raises(image.ImageMissing, match="run `make setup`"):
        image.built(tmp_path, report=pytest.fail)


def test_a_disk_s_modes_are_the_same_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "tree" / "sbin").mkdir(parents=True)
        (tmp_path / "tree" / "sbin" / "sshd").write_text("")
        (tmp_path / "tree" / "sbin" / "sshd").chmod(0o777)
    finally:
        os.umask(before)
    made = disk.make(tmp_path / "tree", tmp_path / "disk")
    for path in ("/", "/sbin", "/sbin/sshd"):
        shown = subprocess.run(["/sbin/debugfs", "-R", f"stat {path}", made], capture_output=True, text=True, check=True).stdout
        assert "Mode:  0755 " in shown


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Nobody makes a directory in /sys; below a file nobody does either; and /dev/full is a full disk."""
    for place in (Path("/sys/harness"), tmp_path / "file" / "below"):
        (tmp_path / "file").touch()
        with pytest.raises(CannotWrite, match=rf"{place} cannot be written: .*; (mend|remove|that file system is read-only)"):
            image.build(place, report=pytest.fail)
        with pytest.raises(CannotWrite, match=rf"{place} cannot be written: "), state.opened(place):
            pass
    with pytest.raises(CannotWrite, match=rf"No space left on device; make room in {tmp_path} and try again"), writing(tmp_path):
        Path("/dev/full").write_text("x")
