"""Allure results of a run: steps from the event stream, attachments, labels.

allure-pytest decides at start-up whether it writes; a run directory only exists once a board is needed, so its listener is
registered here, by the same parts, when the run begins. The journal stays the truth: these files can be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import allure
import allure_commons
import pytest
from allure_commons.logger import AllureFileLogger
from allure_commons.utils import uuid4
from allure_pytest.listener import AllureListener

from harness.events import Event, Events


def start(config: pytest.Config, directory: Path, events: Events) -> None:
    """Writes results into `directory` from now on, unless the user gave `--alluredir` (then that one is used)."""
    if not config.option.allure_report_dir:
        config.option.allure_report_dir = str(directory)
        for plugin in (AllureListener(config), _Files(str(directory), clean=False)):
            allure_commons.plugin_manager.register(plugin)
            config.add_cleanup(_unregister(plugin))
            if isinstance(plugin, AllureListener):
                config.pluginmanager.register(plugin, "allure_listener")
    config.add_cleanup(events.listen(Steps()))


class _Files(AllureFileLogger):
    """A disk that takes no more loses results, and nothing else."""

    @allure_commons.hookimpl
    def report_result(self, result: object) -> None:
        with suppress(OSError):
            super().report_result(result)

    @allure_commons.hookimpl
    def report_container(self, container: object) -> None:
        with suppress(OSError):
            super().report_container(container)

    @allure_commons.hookimpl
    def report_attached_file(self, source: str, file_name: str) -> None:
        with suppress(OSError):
            super().report_attached_file(source, file_name)

    @allure_commons.hookimpl
    def report_attached_data(self, body: bytes | str, file_name: str) -> None:
        with suppress(OSError):
            super().report_attached_data(body, file_name)


def _unregister(plugin: object) -> Callable[[], None]:
    def unregister() -> None:
        allure_commons.plugin_manager.unregister(plugin)

    return unregister


class Steps:
    """Turns `x.begin` and `x.end` events into Allure steps."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []

    def __call__(self, event: Event) -> None:
        """Makes a phase of the running test a step of its result; other events are nothing to Allure."""
        hook = allure_commons.plugin_manager.hook
        if event.name.endswith(".begin"):
            name = event.name.removesuffix(".begin")
            uuid = uuid4()
            self._open.append((name, uuid))
            hook.start_step(uuid=uuid, title=name, params={key: repr(value) for key, value in event.fields.items()})
        elif event.name.endswith(".end") and self._open and self._open[-1][0] == event.name.removesuffix(".end"):
            _, uuid = self._open.pop()
            error = event.fields.get("error")
            hook.stop_step(
                uuid=uuid,
                title=event.name,
                exc_type=RuntimeError if error else None,
                exc_val=RuntimeError(error) if error else None,
                exc_tb=None,
            )


def attach(name: str, data: bytes | str, kind: str = "text/plain") -> None:
    """Attaches one piece of evidence to the running test, at most the last MiB of it (the whole is in the run directory)."""
    allure.attach(data[-(1 << 20) :], name=name, attachment_type=kind, extension={"application/json": "json"}.get(kind, "txt"))


def write_environment(directory: Path, facts: dict[str, str]) -> None:
    """The `environment.properties` of a result directory."""
    lines = (f"{key.replace(' ', '.')}={value}" for key, value in facts.items())
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "environment.properties").write_text("\n".join(lines) + "\n")


def label(lines: tuple[str, ...], judge: str, board: str) -> None:
    """Labels the running test: specification lines as tags, the judge as story, the board as a parameter that is no identity."""
    if lines:
        allure.dynamic.tag(*lines)
    if judge:
        allure.dynamic.story(judge)
    allure.dynamic.parameter("board", board, excluded=True)
