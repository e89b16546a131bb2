"""Traces as they are made of events: long histories, lost attempts, loops, and what waits."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from engine.config import Settings
from engine.core.events import Event, EventType
from engine.runtime.building import make_runtime
from engine.runtime.spans import Span, attempt_key, place_of
from engine.runtime.traces import KEPT_TRACES, Traces
from engine.runtime.tracing import MAX_SPANS, TraceBuilder

E = EventType


class History:
    """Hands events to a builder, a second apart."""

    def __init__(self) -> None:
        self.builder = TraceBuilder("flow", "name", 1000)
        self.now = 0

    def add(self, kind: EventType, step: str = "", frame: str = "", **detail: Any) -> None:
        self.now += 1
        self.builder.add(Event(self.now, kind, step, frame, float(self.now), 0, detail))

    def attempt(self, step: str, number: int = 1, frame: str = "") -> None:
        self.add(E.TASK_SCHEDULED, step, frame, resource="work", attempt=number)
        self.add(E.TASK_STARTED, step, frame, attempt=number, worker="w")

    def step(self, step: str, frame: str = "") -> None:
        self.add(E.STEP_ENTERED, step, frame)
        self.attempt(step, 1, frame)
        self.add(E.TASK_SUCCEEDED, step, frame)
        self.add(E.STEP_EXITED, step, frame)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.builder.spans() if span.name == name]

    def id_of(self, visit: str, attempt: int) -> int:
        return place_of(self.builder.trace_id, attempt_key(visit, attempt)).span_id


def test_an_attempt_whose_worker_was_lost_ends_where_the_next_begins() -> None:
    history = History()
    history.add(E.STEP_ENTERED, "only")
    history.attempt("only", 1)
    history.attempt("only", 2)
    history.add(E.TASK_SUCCEEDED, "only")
    lost, good = history.named("work")
    assert (lost.error, lost.start_s, lost.end_s) == ("FC.Unknown", 3.0, 4.0)
    assert (good.error, good.links) == (None, [lost.place])
    assert good.attributes["penstock.waited_s"] == 1.0


def test_each_turn_of_a_loop_has_spans_of_its_own() -> None:
    history = History()
    for _ in range(3):
        history.step("again")
    attempts = history.named("work")
    assert [span.place.span_id for span in attempts] == [
        history.id_of(f"#{turn}", 1) for turn in (1, 2, 3)
    ]
    assert len({span.parent for span in attempts}) == 3


def test_a_fork_in_a_loop_has_other_items_each_time() -> None:
    history = History()
    for _ in range(2):
        history.add(E.STEP_ENTERED, "each")
        history.add(E.ITERATION_ENTERED, frame="each.0", index=0)
        history.step("item", "each.0")
        history.add(E.ITERATION_EXITED, frame="each.0", index=0)
        history.add(E.STEP_EXITED, "each")
    assert [span.place.span_id for span in history.named("work")] == [
        history.id_of("each.0#1.1", 1),
        history.id_of("each.0#2.1", 1),
    ]
    assert len({span.place.span_id for span in history.builder.spans()}) == 1 + 2 * 4


def test_a_redriven_item_goes_on_in_the_run_of_the_redrive() -> None:
    history = History()
    history.add(E.STEP_ENTERED, "each")
    history.add(E.ITERATION_ENTERED, frame="each.4", index=4)
    history.add(E.EXECUTION_FAILED, error="Broken")
    history.add(E.EXECUTION_REDRIVEN)
    history.step("item", "each.4")
    history.add(E.ITERATION_EXITED, frame="each.4", index=4)
    history.add(E.STEP_EXITED, "each")
    history.add(E.EXECUTION_SUCCEEDED)
    spans = {span.place.span_id: span for span in history.builder.spans()}
    (attempt,) = history.named("work")
    names = []
    parent: int | None = attempt.place.span_id
    while parent in spans:
        names.append(spans[parent].name)
        parent = spans[parent].parent
    assert names == ["work", "item", "each[]", "each", "flow redrive"]
    assert parent == place_of(history.builder.trace_id, "execution/0").span_id
    assert all(span.error is None for span in spans.values())


def test_a_fork_of_many_items_has_a_trace_of_bounded_size() -> None:
    history = History()
    history.add(E.STEP_ENTERED, "each")
    for index in range(MAX_SPANS):
        history.add(E.ITERATION_ENTERED, frame=f"each.{index}", index=index)
        history.step("item", f"each.{index}")
        history.add(E.ITERATION_EXITED, frame=f"each.{index}", index=index)
    history.add(E.STEP_EXITED, "each")
    history.step("after")
    spans = history.builder.spans()
    assert len(spans) == MAX_SPANS + 2  # the flow's own steps are always there
    assert spans[0].attributes["penstock.dropped_spans"] == 2 + 3 * MAX_SPANS - MAX_SPANS
    assert history.named("after")


def test_a_name_that_is_used_again_is_another_trace() -> None:
    first, second = TraceBuilder("flow", "name", 1000), TraceBuilder("flow", "name", 2000)
    assert first.trace_id != second.trace_id
    assert TraceBuilder("flow", "name", 1000).trace_id == first.trace_id


def test_what_nobody_exports_is_kept_within_bounds(redis_url: str) -> None:
    runtime = make_runtime(redis_url, Settings(trace_sample=1))
    traces, store, key = Traces(runtime), runtime.store.redis, runtime.store.keys.traces
    store.zadd(key, {f"flow:{number}": number for number in range(KEPT_TRACES + 10)})
    traces.ended("flow:last")
    assert store.zcard(key) == KEPT_TRACES
    assert 0 < int(str(store.ttl(key))) <= 86_400
    assert [traces.take(), traces.take()] == ["flow:11", "flow:12"]
    traces.ended("flow:12")
    assert traces.take() == "flow:13"
    assert traces.load("flow:gone") == []


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_from_none_to_all(share: float) -> None:
    with pytest.raises(ValueError, match="trace_sample"):
        Settings(trace_sample=share)


def test_nothing_is_asked_of_redis_where_traces_are_off(redis_url: str) -> None:
    runtime = make_runtime(redis_url, Settings())
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("stats")["total_commands_processed"]
        Traces(runtime).ended("flow:name")
        assert client.info("stats")["total_commands_processed"] == before + 1  # our own question
