"""Deployment: the very objects under test are on the host, in a place of their own, and the host is left as found."""

from __future__ import annotations

import pytest

from fixtures.marks import judge
from harness.bench import Bench
from harness.vdev import Deployment, VdevFile

pytestmark = judge("bench")


@pytest.fixture
def candidates(vdevs: tuple[VdevFile, ...]) -> tuple[VdevFile, ...]:
    """The vdevs under test; without any there is nothing to deploy."""
    if not vdevs:
        pytest.skip("no vdevs under test: give --vdevs=DIR")
    return vdevs


def test_what_is_deployed_is_what_was_built(bench: Bench, candidates: tuple[VdevFile, ...], deployment: Deployment) -> None:
    """The host's own digest of each deployed object is that of the file here."""
    paths = {vdev.name: deployment.path(vdev.name) for vdev in candidates}
    digests = bench.host.digest(list(paths.values()))
    assert {name: digests[path] for name, path in paths.items()} == {vdev.name: vdev.sha1 for vdev in candidates}


def test_restore_leaves_the_host_as_found(bench: Bench, candidates: tuple[VdevFile, ...]) -> None:
    """Deploying a second copy and restoring it changes no file in the scratch directory and none of the host's own vdevs."""
    before = bench.host.listing([bench.board.host.scratch, bench.board.host.vdev_directory])
    second = Deployment.install(bench.host, bench.board, candidates, run=f"{bench.nonce}.second", events=bench.events)
    assert bench.host.listing([bench.board.host.scratch, bench.board.host.vdev_directory]) != before
    second.restore()
    assert bench.host.listing([bench.board.host.scratch, bench.board.host.vdev_directory]) == before


def test_what_was_restored_stays_so_over_a_power_cut(bench: Bench, candidates: tuple[VdevFile, ...]) -> None:
    """A directory that was taken away is not back after the power went at once."""
    before = bench.host.listing([bench.board.host.scratch, bench.board.host.vdev_directory])
    Deployment.install(bench.host, bench.board, candidates, run=f"{bench.nonce}.third", events=bench.events).restore()
    bench.power_off()
    bench.power_on()
    assert bench.host.listing([bench.board.host.scratch, bench.board.host.vdev_directory]) == before
