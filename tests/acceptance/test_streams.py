"""Streams on real workers: fused and spread, in every kind of step, and tried again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.errors import ExecutionFailed
from tasks.chunk import CHUNK_BYTES
from tests.acceptance.running import HEAD, history, of_type
from tests.acceptance.streamed_tasks import mixed
from tests.acceptance.streaming import (
    Stack,
    closed,
    expected,
    given,
    opened,
    pids,
    read,
    stack,
    stream_step,
)

COUNT, SIZE = 60, 100_000
CALL = {"count": COUNT, "size": SIZE}


FAR = Path(__file__).with_name("streamed_elsewhere.py")
ALL = ("give", "mix", "chain")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One worker with one slot."""
    with stack(tmp_path_factory.mktemp("one"), [1]) as made:
        yield made


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers with two slots each."""
    with stack(tmp_path_factory.mktemp("two"), [2, 2]) as made:
        yield made


def test_one_worker_with_one_slot_runs_a_whole_stream(one: Stack) -> None:
    streamed = one.stream("alone", stream_step(*ALL), CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    (detail,) = opened(one, streamed)
    assert [segment["stages"] for segment in detail["segments"]] == [list(ALL)]
    one.assert_nothing_left()


def test_the_bytes_of_a_caller_go_through_a_single_slot(one: Stack) -> None:
    source = b"".join(given(COUNT, SIZE))
    streamed = one.stream("through", stream_step("cut", "mix", "chain"), CALL, source)
    assert read(streamed) == expected(COUNT, SIZE)
    one.assert_nothing_left()


def test_a_stream_without_a_caller_is_counted_and_hashed(one: Stack) -> None:
    one.engine.create_flow("uncalled", HEAD + stream_step(*ALL))
    ended = one.engine.start_execution("uncalled", CALL | {"place": str(one.place)}).wait(20)
    assert ended.output is not None, (ended.error, ended.cause)
    one.assert_nothing_left()


def test_free_slots_of_other_processes_are_used(two: Stack) -> None:
    streamed = two.stream("spread", stream_step(*ALL, more="fuse: false"), CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    (detail,) = opened(two, streamed)
    assert len(set(pids(detail))) == 3, detail
    (told,) = closed(two, streamed)
    assert [(edge["chunks"], edge["across"]) for edge in told["edges"]] == [(COUNT, True)] * 3
    two.assert_nothing_left()


def test_two_workers_share_a_stream_by_themselves(two: Stack) -> None:
    streamed = two.stream("shared", stream_step(*ALL), CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    (detail,) = opened(two, streamed)
    assert len(set(pids(detail))) >= 2, detail
    two.assert_nothing_left()


def test_a_stream_that_is_to_be_fused_stays_in_one_process(two: Stack) -> None:
    streamed = two.stream("fused", stream_step(*ALL, more="fuse: true"), CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    (detail,) = opened(two, streamed)
    assert len(pids(detail)) == 1
    two.assert_nothing_left()


@pytest.mark.parametrize("fuse", ["true", "false"])
def test_a_stage_that_takes_several_chunks_at_once_changes_nothing(two: Stack, fuse: str) -> None:
    before = {pid: len(seen) for pid, seen in two.traced("mix").items()}
    steps = stream_step("give", "mix, concurrency: 3", "chain", more=f"fuse: {fuse}")
    streamed = two.stream(f"lanes_{fuse}", steps, CALL)
    assert read(streamed) == expected(COUNT, SIZE)
    worked = [pid for pid, seen in two.traced("mix").items() if len(seen) > before.get(pid, 0)]
    assert len(worked) == 1 if fuse == "true" else len(worked) > 1
    (told,) = closed(two, streamed)
    assert [edge["chunks"] for edge in told["edges"]] == [COUNT] * 3
    two.assert_nothing_left()


OUTER = [("mix, concurrency: 3",), ("mix, concurrency: 3", "tell"), ("tell", "mix, concurrency: 3")]


@pytest.mark.parametrize("stages", OUTER)
def test_several_chunks_at_once_at_a_callers_end_change_nothing(
    two: Stack, stages: tuple[str, ...]
) -> None:
    """There is one source and one sink, however many work at it."""
    source = given(COUNT, SIZE)
    name = f"caller_{OUTER.index(stages)}"
    streamed = two.stream(name, stream_step(*stages, more="fuse: false"), CALL, iter(source))
    assert read(streamed) == b"".join(map(mixed, source))
    two.assert_nothing_left()


@pytest.mark.parametrize("stages", OUTER)
def test_several_chunks_at_once_at_an_object_change_nothing(
    two: Stack, stages: tuple[str, ...]
) -> None:
    name = f"object_{OUTER.index(stages)}"
    source, made = b"".join(given(COUNT, SIZE)), two.place / f"{name}.out"
    (two.place / f"{name}.in").write_bytes(source)
    told = CALL | {"from": str(two.place / f"{name}.in"), "to": str(made)}
    more = "fuse: false\nsource: $.from\nsink: $.to"
    streamed = two.stream(name, stream_step(*stages, more=more), told)
    assert read(streamed) == b""
    parts = range(0, len(source), CHUNK_BYTES)
    expected = b"".join(mixed(source[at : at + CHUNK_BYTES]) for at in parts)
    assert made.read_bytes() == expected
    output = streamed.execution.describe().output
    assert output is not None and output["bytes"] == len(source)
    assert output["sha256"] == hashlib.sha256(expected).hexdigest()
    two.assert_nothing_left()


def test_a_stage_that_reads_nothing_runs_once(one: Stack) -> None:
    """Whatever number is asked for: there are no chunks to share out."""
    assert read(one.stream("once", stream_step("say, concurrency: 3"))) == b"hello"


def test_more_chunks_at_once_need_a_stage_without_a_state(two: Stack) -> None:
    with pytest.raises(ExecutionFailed) as failed:
        read(two.stream("wrong_lanes", stream_step("give", "chain, concurrency: 2"), CALL))
    assert failed.value.error == "FC.InvalidArgument"
    two.assert_nothing_left()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_worker_of_a_stage_is_called_on_its_own_queue(tmp_path: Path, position: int) -> None:
    """Wherever the stage stands, and however many others there are."""
    env = {"PENSTOCK_RESOURCE_GRACE_S": "3", "PENSTOCK_STREAM_GATHER_S": "0.5"}
    with stack(tmp_path, [1], env) as made:
        made.worker(1, "-Q", "far", tasks=FAR)
        stages = ["give", "tell"] if position else ["cut", "tell"]
        stages.insert(position, "far")
        source = None if position else iter(given(COUNT, SIZE))
        streamed = made.stream("far", stream_step(*stages), CALL, source)
        assert read(streamed) == b"".join(given(COUNT, SIZE))
        assert len(set(pids(opened(made, streamed)[0]))) == 2
        made.assert_nothing_left()


EACH = """- type: foreach
  name: all
  iterationMapping: {collection: $.items, item: item}
  concurrency: 4
  steps:
"""


@pytest.mark.parametrize("fuse", ["fuse: true", "fuse: false"])
def test_streams_in_iterations_are_tried_again_each_for_itself(two: Stack, fuse: str) -> None:
    more = f"{fuse}\nretry: [{{errors: [Test.Broken], intervalSeconds: 0.05, maxAttempts: 2}}]"
    inner = "".join(f"  {line}\n" for line in stream_step("give", "fail", more=more).splitlines())
    inner += "    outputMappings: [{target: sha256, source: $local.sha256}]\n"
    flow = f"each_{fuse[-4:]}"
    last = '  outputMappings: [{target: sums, source: "$local[*].sha256"}]\n'
    two.engine.create_flow(flow, HEAD + EACH + inner + last)
    told = {"items": list(range(20)), "place": str(two.place), "count": 5, "size": 1000, "after": 2}
    ended = two.engine.start_execution(flow, told).wait(60)
    assert ended.output is not None, (ended.error, ended.cause)
    assert ended.output["sums"] == [hashlib.sha256(b"".join(given(5, 1000))).hexdigest()] * 20
    events = of_type(history(two.engine, ended), EventType.STREAM_OPENED)
    assert len(events) == 40
    two.assert_nothing_left()


BOTH = """
- type: parallel
  name: both
  branches:
  - steps:
{first}
  - steps:
{second}
"""


def test_of_two_streams_at_once_one_has_the_caller(two: Stack) -> None:
    branch = "".join(f"    {line}\n" for line in stream_step("cut", "tell").splitlines())
    steps = BOTH.format(first=branch, second=branch)
    source = b"".join(given(COUNT, SIZE))
    streamed = two.stream("both", steps, {"size": SIZE}, source)
    assert read(streamed) == source
    two.assert_nothing_left()


def test_what_a_stream_has_kept_for_its_retry_outlives_another_one(two: Stack) -> None:
    """The other one of the parallel is over before the first one fails."""
    more = "retry: [{errors: [Test.Broken], intervalSeconds: 1}]"
    ignored, sink = two.place / "ignored", two.place / "out"
    ignored.write_bytes(b"by a stage that reads nothing")
    ends = f"source: {ignored.as_uri()}\nsink: {sink.as_uri()}"
    first, second = (
        "".join(f"    {line}\n" for line in step.splitlines())
        for step in (stream_step("cut", "fail", more=more), stream_step("give", more=ends))
    )
    source = b"".join(given(COUNT, SIZE))
    told = {"size": SIZE, "count": 10, "after": 20, "pause_s": 0.05}
    streamed = two.stream("kept", BOTH.format(first=first, second=second), told, source)
    assert read(streamed) == source
    assert sink.read_bytes() == b"".join(given(10, SIZE))
    two.assert_nothing_left()


def test_only_the_first_visit_of_a_loop_has_the_caller(one: Stack) -> None:
    steps = stream_step("give", "tell") + (
        "  outputMappings: [{target: seen, source: $local.sink}, {target: n, source: $local.bytes}]"
        "\n- type: choice\n  name: more\n  choices:\n"
        '  - {condition: "$.seen == \\"caller\\"", goto: stream}\n'
    )
    streamed = one.stream("loop", steps, CALL)
    assert read(streamed) == b"".join(given(COUNT, SIZE))
    output = streamed.execution.describe().output
    assert output is not None and output["seen"] == "none" and output["n"] == COUNT * SIZE
    assert len(opened(one, streamed)) == 2
    one.assert_nothing_left()


def test_a_sub_flow_does_not_have_its_parents_caller(two: Stack) -> None:
    two.engine.create_flow("child", HEAD + stream_step("give", "tell"))
    steps = "- {type: task, name: sub, resourceArn: 'acs:fnf:::flow/child', pattern: sync}\n"
    streamed = two.stream("parent", steps, CALL)
    assert read(streamed) == b""
    assert streamed.execution.describe().status == "Succeeded"
    two.assert_nothing_left()
