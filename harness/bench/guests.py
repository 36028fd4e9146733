"""Linux guests on a bench, one at a time on each line that carries a guest's console.

A guest that runs already with the wanted command line is handed out again; booting one is what a run spends most of its time on.
The invariant: no guest outlives `stop`, and nothing of it stays on the host but the images in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.bench.bench import Bench
from harness.bench.plan import VdevOption
from harness.boardfile import Phase
from harness.clock import Deadline
from harness.guest import linux
from harness.guest.linux import LinuxGuest
from harness.guest.store import GuestStore
from harness.vdev import Deployment
from harness.vm import Configuration, DryrunResult, Ending, Qvm, Vdev, add_option, linux_configuration, with_base_options
from harness.vm.status import CONFIGURATION_FAILED, NORMAL

QUIET = ("loglevel=4",)
"""A full kernel log at 115200 bit/s is most of a boot's time; the log itself keeps everything (`LinuxGuest.kernel_log`)."""


class Recipe(NamedTuple):
    """What tests vary of a guest."""

    arguments: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    kernel: str = linux.STABLE
    ports: tuple[str, ...] | None = None
    further: tuple[Vdev, ...] = ()


PLAIN = Recipe()


class LinuxGuests:
    """Boots stock Linux on the vdevs under test: ttyS0 is the console, ttyS1 is bridged to the board's first free line.

    With `line` the console is that line, and there is no second port: such guests run beside those of the guest's console.
    """

    def __init__(self, bench: Bench, deployment: Deployment, options: Sequence[VdevOption], evidence: Path, line: str = "") -> None:
        self._bench = bench
        self._deployment = deployment
        self._options = options
        self._evidence = evidence
        self._line = line
        self._store: dict[str, dict[Path, str]] = {}
        """By kernel, where its files are on the host."""
        self._vm: Qvm | None = None
        self._guest: LinuxGuest | None = None
        self._recipe: Recipe | None = None
        self._boot = 0
        """The boot of the host in which the guest was started."""
        self._count = 0

    def configuration(self, recipe: Recipe = PLAIN) -> Configuration:
        """The documented Linux VM with the run's own vdev options."""
        board = self._bench.board
        images = linux.build(recipe.kernel, report=lambda text: self._bench.events.emit("progress", text=text))
        if recipe.kernel not in self._store:
            self._store[recipe.kernel] = GuestStore(self._bench.host, board.host.store, self._bench.events).keep(images.files)
        self._count += 1
        configuration = linux_configuration(
            f"linux-{self._bench.nonce}-{self._line}{self._count}",
            kernel=self._store[recipe.kernel][images.kernel],
            initrd=self._store[recipe.kernel][images.initrd],
            console=board.line[self._line].device if self._line else board.vm.console_device,
            further_ports=self._further_ports() if recipe.ports is None else recipe.ports,
            cmdline=(*QUIET, *recipe.arguments),
            without=recipe.without,
        )
        for option in self._options:
            configuration = add_option(configuration, option.vdev, option.option, option.value)
        configuration = msgspec.structs.replace(configuration, vdevs=(*configuration.vdevs, *recipe.further))
        return with_base_options(configuration, board.vm.base_options)

    def dryrun(self) -> DryrunResult:
        """`qvm @FILE dryrun` on the host. The guest that may be running has its devices open, so it is shut down first."""
        self.stop()
        return self._qvm(PLAIN).dryrun(self._deadline("qvm_start", "the end of qvm's dryrun"))

    def refusal(self) -> str:
        """Why qvm refuses the configuration, in its own words; empty when it does not."""
        result = self.dryrun()
        return " ".join(result.output.split("\n")).strip() if result.status in CONFIGURATION_FAILED else ""

    def boot(
        self,
        arguments: Sequence[str] = (),
        *,
        without: Sequence[str] = (),
        kernel: str = linux.STABLE,
        ports: Sequence[str] | None = None,
        further: Sequence[Vdev] = (),
    ) -> LinuxGuest:
        """A guest with its shell, booted with these words on its command line, or the one that runs with them already.

        `without` takes words off the documented command line; `kernel` is what `linux.build` takes; `ports` are the `hostdev` of ttyS1
        to ttyS3, by default the board's first free line; `further` vdevs come behind those of the documented VM.
        """
        recipe = Recipe(tuple(arguments), tuple(without), kernel, None if ports is None else tuple(ports), tuple(further))
        vm = self._present_vm()
        if vm is not None and vm.running and self._guest is not None and self._recipe == recipe:
            return self._guest
        self.stop()
        vm = self._vm = self._qvm(recipe)
        self._boot = self._bench.boots
        guest = LinuxGuest(self._bench.console(self._line or "guest"), vm, self._bench.events, self._bench.board.seconds("guest_command"))
        board = self._bench.board
        guest.boot(board.seconds("qvm_start"), board.seconds("guest_boot"), board.seconds("shell"))
        self._guest, self._recipe = guest, recipe
        return guest

    def stop(self) -> Ending:
        """Presses the power button (SIGTERM), then, if the guest does not answer, cuts its power. Harmless without a guest."""
        vm, self._vm, self._guest = self._present_vm(), None, None
        if vm is None:
            return Ending(NORMAL, "")
        with self._bench.events.step("guest.shutdown", system=vm.system):
            return vm.stop(self._deadline("guest_shutdown", "the guest to shut down"))

    def cut(self) -> Ending:
        """Cuts the guest's power (SIGQUIT). Harmless without a guest."""
        vm, self._vm, self._guest = self._present_vm(), None, None
        return Ending(NORMAL, "") if vm is None else vm.cut(self._deadline("qvm_start", "the end of qvm"))

    def present(self) -> bool:
        """Whether the host shows any VM under /dev/qvm."""
        return bool(self._bench.host.run(["ls", "/dev/qvm"], check=False).stdout.strip())

    def _present_vm(self) -> Qvm | None:
        """The VM that was started last, unless the host has been switched off since."""
        return self._vm if self._boot == self._bench.boots else None

    def _further_ports(self) -> list[str]:
        """The board's first free line; none for a guest whose own console is one."""
        return [] if self._line else [line.device for line in self._bench.board.line.values() if line.device][:1]

    def _qvm(self, recipe: Recipe) -> Qvm:
        bench = self._bench
        configuration = self.configuration(recipe)
        return Qvm(
            bench.host,
            configuration,
            self._deployment,
            program=bench.board.host.qvm,
            evidence=self._evidence,
            events=bench.events,
            ready=self._meet,
        )

    def _meet(self, process: str) -> None:
        """A guest on a line of its own is reached by that line."""
        if not self._line:
            self._bench.reach_guest(process)

    def _deadline(self, phase: Phase, awaited: str) -> Deadline:
        return Deadline.after(self._bench.board.seconds(phase), awaited)
