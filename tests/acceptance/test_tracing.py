"""Traces: real workers export what their executions did to a collector."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.config import Settings
from engine.core.events import EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.traces import Traces
from tests.acceptance.collector import Collector, Seen, collecting
from tests.acceptance.running import history, run, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("traced_tasks.py")
CHILD = "\n- {type: task, name: only, resourceArn: where}\n"
WAITS = """
- {type: task, name: long, resourceArn: where, pattern: waitForCallback}
"""
ALL = """
- {type: task, name: first, resourceArn: where}
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: value}
  steps:
  - {type: task, name: item, resourceArn: where}
  - {type: wait, name: rest, duration: 1}
- type: choice
  name: which
  choices:
  - condition: $.number == 1
    steps: [{type: task, name: inside, resourceArn: where}]
- type: task
  name: tries
  resourceArn: flaky
  retry: [{errors: [Flaky], intervalSeconds: 1, maxAttempts: 1}]
- type: task
  name: sub
  resourceArn: acs:fnf:::flow/child
  pattern: sync
"""


@dataclass(frozen=True, slots=True)
class Traced:
    """An engine whose executions are traced, its worker, and where the traces arrive."""

    engine: Engine
    redis_url: str
    worker: WorkerProcess
    collector: Collector


def _environment(collector: Collector, sample: str) -> dict[str, str]:
    return {
        "PENSTOCK_TRACE_SAMPLE": sample,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
    }


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    settings = Settings(trace_sample=1)
    with EmbeddedRedis() as server, collecting() as collector:
        env = _environment(collector, "1")
        with WorkerProcess(server.url, [TASKS], ["-c", "2"], env) as worker:
            engine = Engine(server.url, settings)
            engine.create_flow("child", f"version: v1\ntype: flow\nsteps:{CHILD}")
            yield Traced(engine, server.url, worker, collector)


@pytest.fixture(scope="module")
def spans(traced: Traced) -> list[Seen]:
    ended = run(traced.engine, "all", ALL, {"items": [1, 2], "number": 1, "secret": "swordfish"})
    assert ended.status == "Succeeded", (ended.error, ended.cause)
    return traced.collector.trace("all")


def _one(spans: list[Seen], name: str) -> Seen:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, (name, found)
    return found[0]


def _path(spans: list[Seen], span: Seen) -> list[str]:
    by_id = {each.id: each for each in spans}
    names = [span.name]
    while span.parent:
        span = by_id[span.parent]
        names.append(span.name)
    return names[::-1]


def test_an_execution_is_one_trace_with_its_steps_and_attempts(spans: list[Seen]) -> None:
    found = sorted("/".join(_path(spans, span)) for span in spans)
    item = ["all/each/each[]", "all/each/each[]/item", "all/each/each[]/item/where"]
    expected = [
        "all", "all/first", "all/first/where", "all/each",
        *2 * [*item, "all/each/each[]/rest"],
        "all/which", "all/which/inside", "all/which/inside/where",
        "all/tries", "all/tries/flaky", "all/tries/flaky",
        "all/sub", "all/sub/flow:child",
    ]  # fmt: skip
    assert found == sorted(expected)
    assert len({span.id for span in spans}) == len(spans)


def test_spans_last_as_long_as_what_they_stand_for(spans: list[Seen], traced: Traced) -> None:
    root = _one(spans, "all")
    (execution,) = traced.engine.list_executions("all")
    assert execution.stopped_time is not None
    assert root.start_s == pytest.approx(execution.started_time, abs=0.01)
    assert root.end_s == pytest.approx(execution.stopped_time, abs=0.01)
    by_id = {span.id: span for span in spans}
    for span in spans:
        assert span.start_s <= span.end_s
        if span.parent:
            parent = by_id[span.parent]
            assert parent.start_s <= span.start_s and span.end_s <= parent.end_s
    waits = {span.attributes["penstock.frame"]: span for span in spans if span.name == "rest"}
    for event in history(traced.engine, execution):
        if event.step_name == "rest" and event.type is EventType.STEP_ENTERED:
            assert waits[event.frame].start_s == pytest.approx(event.time, abs=0.01)
        elif event.step_name == "rest" and event.type is EventType.STEP_EXITED:
            assert waits[event.frame].end_s == pytest.approx(event.time, abs=0.01)
    assert len(waits) == 2 and all(each.end_s - each.start_s > 0.9 for each in waits.values())


def test_spans_say_what_they_stand_for_and_nothing_of_the_data(
    spans: list[Seen], traced: Traced
) -> None:
    (execution,) = traced.engine.list_executions("all")
    for span in spans:
        assert span.attributes["penstock.execution"] == execution.name
        assert span.service == "penstock"
    attempt = _one([s for s in spans if "first" in _path(spans, s)], "where")
    about = attempt.attributes
    assert (about["penstock.step"], about["penstock.attempt"]) == ("first", 1)
    assert about["penstock.worker"].startswith("penstock-")
    assert {s.attributes["penstock.frame"] for s in spans if s.name == "item"} == {
        "each.0",
        "each.1",
    }
    assert _one(spans, "all").attributes["penstock.status"] == "Succeeded"
    assert not any(b"swordfish" in body for body in traced.collector.bodies)


def test_a_retry_is_linked_to_the_attempt_that_failed(spans: list[Seen]) -> None:
    failed, good = sorted((s for s in spans if s.name == "flaky"), key=lambda s: s.start_s)
    assert (failed.failed, failed.message, good.failed) == (True, "Flaky", False)
    assert good.links == [(failed.trace, failed.id)]
    assert [s.name for s in spans if s.failed] == ["flaky"]


def test_an_attempt_that_was_handed_over_is_linked_to_the_lost_one(traced: Traced) -> None:
    ended = run(traced.engine, "dies", "\n- {type: task, name: step, resourceArn: dies}\n")
    assert ended.status == "Succeeded"
    spans = traced.collector.trace("dies")
    lost, good = sorted((s for s in spans if s.attributes.get("penstock.attempt")), key=_attempt)
    assert (lost.failed, lost.message, good.failed) == (True, "FC.Unknown", False)
    assert (_attempt(lost), _attempt(good)) == (1, 2)
    assert good.links == [(lost.trace, lost.id)]
    assert lost.end_s <= good.start_s


def _attempt(span: Seen) -> int:
    return int(span.attributes["penstock.attempt"])


def test_a_sub_flow_is_a_trace_of_its_own_linked_both_ways(
    spans: list[Seen], traced: Traced
) -> None:
    child = _one(traced.collector.trace("child"), "child")
    call = _one(spans, "flow:child")
    assert child.trace != call.trace
    assert call.links == [(child.trace, child.id)]
    assert child.links == [(call.trace, call.id)]


def test_what_a_task_traces_itself_belongs_to_its_attempt(
    spans: list[Seen], traced: Traced
) -> None:
    (execution,) = traced.engine.list_executions("all")
    events = traced.engine.get_execution_history("all", execution.name)
    here = [e for e in events if e.type == "TaskSucceeded" and e.step_name not in ("sub", "tries")]
    told = [event.detail["output"] for event in here]
    inner = {(each["trace"], each["span"]) for each in told}
    assert inner == {(span.trace, span.id) for span in spans if span.name == "where"}
    assert len(inner) == 4
    assert all(each["sampled"] for each in told)


def test_a_failed_execution_and_its_redrive_are_spans_of_one_trace(traced: Traced) -> None:
    steps = "\n- {type: task, name: step, resourceArn: flaky}\n"
    ended = run(traced.engine, "breaks", steps)
    assert ended.status == "Failed"
    spans = traced.collector.trace("breaks")
    assert [(s.name, s.failed, s.message) for s in spans] == [
        ("breaks", True, "Flaky"),
        ("step", True, "Flaky"),
        ("flaky", True, "Flaky"),
    ]
    traced.engine.redrive_execution("breaks", ended.name)
    assert traced.engine.wait("breaks", ended.name, 20).status == "Succeeded"
    whole = wait_until(lambda: [s for s in _breaks(traced) if s.name == "breaks redrive"])
    spans = _breaks(traced)
    assert whole[0].parent == _one(spans, "breaks").id and not whole[0].failed
    good = [s for s in spans if s.name == "flaky" and not s.failed]
    assert ["/".join(_path(spans, s)) for s in good] == ["breaks/breaks redrive/step/flaky"]
    (failed,) = [s for s in spans if s.name == "flaky" and s.failed]
    assert good[0].links == [(failed.trace, failed.id)]


def _breaks(traced: Traced) -> list[Seen]:
    return traced.collector.trace("breaks")


def test_a_stopped_execution_ends_its_trace_whoever_stops_it(traced: Traced) -> None:
    waiting = start(traced.engine, "waits", WAITS)
    wait_until(lambda: "TaskSubmitted" in _types(traced.engine, waiting.name))
    traced.engine.stop_execution("waits", waiting.name, "Enough")
    spans = traced.collector.trace("waits")
    assert [s.name for s in spans] == ["waits", "long", "where"]
    assert spans[0].message == "Enough"
    assert spans[2].attributes["penstock.cut_off"] is True
    assert spans[2].end_s == pytest.approx(spans[0].end_s, abs=0.1)


def _types(engine: Engine, name: str) -> set[str]:
    return {event.type.value for event in engine.get_execution_history("waits", name)}


def test_a_collector_that_is_away_gets_its_traces_later(traced: Traced) -> None:
    traced.collector.refusing = True
    run(traced.engine, "later", CHILD)
    wait_until(lambda: traced.collector.refused, 20)
    # By now the worker has taken it, and it is noted again once its exporter has given up.
    store = traced.engine.runtime.store
    wait_until(lambda: store.redis.exists(store.keys.traces), 20)
    assert traced.collector.roots("later") == []
    traced.collector.refusing = False
    assert len(traced.collector.trace("later", 40)) == 3


def test_nothing_is_noted_or_exported_where_traces_are_off() -> None:
    with EmbeddedRedis() as server, collecting() as collector:
        env = _environment(collector, "0")
        with WorkerProcess(server.url, [TASKS], ["-c", "1"], env):
            engine = Engine(server.url, Settings())
            ended = run(engine, "quiet", CHILD)
            assert ended.output is not None
            assert (ended.output["span"], ended.output["sampled"]) == ("0" * 16, False)
            assert not engine.runtime.store.redis.exists(engine.runtime.store.keys.traces)
        assert collector.bodies == []


def test_a_share_is_the_same_executions_for_everybody(redis_url: str) -> None:
    ids = [f"flow:{number}" for number in range(1000)]
    some, same, all_of, none = (
        [each for each in ids if Traces(engine.runtime).sampled(each)]
        for engine in (
            Engine(redis_url, Settings(trace_sample=share)) for share in (0.2, 0.2, 1, 0)
        )
    )
    assert some == same and 120 < len(some) < 280
    assert (all_of, none) == (ids, [])


def test_a_worker_without_the_extra_says_what_is_missing(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError('not there')")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "workers"], capture_output=True, text=True, timeout=60, cwd=root,
        env=os.environ | {
            "PENSTOCK_REDIS_URL": redis_url, "PENSTOCK_TRACE_SAMPLE": "1",
            "PYTHONPATH": str(tmp_path),
        },
    )  # fmt: skip
    assert done.returncode == 2
    told = "penstock: PENSTOCK_TRACE_SAMPLE needs the extra: pip install 'penstock[otel]'"
    assert told in done.stderr and "Traceback" not in done.stderr
