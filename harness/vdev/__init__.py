"""A vdev file: what it is (`VdevFile`), how it is built (`build`), and how it gets onto a host and off it again (`Deployment`)."""

from harness.vdev.build import Built, NoSources, NotBuilt, build
from harness.vdev.collect import collect
from harness.vdev.deployment import Deployment, DeploymentFailed, Leftovers
from harness.vdev.file import NotAVdev, VdevFile
from harness.vdev.notes import Defect, defects
from harness.vdev.own import hosts_own

__all__ = [
    "Built",
    "Defect",
    "Deployment",
    "DeploymentFailed",
    "Leftovers",
    "NoSources",
    "NotAVdev",
    "NotBuilt",
    "VdevFile",
    "build",
    "collect",
    "defects",
    "hosts_own",
]
