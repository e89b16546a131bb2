"""Flows as plain Celery: every canvasable test flow gives what the engine gives."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from engine.config import Settings
from engine.core.checks import load_flow
from engine.errors import ExecutionFailed, InvalidArgument, NotCanvasable
from engine.runtime.canvas import Signature
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.fundamentals.pairs import Pair, worker_pairs
from tests.processes import WorkerProcess

SCRIPTED = Path(__file__).resolve().parents[1] / "fundamentals" / "scripted_tasks.py"
END_WITHIN_S = 45

REFUSING = (
    "choice", "succeed", "fail", "catch", "timeoutSeconds", "sync", "waitForCallback", "stream",
)  # fmt: skip
"""Words of flows that no canvas can be made of."""
REFUSED_FOR_MORE = {
    "context_tells_names_and_numbers": "event id",
    "flows_are_started_by_action": "fnf:StartExecution",
    "forks_nest": "fork within a fork",
    "pictures_are_made_in_sizes": "fork within a fork",
    "queues_take_messages": "queue:parcels",
    "start_action_has_errors_of_its_own": "fnf:StartExecution",
    "starting_a_running_name_gives_the_running_one": "fnf:StartExecution",
    "sub_flow_is_only_started": "flow:archive_roll",
    "sub_flow_of_a_running_name_is_refused": "flow:lift_car",
    "topics_take_messages": "topic:arrivals",
}
"""The flows that are refused though they have none of these words, and a part of the reason."""

ALONE = [pair for pair in worker_pairs() if pair.expect.stop is None and not pair.reports]
"""The pairs that need nothing from outside while they run."""


def _is_canvasable(pair: Pair) -> bool:
    words = {word.strip("-:,{}[]\"'") for word in pair.text.split()}
    return words.isdisjoint(REFUSING) and pair.name not in REFUSED_FOR_MORE


CANVASABLE = [pair for pair in ALONE if _is_canvasable(pair)]
REFUSED = [pair for pair in ALONE if not _is_canvasable(pair)]


LISTING = """
from tasks import task

@task("test/keeps")
def keeps(input):
    return {"other": True}

@task("test/replaces")
def replaces(input):
    return {"items": input["found"]}
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """A canvas that runs: the name of its execution, and the id of its last signature."""

    execution: str
    last: str


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with one real worker that has every scripted task."""
    file = tmp_path_factory.mktemp("tasks") / "listing.py"
    file.write_text(LISTING)
    with EmbeddedRedis() as server, WorkerProcess(server.url, [SCRIPTED, file], ["-c", "4"]):
        made = Engine(server.url, Settings())
        yield made
        # A result that is collected later would take its subscription back, without a Redis.
        made.runtime.canvas.app.backend.result_consumer._pubsub = None  # type: ignore[attr-defined]  # Redis has one


@pytest.fixture(scope="module")
def applied(engine: Engine) -> Mapping[str, Applied]:
    """Every canvasable pair, all at once: most of their time is waiting."""
    return {pair.name: _applied(_canvas(engine, pair)) for pair in CANVASABLE}


def _canvas(engine: Engine, pair: Pair) -> Signature:
    engine.create_flow(pair.name, pair.text)
    return engine.to_canvas(pair.name, pair.input)


def _applied(canvas: Signature) -> Applied:
    first = canvas["kwargs"]["tasks"][0] if canvas["task"] == "celery.chain" else canvas
    return Applied(first["kwargs"]["execution"], canvas.apply_async().id)


def _output(engine: Engine, last: str) -> Any:
    result: AsyncResult[Any] = AsyncResult(last, app=engine.runtime.canvas.app)
    return result.get(timeout=END_WITHIN_S)


def _deployed(engine: Engine, name: str, steps: str) -> str:
    unique = f"{name}_{uuid.uuid4().hex[:8]}"
    engine.create_flow(unique, f"version: v1\ntype: flow\nsteps:\n{steps}")
    return unique


@pytest.mark.parametrize("pair", CANVASABLE, ids=lambda pair: pair.name)
def test_a_canvas_gives_what_the_engine_gives(
    pair: Pair, engine: Engine, applied: Mapping[str, Applied]
) -> None:
    canvas, expect = applied[pair.name], pair.expect
    if expect.status == "Failed":
        with pytest.raises(ExecutionFailed) as failed:
            _output(engine, canvas.last)
        assert failed.value.error == expect.error
        assert expect.cause in (None, failed.value.cause)
        return
    output = dict(expect.output or {})
    named = {key: canvas.execution for key, value in output.items() if value == expect.name}
    assert _output(engine, canvas.last) == output | (named if expect.name else {})


@pytest.mark.parametrize("pair", REFUSED, ids=lambda pair: pair.name)
def test_a_flow_that_needs_the_store_is_refused_by_the_name_of_a_step(
    pair: Pair, engine: Engine
) -> None:
    with pytest.raises(NotCanvasable, match=REFUSED_FOR_MORE.get(pair.name)) as refused:
        _canvas(engine, pair)
    graph, _ = load_flow(pair.text)
    assert refused.value.step in {node.step.name for node in graph.nodes.values()}


def test_a_failure_before_a_chord_reaches_the_last_result(engine: Engine) -> None:
    flow = _deployed(
        engine,
        "fails_early",
        """
  - {type: task, name: nobody, resourceArn: nobodys/task}
  - type: parallel
    name: both
    branches:
      - steps: [{type: wait, name: a, duration: 0.1}]
      - steps: [{type: wait, name: b, duration: 0.1}]
  - {type: wait, name: c, duration: 0.1}
""",
    )
    with pytest.raises(ExecutionFailed) as failed:
        engine.to_canvas(flow).apply_async().get(timeout=END_WITHIN_S)
    assert failed.value.error == "FC.FunctionNotFound"


def test_a_fork_is_a_chord_of_as_many_lanes_as_its_concurrency(engine: Engine) -> None:
    flow = _deployed(
        engine,
        "in_lanes",
        """
  - type: foreach
    name: each
    iterationMapping: {collection: $.items, item: item}
    concurrency: 2
    steps: [{type: wait, name: rest, duration: 0.01}]
    outputMappings: [{target: ended, source: "$local"}]
""",
    )
    canvas = engine.to_canvas(flow, {"items": [1, 2, 3, 4, 5]})
    _, group, join = canvas["kwargs"]["tasks"]
    assert [len(lane["kwargs"]["tasks"]) for lane in group["kwargs"]["tasks"]] == [3, 2]
    assert join["task"] == "penstock.join"
    assert canvas.apply_async().get(timeout=END_WITHIN_S) == {"ended": [{}, {}, {}, {}, {}]}


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            """
  - {type: task, name: list, resourceArn: list}
  - type: foreach
    name: culprit
    iterationMapping: {collection: $.found, item: item}
    steps: [{type: task, name: use, resourceArn: use}]
""",
            "no list that is known",
        ),
        (
            """
  - {type: task, name: ask, resourceArn: ask}
  - {type: wait, name: culprit, duration: $.seconds}
""",
            "not known beforehand",
        ),
        (
            """
  - type: stream
    name: culprit
    steps: [{type: task, name: pack, resourceArn: bytes:gzip}]
""",
            "only the store keeps their run",
        ),
        ("  - {type: wait, name: culprit, duration: 7200}\n", "visibility timeout"),
        (
            """
  - type: task
    name: culprit
    resourceArn: ask
    retry: [{errors: [FnF.ALL], intervalSeconds: 7200}]
""",
            "visibility timeout",
        ),
        (
            """
  - type: foreach
    name: each
    iterationMapping: {collection: $.many, item: item}
    steps: [{type: wait, name: culprit, duration: 1}]
""",
            "more than 5000",
        ),
        (
            """
  - type: foreach
    name: culprit
    iterationMapping: {collection: $.some, item: item}
    concurrency: 1
    steps: [{type: wait, name: rest, duration: 1}]
""",
            "more than 500 ",
        ),
    ],
)
def test_what_a_canvas_could_not_keep_is_refused(engine: Engine, steps: str, why: str) -> None:
    flow = _deployed(engine, "refused", steps)
    with pytest.raises(NotCanvasable, match=why) as refused:
        engine.to_canvas(flow, {"many": list(range(6000)), "some": list(range(501))})
    assert refused.value.step == "culprit"


def test_a_list_that_passes_hand_on_is_known(engine: Engine) -> None:
    flow = _deployed(
        engine,
        "list_from_a_constant",
        """
  - {type: pass, name: make, outputMappings: [{target: found, source: [1, 2]}]}
  - {type: wait, name: rest, duration: $.pause}
  - type: foreach
    name: each
    iterationMapping: {collection: $.found, item: item}
    steps: [{type: wait, name: short, duration: $.item}]
    outputMappings: [{target: ended, source: "$local"}]
""",
    )
    canvas = engine.to_canvas(flow, {"pause": 0.01})
    assert canvas.apply_async().get(timeout=END_WITHIN_S)["ended"] == [{}, {}]


LIKELY = """
  - {type: task, name: list, resourceArn: LIST}
  - type: foreach
    name: each
    iterationMapping: {collection: $.items, item: item}
    steps: [{type: wait, name: rest, duration: 0.01}]
    outputMappings: [{target: ended, source: "$local"}]
"""


def test_a_list_that_a_task_may_replace_is_taken_as_it_is(engine: Engine) -> None:
    flow = _deployed(engine, "likely", LIKELY.replace("LIST", "test/keeps"))
    given = {"items": [1, 2, 3]}
    assert (
        engine.to_canvas(flow, given).apply_async().get(timeout=END_WITHIN_S)["ended"] == [{}] * 3
    )


def test_a_list_that_a_task_makes_shorter_is_taken_too(engine: Engine) -> None:
    flow = _deployed(engine, "shorter", LIKELY.replace("LIST", "test/replaces"))
    canvas = engine.to_canvas(flow, {"items": [1, 2, 3], "found": [9]})
    assert canvas.apply_async().get(timeout=END_WITHIN_S)["ended"] == [{}]


@pytest.mark.parametrize("items", [[1, 2, 3], []])
def test_a_list_that_a_task_makes_longer_or_empty_fails_the_flow(
    engine: Engine, items: list[int]
) -> None:
    flow = _deployed(engine, "unlikely", LIKELY.replace("LIST", "test/replaces"))
    canvas = engine.to_canvas(flow, {"items": [1, 2], "found": items})
    with pytest.raises(ExecutionFailed) as failed:
        canvas.apply_async().get(timeout=END_WITHIN_S)
    assert failed.value.error == "FnF.RuntimeError"


def test_an_input_that_is_no_object_is_refused(engine: Engine) -> None:
    flow = _deployed(engine, "plain_pass", "  - {type: pass, name: p}\n")
    with pytest.raises(InvalidArgument):
        engine.to_canvas(flow, [1])  # type: ignore[arg-type]  # what is tested
