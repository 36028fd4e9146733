"""A vdev file: what it is (`VdevFile`), and how it gets onto a host and off it again (`Deployment`)."""

from harness.vdev.deployment import Deployment, DeploymentFailed, Leftovers
from harness.vdev.file import NotAVdev, VdevFile, collect
from harness.vdev.notes import Defect, defects

__all__ = ["Defect", "Deployment", "DeploymentFailed", "Leftovers", "NotAVdev", "VdevFile", "collect", "defects"]
