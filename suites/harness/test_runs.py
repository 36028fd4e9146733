"""Whole runs on the board made of software: what they leave, and what they say of devices that are wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.boardfile import load
from harness.vdev import build, defects
from suites.harness.session import CHECKOUT, Ended
from suites.harness.session import pytest as run

BOARD = "--board=virtual-x86_64"
DOUBTS = "suites/bench/test_doubts.py"
BRIDGE = "suites/ser8250/test_bridge.py"
SENDS = "test_what_the_guest_sends_arrives_unchanged"
BELOW = "test_characters_below_the_trigger_are_read_in_time"
SINGLE_TICKS = "suites/timer8254/test_linux.py::test_no_single_tick_is_lost_or_comes_twice"
DUPLEX = {"UART-028", "UART-029", "UART-046", "UART-048", "UART-057", "UART-060"}
TIMED = {"PIT-033", "PIT-079", "PIT-095", "PIT-110", "PIT-116", "UART-014", "UART-026", "UART-071"}
"""Lines judged by time, or by what a kernel makes of its own boot's timing: a busy machine may leave them undecided."""


def journal(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "latest" / "journal.jsonl").read_text().splitlines()]


def failed_lines(output: Path) -> set[str]:
    """The specification lines of the tests that failed; none may have met a broken bench. Time may leave the one or other undecided."""
    verdicts = [event["fields"] for event in journal(output) if event["event"] == "test.verdict"]
    assert {verdict["verdict"] for verdict in verdicts if not TIMED & set(verdict["lines"])} <= {"passed", "failed"}, verdicts
    assert {verdict["verdict"] for verdict in verdicts} <= {"passed", "failed", "inconclusive", "skipped"}, verdicts
    return {line for verdict in verdicts if verdict["verdict"] == "failed" for line in verdict["lines"]}


def test_a_run_leaves_its_evidence(tmp_path: Path) -> None:
    """Journal, Allure results, console logs, VM configurations, vdev hashes; the status is 0, and the place is printed."""
    ended = run(BOARD, f"--run-directory={tmp_path}", "suites/bench/test_vm.py", "suites/ser8250/test_linux.py")
    assert ended.status == 0, ended.output
    assert f"evidence: {(tmp_path / 'latest').resolve()}" in ended.output
    left = tmp_path / "latest"
    events = [event["event"] for event in journal(tmp_path)]
    assert events[0] == "run.planned"
    assert events[-1] == "run.end"
    assert events.index("shell.left") < events.index("bench.close.end")
    assert [event["fields"]["mode"] for event in journal(tmp_path) if event["event"] == "bench.identity"] == ["virtual"]
    assert re.search(r"the host says: QNX .* \(mode: virtual\)", ended.output)
    results = [json.loads(path.read_text()) for path in (left / "allure").glob("*-result.json")]
    assert {result["status"] for result in results} == {"passed"}
    assert any(step["name"] == "guest.boot" for result in results for step in result.get("steps", []))
    assert any(attachment["name"] == "console guest" for result in results for attachment in result.get("attachments", []))
    assert b"guest ready" in (left / "consoles" / "guest.log").read_bytes()
    assert list((left / "vm").glob("*.qvmconf"))
    vdevs = {vdev["name"]: vdev["sha256"] for vdev in json.loads((left / "vdevs.json").read_text())}
    assert set(vdevs) == {"8259", "ioapic", "ser8250", "timer8254"}


@pytest.fixture(scope="module")
def first_command() -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """`make run`, as README.md prints it, and the journal it left."""
    commands = re.search(r"```\n((?:make .*\n)+)```", (CHECKOUT / "README.md").read_text())
    assert commands, "README.md shows no commands"
    first = commands.group(1).splitlines()[0]
    ended = subprocess.run(first.split(), cwd=CHECKOUT, capture_output=True, text=True, timeout=900)
    return ended, journal(CHECKOUT / "build" / "runs")


def test_the_readmes_first_command_works_as_printed(first_command: tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]) -> None:
    """`make run`: everything passes with the reference vdevs, the control of the defects below. Only time may be left undecided."""
    ended, events = first_command
    verdicts = [event["fields"] for event in events if event["event"] == "test.verdict"]
    skipped = [verdict for verdict in verdicts if verdict["verdict"] == "skipped" and " has no " not in verdict["sentence"]]
    undecided = [verdict for verdict in verdicts if verdict["verdict"] not in ("passed", "skipped")]
    assert len(verdicts) > 60
    assert {verdict["test"].partition("::")[0] for verdict in skipped} == {DOUBTS}, ended.stdout
    assert all(verdict["verdict"] == "inconclusive" and TIMED & set(verdict["lines"]) for verdict in undecided), ended.stdout
    # make ends with 2 for whatever pytest ended with
    assert ended.returncode == (2 if undecided else 0), ended.stdout


def refused(status: int, words: str) -> str:
    """An answer that is qvm's refusal: `[FILE:LINE]` goes to its standard error."""
    return rf"status {status} \(fatal .*\)\nstderr: \[FILE:\d+\] .*{words}"


ANSWERS = {
    "1-timer8254-default-loc": refused(65, "timer8254 .*(io:0x40|port 0x61)"),
    "1-timer8254-in-memory": r"status 0 .*\nstdout: Exiting: dryrun complete",
    "1-port61-taken": refused(65, "overlaps vdev pit .*io:0x61"),
    "1-timer8254-unknown-option": refused(65, "no option no-such-option"),
    "test_1_whether_port_61_is_there": r"\Ayes: .*\nbit 5 is 0 .*, 1 when it has counted\nbit 4 is 0 and 1 in",
    "2-no-such-vdev": refused(65, "vdev-no-such-vdev.so"),
    "2-unknown-option": refused(65, "no option no-such-option"),
    "2-missing-argument": refused(65, "intr lacks its argument"),
    "1-timer8254-without-intr": refused(65, "intr"),
    "2-missing-intr": refused(65, "intr"),
    "2-missing-loc": refused(65, "8259 needs loc"),
    "2-overlap": refused(65, "overlaps vdev pit .*io:0x40"),
    "test_2_another_abi": refused(65, "its ABI is"),
    "6-fdt-load": refused(65, "fdt load"),
    "test_6_which_flags_pass_takes": "rw: " + refused(65, "pass"),
    "test_7_what_a_vm_shows_of_itself": r'(?s) env\n.* pid\n.* state\n.*"system": "doubt-',
    "test_8_what_the_vdevs_log_on_sigusr1": r"stderr: system (?s:.)*\[vdev ttyS0\] dlr=0x1 lcr=0x0 ier=0x0 mcr=0x0",
    "test_8_how_deep_ser8250_is": r"\Ayes: IIR is 0xc1 .*\n.* 0x5a, 0xa5\n.* in loopback 0xf0 .* 0x0\w with all off\n0x55 .* as 0x55, .*\n"
    r".*\nthe divisor, .* as 0x0180\nthe driver: 1: uart:16550A port:000002F8",
    "test_8_what_the_hosts_port_makes_of_the_divisor": r"\Ayes\n",
    "8-ser8250-default-loc": refused(65, "ser8250 at io:0x3f8 overlaps vdev ttyS0"),
    "10-no-such-file": refused(64, "Unable to open '/no/such/file'"),
    "test_10_an_option_of_no_vm": refused(65, "no-such-option is no option of a VM"),
    "10-no-such-hostdev": refused(64, "Unable to open '/dev/no-such'"),
    "test_12_what_a_command_by_ssh_finds": r"LD_LIBRARY_PATH=\s*\Z",
    "test_14_how_a_guest_knows_its_hypervisor": "in a VM; signature: none",
    "15-ioapic": refused(65, "a second interrupt controller"),
}
"""What the doubts suite is to find here, by the end of a test's name: what boards/virtual/README.md says is ours, and the claims."""


@pytest.mark.parametrize("doubt", ANSWERS)
def test_a_doubt_is_answered_rightly(doubt: str, first_command: tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]) -> None:
    """Where the truth is known, it is what is recorded."""
    answers = [event["fields"] for event in first_command[1] if event["event"] == "recorded"]
    [answer] = [answer for answer in answers if answer["test"].rstrip("]").endswith(doubt)]
    assert re.search(ANSWERS[doubt], answer["answer"]), answer


ALL = pytest.mark.skipif("HARNESS_DEFECTS" not in os.environ, reason="make soak runs all defects")
DEFECTS = [
    pytest.param("timer8254:defect=pit.rate_1pct", ("suites/timer8254/test_linux.py", "-k", "ticks"), {"PIT-018", "PIT-079"}),
    pytest.param("timer8254:defect=pit.inject_lost", (SINGLE_TICKS,), {"PIT-079", "PIT-110", "PIT-112"}, marks=ALL),
    pytest.param("timer8254:defect=pit.inject_double", (SINGLE_TICKS,), {"PIT-079", "PIT-110", "PIT-112"}, marks=ALL),
    pytest.param("ioapic:defect=ioapic.mask_ignored", ("suites/timer8254/test_masking.py",), {"PIT-112"}, marks=ALL),
    pytest.param("ser8250:defect=uart.thre_lost", ("suites/ser8250/test_linux.py",), {"UART-050", "UART-099"}),
    pytest.param("ser8250:defect=uart.drop_byte", (f"{BRIDGE}::{SENDS}",), {"UART-028", "UART-029", "UART-031"}),
    pytest.param("ser8250:defect=uart.timeout_lost", (f"{BRIDGE}::{BELOW}",), {"UART-071"}, marks=ALL),
    pytest.param("ser8250:defect=uart.thre_early", (f"{BRIDGE}::test_both_directions_at_once",), DUPLEX, marks=ALL),
]
ELSEWHERE = {"pit.overflow64"}
"""Takes hours of the board's time: test_hours.py."""


def test_every_defect_is_provoked() -> None:
    built = sorted((CHECKOUT / "build" / "virtual" / "vdevs").glob("vdev-*.so"))
    carried = {defect.name for path in built for defect in defects(path)}
    assert carried == {str(case.values[0]).partition("defect=")[2] for case in DEFECTS} | ELSEWHERE


@pytest.mark.parametrize(("option", "suite", "lines"), DEFECTS)
def test_a_defect_is_failed_by_the_right_lines(option: str, suite: tuple[str, ...], lines: set[str], tmp_path: Path) -> None:
    """A wrong device makes the run end with 1, and only the tests that judge those lines fail."""
    ended = run(BOARD, f"--run-directory={tmp_path}", "--vdev-option", option, *suite)
    assert ended.status == 1, ended.output
    assert failed_lines(tmp_path) == lines
    measured = [event["fields"] for event in journal(tmp_path) if event["event"] == "measurement"]
    rates = [fields["quantity"] for fields in measured if fields["name"] == "timer8254.tick_rate"]
    assert all(rate["value"] - rate["uncertainty"] > 249.99 for rate in rates), "1 % fast was failed for being slow"


def test_the_hosts_own_vdevs_are_in_the_evidence(tmp_path: Path) -> None:
    """Those that --vdevs=DIR has not, by the host's own digest: on the terminal, in the journal and in vdevs.json."""
    built, vdevs = CHECKOUT / "build" / "virtual" / "vdevs", tmp_path / "vdevs"
    vdevs.mkdir()
    shutil.copy(built / "vdev-timer8254.so", vdevs)
    test = "suites/bench/test_deploy.py::test_what_is_deployed_is_what_was_built"
    ended = run(BOARD, f"--run-directory={tmp_path}", f"--vdevs={vdevs}", test)
    assert ended.status == 0, ended.output
    own = {name: hashlib.sha1((built / f"vdev-{name}.so").read_bytes()).hexdigest() for name in ("8259", "ioapic", "ser8250")}
    expected = [{"name": name, "from": "host", "path": f"/lib/dll/vdev-{name}.so", "sha1": digest} for name, digest in own.items()]
    assert json.loads((tmp_path / "latest" / "vdevs.json").read_text())[1:] == expected
    assert [event["fields"] for event in journal(tmp_path) if event["event"] == "vdev.hosts_own"] == expected
    for name, digest in own.items():
        assert f"vdev: {name:<12} sha1 {digest[:16]}…  /lib/dll/vdev-{name}.so of the host" in ended.output


MISCHIEF = """
#include <signal.h>
#include <stdlib.h>
#include <qvm/vdev-core.h>

static int control(vdev_t *vdp, vdev_ctrl_options_t ctrl, const char *arg) {
    (void)arg;
    if (ctrl == VDEV_CTRL_OPTIONS_START)
        vdp->v_block = (struct qvm_state_block){.location = 0x40, .length = 4, .qst_type = QST_X86_IO};
    return EOK;
}

static vdev_ref_status_t vwrite(vdev_t *vdp, unsigned cookie, const struct qvm_state_block *vopnd,
                                const struct qvm_state_block *oopnd, struct guest_cpu *gcp) {
    (void)vdp, (void)cookie, (void)vopnd, (void)oopnd, (void)gcp;
    MISBEHAVE;
    return VRS_NORMAL;
}

static struct vdev_factory factory = {
    .control = control, .vwrite = vwrite, .factory_flags = VFF_VDEV_X86_IO, .acc_sizes = 1u << 1};

static void __attribute__((constructor)) begin(void) { vdev_register_factory(&factory, QVM_VDEV_ABI); }
"""


@pytest.mark.parametrize("misbehaviour", ["exit(0)", "abort()", "raise(SIGSEGV)"])
def test_a_vdev_that_ends_qvm_is_failed(misbehaviour: str, tmp_path: Path) -> None:
    """A crash, or a call of `exit()`, in the middle of a guest: *failed* with qvm's own words, not a hang and not the bench's fault."""
    source, vdevs = tmp_path / "vdev.c", tmp_path / "vdevs"
    source.write_text(MISCHIEF.replace("MISBEHAVE", misbehaviour))
    vdevs.mkdir()
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-Iboards/virtual/include", "-o"]
    subprocess.run([*command, str(vdevs / "vdev-timer8254.so"), str(source)], cwd=CHECKOUT, check=True)
    test = "suites/bench/test_vm.py::test_a_power_cut_ends_the_guest"
    ended: Ended = run(BOARD, f"--run-directory={tmp_path}", f"--vdevs={vdevs}", test)
    assert ended.status == 1, ended.output
    assert "ended by itself with status 6: unexpected vdev error" in ended.output
    assert "vdev pit c" in ended.output.partition("ended by itself")[2], "qvm names the vdev, and whether it crashed or called exit()"


def test_what_qvm_refuses_is_shown_in_its_own_words(tmp_path: Path) -> None:
    """An option that the vdev does not know: qvm's `[FILE:LINE]` text is in the failure."""
    test = "suites/bench/test_vm.py::test_a_power_cut_ends_the_guest"
    ended = run(BOARD, f"--run-directory={tmp_path}", "--vdev-option=timer8254:nonsense=1", test)
    assert ended.status == 4, ended.output
    assert "nonsense" in ended.output
    assert ".qvmconf:" in ended.output


def test_a_watchdogs_bite_is_recorded(tmp_path: Path) -> None:
    """A guest that starts the IB700 of this suite and never kicks it: the exit status is the one that vdev ends the VM with."""
    vdevs = tmp_path / "vdevs"
    shutil.copytree(CHECKOUT / "build" / "virtual" / "vdevs", vdevs)
    build(Path(__file__).parent / "vdevs" / "wdt-ib700", vdevs, load("virtual-x86_64"))
    ended = run(BOARD, f"--run-directory={tmp_path}", f"--vdevs={vdevs}", DOUBTS, "-k", "bite")
    assert ended.status == 0, ended.output
    answers = [event["fields"]["answer"] for event in journal(tmp_path) if event["event"] == "recorded"]
    assert answers == ["`vdev wdt-ib700 action terminate`: status 4 (ended by a watchdog)"], ended.output


def test_a_run_over_nothing_but_the_console(tmp_path: Path) -> None:
    """No SSH connection is made; the vdevs go over the console, and only once."""
    ended = run(BOARD, "--no-ssh", f"--run-directory={tmp_path}", "suites/bench/test_deploy.py", "suites/bench/test_host.py")
    assert ended.status == 0, ended.output
    events = journal(tmp_path)
    assert not [event for event in events if event["event"].startswith("ssh.")]
    ways = [event["fields"]["way"] for event in events if event["event"] == "host.put.end"]
    assert ways
    assert set(ways) == {"serial"}
    files = [event["fields"] for event in events if event["event"] == "host.sent"]
    assert {file["sent"] for file in files[-4:]} == {0}
    skipped = [event["fields"]["test"] for event in events if event["event"] == "test.verdict" and event["fields"]["verdict"] == "skipped"]
    assert skipped == ["suites/bench/test_host.py::test_console_and_ssh_reach_the_same_host"]
