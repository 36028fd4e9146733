"""timer8254 as what the kernel measures the TSC with: counter 2 behind port 0x61, read as fast as the port can be.

Linux does this only when neither CPUID nor the hypervisor tells the TSC's frequency, and gives up silently where a port's access
takes more than a few microseconds: that says nothing of the device. First it tries the quick way, and when that fails the slow one. What
the slow one is compared with, HPET or PM timer, the documented VM has not. The speaker, which is counter 2 as well, is judged nowhere:
the kernels here are of the cloud flavour, which has no pcspkr.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from fixtures.marks import claimed, judge, needs, specification
from harness.bench import Bench, LinuxGuests
from harness.errors import Inconclusive
from harness.guest.linux import LinuxGuest

pytestmark = judge("drivers")

LONGEST_ACCESS, LONGEST_POLL = 6e-6, 10e-6
"""Seconds an access to a port may take for the quick calibration to succeed, and for the slow one, which wants 1000 in 10 ms."""
LOG = "tsc:|TSC calibration|PIT calibration|calibrate against PIT"
READS = 200
PORTS = 2
"""UARTs of the guest: `/proc/tty/driver/serial` reads a register of each."""
LOOP = f'i=0; while [ $i -lt {READS} ]; do read -r first <"$file"; i=$((i+1)); done'


@pytest.fixture(scope="module")
def guest(linux_guests: LinuxGuests) -> LinuxGuest:
    """Any guest: the calibration is a part of every boot."""
    return linux_guests.boot()


def access_seconds(guest: LinuxGuest, bench: Bench) -> float:
    """What a guest's access to a device register takes, by the reference clock: a file made from registers against one without."""
    took = {}
    with bench.reference() as reference:
        for path in ("/proc/tty/driver/serial", "/proc/devices"):
            begin = reference.monotonic()
            guest.run_text(f"file={path}; {LOOP}")
            took[path] = reference.monotonic() - begin
    return (took["/proc/tty/driver/serial"] - took["/proc/devices"]) / READS / PORTS


@claimed("timer8254.port61")
@needs("cpu.fast_exits")
@specification("PIT-031", "PIT-040", "PIT-065", "PIT-068", "PIT-100")
def test_the_kernel_calibrates_the_tsc_by_the_pit(guest: LinuxGuest, bench: Bench) -> None:
    """The quick calibration succeeds."""
    log = guest.kernel_log(LOG)
    assert "deviates" not in log, f"the PIT goes at another rate than the reference: {log}"
    if "TSC calibration using PIT" in log:
        return
    if "alibrat" not in log:
        pytest.skip("the kernel knows the TSC's frequency without the PIT")
    refute(guest, bench, LONGEST_ACCESS, log)


@claimed("timer8254.port61")
@needs("cpu.fast_exits")
@specification("PIT-012", "PIT-065", "PIT-102")
def test_the_kernel_calibrates_the_tsc_in_the_slow_way(guest: LinuxGuest, bench: Bench) -> None:
    """Where the quick calibration failed the slow one succeeds: OUT 2, seen at port 0x61, goes high when 10 ms of counting are over."""
    log = guest.kernel_log(LOG)
    if "TSC calibration failed" not in log:
        pytest.skip("the kernel did not come to the slow calibration")
    assert "deviates" not in log, f"the PIT goes at another rate than the reference: {log}"
    if "calibrate against PIT" in log:
        refute(guest, bench, LONGEST_POLL, log)


def refute(guest: LinuxGuest, bench: Bench, longest: float, log: str) -> NoReturn:
    """A calibration failed: the device's fault where accesses are quick enough for it."""
    seconds = access_seconds(guest, bench)
    if seconds > longest:
        raise Inconclusive(
            f"an access to a register takes {seconds * 1e6:.1f} µs, too long to calibrate with ({longest * 1e6:g} µs)",
            "measure on a quieter board, or take cpu.fast_exits out of its features",
        )
    raise AssertionError(f"accesses are quick ({seconds * 1e6:.1f} µs), yet the calibration failed: {log}")
