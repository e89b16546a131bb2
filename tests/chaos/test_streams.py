"""Streams in bad times: kills, processes that stand still, Redis away, callers that go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.errors import ExecutionFailed
from engine.runtime.engine import Engine
from tests.acceptance.streamed_tasks import mixed
from tests.acceptance.streaming import (
    Stack,
    closed,
    given,
    opened,
    pids,
    read,
    stack,
    stream_step,
    traces_of,
)
from tests.chaos import streams
from tests.chaos.proxy import Proxy
from tests.chaos.streams import (
    COUNT,
    LEASE_S,
    LEASES,
    SIZE,
    STAGES,
    at_work,
    begin,
    kill_worker,
    worker_of,
    wrong_with,
)
from tests.waiting import wait_until

STANDS_STILL_S = 3 * LEASE_S
AWAY_S = 3.0
GONE_S = 16.0
"""How soon an execution is stopped whose caller was killed."""

RETRY = "\nretry: [{errors: [Test.Broken], intervalSeconds: 0.05, maxAttempts: 2}]"
CALLER = """
import sys
from engine.runtime.engine import Engine
url, flow, place, size = sys.argv[1:]
told = {"place": place, "size": int(size), "pause_s": 0.05}
source = (bytes(50_000) for _ in range(10_000))
streamed = Engine(url).stream(flow, told, source, name="called")
for chunk in streamed:
    print(len(chunk), flush=True)
"""


def often(values: Iterable[object], few: Collection[object]) -> list[Any]:
    """Parameters of which every change runs a few, and `make chaos` all."""
    long = pytest.mark.chaos_long
    return [pytest.param(one, marks=[] if one in few else long) for one in values]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Stack]:
    """Four workers of one slot each, which may not survive."""
    with stack(tmp_path, [1] * streams.WORKERS, LEASES) as made:
        yield made


@pytest.mark.parametrize("number", often(range(6), {1, 3}))
def test_a_stream_goes_on_when_the_process_of_a_stage_is_killed(fleet: Stack, number: int) -> None:
    """Three stages, by turn: first their processes alone, then with their workers."""
    outcome = streams.kill(fleet, Random(number), number)
    assert outcome.wrong == (), outcome


@pytest.mark.parametrize("retry", often(["", RETRY], {""}))
def test_a_stage_without_a_state_that_reads_from_the_caller_goes_on(
    fleet: Stack, retry: str
) -> None:
    """With a retry it begins anew: what the caller has sent is kept for the next run."""
    steps = stream_step("mix", "chain", more=f"fuse: false{retry}")
    streamed = fleet.stream("first", steps, _told(0.02), iter(given(COUNT, SIZE)))
    reading = streams.Reading(streamed)
    os.kill(at_work(fleet, reading, fleet.place, stage="chain")[0], signal.SIGKILL)
    assert wrong_with(reading) == []
    assert streams.twice(fleet.place) <= 2 or retry
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_stage_without_a_state_that_writes_to_the_caller_goes_on(fleet: Stack) -> None:
    steps = stream_step("cut", "mix", more="fuse: false")
    source = given(COUNT, SIZE)
    streamed = fleet.stream("last", steps, _told(0.02), b"".join(source))
    reading = streams.Reading(streamed)
    os.kill(at_work(fleet, reading, fleet.place, stage="mix")[1], signal.SIGKILL)
    assert reading.wait(40) and reading.error is None, reading.error
    assert reading.sha256.digest() == sha256(b"".join(map(mixed, source))).digest()
    assert streams.twice(fleet.place) <= 2
    output = streamed.execution.describe().output
    assert output is not None and output["bytes"] == COUNT * SIZE, output
    (told,) = closed(fleet, streamed)
    assert [edge["chunks"] for edge in told["edges"][1:]] == [COUNT] * 2
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_lane_of_several_goes_on(fleet: Stack) -> None:
    steps = stream_step("give", "mix, concurrency: 2", "chain", more="fuse: false")
    streamed = fleet.stream("lanes", steps, _told(0.02) | {"count": COUNT})
    reading = streams.Reading(streamed)
    victim = at_work(fleet, reading, fleet.place, stage="chain")[2]
    os.kill(victim, signal.SIGKILL)
    assert wrong_with(reading) == []
    assert victim in traces_of(fleet.place, "mix")
    assert streams.twice(fleet.place) <= 2
    fleet.assert_nothing_left()


@pytest.mark.parametrize("stage", often(STAGES, {"mix"}))
def test_a_process_that_stood_still_finds_its_part_taken(fleet: Stack, stage: str) -> None:
    """The first stage is the lead's: another one leads by then."""
    reading, place = begin(fleet, "sleeper", pause_s=0.06)
    sleeper = worker_of(fleet, at_work(fleet, reading, place)[STAGES.index(stage)])
    os.killpg(sleeper.pid, signal.SIGSTOP)
    threading.Event().wait(STANDS_STILL_S)
    os.killpg(sleeper.pid, signal.SIGCONT)
    assert wrong_with(reading) == []
    assert len(traces_of(place, stage)) == 2
    fleet.assert_nothing_left()


def test_a_lead_that_stood_still_leaves_to_the_caller_what_its_successor_wrote(
    fleet: Stack,
) -> None:
    """The caller has not read it yet when the lead finds that its run is over."""
    steps, count = stream_step("give", "tell", more="fuse: true"), 30
    streamed = fleet.stream("late", steps, {"count": count, "size": SIZE, "pause_s": 0.05})
    first = next(streamed)
    sleeper = worker_of(fleet, opened(fleet, streamed)[0]["segments"][0]["pid"])
    os.killpg(sleeper.pid, signal.SIGSTOP)
    wait_until(lambda: streamed.execution.describe().status.ended, 20)
    os.killpg(sleeper.pid, signal.SIGCONT)
    threading.Event().wait(2)  # its last look at the run comes within a tenth of that
    assert first + read(streamed) == b"".join(given(count, SIZE))
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_source_object_that_changes_before_a_successor_reads_it_is_refused(
    fleet: Stack,
) -> None:
    source = fleet.place / "source"
    source.write_bytes(b"".join(given(COUNT, SIZE)))
    steps = stream_step("cut", "mix", more="fuse: false\nsource: $.from")
    streamed = fleet.stream("changing", steps, _told(0.02) | {"from": str(source)})
    reading = streams.Reading(streamed)
    victim = at_work(fleet, reading, fleet.place, stage="mix")[0]
    os.kill(victim, signal.SIGKILL)
    other = fleet.place / "other"
    other.write_bytes(b"".join(given(COUNT + 1, SIZE)))
    other.replace(source)
    assert reading.wait(40)
    assert isinstance(reading.error, ExecutionFailed)
    assert reading.error.error == "ObjectChanged", reading.error
    fleet.assert_nothing_left()


def test_lead_and_helper_may_die_together(fleet: Stack) -> None:
    reading, place = begin(fleet, "both")
    for pid in at_work(fleet, reading, place)[:2]:
        os.kill(pid, signal.SIGKILL)
    assert wrong_with(reading) == []
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_without_a_spare_slot_a_helper_goes_on_for_a_dead_lead(tmp_path: Path) -> None:
    with stack(tmp_path, [1, 1], LEASES) as pair:
        reading, place = begin(pair, "spare")
        lead = at_work(pair, reading, place)[0]
        kill_worker(pair, worker_of(pair, lead))
        assert wrong_with(reading) == []
        pair.assert_nothing_left()


@pytest.mark.chaos_long
def test_all_workers_may_die_and_others_go_on(fleet: Stack) -> None:
    reading, place = begin(fleet, "all")
    at_work(fleet, reading, place)
    for worker in list(fleet.workers):
        kill_worker(fleet, worker)
    fleet.worker(1)
    assert wrong_with(reading) == []
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_who_takes_over_elsewhere_does_not_find_what_is_in_shared_memory(fleet: Stack) -> None:
    reading, place = begin(fleet, "elsewhere")
    at_work(fleet, reading, place)
    assert opened(fleet, reading.streamed)[0]["via"] == "memory"
    other = place / "memory"
    other.mkdir()
    for worker in list(fleet.workers):
        kill_worker(fleet, worker)
    here, fleet.env["PENSTOCK_STREAM_MEMORY"] = fleet.env["PENSTOCK_STREAM_MEMORY"], str(other)
    fleet.worker(1)
    assert reading.wait(40)
    assert isinstance(reading.error, ExecutionFailed)
    assert reading.error.error == "StreamLost", reading.error
    fleet.assert_nothing_left()
    assert [*Path(here).glob("*/*")] != [], "it is of a host that is not there: it has its sweep"


def test_a_worker_that_is_told_to_end_hands_its_part_on(tmp_path: Path) -> None:
    with stack(tmp_path, [1] * 4, LEASES | {"PENSTOCK_SHUTDOWN_GRACE_S": "1"}) as fleet:
        reading, place = begin(fleet, "drained")
        victims = at_work(fleet, reading, place)
        for pid in victims[:2]:
            worker = worker_of(fleet, pid)
            os.kill(worker.pid, signal.SIGTERM)
            fleet.workers.remove(worker)
        assert wrong_with(reading) == []
        fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_redis_that_stands_still_changes_nothing(fleet: Stack) -> None:
    reading, place = begin(fleet, "still")
    at_work(fleet, reading, place)
    pid = fleet.server.pid  # it is asked of the server
    os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(AWAY_S)
    os.kill(pid, signal.SIGCONT)
    assert wrong_with(reading) == []
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_network_that_is_away_changes_nothing(tmp_path: Path) -> None:
    with stack(tmp_path) as fleet:
        parts = urlsplit(fleet.url)
        assert parts.hostname and parts.port
        proxy = Proxy((parts.hostname, parts.port))
        url = fleet.url.replace(f":{parts.port}/", f":{proxy.port}/")
        for _ in range(4):
            fleet.worker(1, url=url)
        reading, place = begin(fleet, "away")
        at_work(fleet, reading, place)
        proxy.refuses = True
        proxy.cut()
        threading.Event().wait(AWAY_S)
        proxy.refuses = False
        assert wrong_with(reading) == []
        fleet.assert_nothing_left()
        fleet.close()
        proxy.close()


def test_the_stream_of_a_caller_that_is_killed_is_stopped(fleet: Stack) -> None:
    fleet.engine.create_flow("kills", f"version: v1\ntype: flow\nsteps:\n{streams.FLOW}")
    command = [sys.executable, "-c", CALLER, fleet.url, "kills", str(fleet.place), str(SIZE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None and caller.stdout.readline()
        caller.kill()
    ended = fleet.engine.wait("kills", "called", GONE_S)
    assert (ended.status, ended.error) == ("Stopped", "CallerGone")
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_caller_that_stops_reading_ends_the_stream(tmp_path: Path) -> None:
    with stack(tmp_path, [2, 2], {"PENSTOCK_STREAM_IDLE_S": "2"}) as fleet:
        told = {"count": 400, "size": SIZE}
        streamed = fleet.stream("slow", stream_step("give", "mix"), told)
        next(streamed)
        ended = streamed.execution.wait(20)
        assert (ended.status, ended.error) == ("Failed", "StreamIdle")
        with pytest.raises(ExecutionFailed, match="StreamIdle"):
            read(streamed)
        fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_caller_that_sends_nothing_ends_the_stream(tmp_path: Path) -> None:
    with stack(tmp_path, [2, 2], {"PENSTOCK_STREAM_IDLE_S": "2"}) as fleet:
        over = threading.Event()

        def slow() -> Iterator[bytes]:
            yield from given(2, SIZE)
            over.wait(20)

        streamed = fleet.stream("mute", stream_step("cut", "mix"), {"size": SIZE}, slow())
        with pytest.raises(ExecutionFailed, match="StreamIdle"):
            read(streamed)
        over.set()
        fleet.assert_nothing_left()


def test_a_caller_that_closes_stops_the_stream_at_once(fleet: Stack) -> None:
    streamed = fleet.stream("closed", streams.FLOW, _told(0.02), b"".join(given(COUNT, SIZE)))
    next(streamed)
    begun = time.monotonic()
    streamed.close()
    assert streamed.execution.wait(5).error == "CallerClosed"
    wait_until(lambda: not fleet.left(), 5)
    assert time.monotonic() - begun < 5


@pytest.mark.chaos_long
def test_a_caller_that_lets_its_stream_go_closes_it(fleet: Stack) -> None:
    streamed = fleet.stream("dropped", streams.FLOW, _told(0.02), b"".join(given(COUNT, SIZE)))
    next(streamed)
    execution = streamed.execution
    del streamed
    assert execution.wait(5).error == "CallerClosed"
    fleet.assert_nothing_left()


@pytest.mark.chaos_long
def test_a_name_streams_to_one_caller(fleet: Stack) -> None:
    streamed = fleet.stream("named", streams.FLOW, _told(0.02), b"".join(given(COUNT, SIZE)))
    engine = Engine(fleet.url)
    name = streamed.execution.name
    with pytest.raises(Exception, match="another program"):
        engine.stream("named", {}, name=name)
    assert len(read(streamed)) == COUNT * (SIZE + 32)
    assert len(pids(opened(fleet, streamed)[0])) == len(STAGES)


def _told(pause_s: float) -> dict[str, object]:
    return {"size": SIZE, "pause_s": pause_s}
