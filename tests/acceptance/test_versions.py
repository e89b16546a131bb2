"""Versions: workers of two releases side by side, on one Redis, as while a fleet is upgraded."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConcurrentUpdateError
from engine.runtime.documents import STATE_VERSION
from engine.runtime.engine import Engine
from tests.acceptance.releases import DOCUMENTS, ROOT, Tree, copy_of_ours, previous_release, tree_of
from tests.acceptance.running import HEAD, fresh_engine, history, nodes_of
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("version_tasks.py")
OURS = Tree(ROOT)
QUICK = {"PENSTOCK_SWEEP_EVERY_S": "0.2", "PENSTOCK_TIMER_HORIZON_S": "0.1"}
"""So that a wait is an entry of the timers, and no message that its worker already has."""

STEPS = """
- {type: task, name: before, resourceArn: shared, inputMappings: [{target: item, source: 1}]}
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps: [{type: task, name: one, resourceArn: shared}]
- {type: wait, name: rest, duration: 0.5}
- type: parallel
  name: both
  branches:
  - steps: [{type: wait, name: nap, duration: 0.3}]
  - steps:
    - {type: task, name: left, resourceArn: shared, inputMappings: [{target: item, source: 2}]}
- {type: task, name: after, resourceArn: shared, inputMappings: [{target: item, source: 3}]}
"""
INPUT = {"items": list(range(8))}
END_WITHIN_S = 40.0


@pytest.fixture
def stack() -> Iterator[tuple[Engine, str]]:
    with fresh_engine() as (engine, url):
        engine.create_flow("shift", HEAD + STEPS)
        yield engine, url


@pytest.fixture
def release(tmp_path: Path) -> Tree:
    """The release before this one; until there is one: our own tree once more."""
    tag = previous_release()
    return tree_of(tag, tmp_path) if tag else copy_of_ours(tmp_path)


def test_the_previous_release_is_the_newest_tag_before_what_is_checked_out(tmp_path: Path) -> None:
    repository, tree = tmp_path / "repository", tmp_path / "tree"
    tree.mkdir()
    copy_of_ours(repository)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.org"]

    def commit(text: str, *tags: str) -> None:
        (repository / DOCUMENTS).write_text(f'STATE_VERSION = "{text}"\n')
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", text], check=True)
        for tag in tags:
            subprocess.run([*git, "tag", tag], check=True)

    subprocess.run([*git, "init", "--quiet"], check=True)
    commit("first", "v0.9.0")
    assert previous_release(repository) is None
    commit("second", "v0.10.0", "nightly")
    commit("third", "v1.0.0")
    assert previous_release(repository) == "v0.10.0"
    assert tree_of("v0.10.0", tree, repository).state_version == "second"


def _names(whose: str, count: int) -> list[str]:
    return [f"{whose}-{number}" for number in range(count)]


def _nodes(engine: Engine, names: list[str]) -> set[str]:
    """The workers that have run tasks of executions that have all succeeded."""
    found: set[str] = set()
    for name in names:
        ended = engine.wait("shift", name, END_WITHIN_S)
        assert ended.status == "Succeeded", (name, ended.error, ended.cause)
        found |= nodes_of(history(engine, ended))
    return found


def _both_run(stack: tuple[Engine, str], other: Tree, count: int) -> tuple[set[str], set[str]]:
    """The workers of the executions that we began, and of those that the other version began."""
    engine, url = stack
    with OURS.worker(url, TASKS, QUICK), other.worker(url, TASKS, QUICK):
        OURS.start(url, "shift", json.dumps(INPUT), _names("ours", count))
        other.start(url, "shift", json.dumps(INPUT), _names("theirs", count))
        return _nodes(engine, _names("ours", count)), _nodes(engine, _names("theirs", count))


def test_the_last_release_and_this_one_do_each_other_s_work_or_leave_it(
    stack: tuple[Engine, str], release: Tree
) -> None:
    ours, theirs = _both_run(stack, release, 4)
    if release.state_version == STATE_VERSION:
        assert len(ours) == len(theirs) == 2
    else:
        assert len(ours) == len(theirs) == 1
        assert ours != theirs


def test_two_versions_of_the_state_side_by_side_leave_each_other_alone(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    ours, theirs = _both_run(stack, copy_of_ours(tmp_path, "of_the_future"), 2)
    assert len(ours) == len(theirs) == 1
    assert ours != theirs


def test_what_no_worker_knows_waits_and_holds_nothing_up(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    other = copy_of_ours(tmp_path, "of_the_future")
    theirs = _names("theirs", 5)
    other.start(url, "shift", json.dumps(INPUT), theirs)
    with OURS.worker(url, TASKS, QUICK) as worker:
        wait_until(lambda: "left to a worker of its version" in worker.log)
        ours = _names("ours", 2)
        OURS.start(url, "shift", json.dumps(INPUT), ours)
        _nodes(engine, ours)
        assert _put_back_per_s(engine) <= 2.5 * len(theirs)
        for name in theirs:
            begun = engine.get_execution_history("shift", name)
            assert [str(event.type) for event in begun] == ["ExecutionStarted"]
            with pytest.raises(ConcurrentUpdateError, match="of_the_future"):
                engine.stop_execution("shift", name)
    with other.worker(url, TASKS, QUICK):
        assert len(_nodes(engine, theirs)) == 1


def _put_back_per_s(engine: Engine) -> float:
    """Messages that are put into queues while nobody works."""

    def pushed() -> int:
        stats: Any = engine.runtime.store.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("lpush", "rpush"))

    before, began = pushed(), time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3)
    return (pushed() - before) / (time.monotonic() - began)
