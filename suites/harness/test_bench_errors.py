"""Whole runs on a bench that is wrong: *infra* with what was seen and the next step, one cause for all, never a word against a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.session import CHECKOUT
from suites.harness.session import pytest as run

INFRA = 10
SUITE = "suites/bench/test_host.py"


def run_on(directory: Path, *changes: tuple[str, str]) -> str:
    """What a run says on a board like the default one but for some changes of its file; it must end as *infra*."""
    text = (CHECKOUT / "boards" / "virtual-x86_64.toml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    boards = directory / "boards"
    boards.mkdir()
    (boards / "mine.toml").write_text(text)
    ended = run("--board=mine", f"--run-directory={directory / 'runs'}", SUITE, HARNESS_BOARDS=str(boards))
    assert ended.status == INFRA, ended.output
    assert "Traceback" not in ended.output
    return ended.output.partition("= verdict =")[2]


@pytest.mark.parametrize(
    ("changes", "sentence", "evidence"),
    [
        (
            [('banner = "Welcome to QNX 8.0.0', 'banner = "Welcome to Nothing'), ("boot = 25.0", "boot = 6.0")],
            "console host: the host's banner (Welcome to Nothing on x86pc) was not seen within 6 s",
            "Welcome to QNX 8.0.0 on x86pc",
        ),
        ([("[ssh]\n", '[ssh]\noptions = ["PubkeyAuthentication=no"]\n')], "refused the key", "Permission denied"),
    ],
    ids=["another banner", "key refused"],
)
def test_a_wrong_bench_is_one_cause_with_what_was_seen(
    changes: list[tuple[str, str]], sentence: str, evidence: str, tmp_path: Path
) -> None:
    verdict = run_on(tmp_path, *changes)
    infra = [line for line in verdict.splitlines() if line.startswith("infra")]
    blocked = [line for line in verdict.splitlines() if line.startswith("blocked")]
    assert len(infra) == len(blocked) == 1, verdict
    assert sentence in verdict.splitlines()[verdict.splitlines().index(infra[0]) + 1]
    assert sentence in blocked[0]
    assert evidence in verdict
    assert "; " in blocked[0], "no next step"
