"""The host's own vdevs: which file its loader takes where none is under test, and the digest of it by the host's own tool.

The invariant: nothing is written on the host, and nothing is said of a file that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.boardfile.schema import HostProfile
from harness.command import Result

FIND = """\
digest=$1 places=$2
shift 2
IFS=:
for name do
    for place in $places; do
        if test -f "$place/vdev-$name.so"; then "$digest" "$place/vdev-$name.so"; break; fi
    done
done
"""
"""$1 the digest tool, $2 the library path, then names. The first place that has a file is the loader's choice."""


class AnyHost(Protocol):
    """What is asked of the hypervisor host."""

    def run(self, argv: Sequence[str], /) -> Result:
        """Runs a program. Raises `CommandFailed` for a status other than 0."""
        ...


def hosts_own(host: AnyHost, profile: HostProfile, names: Sequence[str]) -> list[dict[str, str]]:
    """Records for the evidence, one per name, in order; without `path` and digest where the library path leads to no such file."""
    if not names:
        return []
    found: dict[str, dict[str, str]] = {}
    kind = profile.digest.removesuffix("sum")
    for line in host.run(["sh", "-c", FIND, "sh", profile.digest, ":".join(profile.library_path), *names]).text.splitlines():
        digest, _, path = line.partition("  ")
        found[path.rpartition("/vdev-")[2].removesuffix(".so")] = {"path": path, kind: digest}
    return [{"name": name, "from": "host", **found.get(name, {})} for name in names]
