"""Streams whose stages need workers that are busy: they wait, and keep nobody else from working."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.errors import ExecutionFailed
from engine.runtime.streamed import StreamedExecution
from tests.acceptance.running import history, of_type
from tests.acceptance.streaming import Stack, given, opened, read, stack, stream_step
from tests.waiting import wait_until

FAR = Path(__file__).with_name("streamed_elsewhere.py")
COUNT, SIZE = 20, 10_000
CALL = {"count": COUNT, "size": SIZE}
BYTES = b"".join(given(COUNT, SIZE))
HELD_CHUNK = b"held"
QUICK = {
    "PENSTOCK_RESOURCE_GRACE_S": "3",
    "PENSTOCK_SHUTDOWN_GRACE_S": "1",
    "PENSTOCK_STREAM_GATHER_S": "0.5",
}


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Stack]:
    """Two workers with one slot each; the stage `far` has the second alone, and no other one."""
    with stack(tmp_path, [1], QUICK) as made:
        made.worker(1, "-Q", "far", tasks=FAR)
        yield made


@contextmanager
def far_is_busy(apart: Stack) -> Iterator[StreamedExecution]:
    """The worker of `far` runs a stream whose caller is silent; then that ends."""
    over = threading.Event()

    def slow() -> Iterator[bytes]:
        yield HELD_CHUNK
        over.wait(60)

    streamed = apart.stream("holds", stream_step("far"), CALL, slow())
    try:
        assert next(streamed) == HELD_CHUNK
        yield streamed
    finally:
        over.set()
        with suppress(ExecutionFailed):
            read(streamed)


def times_put_off(apart: Stack, streamed: StreamedExecution) -> int:
    """How often the attempt of a stream was put off so far."""
    run = streamed.execution.describe()
    state = apart.engine.runtime.store.state(f"{run.flow_name}:{run.name}", "")
    return int(state.get("goes_on", 0)) if state else 0


def test_two_streams_that_need_each_others_slots_both_end(apart: Stack) -> None:
    found: dict[str, bytes | ExecutionFailed] = {}

    def run(name: str, steps: str, source: bytes | None) -> None:
        try:
            found[name] = read(apart.stream(name, steps, CALL, source))
        except ExecutionFailed as error:
            found[name] = error

    there = threading.Thread(target=run, args=("there", stream_step("give", "far"), None))
    back = threading.Thread(target=run, args=("back", stream_step("far", "cut"), BYTES))
    for one in (there, back):
        one.start()
    for one in (there, back):
        one.join(40)
    assert found == {"there": BYTES, "back": BYTES}
    apart.assert_nothing_left()


def test_a_stream_waits_for_a_busy_worker_and_gives_its_slot_back(apart: Stack) -> None:
    with far_is_busy(apart):
        streamed = apart.stream("waits", stream_step("give", "far", "tell"), CALL)
        wait_until(lambda: times_put_off(apart, streamed) >= 1, 15)
        assert read(apart.stream("other", stream_step("give", "tell"), CALL)) == BYTES
        assert not streamed.execution.describe().status.ended
    assert read(streamed) == BYTES
    events = history(apart.engine, streamed.execution.describe())
    assert [told["attempt"] for told in of_type(events, EventType.TASK_STARTED)] == [1]
    assert len(opened(apart, streamed)) == 1
    apart.assert_nothing_left()


def test_who_waits_for_a_busy_worker_does_so_no_longer_than_its_time(apart: Stack) -> None:
    with far_is_busy(apart):
        steps = stream_step("give", "far", more="timeoutSeconds: 4")
        with pytest.raises(ExecutionFailed, match="TaskTimeout"):
            read(apart.stream("late", steps, CALL))
    apart.assert_nothing_left()


def test_a_stage_whose_only_worker_leaves_meanwhile_is_not_found(apart: Stack) -> None:
    with far_is_busy(apart):
        streamed = apart.stream("lost", stream_step("give", "far"), CALL)
        wait_until(lambda: times_put_off(apart, streamed) >= 1, 15)
        apart.workers.pop().stop()
        with pytest.raises(ExecutionFailed, match="FunctionNotFound"):
            read(streamed)
