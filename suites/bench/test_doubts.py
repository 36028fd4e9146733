"""What QNX's public documentation leaves open, asked of the board itself. Nobody is judged: each answer is recorded.

The numbers are those of the list of open points these tests go through: 1 timer8254's options, 2 messages and statuses of what is
refused, 3 logger lines, 4 and 5 values and structures of the headers, 6 options without a page, 7 `/dev/qvm/NAME/env`, 8 ser8250's
defaults and depth, 9 a watchdog's exit status, 10 status 64 or 65, 11 `qvm-check` and `use`, 12 what a command by SSH finds, 13 `mkdir`
in memory, 14 the CPUID signature, 15 options of other vdevs, 16 `vdev vdev-NAME`, 17 and 18 sources out of reach.

What a device does is asked by a stock Linux guest, where the harness has one for the board. Three of the answers decide claims of a
bench file: their questions begin with the claim's name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.claims import Record
from fixtures.marks import judge
from harness.bench import Bench, LinuxGuests
from harness.clock import Deadline
from harness.guest.linux import LinuxGuest
from harness.vdev import Deployment, NoSources, NotBuilt, build
from harness.vm import status, vdev, write
from harness.vm.qvm import ConfigurationRefused
from suites.bench.doubts import Doubts, Said
from suites.bench.registers import HYPERVISOR, IN_A_VM, Write, access, cpuid, port_61, signature, uart

pytestmark = judge("bench")


@pytest.fixture(scope="module")
def doubts(bench: Bench, deployment: Deployment, request: pytest.FixtureRequest) -> Doubts:
    """Asks qvm about variations of a VM that it accepts as it is."""
    documented: list[str] = []
    if bench.board.board.arch == "x86_64":
        guests: LinuxGuests = request.getfixturevalue("linux_guests")
        guests.stop()
        documented = write(guests.configuration()).splitlines()[1:]
    asking = Doubts(bench, deployment, documented)
    plain = asking.dryrun()
    if plain.status != 0:
        pytest.skip(f"qvm refuses the VM without any variation: {plain}")
    return asking


CONFIGURATION = [
    ("1-timer8254-elsewhere", "timer8254: is `loc` accepted?", ["vdev timer8254 loc io:0x140 intr {pic}:11"]),
    ("1-timer8254-in-memory", "timer8254: is a location in memory accepted?", ["vdev timer8254 loc mem:0x1c0c0000 intr {pic}:11"]),
    ("1-timer8254-without-intr", "timer8254: is `intr` needed?", ["vdev timer8254 loc io:0x140"]),
    ("1-timer8254-default-loc", "timer8254: where is it without `loc`?", ["vdev timer8254 intr {pic}:11"]),
    ("1-timer8254-unknown-option", "timer8254: which options are there?", ["vdev timer8254 loc io:0x140 intr {pic}:11 no-such-option 1"]),
    (
        "1-port61-taken",
        "timer8254: is a vdev at port 0x61 taken for one in its place?",
        ["vdev ser8250 loc io:0x61 intr {pic}:11 hostdev >-"],
    ),
    ("2-no-such-vdev", "a vdev whose .so is not there", ["vdev no-such-vdev"]),
    ("2-unknown-option", "an option the vdev does not know", ["vdev ser8250 loc {free} intr {pic}:11 hostdev >- no-such-option 1"]),
    ("2-missing-argument", "an option without its argument at the end of the file", ["vdev ser8250 loc {free} intr"]),
    ("2-missing-intr", "a vdev without `intr`", ["vdev ser8250 loc {free} hostdev >-"]),
    ("2-missing-loc", "a vdev without `loc`", ["vdev 8259"]),
    ("2-overlap", "two vdevs at one location", ["vdev ser8250 loc {taken} intr {pic}:11 hostdev >-"]),
    ("2-no-such-pic", "an interrupt controller there is not", ["vdev ser8250 loc {free} intr nobody:11 hostdev >-"]),
    ("3-logger", "what a logger of every kind prints", ["logger fatal,internal,error,warn,info,debug,verbose stdout"]),
    ("6-data-load", "is `data load` accepted without an address?", ["data load /etc/profile"]),
    ("6-fdt-load", "is `fdt load` accepted?", ["fdt load /etc/profile"]),
    ("6-acpi-load", "what becomes of an ACPI table that is none?", ["acpi load /etc/profile"]),
    ("6-no-such-load", "which kinds of `load` are there?", ["no-such-kind load /etc/profile"]),
    ("6-system-late", "a second `system` at the end", ["system late"]),
    ("6-ram-late", "`ram` after what refers to memory", ["ram 1M"]),
    ("8-ser8250-default-loc", "ser8250: where is it without `loc`?", ["vdev ser8250 intr {pic}:11 hostdev >-"]),
    ("10-no-such-file", "status 64 or 65: a file that is not there", ["load 0x1000000,/no/such/file"]),
    (
        "10-no-such-hostdev",
        "status 64 or 65: a host device there is not",
        ["vdev ser8250 loc {free} intr {pic}:11 hostdev /dev/no-such"],
    ),
    ("15-ioapic", "vdev ioapic: is `intr` needed?", ["vdev ioapic loc 0xf8001000 name second"]),
    ("16-vdev-vdev-name", "is `vdev vdev-NAME` a synonym?", ["vdev vdev-ser8250 loc {free} intr {pic}:11 hostdev >-"]),
]
"""Each with lines added to the documented VM; `{pic}`, `{free}` and `{taken}` are the architecture's."""


@pytest.mark.parametrize(("question", "lines"), [pytest.param(*rest, id=name) for name, *rest in CONFIGURATION])
def test_what_qvm_says_of_a_configuration(question: str, lines: list[str], doubts: Doubts, recorded: Record) -> None:
    """Status, and which stream says what, when qvm is only to configure this VM."""
    place = doubts.place
    asked = [line.format(pic=place.pic, free=place.free, taken=place.taken) for line in lines]
    without = "timer8254" if asked[0].startswith("vdev timer8254 loc") else ""
    recorded(question, f"`{'; '.join(asked)}`: {doubts.dryrun(asked, without)}")


def test_10_an_option_of_no_vm(doubts: Doubts, recorded: Record) -> None:
    """Where no context is open, so that it is no vdev's."""
    recorded("status 64 or 65: an option of no VM", f"`no-such-option 1`: {doubts.dryrun(first=['no-such-option 1'])}")


def test_2_another_abi(bench: Bench, doubts: Doubts, recorded: Record, tmp_path: Path) -> None:
    """A vdev that registers itself for another `QVM_VDEV_ABI` than that of the headers it was compiled with."""
    try:
        built = build(Path(__file__).parent / "vdevs" / "doubt", tmp_path, bench.board)
    except (NoSources, NotBuilt) as error:
        pytest.skip(f"no vdev can be built for {bench.board.name}: {error.sentence}; {error.next_step}")
    doubts.add_vdev(built[0].file)
    recorded("a vdev of another ABI", str(doubts.dryrun(["vdev doubt"])))


FLAGS = "cemdnst"


def test_6_which_flags_pass_takes(bench: Bench, doubts: Doubts, recorded: Record) -> None:
    """Those whose meaning is not documented, for port 0x80: a PC's own firmware writes its progress there, and nothing is lost by it."""
    if bench.board.board.arch != "x86_64":
        pytest.skip(f"{bench.board.name} has no ports, and memory of a host is nothing to try flags on")

    def ask(flags: str) -> Said:
        return doubts.dryrun([f"pass loc io:0x80,1,{flags}"])

    plain = ask("rw")
    told = "" if plain.status else "".join(f"{flag}: {ask('rw' + flag)}\n" for flag in FLAGS)
    recorded("which flags does `pass` take?", f"rw: {plain}\n{told}")


@pytest.mark.parametrize("name", ["progress", "smmu", "virtio-entropy", "mc146818", "pckeyboard"])
def test_15_what_a_vdev_without_a_page_asks_for(name: str, bench: Bench, doubts: Doubts, recorded: Record) -> None:
    """What qvm says of the vdev without any option: which ones it misses."""
    file = f"{bench.board.host.vdev_directory}/vdev-{name}.so"
    if not bench.host.exists(file):
        pytest.skip(f"this host has no {file}")
    recorded(f"vdev {name} without options", str(doubts.dryrun([f"vdev {name}"])))


def test_7_what_a_vm_shows_of_itself(bench: Bench, doubts: Doubts, recorded: Record) -> None:
    """`/dev/qvm/NAME/env`, and what else is in that directory."""
    with doubts.running() as (directory, _):
        script = 'ls -l "$1"; echo; cat "$1/env"'
        recorded("what is in /dev/qvm/NAME", bench.host.run(["sh", "-c", f"{{ {script}; }} 2>&1", "sh", directory], check=False).text)


def test_8_what_the_vdevs_log_on_sigusr1(doubts: Doubts, recorded: Record) -> None:
    """The state each vdev tells, and the form of a line of the logger (point 3)."""
    with doubts.running() as (_, process):
        process.signal("USR1")
    recorded("what SIGUSR1 makes qvm and its vdevs print", f"stdout: {process.stdout().decode()}\nstderr: {process.stderr().decode()}")


PROGRAMS = [["qvm-check"], ["use", "qvm"], ["use", "vdev-ser8250.so"], ["use", "vdev-timer8254.so"]]


@pytest.mark.parametrize("command", PROGRAMS, ids=" ".join)
def test_11_what_the_hosts_own_tools_say(command: list[str], bench: Bench, recorded: Record) -> None:
    """`qvm-check`, and the usage text that QNX keeps in its programs."""
    found = bench.host.run(["sh", "-c", 'command -v "$1"', "sh", command[0]], check=False)
    if found.status:
        pytest.skip(f"this host has no {command[0]}")
    told = bench.host.run(["sh", "-c", 'cd "$1" && shift && "$@" 2>&1', "sh", bench.board.host.vdev_directory, *command], check=False)
    recorded(f"what `{' '.join(command)}` says", f"status {told.status}\n{told.text}")


def test_12_what_a_command_by_ssh_finds(bench: Bench, recorded: Record) -> None:
    """PATH and LD_LIBRARY_PATH of a shell that is no login shell, as sshd leaves them."""
    if not bench.by_ssh:
        pytest.skip(f"{bench.board.name} has no SSH: ssh.host is not in its bench file")
    said = bench.host.transport.run_text('echo "PATH=$PATH"; echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"', bench.board.seconds("command"))
    recorded("the environment of a command by SSH", said.text)


def test_12_whether_sftp_is_configured(bench: Bench, recorded: Record) -> None:
    """The subsystem lines of sshd's configuration, and the server they would start."""
    script = "grep -i subsystem /etc/ssh/sshd_config 2>&1; ls -l /usr/libexec/sftp-server 2>&1"
    recorded("sftp on this host", bench.host.run(["sh", "-c", script], check=False).text)


@pytest.mark.parametrize("parent", ["/tmp", "/dev/shmem"])
def test_13_whether_memory_takes_directories(parent: str, bench: Bench, recorded: Record) -> None:
    """`mkdir` below the memory file system; what was made is removed."""
    script = 'mkdir "$1" 2>&1; echo "status $?"; test ! -d "$1" || rmdir "$1"'
    recorded(f"mkdir in {parent}", bench.host.run(["sh", "-c", script, "sh", f"{parent}/{bench.nonce}.doubt"], check=False).text)


OUTPUT = ">-"
"""`hostdev` of a port that leads to no line."""


@pytest.fixture
def guest(bench: Bench, linux_guests: LinuxGuests) -> LinuxGuest:
    """A stock guest with a second port that nobody has open."""
    return linux_guests.boot(ports=None if _device(bench) else [OUTPUT])


def test_1_whether_port_61_is_there(guest: LinuxGuest, recorded: Record) -> None:
    """The gate and the output of counter 2, and the bit that goes to and fro, as the guest finds them behind the port."""
    recorded("timer8254.port61: does port 0x61 belong to timer8254?", port_61(guest))


def test_8_how_deep_ser8250_is(guest: LinuxGuest, recorded: Record) -> None:
    """What its registers show, and what the stock driver takes it for."""
    kind = guest.read("/proc/tty/driver/serial").splitlines()[2]
    recorded("ser8250.16550a: is ser8250 a 16550A?", f"{uart(guest)}\nthe driver: {kind}")


def test_8_what_the_hosts_port_makes_of_the_divisor(bench: Bench, guest: LinuxGuest, recorded: Record) -> None:
    """What the host's own `stty` says of the port behind a guest's, for two rates that the guest sets."""
    device = _device(bench)
    if not device:
        pytest.skip(f"{bench.board.name} has no line with a host device: add [line.NAME] with device and url to the bench file")
    said = {}
    for rate in ("9600", "115200"):
        guest.must(["stty", "-F", "/dev/ttyS1", rate])
        said[rate] = bench.host.run(["sh", "-c", 'stty <"$1" 2>&1', "sh", device], check=False).text
    follows = all(re.search(rf"\b{rate}\b", text) for rate, text in said.items())
    told = "\n".join(f"the guest set {rate}: {text}" for rate, text in said.items())
    recorded("ser8250.divisor: does the divisor reach the host's line?", f"{'yes' if follows else 'no'}\n{told}")


def test_14_how_a_guest_knows_its_hypervisor(guest: LinuxGuest, recorded: Record) -> None:
    """CPUID leaf 1 says that it is in a VM, leaf 0x40000000 in whose."""
    features, found = cpuid(guest, 1, HYPERVISOR)
    in_a_vm = "in a VM" if features.ecx & IN_A_VM else "not in a VM"
    recorded("the CPUID signature", f"{in_a_vm}; signature: {signature(found)}; highest leaf: {found.eax:#x}")


START_BITE, IN_2_SECONDS = 0x443, 0x0E
"""The IB700's port that starts it, and what is written there (Linux, drivers/watchdog/ib700wdt.c)."""


def test_9_what_a_bite_ends_with(bench: Bench, deployment: Deployment, linux_guests: LinuxGuests, recorded: Record) -> None:
    """qvm's exit status when a guest starts its watchdog and never kicks it."""
    places = [deployment.directory, bench.board.host.vdev_directory]
    if not any(bench.host.exists(f"{place}/vdev-wdt-ib700.so") for place in places):
        pytest.skip(f"{bench.board.name} has no vdev-wdt-ib700.so")
    question, line = "the exit status of a bite", "vdev wdt-ib700 action terminate"
    try:
        guest = linux_guests.boot(further=[vdev("wdt-ib700", action="terminate")])
    except ConfigurationRefused as refused:
        recorded(question, f"`{line}`: {refused}")
    access(guest, Write(START_BITE, IN_2_SECONDS))
    ended = guest.vm.wait(Deadline.after(bench.board.seconds("guest_shutdown"), "a watchdog to bite"))
    recorded(question, f"`{line}`: it did not bite" if ended is None else f"`{line}`: status {ended} ({status.meaning(ended)})")


def _device(bench: Bench) -> str:
    """The host's end of the line that a guest's second port leads to."""
    return next((line.device for line in bench.board.line.values() if line.device), "")


ELSEWHERE = [
    ("4-values", "the values behind the names of the API are in QNX's headers alone; a vdev that printed them would copy the headers"),
    ("5-structures", "8.0's factory structure and function list are in QNX's headers alone, which nobody opens for this project"),
    ("6-meaning-of-flags", "what a flag of `pass` does shows when a guest drives a device of the host, which the host loses by it"),
    ("8-line-errors", "line errors take a bench with line.settings and line.rx_errors, where suites/ser8250/test_format.py asks for them"),
    ("17-boards", "images for TI and Qualcomm boards are not public"),
    ("18-examples", "a source tree nobody here may read is nothing that a board answers"),
]


@pytest.mark.parametrize("reason", [pytest.param(reason, id=name) for name, reason in ELSEWHERE])
def test_what_this_board_cannot_be_asked(reason: str, bench: Bench) -> None:
    """The open points that stay open, each with its reason."""
    pytest.skip(f"{bench.board.name}: {reason}")
