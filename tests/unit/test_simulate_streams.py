"""Streams in a simulation: what the stages see, time, mocks, objects, and tasks nobody has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from engine.core.events import EventType
from engine.core.graph import Graph
from engine.simulate.calls import WorkerDied
from engine.simulate.simulator import Simulation, simulate
from tasks import TaskError
from tests.unit.decisions import graph_of

FLOW = """
- type: stream
  name: copy
  steps:
  - {type: task, name: one, resourceArn: one}
  - {type: task, name: two, resourceArn: two}
"""
ENDS = FLOW.replace("  steps:", "  source: mem:in\n  sink: mem:out\n  steps:")
GRAPH = graph_of(FLOW)


def write(input: dict[str, Any], ctx: Any) -> None:
    for part in (b"ab", bytearray(b"c"), memoryview(b"def")):
        ctx.write(part, {"of": str(len(part))})


def passing(input: dict[str, Any], ctx: Any) -> None:
    for chunk in ctx.read():
        ctx.write(chunk)


class Memory:
    """Objects in memory; `broken`: the verb that fails."""

    def __init__(self, given: list[bytes], broken: str = "") -> None:
        self.kept = {"in": given}
        self.broken = broken

    def source(self, uri: str) -> Iterable[bytes]:
        self._check("source")
        return self._read(uri)

    def sink(self, uri: str) -> Callable[[Iterable[bytes]], None]:
        self._check("sink")
        return lambda chunks: self._write(uri, chunks)

    def _read(self, uri: str) -> Iterable[bytes]:
        yield from self.kept[uri.removeprefix("mem:")]
        self._check("read")

    def _write(self, uri: str, chunks: Iterable[bytes]) -> None:
        self._check("write")
        self.kept[uri.removeprefix("mem:")] = [bytes(chunk) for chunk in chunks]

    def _check(self, verb: str) -> None:
        if verb == self.broken:
            raise TaskError("Store.Broken", verb)


def run(graph: Graph = GRAPH, /, **how: Any) -> Simulation:
    functions = {"one": write, "two": passing}
    given = how.pop("tasks", {})
    return simulate(graph, {}, tasks=functions | given, now=0.0, seed=0, **how)


def events(simulation: Simulation) -> list[str]:
    return [str(event.type) for event in simulation.history if event.step_name == "copy"]


def edges(simulation: Simulation) -> list[tuple[str, str, int, int]]:
    closed = next(e for e in simulation.history if e.type is EventType.STREAM_CLOSED)
    keys = ("from", "to", "chunks", "bytes")
    return [tuple(edge[key] for key in keys) for edge in closed.detail["edges"]]


def test_a_stage_reads_the_chunks_of_the_one_before_with_numbers_and_headers() -> None:
    seen: list[tuple[bytes, int, dict[str, str]]] = []

    def look(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        first = next(ctx.read())
        seen.append((bytes(first), first.seq, first.headers))
        seen.extend((bytes(chunk), chunk.seq, chunk.headers) for chunk in ctx.read())
        return {"step": ctx.step, "key": ctx.idempotency_key}

    done = run(tasks={"two": look})
    assert seen == [(b"ab", 1, {"of": "2"}), (b"c", 2, {"of": "1"}), (b"def", 3, {"of": "3"})]
    assert done.output is not None
    assert done.output["steps"]["two"] == {
        "step": "copy/two",
        "key": "flow:simulation/#1/two",
    }


def test_a_chunk_that_is_passed_on_keeps_its_headers() -> None:
    seen: list[dict[str, str]] = []

    def look(input: dict[str, Any], ctx: Any) -> None:
        seen.extend(chunk.headers for chunk in ctx.read())

    graph = graph_of(FLOW + "  - {type: task, name: three, resourceArn: three}\n")
    run(graph, tasks={"three": look})
    assert seen == [{"of": "2"}, {"of": "1"}, {"of": "3"}]


@pytest.mark.parametrize("data", ["text", 5, None])
def test_what_is_no_bytes_cannot_be_written(data: Any) -> None:
    failed = run(tasks={"one": lambda input, ctx: ctx.write(data)})
    assert (failed.status, failed.error) == ("Failed", "TypeError")


def test_a_stream_takes_as_long_as_its_slowest_stage() -> None:
    def slow(input: dict[str, Any], ctx: Any) -> None:
        ctx.take(30)

    done = run(tasks={"one": slow, "two": slow})
    assert done.history[-1].time == 30.0
    late = run(
        graph_of(FLOW.replace("copy\n", "copy\n  timeoutSeconds: 20\n")), tasks={"two": slow}
    )
    assert (late.status, late.error) == ("Failed", "FnF.TaskTimeout")
    assert "StreamOpened" in events(late)


def test_a_stage_outside_of_a_stream_cannot_read() -> None:
    failed = simulate(
        graph_of("- {type: task, name: alone, resourceArn: two}"), tasks={"two": passing}
    )
    assert failed.error == "NotInStream"
    assert "alone" in (failed.cause or "")


def test_a_worker_that_dies_in_a_stage_is_lost_to_the_whole_attempt() -> None:
    def dies_once(input: dict[str, Any], ctx: Any) -> None:
        if ctx.attempt == 1:
            raise WorkerDied
        passing(input, ctx)

    done = run(tasks={"two": dies_once})
    assert done.status == "Succeeded"
    runs = [e.detail["run"] for e in done.history if e.type is EventType.STREAM_OPENED]
    assert len(runs) == 2 and runs[0] == runs[1]


def test_a_mock_answers_for_the_whole_step() -> None:
    done = run(mocks={"steps": {"copy": {"output": {"bytes": 3}, "delay_s": 5}}})
    assert (done.output, done.history[-1].time) == ({"bytes": 3}, 5.0)
    assert not {"StreamOpened", "StreamClosed"} & set(events(done))
    failed = run(mocks={"steps": {"copy": {"error": "Busy", "cause": "later"}}})
    assert (failed.error, failed.cause) == ("Busy", "later")


def test_a_mock_with_a_delay_lets_the_stages_run() -> None:
    done = run(mocks={"steps": {"copy": {"delay_s": 5}}})
    assert done.output is not None
    assert (done.output["bytes"], done.history[-1].time) == (6, 5.0)


def test_a_function_under_the_name_of_the_whole_stream_takes_its_place() -> None:
    done = simulate(GRAPH, tasks={"stream:one+two": lambda input: {"instead": True}})
    assert done.output == {"instead": True}


def test_a_stage_that_nobody_has_is_named() -> None:
    failed = simulate(GRAPH, tasks={"one": write})
    assert (failed.error, failed.cause) == (
        "FC.FunctionNotFound",
        "no live worker has a task 'two'",
    )
    assert "TaskStarted" not in events(failed)


def test_objects_stand_at_the_ends() -> None:
    memory = Memory([b"x" * 9, b"y"])
    done = run(graph_of(ENDS), tasks={"one": passing}, objects=memory)
    assert memory.kept["out"] == [b"x" * 9, b"y"]
    assert done.output is not None and done.output["sink"] == "mem:out"
    assert edges(done) == [
        ("source", "one", 2, 10),
        ("one", "two", 2, 10),
        ("two", "sink", 2, 10),
    ]


def test_what_a_stage_leaves_of_its_source_is_counted_all_the_same() -> None:
    memory = Memory([b"x", b"y"])
    done = run(graph_of(ENDS), tasks={"one": lambda input: None}, objects=memory)
    assert memory.kept["out"] == []
    assert edges(done)[0] == ("source", "one", 2, 2)


@pytest.mark.parametrize(
    ("broken", "cause"),
    [("source", "source"), ("sink", "sink"), ("read", "one: read"), ("write", "two: write")],
)
def test_an_object_that_fails_fails_the_stream(broken: str, cause: str) -> None:
    memory = Memory([b"x"], broken)
    failed = run(graph_of(ENDS), tasks={"one": passing}, objects=memory)
    assert (failed.status, failed.error, failed.cause) == ("Failed", "Store.Broken", cause)
    assert "out" not in memory.kept
    assert events(failed).count("StreamClosed") == 1


def test_without_objects_a_stream_that_names_one_fails() -> None:
    failed = run(graph_of(ENDS))
    assert failed.error == "FC.InvalidArgument"
    assert "mem:in" in (failed.cause or "")
