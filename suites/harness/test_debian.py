"""Debian packages and root file systems, with the real apt, dpkg and cpio. apt reads a repository made here: no network is used."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from harness.guest import debian, initrd
from harness.guest.debian import PackagesMissing


def make_package(repository: Path, name: str, version: str = "1.0", depends: str = "") -> str:
    """Builds NAME with one file, /usr/share/NAME/note, into the repository; its stanza in the package list."""
    tree = repository / "trees" / name
    note = tree / "usr" / "share" / name / "note"
    note.parent.mkdir(parents=True)
    note.write_text(f"{name} {version}\n")
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a package\n"
    control += f"Depends: {depends}\n" if depends else ""
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(control)
    file = repository / f"{name}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, file], check=True, capture_output=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{control}Filename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n\n"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt of our own that knows `one`, `two`, a kernel and its meta package; the file with its package list."""
    repository, root = tmp_path / "repository", tmp_path / "apt"
    for directory in (repository, root / "lists" / "partial", root / "cache" / "archives" / "partial"):
        directory.mkdir(parents=True)
    kernel = "linux-image-6.1.0-99-cloud-amd64"
    stanzas = [make_package(repository, name) for name in ("one", "two", kernel)]
    stanzas.append(make_package(repository, "linux-image-cloud-amd64", depends=f"{kernel} (= 1.0)"))
    (repository / "Packages").write_text("".join(stanzas))
    (root / "sources").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    (root / "status").touch()
    settings = {
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Dir::Etc::sourcelist": root / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "APT::Sandbox::User": "",
    }
    (root / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))
    subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
    return repository / "Packages"


@pytest.mark.usefixtures("apt")
def test_only_what_the_cache_lacks_is_downloaded(tmp_path: Path) -> None:
    cache, said = tmp_path / "cache", list[str]()
    assert debian.fetch(["one"], cache, report=said.append) == {"one": cache / "one_1.0_all.deb"}
    both = debian.fetch(["one", "two", "one"], cache, report=said.append)
    assert list(both) == ["one", "two"]
    assert [line.rpartition(": ")[2] for line in said] == ["one", "two"]
    assert sorted(path.name for path in cache.iterdir()) == ["one_1.0_all.deb", "two_1.0_all.deb"]


@pytest.mark.usefixtures("apt")
def test_a_full_cache_needs_no_apt_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = debian.fetch(["one"], tmp_path / "cache", report=print)
    kernel = debian.kernel_package("linux-image-cloud-amd64", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.fetch(["one"], tmp_path / "cache", report=pytest.fail) == first
    assert debian.kernel_package("linux-image-cloud-amd64", tmp_path / "cache") == kernel == "linux-image-6.1.0-99-cloud-amd64"


@pytest.mark.usefixtures("apt")
def test_a_package_is_unpacked_and_not_installed(tmp_path: Path) -> None:
    debian.unpack(debian.fetch(["one"], tmp_path / "cache", report=print)["one"], tmp_path / "tree")
    assert (tmp_path / "tree" / "usr" / "share" / "one" / "note").read_text() == "one 1.0\n"
    assert not (tmp_path / "tree" / "DEBIAN").exists()


@pytest.mark.usefixtures("apt")
def test_an_unknown_package_is_one_sentence_with_apts_own_words(tmp_path: Path) -> None:
    with pytest.raises(PackagesMissing) as caught:
        debian.fetch(["one", "nonsuch"], tmp_path / "cache", report=print)
    assert str(caught.value).splitlines() == [
        "apt cannot get one nonsuch; run `apt-get update` (as root) and try again; if it stays so, this release has no such package",
        "E: Unable to locate package nonsuch",
    ]


def test_a_broken_download_leaves_nothing_in_the_cache(apt: Path, tmp_path: Path) -> None:
    (apt.parent / "two_1.0_all.deb").write_bytes(b"not what the package list says")
    with pytest.raises(PackagesMissing, match="apt cannot get two"):
        debian.fetch(["two"], tmp_path / "cache", report=print)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"nonsense")
    with pytest.raises(PackagesMissing, match=r"x\.deb cannot be unpacked; remove it"):
        debian.unpack(tmp_path / "x.deb", tmp_path / "tree")


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program's words on a disk of a few pages; tar has one for every file."""
    (tmp_path / "dpkg").write_text(
        '#!/bin/sh\nfor file in 1 2 3; do echo "tar: ./$file: Cannot write: No space left on device" >&2; done\n'
        "echo 'dpkg-deb: error: tar subprocess returned error exit status 2' >&2; exit 2\n"
    )
    (tmp_path / "dpkg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PackagesMissing) as caught:
        debian.unpack(tmp_path / "x.deb", tmp_path / "tree")
    disk = next(place for place in tmp_path.parents if place.is_mount())
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'x.deb'} cannot be unpacked: No space left on device; make room on the disk at {disk} and try again",
        "dpkg-deb: error: tar subprocess returned error exit status 2",
    ]


@pytest.mark.usefixtures("apt")
def test_a_kernel_that_debian_has_not_is_told_apart_from_old_lists(tmp_path: Path) -> None:
    with pytest.raises(PackagesMissing, match=r"linux-image-9\.9-cloud-amd64; .*`apt-get update`.*this release has no such package"):
        debian.kernel_package("linux-image-9.9-cloud-amd64", tmp_path / "cache")


def make_tree(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / names[0]).chmod(0o755)
    (root / "link").symlink_to("nowhere")
    return root


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    """Made in another order, at another time, by another name."""
    names = ["init", "bin/b", "bin/a", "etc/x"]
    one, two = make_tree(tmp_path / "one", names), make_tree(tmp_path / "two", [names[0], *reversed(names[1:])])
    os.utime(two / "etc" / "x", (1, 1))
    for compress in (True, False):
        first = initrd.pack(one, tmp_path / "1", compress=compress).read_bytes()
        assert first == initrd.pack(two, tmp_path / "2", compress=compress).read_bytes()
    (two / "bin" / "a").write_text("changed")
    assert first != initrd.pack(two, tmp_path / "2", compress=False).read_bytes()


def test_an_archive_holds_the_tree_owned_by_root(tmp_path: Path) -> None:
    packed = initrd.pack(make_tree(tmp_path / "tree", ["init", "bin/a"]), tmp_path / "initrd").read_bytes()
    (tmp_path / "out").mkdir()
    command = ["cpio", "--extract", "--quiet", "--no-preserve-owner"]
    subprocess.run(command, cwd=tmp_path / "out", input=gzip.decompress(packed), check=True)
    assert (tmp_path / "out" / "bin" / "a").read_text() == "bin/a"
    assert os.access(tmp_path / "out" / "init", os.X_OK)
    assert (tmp_path / "out" / "link").readlink() == Path("nowhere")
    listing = subprocess.run(["cpio", "-tvn", "--quiet"], input=gzip.decompress(packed), capture_output=True, check=True).stdout.decode()
    assert {tuple(line.split()[2:4]) for line in listing.splitlines()} == {("0", "0")}


@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
def test_the_same_bytes_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Only its owner's right to execute a file counts, and what is named private: sshd refuses directories that others may write."""
    names = ["init", "etc/ssh/key", "bin/a"]
    reference = initrd.pack(make_tree(tmp_path / "reference", names), tmp_path / "1", compress=False, private=["etc/ssh/key"]).read_bytes()
    before = os.umask(umask)
    try:
        tree = make_tree(tmp_path / "tree", names)
        (tree / "init").chmod(0o777 & ~umask)
        packed = initrd.pack(tree, tmp_path / "2", compress=False, private=["etc/ssh/key"])
    finally:
        os.umask(before)
    assert packed.read_bytes() == reference
    listing = subprocess.run(["cpio", "-tvn", "--quiet"], input=reference, capture_output=True, check=True).stdout.decode()
    modes = {line.split()[8]: line.split()[0] for line in listing.splitlines()}
    assert modes.pop("link").startswith("l")
    assert modes == dict.fromkeys([".", "bin", "etc", "etc/ssh"], "drwxr-xr-x") | {
        "bin/a": "-rw-r--r--",
        "etc/ssh/key": "-rw-------",
        "init": "-rwxr-xr-x",
    }
