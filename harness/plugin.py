"""The pytest plugin: options, the choice of the board, verdicts, exit status.

Thin on purpose: what a bench is, what evidence is, and what a verdict is live in the layers below. Nothing is loaded, made
or switched on until a collected test asks for a bench, so that any other pytest run pays next to nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.outcomes import Exit

from harness import DEFAULT_BOARD
from harness.errors import HarnessError, UseError

if TYPE_CHECKING:
    from harness.evidence import Outcome, Run

FIXTURES = ("bench", "claims", "evidence", "guests", "lines", "measure", "vdevs")
pytest_plugins = tuple(f"fixtures.{name}" for name in FIXTURES)

RUN: pytest.StashKey[Run] = pytest.StashKey()
"""The run's evidence; present once a collected test needs a bench."""

LOOKING = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test", "help")
"""pytest's options that run no test."""

SYMBOLS = {"infra": "I", "blocked": "B", "inconclusive": "?"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run on a board."""
    group = parser.getgroup("harness", "vdevs on a board")
    group.addoption(
        "--board",
        metavar="NAME",
        help=f"board or bench to run on, as `harness boards` lists them (default: {DEFAULT_BOARD})",
    )
    group.addoption("--vdevs", metavar="DIR", help="directory with the vdev-*.so under test (default: what the board file names)")
    group.addoption(
        "--vdev-option",
        metavar="NAME:OPTION[=VALUE]",
        action="append",
        default=[],
        help="add an option to that vdev in every VM configuration of the run; repeatable",
    )
    group.addoption(
        "--no-ssh",
        action="store_true",
        help="reach the host by nothing but its console; files travel there at the line's pace, once per content",
    )
    group.addoption("--run-directory", metavar="DIR", help="where the evidence goes (default: build/runs/DATE-BOARD)")


def pytest_configure(config: pytest.Config) -> None:
    """Our marks; and a board or a vdev option that makes no sense is refused before anything is collected."""
    config.addinivalue_line("markers", "specification(*lines): the numbered specification lines a test judges")
    config.addinivalue_line("markers", "judge(name): registers, drivers, lines or bench")
    config.addinivalue_line("markers", "claimed(*names): holds where the board file claims that `yes`; recorded where that is unknown")
    config.addinivalue_line("markers", "needs(*features): applies to boards with these features")
    if config.getoption("--board"):
        from harness import boardfile

        _take_interrupts()
        with _use_errors():
            boardfile.load(_board_name(config))
    if config.getoption("--vdev-option"):
        from harness.bench import Plan

        with _use_errors():
            Plan.parse(config.getoption("--vdev-option"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Where tests are spread over worker processes (pytest-xdist), only those collect; whether a bench is wanted is to be known here."""
    if _workers(session.config):
        session.perform_collect()


def _workers(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "tx", None)) and getattr(config.option, "dist", "no") != "no"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begins the run once a collected test is known to need a bench. Raises `pytest.UsageError` for what refuses it."""
    config = session.config
    items = [item for item in session.items if _needs_bench(item)]
    if not items or any(getattr(config.option, name, False) for name in LOOKING):
        return
    if _workers(config):
        raise pytest.UsageError("a bench is one, and tests on it are not spread over workers; leave -n out, or start pytest once a board")
    with _use_errors():
        _begin(config, items)


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[object]) -> None:
    """A test file that cannot be collected because it was asked for wrongly."""
    if isinstance(node, pytest.Collector) and call.excinfo and isinstance(call.excinfo.value, UseError):
        raise pytest.UsageError(str(call.excinfo.value)) from None


def _needs_bench(item: pytest.Item) -> bool:
    return _asks_for(item, "bench", "fixtures.bench")


def _asks_for(item: pytest.Item, fixture: str, module: str) -> bool:
    """Whether a test asks for our fixture, by itself or through another one; somebody else's of that name does not count."""
    if not isinstance(item, pytest.Function):
        return False
    found = item._fixtureinfo.name2fixturedefs.get(fixture, ())
    return bool(found) and found[-1].func.__module__ == module


def _begin(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Everything that can refuse a run without touching the bench; then the plan is written."""
    from harness import lease, power
    from harness.bench import Plan, check_route
    from harness.bench.qnx import read_image
    from harness.evidence import Run
    from harness.report import allure, terminal

    plan = Plan.read(_board_name(config), config.getoption("--vdevs"), config.getoption("--vdev-option"))
    plan.board.require_bench()
    power.check(plan.board)
    check_route(plan.board, ssh=not config.getoption("--no-ssh"))
    if plan.board.guests.qnx and any(_asks_for(item, "qnx_guest", "fixtures.guests") for item in items):
        read_image(plan.board, plan.board.guests.qnx)
    with lease.take(plan.board.name, "a run that begins", directory=plan.board.lock_directory):
        pass  # a bench that is taken refuses the run before there is anything of it; `Bench.open` takes it for good
    runs = config.getoption("--run-directory")
    run = Run.begin(plan, [_planned(item) for item in items], Path(runs) if runs else None, config.invocation_params.args)
    config.stash[RUN] = run
    config.add_cleanup(run.close)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        for line in terminal.header(plan):
            reporter.write_line(line)
        progress = terminal.Progress(config)
        config.add_cleanup(progress.close)
        config.add_cleanup(run.events.listen(progress))
    if config.pluginmanager.has_plugin("allure_pytest"):
        allure.start(config, run.directory.allure, run.events)
    config.pluginmanager.register(_LeaveSafe())
    _take_interrupts()


def _planned(item: pytest.Item) -> Outcome:
    from harness.evidence import Outcome

    lines = tuple(str(line) for mark in item.iter_markers("specification") for line in mark.args)
    judge = item.get_closest_marker("judge")
    return Outcome(item.nodeid, lines, str(judge.args[0]) if judge else "")


class Interrupted(KeyboardInterrupt):
    """The run was told to end. pytest prints one line for it; for a KeyboardInterrupt itself it adds where it struck."""

    __module__ = "builtins"  # pytest shows the name with its module, unless it is this one


class Refused(Exit):
    """The bench is on already, and only there it showed that the run was asked for wrongly: it ends, with pytest's status 4."""

    __module__ = "builtins"  # as above

    def __init__(self, run: Run, sentence: str) -> None:
        run.refuse(sentence)
        super().__init__(sentence, pytest.ExitCode.USAGE_ERROR)


ENDINGS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP, the terminal is gone"}


def _take_interrupts() -> None:
    """pytest runs no teardown on SIGTERM and SIGHUP; as an interrupt it does, and the board goes off."""
    for number in ENDINGS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: object) -> None:
    raise Interrupted(f"the run was ended by {ENDINGS[signal.Signals(number)]}")


class _LeaveSafe:
    """Registered with a run only: an interrupt of anybody else's session is none of ours."""

    def pytest_keyboard_interrupt(self) -> None:
        """From here on the bench is being left safe; a second Ctrl-C would only cut that short."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without a journal nothing is begun."""
    run = item.config.stash.get(RUN, None)
    if run is not None and run.journal.failure is not None and item.nodeid in run.outcomes:
        raise run.journal.failure.with_traceback(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Gives each phase of a test its verdict and sentence, and the report these for a traceback."""
    report = yield
    run = item.config.stash.get(RUN, None)
    if run is None or item.nodeid not in run.outcomes:
        return report
    error = call.excinfo.value if call.excinfo and report.failed else None
    skipped = str(call.excinfo.value) if call.excinfo and report.skipped else ""
    verdict, sentence = run.finish_phase(item.nodeid, report.when, error, skipped, call.duration)
    report.user_properties.append(("verdict", verdict.value))
    if report.when == "call" or error is not None:
        _attach_consoles(run)
    if isinstance(error, HarnessError):
        report.longrepr = f"{verdict.value}: {error}"
    elif sentence and verdict.value == "blocked":
        report.longrepr = f"blocked: {sentence}"
    return report


def _attach_consoles(run: Run) -> None:
    from harness.report import allure

    for name, said in run.said().items():
        allure.attach(f"console {name}", said)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """A letter of its own for each verdict that pytest does not know."""
    verdict = dict(getattr(report, "user_properties", ())).get("verdict")
    if report.failed and verdict in SYMBOLS:
        return str(verdict), SYMBOLS[str(verdict)], (str(verdict).upper(), {"yellow": True})
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test's begin and verdict are journalled around all its phases."""
    run = item.config.stash.get(RUN, None)
    if run is None or item.nodeid not in run.outcomes:
        return (yield)
    run.begin_test(item.nodeid)
    try:
        return (yield)
    finally:
        run.end_test(item.nodeid)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """The exit status by the verdicts, and the end of the journal, whatever pytest's own end was."""
    run = session.config.stash.get(RUN, None)
    if run is None:
        return (yield)
    try:
        yield
    except Exception as error:  # of an interrupted run pytest tears the fixtures down here, and has no report for what they raise
        run.tear_down_failed(error)
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = run.exit_status()
    run.finish(int(session.exitstatus))
    if session.config.pluginmanager.has_plugin("allure_pytest"):
        from harness.report import allure

        allure.write_environment(run.directory.allure, run.environment)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last screen of a run on a bench."""
    run = config.stash.get(RUN, None)
    if run is not None:
        from harness.report import terminal

        terminal.summary(terminalreporter, run)


def _board_name(config: pytest.Config) -> str:
    return config.getoption("--board") or DEFAULT_BOARD


@contextmanager
def _use_errors() -> Iterator[None]:
    """What the user did wrong ends pytest with its own exit status 4 and one sentence."""
    try:
        yield
    except UseError as error:
        raise pytest.UsageError(str(error)) from None
