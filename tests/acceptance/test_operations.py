"""Pause, resume, redrive and skip on real workers, by the commands that people type."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine
from tests.acceptance.running import END_WITHIN_S, HEAD, fresh_engine, history, of_type
from tests.command import penstock
from tests.processes import WorkerProcess
from tests.waiting import wait_until

TASKS = """\
import threading
from pathlib import Path
from penstock import TaskError, task

@task("check")
def check(input, ctx):
    place = Path(input["place"])
    with (place / "ran").open("a") as ran:
        ran.write(f"{input['item']}\\n")
    if input["item"] in input["broken"] and not (place / "mended").exists():
        raise TaskError("Test.Broken", f"item {input['item']}")
    return {"item": input["item"]}

@task("linger")
def linger(input, ctx):
    with (Path(input["place"]) / "ran").open("a") as ran:
        ran.write(f"{input['item']}\\n")
    (Path(input["place"]) / "quick").exists() or threading.Event().wait(0.1)
    return {"item": input["item"]}

@task("ask")
def ask(input, ctx):
    return {}
"""
ITEMS = (
    HEAD
    + """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  toleratedFailures: 5
  steps:
    - {type: task, name: checks, resourceArn: check}
  outputMappings:
    - {target: items, source: "$local[*].item"}
    - {target: errors, source: "$local[*].error"}
- type: choice
  name: judges
  choices:
    - condition: $.errors != null && $.errors != "[]" && "Test.Broken" in $.errors
      steps:
        - {type: fail, name: gives_up, error: Test.Incomplete}
"""
)
LINGERS = (
    HEAD
    + """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps:
    - {type: task, name: lingers, resourceArn: linger}
  outputMappings: [{target: items, source: "$local[*].item"}]
- {type: wait, name: rests, duration: 1}
"""
)
ASKS = (
    HEAD
    + """
- type: task
  name: asks
  resourceArn: ask
  pattern: waitForCallback
  outputMappings: [{target: answer, source: $local.answer}]
"""
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str]]:
    """An engine with two real workers."""
    tasks = tmp_path_factory.mktemp("tasks") / "checking.py"
    tasks.write_text(TASKS)
    with fresh_engine() as (engine, url):
        with WorkerProcess(url, [tasks], ["-c", "2"]), WorkerProcess(url, [tasks], ["-c", "2"]):
            yield engine, url


def test_exactly_the_3_failed_items_of_500_run_again(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    engine.create_flow("items", ITEMS)
    broken = [17, 250, 499]
    input = {"items": list(range(500)), "broken": broken, "place": str(tmp_path)}
    ended = engine.start_execution("items", input, name="one").wait(END_WITHIN_S)
    assert ended.error == "Test.Incomplete", (ended.status, ended.error, ended.cause)
    first = Counter((tmp_path / "ran").read_text().split())
    assert first == Counter(map(str, range(500)))
    (tmp_path / "mended").touch()
    words = ("redrive", "items", "one", "--from", "each", "--by", "ann", "--reason", "disk mended")
    done = penstock(*words, cwd=tmp_path, env={"PENSTOCK_REDIS_URL": url})
    assert (done.returncode, done.stderr) == (0, "")
    ended = engine.wait("items", "one", END_WITHIN_S)
    assert ended.output is not None and ended.output["items"] == list(range(500))
    again = Counter((tmp_path / "ran").read_text().split()) - first
    assert again == Counter(map(str, broken))
    (told,) = of_type(history(engine, ended), EventType.EXECUTION_REDRIVEN)
    assert told == {
        "by": "ann", "reason": "disk mended", "definition": "same", "from": "each",
    }  # fmt: skip


def test_a_callback_that_never_comes_is_skipped(stack: tuple[Engine, str], tmp_path: Path) -> None:
    engine, url = stack
    engine.create_flow("asks", ASKS)
    run = engine.start_execution("asks", {}, name="one")
    output = json.dumps({"answer": "as always"})
    words = ("skip", "asks", "one", "asks", "--output", output, "--reason", "nobody answers")
    done = penstock(*words, cwd=tmp_path, env={"PENSTOCK_REDIS_URL": url})
    assert done.returncode == 0, done.stderr
    ended = run.wait(END_WITHIN_S)
    assert ended.output == {"answer": "as always"}
    (told,) = of_type(history(engine, ended), EventType.STEP_SKIPPED)
    assert told["reason"] == "nobody answers" and "@" in told["by"]


def test_a_redrive_of_what_runs_is_refused_in_one_line(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    engine.create_flow("waits", HEAD + "- {type: wait, name: rests, duration: 600}\n")
    run = engine.start_execution("waits", {}, name="one")
    env = {"PENSTOCK_REDIS_URL": url}
    refused = penstock("redrive", "waits", "one", cwd=tmp_path, env=env)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and "is Running" in refused.stderr
    engine.stop_execution("waits", "one", by="ann")
    refused = penstock("skip", "waits", "one", "other", cwd=tmp_path, env=env)
    assert refused.returncode == 2 and "stands at no step 'other'" in refused.stderr
    (told,) = of_type(history(engine, run), EventType.EXECUTION_STOPPED)
    assert told == {"by": "ann"}


def test_a_paused_execution_rests_and_goes_on(stack: tuple[Engine, str], tmp_path: Path) -> None:
    engine, url = stack
    env = {"PENSTOCK_REDIS_URL": url}
    ran = tmp_path / "ran"
    items = list(range(600))
    engine.create_flow("lingers", LINGERS)
    engine.start_execution("lingers", {"items": items, "place": str(tmp_path)}, name="one")
    wait_until(lambda: ran.exists() and len(ran.read_text().split()) > 8)
    done = penstock("pause", "lingers", "one", "--reason", "lunch", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (0, "lingers/one: Paused\n"), done.stderr
    started = EventType.TASK_STARTED, EventType.TASK_SUCCEEDED

    def rests() -> bool:
        events = [event.type for event in engine.get_execution_history("lingers", "one")]
        return events.count(started[0]) == events.count(started[1])

    wait_until(rests)
    so_far = ran.read_text()
    assert len(so_far.split()) < len(items)
    # Others run meanwhile, in the same slots: the pause is not theirs.
    engine.create_flow("others", ITEMS)
    more = {"items": list(range(40)), "broken": [], "place": str(tmp_path / "..")}
    assert engine.start_execution("others", more).wait(END_WITHIN_S).status == "Succeeded"
    assert ran.read_text() == so_far
    assert engine.describe_execution("lingers", "one").status == "Paused"
    (tmp_path / "quick").touch()  # the rest need not take its time
    done = penstock("resume", "lingers", "one", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    ended = engine.wait("lingers", "one", END_WITHIN_S)
    assert ended.output == {"items": items}
    assert Counter(ran.read_text().split()) == Counter(map(str, items))
