"""A QNX guest on a bench: the user's image on the documented VM, its first UART on the line for a guest's console."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from harness.bench.bench import Bench
from harness.bench.plan import VdevOption
from harness.boardfile import QnxImage
from harness.clock import Deadline
from harness.errors import UseError
from harness.guest.qnx import QnxGuest
from harness.guest.store import GuestStore
from harness.vdev import Deployment
from harness.vm import Qvm, add_option, with_base_options
from harness.vm.linux import qnx_configuration


class NoImage(UseError):
    """The bench file names an image of a QNX guest, and there is none."""


def boot_qnx(bench: Bench, image: QnxImage, deployment: Deployment, options: Sequence[VdevOption], evidence: Path) -> tuple[QnxGuest, Qvm]:
    """Boots the image and hands over the guest with its shell and its VM, which is the caller's to stop. Raises `NoImage`."""
    board, file = bench.board, Path(image.ifs).expanduser()
    if not file.is_file():
        raise NoImage(f"{board.files[-1]}: guests.qnx.ifs is {image.ifs}, and there is no such file", "correct it")
    sha1 = hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
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
    except BaseException:
        vm.stop(Deadline.after(board.seconds("guest_shutdown"), "the guest to shut down"))
        raise
    return guest, vm
