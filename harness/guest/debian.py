"""Debian packages, downloaded and unpacked. The lab controller's own installation is never touched: nothing here installs.

A package that is in the cache is used as it is, so a second build needs neither network nor apt, and gives the same bytes. Whoever
wants newer packages empties the cache. apt itself checks every download against the signed package lists.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.errors import UseError

Report = Callable[[str], None]

APT_TIMEOUT = 600.0
"""Seconds for one call of apt: a kernel of 70 MB over a slow line."""


class PackagesMissing(UseError):
    """A Debian package could not be had. Usual causes: empty package lists, no network, a name this release of Debian does not know."""


def fetch(packages: Iterable[str], cache: Path, *, report: Report) -> dict[str, Path]:
    """The package files for `packages`, by name; downloads only what `cache` lacks and tells `report` what."""
    names = list(dict.fromkeys(packages))
    have = {name: file for name in names if (file := _cached(name, cache))}
    missing = [name for name in names if name not in have]
    if missing:
        report(f"downloading {len(missing)} Debian packages ({_megabytes(missing):.0f} MB): {' '.join(missing)}")
        _download(missing, cache)
        have |= {name: file for name in missing if (file := _cached(name, cache))}
    lost = [name for name in names if name not in have]
    if lost:
        raise PackagesMissing(f"apt-get downloaded no file for {' '.join(lost)}", f"look into {cache}, or empty it and try again")
    return {name: have[name] for name in names}


def unpack(deb: Path, into: Path) -> None:
    """Unpacks the files of one package below `into`; runs none of its scripts."""
    into.mkdir(parents=True, exist_ok=True)
    words = {**os.environ, "LC_ALL": "C"}
    result = subprocess.run(["dpkg", "-x", deb, into], env=words, capture_output=True, text=True, check=False)
    if result.returncode:
        last = "".join(result.stderr.splitlines()[-1:])
        if (full := os.strerror(errno.ENOSPC)) in result.stderr:
            disk = next(place for place in [into, *into.resolve().parents] if place.is_mount())
            raise PackagesMissing(f"{deb} cannot be unpacked: {full}", f"make room on the disk at {disk} and try again", evidence=last)
        raise PackagesMissing(f"{deb} cannot be unpacked", "remove it and try again", evidence=last)


def kernel_package(meta: str, cache: Path | None = None) -> str:
    """The package with the real kernel behind a meta package such as `linux-image-cloud-amd64`.

    With a `cache` the answer is kept there beside the packages: like them, it changes only when the cache is emptied.
    """
    kept = cache / f"{meta}.resolved" if cache else None
    if kept and kept.is_file():
        return kept.read_text().strip()
    shown = _apt("apt-cache", "show", "--no-all-versions", meta)
    depends = re.search(r"^Depends:.*?\b(linux-image-\d[^ ,]*)", shown, re.MULTILINE)
    if not depends:
        raise PackagesMissing(f"{meta} names no kernel package", "run `apt-get update` (as root) and try again")
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(depends.group(1) + "\n")
    return depends.group(1)


def _cached(name: str, cache: Path) -> Path | None:
    """Debian's file names are NAME_VERSION_ARCHITECTURE.deb; of several versions the one downloaded last."""
    files = sorted(cache.glob(f"{name}_*.deb"), key=_age)
    return files[-1] if files else None


def _age(file: Path) -> tuple[float, str]:
    return file.stat().st_mtime, file.name


def _megabytes(names: list[str]) -> float:
    lines = re.findall(r"^'[^']+' \S+ (\d+) ", _apt("apt-get", "download", "--print-uris", *names), re.MULTILINE)
    return sum(map(int, lines)) / 1e6


def _download(names: list[str], cache: Path) -> None:
    """Into a directory of its own first, so that a broken download or a second build at the same time leaves no half file."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as scratch:
        _apt("apt-get", "download", *names, directory=Path(scratch))
        for file in Path(scratch).glob("*.deb"):
            file.replace(cache / file.name)


def _apt(program: str, *arguments: str, directory: Path | None = None) -> str:
    """Output of an apt program. As root it would drop to the user `_apt`, who may not write into the cache."""
    command = [program, "-q"]
    if os.geteuid() == 0:
        command += ["-o", "APT::Sandbox::User=root"]
    try:
        result = subprocess.run(
            [*command, *arguments],
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise PackagesMissing(f"{program} is not there", "build the images on Debian 12, or copy the package cache from one") from None
    except subprocess.TimeoutExpired:
        raise PackagesMissing(f"{program} took longer than {APT_TIMEOUT:.0f} s", "look at the network and try again") from None
    if result.returncode:
        raise PackagesMissing(
            f"apt cannot get {' '.join(a for a in arguments if not a.startswith('-') and a not in ('download', 'show'))}",
            "run `apt-get update` (as root) and try again; if it stays so, this release has no such package",
            evidence="\n".join(line for line in result.stderr.splitlines() if line.startswith("E:")),
        )
    return result.stdout
