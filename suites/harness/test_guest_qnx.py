"""The QNX guest, and the suite of one: boot text and tools' output from logs written after the documented texts, on a pty.

A real ksh is behind the prompt. What its tools print is recorded, but `date`, which goes on by a step each time it is asked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.measure import decide
from harness.clock import Deadline
from harness.console import Console
from harness.errors import DeviceError, Inconclusive
from harness.events import Events
from harness.guest.qnx import BadImage, QnxGuest, Thread, check_image, parse_pidin
from harness.guest.vm import GuestCommandFailed, GuestNotUp
from harness.measure import Measurement, Quantity
from harness.vm import Ending
from harness.vm.linux import MIB
from suites.harness.qvm_local import bzimage, elf
from suites.harness.relay import shell
from suites.harness.session import pytest as run
from suites.qnx import clock
from suites.qnx import test_guest as suite

RECORDED = Path(__file__).with_name("recorded")
BOOT = RECORDED / "qnx-8.0-guest-boot.log"
PROMPT = "[armv8 guest QNX 8.x guest 1]% "
"""The one of the documented guest image."""


class Machine:
    """A VM whose guest says what it is given to say; it starts when it is sent a line."""

    system = "qnx-1"

    def __init__(self, console: Console, ended: bool) -> None:
        self.console = console
        self.ended = ended

    def start(self, deadline: Deadline) -> None:
        self.console.write(b"start\n", deadline)

    def output(self) -> str:
        return ""

    def check_alive(self) -> None:
        if self.ended:
            raise DeviceError("qvm ended")

    def wait(self, deadline: Deadline) -> int | None:
        raise NotImplementedError

    def stop(self, deadline: Deadline, power_cut: Deadline | None = None) -> Ending:
        raise NotImplementedError


@contextmanager
def guest(directory: Path, says: str, ended: bool = False) -> Iterator[QnxGuest]:
    """A guest on a line, which runs `says` when it is started."""
    script = directory / "guest"
    script.write_text(f"read start\n{says}\n")
    with shell(["mksh", str(script)]) as relay, Console("guest", relay.url, 115200, directory / "guest.log", Events()) as console:
        yield QnxGuest(console, Machine(console, ended), Events(), PROMPT, 10.0)


def test_a_guest_is_up_at_its_prompt(tmp_path: Path) -> None:
    """Greeting, prompt, then a shell whose commands end with their own status; the release is the greeting's."""
    profile = tmp_path / "profile"
    profile.write_text(f"PS1='{PROMPT}'\n")
    with guest(tmp_path, f"cat {BOOT}; export ENV={profile}; exec mksh -i") as qnx:
        qnx.boot(5, 20, 20)
        assert qnx.release == "8.0.0"
        assert qnx.must(["echo", "two  words"]).text == "two  words\n"
        with pytest.raises(GuestCommandFailed, match="status 3"):
            qnx.must(["sh", "-c", "exit 3"])


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("sleep 60", r"the guest qnx-1 was not up within 1 s: it printed no greeting \(Welcome to QNX\); look at"),
        (f"cat {BOOT}; sleep 60", r"was not up within 1 s: it greeted, and its prompt \(\[armv8 guest QNX 8.x guest 1\]% \) did not come"),
        (f"cat {BOOT}; echo; echo '# '; sleep 60", "it greeted, and its prompt .* did not come"),
    ],
)
def test_a_guest_that_stops_says_how_far_it_got(says: str, sentence: str, tmp_path: Path) -> None:
    with guest(tmp_path, says) as qnx, pytest.raises(GuestNotUp, match=sentence):
        qnx.boot(5, 1, 5)


def test_a_qvm_that_ended_is_told_first(tmp_path: Path) -> None:
    with guest(tmp_path, "sleep 60", ended=True) as qnx, pytest.raises(DeviceError, match="qvm ended"):
        qnx.boot(5, 1, 5)


def test_pidin_is_read_by_its_columns() -> None:
    """Every thread, a name with a space, a state with nothing behind it; the heading is no thread."""
    threads = parse_pidin((RECORDED / "qnx-8.0-pidin.txt").read_text())
    assert len(threads) == 8
    assert threads[4] == Thread(12292, 1, "proc/boot/devc-ser8250", "24o", "RECEIVE", "1")
    assert threads[4].program == "devc-ser8250"
    assert (threads[5].name, threads[5].state, threads[5].blocked) == ("usr/sbin/my daemon", "NANOSLEEP", "")
    assert parse_pidin("") == []


STTY = "name: /dev/ser1, type: serial, +edit, baud=115200"
"""No document shows what QNX's `stty` prints; the suite asks for nothing but the rate in it."""
TOOLS = {
    "pidin": f"cat {RECORDED}/qnx-8.0-pidin.txt",
    "stty": f"echo '{STTY}'",
    "sh": '[[ $2 = "stty </dev/ser1" ]] && exec stty; exec /usr/bin/mksh "$@"',
    "date": 'read -r now <{clock}; echo $((now + {step})) >{clock}; printf "%d.%02d0000000\\n" $((now / 100)) $((now % 100))',
}
WHOLE_SECONDS = 'read -r now <{clock}; echo $((now + {step})) >{clock}; printf "%d.N\\n" $((now / 100))'


class Paced:
    """A reference clock by which a question is asked every `pace` seconds, and answered within `bracket` seconds."""

    def __init__(self, pace: float, bracket: float) -> None:
        self.pace = pace
        self.bracket = bracket
        self.reads = 0

    def monotonic(self) -> float:
        self.reads += 1
        return self.reads // 2 * self.pace + self.reads % 2 * self.bracket


def measured(name: str, quantity: Quantity, **judged: Any) -> None:
    """As the fixture, without a run to write it down for."""
    decide(Measurement(name=name, quantity=quantity, **judged))


@contextmanager
def recorded_guest(directory: Path, **tools: str) -> Iterator[QnxGuest]:
    """A guest that is up, and whose tools print what is recorded, or what a test says."""
    programs = directory / "tools"
    programs.mkdir()
    for name, script in {**TOOLS, **tools}.items():
        (programs / name).write_text(f"#!/usr/bin/mksh\n{script}\n")
        (programs / name).chmod(0o755)
    (directory / "clock").write_text("100000000\n")
    profile = directory / "profile"
    profile.write_text(f"PS1='{PROMPT}'\nPATH={programs}:$PATH\n")
    with guest(directory, f"cat {BOOT}; export ENV={profile}; exec mksh -i") as qnx:
        qnx.boot(5, 20, 20)
        yield qnx


def date(directory: Path, step: int, script: str = TOOLS["date"]) -> str:
    """A `date` that goes on by some hundredths of a second each time."""
    return script.format(clock=directory / "clock", step=step)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clocks here go on by being asked."""
    monkeypatch.setattr(clock, "INTERVAL", 0.0)


def test_a_sound_guest_passes_the_suite_of_one(tmp_path: Path) -> None:
    with recorded_guest(tmp_path, date=date(tmp_path, 500)) as qnx:
        suite.test_the_guest_comes_to_its_prompt(qnx)
        suite.test_the_serial_driver_runs_on_the_ports(qnx)
        suite.test_the_guests_clock_keeps_time(qnx, Paced(5.0, 0.02), measured)


@pytest.mark.parametrize(
    ("tool", "says", "sentence"),
    [
        ("stty", "echo baud=9600", "stty does not say that /dev/ser1, the console, runs at 115200 bit/s: 'baud=9600'"),
        ("stty", "echo baud=1152000", "runs at 115200 bit/s: 'baud=1152000'"),
        (
            "stty",
            "echo 'stty: No such device' >&2; exit 1",
            "`sh -c 'stty </dev/ser1'` ended with status 1 in the guest; .*\nstty: No such",
        ),
        ("pidin", f"grep -v devc-ser8250 {RECORDED}/qnx-8.0-pidin.txt", r"devc-ser8250 does not run: \['ksh', 'my daemon', 'pidin'"),
        ("pidin", ":", "pidin lists no thread"),
    ],
)
def test_a_wrong_serial_driver_is_failed(tool: str, says: str, sentence: str, tmp_path: Path) -> None:
    with recorded_guest(tmp_path, **{tool: says}) as qnx, pytest.raises(AssertionError, match=sentence):
        suite.test_the_serial_driver_runs_on_the_ports(qnx)


HUNDREDTHS, NO_DATE = TOOLS["date"], "echo date: not found"


@pytest.mark.parametrize(
    ("told", "paced", "error", "sentence"),
    [
        ((505, HUNDREDTHS), (5.0, 0.02), AssertionError, r"measured 1\.0\d+ s/s, expected 1 ± 0\.0033 s/s, .*: failed"),
        ((495, HUNDREDTHS), (5.0, 0.02), AssertionError, r"measured 0\.9\d+ s/s, .*: failed"),
        ((2525, WHOLE_SECONDS), (25.0, 0.02), AssertionError, r"measured 1\.0\d+ s/s, .*: failed"),
        ((2500, HUNDREDTHS), (25.0, 5.0), Inconclusive, ": inconclusive; measure for longer"),
        ((0, HUNDREDTHS), (5.0, 0.02), AssertionError, r"the guest's clock stands still: 1000000\.000000000 for 20 s"),
        ((0, NO_DATE), (5.0, 0.02), AssertionError, "the guest's `date` tells no time: 'date: not found'"),
    ],
    ids=["fast", "slow", "fast-in-whole-seconds", "slow-answers", "stopped", "no-date"],
)
def test_a_wrong_clock_is_failed(
    told: tuple[int, str], paced: tuple[float, float], error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    """One per cent is noticed either way, also by whole seconds; a console too slow to say so decides nothing."""
    with recorded_guest(tmp_path, date=date(tmp_path, *told)) as qnx, pytest.raises(error, match=sentence):
        suite.test_the_guests_clock_keeps_time(qnx, Paced(*paced), measured)


ELF_END = 84 + 16
"""Bytes of the smallest ELF file of `qvm_local`."""
IMAGES = {
    "text": (b"no image, \xc3\xbcberhaupt\n", "holds nothing but text; name the image of a QNX guest"),
    "empty": (b"", "is empty; name"),
    "packed": (b"\x1f\x8b\x08\0\0", "is packed by gzip; unpack it"),
    "kernel": (bzimage(), "is a Linux kernel; name"),
    "shared": (elf(kind=3), "is an ELF file for a system that runs already, as programs and libraries are; name"),
    "program": (Path(sys.executable).read_bytes(), "is an ELF file for a system that runs already"),
    "arm": (elf(machine=183), "is made for EM_AARCH64, and the board is x86_64; name"),
    "head": (elf()[:20], r"is no complete ELF file \(.*\); name"),
    "cut": (elf()[:-8], f"ends before its own content, at {ELF_END - 8} of {ELF_END} bytes; name"),
    "large": (b"\0" * 4001, "has 4001 bytes, and the guest's memory takes 4000; name"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_what_cannot_be_an_image_is_refused(name: str, tmp_path: Path) -> None:
    content, sentence = IMAGES[name]
    file = tmp_path / "guest.ifs"
    file.write_bytes(content)
    with pytest.raises(BadImage, match=rf"\Ax.toml: guests.qnx.ifs is {file}, which {sentence}") as refused:
        check_image(file, "x86_64", 4000 if name == "large" else MIB, "x.toml: guests.qnx.ifs")
    assert "\n" not in str(refused.value)


def test_an_image_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    for path, sentence in ((tmp_path, "is no file; correct it"), (tmp_path / "none", "is not there; correct it")):
        with pytest.raises(BadImage, match=sentence):
            check_image(path, "x86_64", MIB, "x.toml: guests.qnx.ifs")


@pytest.mark.parametrize("content", [elf(), elf(machine=62), b"\xfa\xf4\0 any bytes"], ids=["elf", "elf-64", "raw"])
def test_what_may_be_an_image_is_taken(content: bytes, tmp_path: Path) -> None:
    """Raw bytes have no mark."""
    (tmp_path / "guest.ifs").write_bytes(content)
    assert check_image(tmp_path / "guest.ifs", "x86_64", MIB, "x.toml: guests.qnx.ifs") == content


def test_what_is_no_image_is_refused_before_the_board_is_on(tmp_path: Path) -> None:
    image = tmp_path / "guest.ifs"
    image.write_text("no image\n")
    (tmp_path / "mine.toml").write_text(f'extends = "virtual-x86_64"\n[guests.qnx]\nifs = "{image}"\n')
    ended = run("--board=mine", f"--run-directory={tmp_path}/runs", "suites/qnx", HARNESS_BENCHES=str(tmp_path))
    assert ended.status == 4, ended.output
    sentence = f"{tmp_path}/mine.toml: guests.qnx.ifs is {image}, which holds nothing but text; name the image of a QNX guest"
    assert [line for line in ended.output.splitlines() if "ERROR" in line] == [f"ERROR: {sentence}"]
    assert not (tmp_path / "runs").exists()


BOOTS = """
import pytest
from pathlib import Path
from harness.bench.qnx import boot_qnx
from harness.boardfile import QnxImage

@pytest.mark.parametrize("name", ["ends", "refused"])
def test_boot(name, bench, deployment, run):
    image = QnxImage(ifs=str(Path(__file__).with_name(name)))
    boot_qnx(bench, image, deployment, (), run.directory.vm)
"""


def test_what_only_qvm_sees_is_no_image_blames_no_device(tmp_path: Path) -> None:
    """*infra*, with the image's name and qvm's own words: a guest that ends before it said a word, a line of `load` that is refused."""
    (tmp_path / "ends").write_bytes(b"\x0f\x0b\0" * 9)  # ud2, and nobody to take the exception
    (tmp_path / "refused").write_bytes(elf(entry=0x90000000))
    (tmp_path / "test_boots.py").write_text(BOOTS)
    ended = run("--board=virtual-x86_64", f"--run-directory={tmp_path}/runs", str(tmp_path / "test_boots.py"))
    assert ended.status == 10, ended.output
    for name, words in (
        ("ends", r"qvm of qnx-\w+ ended by itself with status 0: .*, before the guest of {image} said a word; see that .*\n.*triple fault"),
        (
            "refused",
            r"qvm refused the configuration of .* with status 65: .*, before the guest of {image} said a word; .*\n.*\[.*:7\] the entry",
        ),
    ):
        assert re.search(words.format(image=tmp_path / name), ended.output), ended.output
    assert "2 infra" in ended.output
