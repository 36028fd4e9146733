"""A QNX guest on a bench: the user's image on the documented VM, its first UART on the line for a guest's console."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.bench.bench import Bench
from harness.bench.plan import VdevOption
from harness.boardfile import Board, QnxImage
from harness.clock import Deadline
from harness.errors import BenchError
from harness.guest.qnx import QnxGuest, check_image
from harness.guest.store import GuestStore
from harness.vdev import Deployment
from harness.vm import ConfigurationRefused, Qvm, QvmEnded, add_option, with_base_options
from harness.vm.linux import MIB, QNX_RAM, qnx_configuration
from harness.vm.qvm import DIAGNOSTIC
from harness.vm.status import BY_A_VDEV


class ImageNotRun(BenchError):
    """qvm refused the image that a bench file names for a QNX guest, or ended before that said a word. Usual cause: it is no such image."""


def read_image(board: Board, image: QnxImage) -> bytes:
    """The image file that a bench file names. Raises `BadImage`."""
    named = f"{board.files[-1]}: guests.qnx.ifs"
    return check_image(Path(image.ifs).expanduser(), board.board.arch, QNX_RAM - MIB, named)


def boot_qnx(bench: Bench, image: QnxImage, deployment: Deployment, options: Sequence[VdevOption], evidence: Path) -> tuple[QnxGuest, Qvm]:
    """Boots the image and hands over the guest with its shell and its VM, which is the caller's to stop.

    Raises `BadImage`, `ImageNotRun`, and what `QnxGuest.boot` raises.
    """
    board, file = bench.board, Path(image.ifs).expanduser()
    sha1 = hashlib.sha1(read_image(board, image), usedforsecurity=False).hexdigest()
    stored = GuestStore(bench.host, board.host.store, bench.events).keep({file: sha1})[file]
    configuration = qnx_configuration(
        f"qnx-{bench.nonce}",
        ifs=stored,
        console=board.vm.console_device,
        further_ports=[line.device for line in board.line.values() if line.device][:1],
        cmdline=image.cmdline,
    )
    for option in options:
        configuration = add_option(configuration, option.vdev, option.option, option.value)
    configuration = with_base_options(configuration, board.vm.base_options)
    vm = Qvm(bench.host, configuration, deployment, program=board.host.qvm, evidence=evidence, events=bench.events, ready=bench.reach_guest)
    guest = QnxGuest(bench.console("guest"), vm, bench.events, image.prompt, board.seconds("guest_command"))
    try:
        guest.boot(board.seconds("qvm_start"), board.seconds("guest_boot"), board.seconds("shell"))
    except BaseException as error:
        vm.stop(Deadline.after(board.seconds("guest_shutdown"), "the guest to shut down"))
        if not guest.release and isinstance(error, QvmEnded | ConfigurationRefused) and _blames_the_image(error, vm):
            raise ImageNotRun(
                f"{error.sentence}, before the guest of {file} said a word",
                "see that the file is a QNX image for such a VM, and runs where it is known to; only then it is the vdevs",
                evidence=error.evidence,
            ) from error
        raise
    return guest, vm


def _blames_the_image(error: QvmEnded | ConfigurationRefused, vm: Qvm) -> bool:
    """Whether qvm refused the line that loads the image, or ended by what no vdev told it to."""
    if isinstance(error, QvmEnded):
        return error.status not in BY_A_VDEV and error.status < 128
    lines = vm.local.read_text().splitlines()
    return any(lines[int(found["line"]) - 1].startswith("load ") for found in DIAGNOSTIC.finditer(error.evidence))
