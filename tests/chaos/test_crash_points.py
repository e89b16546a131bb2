"""Crash points: a process dies between any two effects, and nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from engine.core.states import ExecutionStatus
from engine.runtime.crashing import EXIT_CODE, FILE_VARIABLE, Point
from tests.chaos import checks
from tests.chaos.fleet import QUICK, Fleet
from tests.command import PENSTOCK, environment
from tests.waiting import wait_until

END_WITHIN_S = 60.0
VERBS = sorted(
    file.name.removesuffix(".lua")
    for file in (files("engine.runtime") / "lua").iterdir()
    if file.name.endswith(".lua") and not file.name.startswith("_")
)
BY_COMMAND = ("start", "ending", "abort", "redrive", "pause", "resume", "thaw")
"""Verbs in which the process dies that a person has called."""

OFTEN = {"before settle", "after settle", "after lane", "before item", "after finish", "after fork"}
"""The points of the normal suite; the others take their time."""

Scenario = Callable[["Stage"], None]


class Stage:
    """A fleet whose workers die where a file says, and the stories of undisturbed executions."""

    def __init__(self, fleet: Fleet, file: Path) -> None:
        self.fleet = fleet
        self.engine = fleet.engine
        self.file = file
        self.number = 0
        self.stories: dict[str, tuple[Any, checks.Story]] = {}

    def start(self, flow: str, **input: Any) -> str:
        """Starts an execution with a folder of its own."""
        self.number += 1
        name = f"e-{self.number}"
        place = self.fleet.place / name
        place.mkdir()
        return self.engine.start_execution(flow, input | {"place": str(place)}, name=name).name

    def arm(self, point: str) -> None:
        """Lets the next process that comes to a point die there."""
        partial = self.file.with_suffix(".partial")
        partial.write_text(point)
        partial.rename(self.file)

    def died(self) -> None:
        """Waits until somebody has died at the point, and puts others in the place of the dead."""
        wait_until(lambda: not self.file.exists(), END_WITHIN_S)
        self.fleet.mend()

    def ends(self, flow: str, name: str, like: str = "") -> None:
        """Waits for an execution's end, which is as that of others (`like`: of the same start)."""
        self.ended(flow, name)
        seen = self._story(flow, name)
        expected = self.stories.setdefault(like or flow, seen)
        assert seen == expected
        assert checks.wrong(self.engine, flow, name) == [] or flow == "shrinking"

    def ended(self, flow: str, name: str) -> None:
        """Waits for an execution's end."""
        wait_until(lambda: self._has_ended(flow, name), END_WITHIN_S)

    def command(self, *words: str, dies: bool = True, again: bool = True) -> None:
        """Runs a command: it dies at the point, and is run again."""
        env = environment({"PENSTOCK_REDIS_URL": self.fleet.url} | QUICK)
        deadly = [{FILE_VARIABLE: str(self.file)}] if dies else []
        for extra in (*deadly, *([{}] if again else [])):
            done = subprocess.run(
                [PENSTOCK, *words], env=env | extra, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == (EXIT_CODE if extra else 0), done.stderr

    def _has_ended(self, flow: str, name: str) -> bool:
        self.fleet.mend()
        return self.engine.describe_execution(flow, name).status.ended

    def _story(self, flow: str, name: str) -> tuple[Any, checks.Story]:
        ended = self.engine.describe_execution(flow, name)
        place = str(self.fleet.place)
        return (ended.status, ended.output), checks.story_of(self.engine, flow, name, place)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two workers that live until they are told otherwise."""
    place = tmp_path_factory.mktemp("crash")
    file = place / "point"
    with Fleet(place, 2, QUICK | {FILE_VARIABLE: str(file)}) as fleet:
        fleet.deploy()
        stage = Stage(fleet, file)
        every_verb(stage)
        yield stage


def every_verb(stage: Stage) -> None:
    """An execution that comes to what workers do for any."""
    name = stage.start("every_verb", items=[1, 2, 3, 4, 5])
    stage.ends("every_verb", name)


def started(stage: Stage) -> None:
    """A client dies at its start."""
    stage.number += 1
    name = f"e-{stage.number}"
    input = '{"item": 4}'
    stage.command("start", "child", "--name", name, "--input", input)
    stage.ends("child", name, "child, by command")


def stopped(stage: Stage) -> None:
    name = stage.start("resting")
    wait_until(lambda: len(stage.engine.get_execution_history("resting", name)) > 1)
    stage.command("stop", "resting", name, again=False)
    if stage.engine.describe_execution("resting", name).status is ExecutionStatus.RUNNING:
        stage.command("stop", "resting", name, dies=False)
    wait_until(lambda: stage.engine.describe_execution("resting", name).status == "Stopped")
    assert checks.wrong(stage.engine, "resting", name) == []


def paused(stage: Stage) -> None:
    """Dies in the pause or in the resume, whichever comes to the point."""
    name = stage.start("resting")
    wait_until(lambda: len(stage.engine.get_execution_history("resting", name)) > 1)
    point = stage.file.read_text()
    pauses = point.endswith(" pause")
    stage.command("pause", "resting", name, "--freeze-timers", dies=pauses)
    stage.command("resume", "resting", name, dies=not pauses)
    wait_until(lambda: stage.engine.describe_execution("resting", name).status == "Running")
    stage.engine.stop_execution("resting", name)
    told = [str(event.type) for event in stage.engine.get_execution_history("resting", name)]
    assert told.count("ExecutionPaused") == told.count("ExecutionResumed") == 1


def redriven(stage: Stage) -> None:
    name = stage.start("nested", rows=[[1], [2, 3]])
    stage.engine.stop_execution("nested", name)
    stage.command("redrive", "nested", name, again=False)
    if stage.engine.describe_execution("nested", name).status is ExecutionStatus.STOPPED:
        stage.command("redrive", "nested", name, dies=False)
    ended = stage.engine.wait("nested", name, END_WITHIN_S)
    assert ended.output == {"values": [2, 4, 6]}, (ended.error, ended.cause)
    told = [str(event.type) for event in stage.engine.get_execution_history("nested", name)]
    assert told.count("ExecutionRedriven") == 1


def lost_message(stage: Stage) -> None:
    """A message is lost; who sends it again dies of it."""
    key = stage.engine.runtime.store.keys.queue
    for worker in stage.fleet.workers:
        os.kill(worker.pid, signal.SIGSTOP)
    with stage.fleet.client() as client:
        # What a stopped worker waits with is answered first; the message after that one is ours.
        names = [stage.start("child", item=4) for _ in range(6)]
        while client.rpop(key):
            pass
    for worker in stage.fleet.workers:
        os.kill(worker.pid, signal.SIGCONT)
    for name in names:
        stage.ends("child", name)


def lost_batch(stage: Stage) -> None:
    """A worker dies in the middle of a batch; who hands it on dies of it."""
    name = stage.start("every_verb", items=[1, 2, 3, 4, 5])
    lease = stage.engine.runtime.store.keys.lease

    def at_an_item() -> bool:
        with stage.fleet.client() as client:
            entries: Any = client.zrange(lease, 0, -1)
            return any("*" in entry for entry in entries)

    wait_until(at_an_item, every_s=0.005)
    for worker in list(stage.fleet.workers):
        stage.fleet.kill(worker)
        stage.fleet.replace(worker)
    stage.ends("every_verb", name)


def long_history(stage: Stage) -> None:
    """An execution with more events than its stream holds."""
    name = stage.start("long", items=[1, 2, 3, 4, 5], turns=60)
    stage.ends("long", name)


def shrinking_history(stage: Stage) -> None:
    """An execution that keeps the events of its first and last turns only."""
    name = stage.start("shrinking", items=[1, 2, 3, 4, 5], turns=30)
    stage.ended("shrinking", name)
    whole = int(stage.engine.runtime.store.record(f"shrinking:{name}")["events"])
    wait_until(lambda: len(stage.engine.get_execution_history("shrinking", name)) < whole / 5)
    stage.ends("shrinking", name)


SCENARIOS: dict[str, Scenario] = {
    "start": started,
    "ending": stopped,
    "abort": stopped,
    "pause": paused,
    "resume": paused,
    "thaw": paused,
    "redrive": redriven,
    "resend": lost_message,
    "batch_lost": lost_batch,
    "archive": long_history,
    "compact": shrinking_history,
}
POINTS = [f"{when} {verb}" for verb in VERBS for when in ("before", "after")]
POINTS += get_args(Point)


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=[] if p in OFTEN else pytest.mark.chaos_long) for p in POINTS],
)
def test_who_dies_at_a_point_is_not_missed(stage: Stage, point: str) -> None:
    verb = point.partition(" ")[2]
    stage.arm(point)
    SCENARIOS.get(verb, every_verb)(stage)
    assert not stage.file.exists(), f"nobody has come to {point!r}"
    stage.fleet.mend()
