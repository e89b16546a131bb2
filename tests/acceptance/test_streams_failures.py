"""Streams that fail: each failure has a name and a cause, ends soon, and leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from engine.core.events import EventType
from engine.errors import ExecutionFailed
from tests.acceptance.running import HEAD, history, of_type
from tests.acceptance.streaming import Stack, given, opened, plain, read, stack, stream_step
from tests.waiting import wait_until

COUNT, SIZE = 120, 100_000
"""More than fits between two stages, so that those before a failure are waiting to write."""

CALL = {"count": COUNT, "size": SIZE, "after": 40}
SOURCE = b"".join(given(COUNT, SIZE))
RETRY = "retry: [{errors: [Test.Broken], intervalSeconds: 0.05, maxAttempts: 2}]"
AGAIN = "retry: [{errors: [FnF.TaskTimeout], intervalSeconds: 0.05, maxAttempts: 1}]"
FUSED, SPREAD = "fuse: true", "fuse: false"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two workers with two slots each."""
    with stack(tmp_path_factory.mktemp("failures"), [2, 2]) as made:
        yield made


def failure(
    fleet: Stack, name: str, steps: str, input: dict[str, Any] | None = None, source: Any = None
) -> tuple[str, str]:
    """Error and cause of a stream that fails, once nothing is left of it."""
    streamed = fleet.stream(name, steps, CALL | (input or {}), source)
    with pytest.raises(ExecutionFailed) as failed:
        read(streamed)
    assert streamed.execution.describe().status.ended
    fleet.assert_nothing_left()
    return failed.value.error, failed.value.cause


ODD = {
    "raises": ("RuntimeError", "odd: out of order"),
    "raises a task's error": ("Test.Odd", "odd: as it says"),
    "ends the process": ("SystemExit", "odd: 3"),
    "interrupts": ("KeyboardInterrupt", "odd: as if by hand"),
    "returns a list": ("FnF.InvalidLocal", "odd: "),
    "returns what is no JSON": ("FnF.InvalidLocal", "odd: the result is not JSON"),
    "returns too much": ("FnF.PayloadTooLarge", ""),
    "writes a text": ("TypeError", "odd: "),
    "writes a number": ("TypeError", "odd: "),
    "has headers of numbers": ("TypeError", "odd: "),
    "catches everything": ("Test.Broken", "fail: attempt 1"),
}


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
@pytest.mark.parametrize("what", ODD)
def test_a_stage_that_makes_a_mistake_fails_its_step(fleet: Stack, what: str, fuse: str) -> None:
    last = "fail" if what == "catches everything" else "tell"
    steps = stream_step("give", "odd", last, more=fuse)
    name = f"odd_{list(ODD).index(what)}_{fuse[-4:]}"
    error, cause = failure(fleet, name, steps, {"what": what})
    assert (error, cause.startswith(ODD[what][1])) == (ODD[what][0], True), cause
    assert plain(cause), cause


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
def test_a_stage_need_not_read_what_comes(fleet: Stack, fuse: str) -> None:
    steps = stream_step("give", "odd", "tell", more=fuse)
    name = f"reads_nothing_{fuse[-4:]}"
    assert read(fleet.stream(name, steps, CALL | {"what": "reads nothing"})) == b"of its own"
    fleet.assert_nothing_left()


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
def test_a_stage_need_not_write(fleet: Stack, fuse: str) -> None:
    steps = stream_step("give", "odd", "tell", more=fuse)
    name = f"writes_nothing_{fuse[-4:]}"
    found = read(fleet.stream(name, steps, CALL | {"what": "writes nothing"}))
    assert len(found) == 2 * SIZE
    fleet.assert_nothing_left()


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
def test_wide_elements_are_written_as_their_bytes(fleet: Stack, fuse: str) -> None:
    steps = stream_step("give", "odd", "tell", more=fuse)
    found = read(fleet.stream(f"wide_{fuse[-4:]}", steps, CALL | {"what": "writes wide elements"}))
    assert found[2 * SIZE :] == bytes(8)


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
@pytest.mark.parametrize("first", ["cut", "mix"])
def test_who_reads_gets_each_byte_once_however_often_it_is_tried(
    fleet: Stack, fuse: str, first: str
) -> None:
    """Also where the first stage has no state and frees what it has read."""
    steps = stream_step(first, "fail", "tell", more=f"{fuse}\n{RETRY}")
    name = f"again_{first}_{fuse[-4:]}"
    undisturbed = read(fleet.stream(name, steps, CALL | {"times": 0}, SOURCE))
    streamed = fleet.stream(name, steps, CALL | {"times": 2}, SOURCE)
    found = read(streamed)
    assert len(found) == len(undisturbed) and found == undisturbed
    assert len(opened(fleet, streamed)) == 3
    fleet.assert_nothing_left()


@pytest.mark.parametrize("mistake", ["other", "short"])
def test_an_attempt_that_writes_something_else_is_not_taken_for_the_same(
    fleet: Stack, mistake: str
) -> None:
    steps = stream_step("cut", "fail", "tell", more=f"{FUSED}\n{RETRY}")
    sign = f"has_some.{mistake}"
    told = {"times": 1, "sign": sign, mistake: {"other": True, "short": 5}[mistake]}
    streamed = fleet.stream(f"differs_{mistake}", steps, CALL | told, SOURCE)
    assert len([next(streamed) for _ in range(6)]) == 6, "more than 5"
    (fleet.place / sign).touch()
    with pytest.raises(ExecutionFailed) as failed:
        read(streamed)
    assert failed.value.error == "StreamDiffers" and plain(failed.value.cause)
    fleet.assert_nothing_left()


CAUGHT = (
    "  end: true\n- type: pass\n  name: after\n"
    "  outputMappings: [{target: caught, source: 'yes'}]\n"
)
CATCH = "catch: [{errors: [Test.Broken], goto: after}]"


@pytest.mark.parametrize("after", [40, 0])
def test_a_stream_whose_failure_was_caught_is_not_taken_for_whole(fleet: Stack, after: int) -> None:
    """Also where nothing was written: whether a first chunk came through is a matter of luck."""
    steps = stream_step("cut", "fail", "tell", more=CATCH) + CAUGHT
    streamed = fleet.stream(f"caught_{after}", steps, CALL | {"after": after}, SOURCE)
    found = bytearray()
    with pytest.raises(ExecutionFailed) as failed:
        for chunk in streamed:
            found += chunk
    assert failed.value.error == "StreamIncomplete" and plain(failed.value.cause)
    assert len(found) < len(SOURCE) and SOURCE.startswith(found)
    ended = streamed.execution.describe()
    assert ended.status == "Succeeded" and ended.output is not None
    assert ended.output["caught"] == "yes"
    fleet.assert_nothing_left()


def test_a_stream_that_a_retry_has_written_to_its_end_is_whole(fleet: Stack) -> None:
    """Another step behind it fails and is caught: that is no affair of the caller's."""
    steps = stream_step("cut", "fail", "tell", more=RETRY)
    steps += stream_step("give", "fail", more=CATCH).replace("name: stream", "name: second")
    streamed = fleet.stream("whole_again", steps + CAUGHT, CALL | {"times": 2}, SOURCE)
    assert read(streamed) == SOURCE
    output = streamed.execution.describe().output
    assert output is not None and output["caught"] == "yes"
    fleet.assert_nothing_left()


def test_a_chunk_that_was_lost_on_the_way_fails_the_stream(fleet: Stack) -> None:
    streamed = fleet.stream("holed", stream_step("give", "tell"), CALL)
    first = next(streamed)
    with Redis.from_url(fleet.url) as redis:
        (sink,) = redis.scan_iter(match="*:{s:*:out")
        wait_until(lambda: redis.xlen(sink) > 10)
        redis.xdel(sink, redis.xrange(sink)[5][0])
        with pytest.raises(ExecutionFailed) as failed:
            read(streamed)
    assert len(first) == SIZE
    assert failed.value.error == "StreamCorrupt" and plain(failed.value.cause)
    assert streamed.execution.wait(5).status == "Stopped"
    fleet.assert_nothing_left()


def _raising(error: Exception) -> Iterator[bytes]:
    yield from given(3, SIZE)
    raise error


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyError("lost"), OSError("lost")])
def test_a_source_that_raises_fails_the_stream_at_once(fleet: Stack, error: Exception) -> None:
    name = f"source_{type(error).__name__}"
    found = failure(fleet, name, stream_step("cut", "tell"), source=_raising(error))
    assert found[0] == "SourceFailed" and "lost" in found[1]


def test_a_source_of_texts_fails_the_stream_at_once(fleet: Stack) -> None:
    found = failure(fleet, "texts", stream_step("cut", "tell"), source=iter(["a", "b"]))
    assert found[0] == "SourceFailed" and plain(found[1])


def test_a_source_of_nothing_gives_nothing(fleet: Stack) -> None:
    assert read(fleet.stream("nothing", stream_step("cut", "tell"), CALL, b"")) == b""
    fleet.assert_nothing_left()


def test_objects_that_cannot_be_used_are_named(fleet: Stack, tmp_path: Path) -> None:
    missing, outside = tmp_path / "missing", "oss://bucket/key"
    for number, more in enumerate(
        [f"source: {missing}", f"sink: {missing}/x/y", f"source: {outside}", f"sink: {outside}"]
    ):
        error, cause = failure(fleet, f"object_{number}", stream_step("give", "tell", more=more))
        assert plain(cause), (error, cause)


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
def test_a_stream_whose_time_is_over_ends_and_lets_go(fleet: Stack, fuse: str) -> None:
    steps = stream_step("give", "hang", "tell", more=f"{fuse}\ntimeoutSeconds: 2")
    assert failure(fleet, f"late_{fuse[-4:]}", steps)[0] == "FnF.TaskTimeout"
    wait_until((fleet.place / f"released.late_{fuse[-4:]}").exists)


def test_a_stream_in_threads_whose_time_is_over_ends_and_lets_go(tmp_path: Path) -> None:
    with stack(tmp_path) as threads:
        threads.worker(4, "-P", "threads")
        steps = stream_step("give", "hang", "tell", more="timeoutSeconds: 3")
        assert failure(threads, "late", steps)[0] == "FnF.TaskTimeout"
        wait_until((threads.place / "released.late").exists)


@pytest.mark.parametrize(
    ("first", "source", "retry"),
    [("give", None, ""), ("cut", SOURCE, ""), ("cut", SOURCE, AGAIN)],
)
def test_a_stream_in_pools_of_one_whose_time_is_over_leaves_nothing(
    tmp_path: Path, first: str, source: bytes | None, retry: str
) -> None:
    """What was sent is not kept for a retry that will not come."""
    with stack(tmp_path) as pair:
        for _ in range(2):
            pair.worker(1, "-P", "solo")
        steps = stream_step(first, "hang", "tell", more=f"fuse: false\ntimeoutSeconds: 1\n{retry}")
        assert failure(pair, "late", steps, source=source)[0] == "FnF.TaskTimeout"


def test_what_a_failed_stream_has_kept_holds_no_disk_and_no_memory_any_more(fleet: Stack) -> None:
    """A deleted file takes its place until it is closed."""
    for number in range(3):
        name = f"kept_{number}"
        found = failure(fleet, name, stream_step("cut", "fail", "tell", more=SPREAD), source=SOURCE)
        assert found[0] == "Test.Broken"
    fleet.assert_nothing_held()


@pytest.mark.parametrize("fuse", [FUSED, SPREAD])
def test_an_execution_that_is_stopped_lets_go_of_its_stream(fleet: Stack, fuse: str) -> None:
    steps = stream_step("give", "hang", "tell", more=fuse)
    streamed = fleet.stream(f"stopped_{fuse[-4:]}", steps, CALL)
    next(streamed)
    streamed.execution.stop("Test.Enough", "by hand")
    with pytest.raises(ExecutionFailed, match="Test.Enough"):
        read(streamed)
    wait_until((fleet.place / f"released.stopped_{fuse[-4:]}").exists)
    fleet.assert_nothing_left()


@pytest.mark.parametrize("how", ["redriven", "skipped"])
def test_what_waits_for_the_slot_of_a_stream_keeps_nothing_of_it(tmp_path: Path, how: str) -> None:
    """The message that goes on with the step is only read once its lead is gone."""
    with stack(tmp_path, [1]) as single:
        steps = stream_step("cut", "linger", "tell", more="retry: [{errors: [Test.Broken]}]")
        streamed = single.stream("busy", steps, CALL | {"pause_s": 0.05}, SOURCE)
        next(streamed)
        name = streamed.execution.name
        if how == "redriven":
            single.engine.stop_execution("busy", name, "Test.Enough")
            with pytest.raises(ExecutionFailed, match="Test.Enough"):
                read(streamed)
            single.engine.redrive_execution("busy", name)
        else:
            single.engine.skip_step("busy", name, "stream", output={"bytes": 0})
            with pytest.raises(ExecutionFailed, match="StreamIncomplete"):
                read(streamed)
        (single.place / "leave").touch()
        ended = streamed.execution.wait(20)
        expected = ("Failed", "CallerGone") if how == "redriven" else ("Succeeded", None)
        assert (ended.status, ended.error) == expected
        single.assert_nothing_left()


def test_a_paused_stream_goes_on_to_the_end_of_its_step(fleet: Stack) -> None:
    steps = stream_step("give", "tell") + "- {type: pass, name: after}\n"
    streamed = fleet.stream("paused", steps, CALL | {"pause_s": 0.01})
    first = next(streamed)
    name = streamed.execution.name
    fleet.engine.pause_execution("paused", name)
    second = next(streamed)
    fleet.engine.resume_execution("paused", name)
    assert first + second + read(streamed) == SOURCE
    fleet.assert_nothing_left()


@pytest.mark.parametrize("source", [None, SOURCE])
def test_a_redriven_stream_does_not_do_without_its_caller(
    fleet: Stack, source: bytes | None
) -> None:
    """Its input is gone, and nobody reads what it writes: neither is taken for well."""
    name = f"redriven_{'reads' if source is None else 'sends'}"
    steps = stream_step("give" if source is None else "cut", "fail", "tell")
    streamed = fleet.stream(name, steps, CALL, source)
    with pytest.raises(ExecutionFailed):
        read(streamed)
    fleet.engine.redrive_execution(name, streamed.execution.name)
    ended = streamed.execution.wait(20)
    assert (ended.status, ended.error) == ("Failed", "CallerGone") and plain(ended.cause)
    assert len(opened(fleet, streamed)) == 1
    fleet.assert_nothing_left()


def test_a_step_before_the_stream_may_be_what_failed(fleet: Stack) -> None:
    """Nothing has been sent and read yet; the redrive has no caller all the same."""
    steps = "- {type: task, name: first, resourceArn: streamed/once}\n" + stream_step("cut")
    streamed = fleet.stream("early", steps, CALL, SOURCE)
    with pytest.raises(ExecutionFailed, match="Test.Early"):
        read(streamed)
    fleet.engine.redrive_execution("early", streamed.execution.name)
    ended = streamed.execution.wait(20)
    assert (ended.status, ended.error) == ("Failed", "CallerGone")
    fleet.assert_nothing_left()


def test_a_stream_without_a_caller_is_redriven_as_it_was_started(fleet: Stack) -> None:
    fleet.engine.create_flow("uncalled", HEAD + stream_step("give", "fail", "tell"))
    told = CALL | {"place": str(fleet.place)}
    run = fleet.engine.start_execution("uncalled", told)
    assert run.wait(20).error == "Test.Broken"
    fleet.engine.redrive_execution("uncalled", run.name)
    ended = run.wait(20)
    assert ended.status == "Succeeded", (ended.error, ended.cause)
    returned = of_type(history(fleet.engine, ended), EventType.TASK_SUCCEEDED)
    assert len(returned) == 1
    fleet.assert_nothing_left()


def test_a_failed_stream_can_be_skipped(fleet: Stack) -> None:
    streamed = fleet.stream("skipped", stream_step("give", "fail", "tell"), CALL)
    with pytest.raises(ExecutionFailed):
        read(streamed)
    fleet.engine.skip_step("skipped", streamed.execution.name, "stream", output={"bytes": 0})
    assert streamed.execution.wait(20).status == "Succeeded"
    fleet.assert_nothing_left()
