"""What a user can get wrong: pytest's exit status 4, one sentence with the next step, nothing touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from harness.evidence import read
from suites.harness.session import CHECKOUT
from suites.harness.session import pytest as run

USE_ERROR = 4


def refused(*arguments: str, **environment: str) -> str:
    """The one sentence of a refused run."""
    before = _runs()
    ended = run(*arguments, **environment)
    assert ended.status == USE_ERROR, ended.output
    errors = [line for line in ended.output.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1, ended.output
    assert "Traceback" not in ended.output
    assert _runs() == before, "a refused run left a run directory"
    return errors[0].removeprefix("ERROR: ")


def _runs() -> list[str]:
    runs = CHECKOUT / "build" / "runs"
    return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []


def test_unknown_board() -> None:
    assert "did you mean virtual-x86_64?" in refused("--board=virtual-x86-64")


def test_a_typo_in_a_board_file_names_file_and_key(tmp_path: Path) -> None:
    text = (CHECKOUT / "boards" / "virtual-x86_64.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("driver =", "drvier ="))
    sentence = refused("--board=mine", HARNESS_BOARDS=str(tmp_path))
    assert "mine.toml: power.drvier is unknown; did you mean driver?" in sentence


@pytest.mark.parametrize(
    ("power", "sentence"),
    [
        ('driver = "scip"', "desk.toml: power.driver 'scip' is unknown; did you mean scpi?"),
        ('driver = "scpi"', "desk.toml: power.resource is missing; add the VISA resource of the bench supply"),
    ],
)
def test_a_switch_that_cannot_be_is_told_before_the_run(power: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text(f'extends = "x86_64-pc"\n[console.host]\nurl = "/dev/null"\n[power]\n{power}\n')
    assert sentence in refused("--board=desk", HARNESS_BENCHES=str(tmp_path))


@pytest.mark.parametrize(
    ("file", "variable", "sentence"),
    [
        ("ser8250/test_bridge.py", "HARNESS_KIB=abc", "is no whole number above 0; give one, or leave it out for 256"),
        ("ser8250/test_bridge.py", "HARNESS_KIB=0", "is no whole number above 0; give one, or leave it out for 256"),
        ("harness/test_hours.py", "HARNESS_HOURS=inf", "is no number above 0; give one, or leave it out for 0.1"),
    ],
)
def test_a_size_that_is_none_is_told_before_the_run(file: str, variable: str, sentence: str) -> None:
    name, _, value = variable.partition("=")
    assert refused(f"suites/{file}", **{name: value}) == f"{variable} {sentence}"


def test_a_real_board_without_a_bench_file_says_how_to_write_one() -> None:
    begin = time.monotonic()
    sentence = refused("--board=rpi4")
    assert "`harness bench new rpi4`" in sentence
    assert time.monotonic() - begin < 5, "ends within 5 s"


def test_a_real_board_can_be_collected_without_a_bench() -> None:
    ended = run("--board=rpi4", "--collect-only", "-q")
    assert ended.status == 0, ended.output
    assert "suites/timer8254/test_linux.py" in ended.output


def test_vdevs_directory_that_is_not_there() -> None:
    assert "is not a directory" in refused("--vdevs=/nowhere")


def test_vdevs_directory_without_vdevs(tmp_path: Path) -> None:
    assert "holds no vdev-NAME.so" in refused(f"--vdevs={tmp_path}")


def test_a_vdev_that_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "vdev-timer8254.so").write_bytes(b"not an object\n" * 40)
    assert "vdev-timer8254.so" in refused(f"--vdevs={tmp_path}")


def test_a_bench_file_that_is_no_file(tmp_path: Path) -> None:
    """A pipe would keep its reader waiting for ever."""
    (tmp_path / "foo.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("foo", "pipe"):
        assert f"{tmp_path}/{name}.toml is not a file; " in refused(f"--board={name}", HARNESS_BENCHES=str(tmp_path))


def test_a_vdev_for_another_machine(tmp_path: Path) -> None:
    built = bytearray((CHECKOUT / "build" / "virtual" / "vdevs" / "vdev-timer8254.so").read_bytes())
    built[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    (tmp_path / "vdev-timer8254.so").write_bytes(built)
    assert "is made for aarch64, the board is x86_64" in refused(f"--vdevs={tmp_path}")


def test_a_vdev_that_asks_qvm_for_what_it_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_text("void vdev_log(void); __attribute__((constructor)) static void begin(void) { vdev_log(); }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "vdev-mine.so", tmp_path / "mine.c"], check=True)
    sentence = refused(f"--vdevs={tmp_path}")
    assert "vdev-mine.so needs vdev_log(), which the documented vdev API does not have; did you mean vdev_logf" in sentence


@pytest.mark.parametrize("text", ["timer8254", "timer8254:", ":x=1", "a b:c"])
def test_a_vdev_option_without_the_form(text: str) -> None:
    assert "NAME:OPTION[=VALUE]" in refused(f"--vdev-option={text}")


@pytest.mark.parametrize("text", ['ser8250:batch="a', "ser8250:ram=1", "ser8250:batch=1\n2"])
def test_a_vdev_option_that_no_configuration_can_hold(text: str) -> None:
    assert "cannot be written into a VM configuration; use no quote" in refused(f"--vdev-option={text}", "--collect-only")


def test_a_vdev_option_for_a_vdev_that_is_in_no_vm() -> None:
    assert "there are 8259, ioapic, ser8250, timer8254" in refused("--vdev-option=hpet:frequency=1")


def test_the_self_tests_refuse_a_board() -> None:
    assert "takes no --board" in refused("--board=virtual-x86_64", "suites/harness")


def test_a_guest_s_console_by_ssh_without_ssh() -> None:
    """Before the board is launched, let alone switched on."""
    sentence = refused("--board=virtual-x86_64-unkind", "--no-ssh", "suites/bench/test_vm.py")
    assert sentence.startswith(
        'boards/virtual-x86_64-unkind.toml: vm.console.route = "pty" goes by SSH, and --no-ssh forbids that; run without it, '
    )
    assert sentence.endswith('or wire [console.guest], name its port in vm.console_device and set the route to "serial"')


XDIST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--tx", action="append")
    parser.addoption("--dist", default="no")

def pytest_collection(): return True

def pytest_runtestloop(): return True
"""
"""What pytest-xdist is for the process that starts the workers: its options, and neither collecting nor running."""


def test_workers_are_refused_where_a_bench_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "spread.py").write_text(XDIST)
    spread = ("-p", "spread", "--dist=load", "--tx=popen", "--tx=popen")
    assert "a bench is one" in refused(*spread, "suites/bench/test_host.py", PYTHONPATH=str(tmp_path))
    (tmp_path / "test_other.py").write_text("def test_other(): pass")
    assert run(*spread, str(tmp_path / "test_other.py"), PYTHONPATH=str(tmp_path)).status == 0


def test_qemu_missing(tmp_path: Path) -> None:
    """Without QEMU the board cannot be launched: every test says why it was not run, and the place of the journal is told."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in [
        "ssh",
        "sftp",
        "setpriv",
        "cpio",
        "mke2fs",
        "ssh-keygen",
        "apt-get",
        "apt-cache",
        "dpkg",
        "dpkg-query",
        "gcc",
        "sh",
        "env",
    ]:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    ended = run("--board=virtual-x86_64", f"--run-directory={tmp_path}", "suites/bench/test_host.py", PATH=str(tools))
    assert ended.status == USE_ERROR, ended.output
    said = r"boards\.virtual\.machine: qemu-system-x86_64 is not installed; run `make setup`, which installs it"
    assert re.search(rf"^not-run +\d+ tests: {said}$", ended.output, re.MULTILINE), ended.output
    assert re.search(rf"^evidence: {tmp_path}/\S+ \(journal\.jsonl,", ended.output, re.MULTILINE), ended.output
    assert re.search(rf"^! Refused: {said} !$", ended.output, re.MULTILINE), ended.output
    refusals = [event for event in read(tmp_path / "latest" / "journal.jsonl") if event.name == "run.refused"]
    assert [re.fullmatch(said, event.fields["sentence"]) is not None for event in refusals] == [True]


def test_a_second_run_says_who_holds_the_bench() -> None:
    """The lease: the second run is refused with the owner's command and the time."""
    from harness import lease

    with lease.take("virtual-x86_64", "pytest --board=virtual-x86_64", directory=CHECKOUT / "build" / "benches"):
        sentence = refused("--board=virtual-x86_64", "suites/bench/test_host.py")
    assert "bench virtual-x86_64 is in use by" in sentence
    assert "`pytest --board=virtual-x86_64`) since" in sentence


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--fixtures-per-test", "--setup-plan"])
def test_who_only_looks_begins_no_run(option: str) -> None:
    before = _runs()
    ended = run(option, "suites/bench/test_host.py")
    assert ended.status == 0, ended.output
    assert _runs() == before


def test_an_option_for_no_vdev_is_refused_without_a_run() -> None:
    assert "no vdev timer8253 is in any VM of this run" in refused("--vdev-option=timer8253:defect=x", "--collect-only")


def test_what_looks_like_a_vdev_and_is_no_file_is_refused(tmp_path: Path) -> None:
    """Opening a FIFO waits for somebody who writes."""
    os.mkfifo(tmp_path / "vdev-z.so")
    assert "vdev-z.so is no file; take it out of the directory" in refused(f"--vdevs={tmp_path}", "suites/bench")


def test_many_options_are_one_readable_line(tmp_path: Path) -> None:
    """The refusal is qvm's own; the header stays short."""
    options = [f"--vdev-option=ser8250:batch={number}" for number in range(100)]
    ended = run(f"--run-directory={tmp_path}", *options, "--board=virtual-x86_64", "suites/qnx")
    assert "and 90 more" in ended.output, ended.output
