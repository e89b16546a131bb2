"""Runs: helpers, seats, leases, how a run ends and what is left of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from redis import Redis

from streams.errors import StreamCancelled
from streams.run import RunStatus, StreamBridge
from streams.stop import Stop
from tests.edges import binary, rings
from tests.waiting import wait_until

PREFIX = "penstock:{s:4f2a}"
PLAN = {"segments": [["split", "compress"], ["watermark"]]}
LEASE_S = 30.0


@pytest.fixture
def client(any_redis: Redis) -> Redis:
    return binary(any_redis)


@pytest.fixture
def bridge(client: Redis) -> StreamBridge:
    return StreamBridge(client, PREFIX, "run1")


def opened(bridge: StreamBridge, seats: int = 2, claim_within_s: float = 60.0) -> None:
    bridge.begin()
    bridge.open(PLAN, seats, claim_within_s=claim_within_s)


def claimed(bridge: StreamBridge, seat: int, holder: str, lease_s: float = LEASE_S) -> int:
    epoch = bridge.claim(seat, holder, lease_s)
    assert epoch is not None
    return epoch


def in_thread(what: Callable[[], Any]) -> Callable[[], Any]:
    """Starts it; the call waits for what it returns."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(what()), daemon=True)
    thread.start()

    def wait() -> Any:
        thread.join(5)
        assert found, "it goes on"
        return found[0]

    return wait


def test_epochs_rise_over_all_runs_of_a_prefix(client: Redis, bridge: StreamBridge) -> None:
    other = StreamBridge(client, PREFIX, "run2")
    epochs = [b.next_epoch() for b in (bridge, other, bridge)]
    opened(other)
    epochs.append(claimed(other, 0, "lead"))
    assert epochs == [1, 2, 3, 4]


def test_a_lead_gathers_helpers_and_seats_them(bridge: StreamBridge) -> None:
    assert bridge.begin()
    assert not bridge.begin()
    gathered = in_thread(lambda: bridge.offers(2, 5))
    tickets = [bridge.offer(holder) for holder in ("a", "b", "a")]
    assert tickets == [1, 2, 1]
    assert gathered() == 2
    seats = [in_thread(partial(bridge.seat, ticket, 5)) for ticket in (1, 2)]
    assert bridge.open(PLAN, 2) == PLAN
    # The first helper has the seat beside the lead's; the other one is dismissed.
    assert [seat() for seat in seats] == [1, None]
    assert bridge.offer("late") is None
    assert bridge.plan() == PLAN


def test_a_lead_does_not_wait_for_ever(bridge: StreamBridge) -> None:
    bridge.begin()
    bridge.offer("a")
    assert bridge.offers(2, 0.1) == 1
    assert bridge.offers(0, 0) == 1
    assert bridge.seat(1, 0.1) is None


@pytest.mark.parametrize("wait_s", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.0109])
def test_a_wait_ends_however_short_it_is(bridge: StreamBridge, wait_s: float) -> None:
    assert bridge.offers(1, wait_s) == 0
    assert bridge.seat(1, wait_s) is None


def test_the_first_plan_holds(bridge: StreamBridge) -> None:
    opened(bridge)
    assert bridge.open({"other": "plan"}, 7) == PLAN
    assert bridge.status().seats == 2
    assert bridge.status().opened_ms > 1_600_000_000_000


def test_the_first_that_tells_a_fact_settles_it(bridge: StreamBridge, client: Redis) -> None:
    with pytest.raises(StreamCancelled):
        bridge.agree("version", "early")
    opened(bridge)
    assert bridge.agree("version", "one") == "one"
    assert StreamBridge(client, PREFIX, "run1").agree("version", "two") == "one"
    assert bridge.agree("other", "") == ""
    bridge.close()
    with pytest.raises(StreamCancelled):
        bridge.agree("version", "late")
    assert not client.exists(bridge.key)


def test_nobody_helps_a_run_that_was_not_begun(bridge: StreamBridge, client: Redis) -> None:
    assert bridge.offer("a") is None
    assert bridge.seat(1, 0) is None
    assert bridge.claim(0, "a", LEASE_S) is None
    assert bridge.plan() is None
    assert bridge.status() == RunStatus("gone")
    with pytest.raises(StreamCancelled):
        bridge.open(PLAN, 1)
    with pytest.raises(StreamCancelled):
        bridge.edge(0).create()
    assert client.keys() == []


def test_a_seat_has_one_holder_while_the_lease_lives(bridge: StreamBridge) -> None:
    opened(bridge)
    first = claimed(bridge, 1, "a")
    assert bridge.claim(1, "b", LEASE_S) is None
    assert claimed(bridge, 1, "a") == first
    assert bridge.claim(2, "b", LEASE_S) is None
    assert bridge.renew(1, first, LEASE_S)
    assert bridge.status().takeovers == {}


def test_a_lost_seat_is_taken_over_under_a_new_epoch(bridge: StreamBridge) -> None:
    opened(bridge)
    lead = claimed(bridge, 0, "lead")
    first = claimed(bridge, 1, "a", lease_s=0.05)
    wait_until(lambda: bridge.lost() == [1])
    second = claimed(bridge, 1, "b")
    assert second > first
    assert bridge.lost() == []
    assert not bridge.renew(1, first, LEASE_S)
    assert not bridge.leave(1, first, {})
    assert bridge.renew(0, lead, LEASE_S)
    assert bridge.status().takeovers == {1: 1}


def test_a_seat_that_nobody_comes_to_is_lost(bridge: StreamBridge) -> None:
    opened(bridge, claim_within_s=0.05)
    claimed(bridge, 0, "lead")
    wait_until(lambda: bridge.lost() == [1])
    claimed(bridge, 1, "lead")
    assert bridge.status().takeovers == {}


def test_a_run_is_done_when_all_seats_have_left(bridge: StreamBridge) -> None:
    opened(bridge)
    epochs = [claimed(bridge, seat, f"h{seat}") for seat in range(2)]
    assert bridge.leave(1, epochs[1], {"chunks": 7})
    assert bridge.status().state == "running"
    assert bridge.claim(1, "other", LEASE_S) is None
    for _ in range(2):
        assert bridge.leave(0, epochs[0], {})
    status = bridge.status()
    assert (status.state, status.is_over) == ("done", True)
    assert status.outcomes == {0: {}, 1: {"chunks": 7}}
    assert not bridge.renew(0, epochs[0], LEASE_S)
    bridge.fail("Too.Late", "", "")
    assert bridge.status().state == "done"


def test_the_first_failure_holds_and_edges_stay_readable(bridge: StreamBridge) -> None:
    opened(bridge)
    epoch = claimed(bridge, 0, "lead")
    edge = bridge.edge(0)
    edge.create()
    edge.writer(epoch, Stop(), resume_seq=None).write(b"before")
    bridge.fail("InvalidImage", "row 7", "split")
    bridge.fail("Other", "x", "join")
    bridge.cancel("stopped")
    status = bridge.status()
    assert (status.state, status.error, status.cause) == ("failed", "InvalidImage", "row 7")
    assert status.stage == "split"
    assert not bridge.renew(0, epoch, LEASE_S)
    assert bridge.claim(1, "b", LEASE_S) is None


def test_edges_of_a_failed_run_can_be_read_until_it_is_closed(bridge: StreamBridge) -> None:
    opened(bridge)
    edge = bridge.edge(0)
    edge.create()
    edge.writer(1, Stop(), resume_seq=None).write(b"before")
    bridge.fail("InvalidImage", "row 7", "split")
    assert next(iter(edge.reader(1, Stop()))) == b"before"
    with pytest.raises(StreamCancelled):
        bridge.edge(1).create()


def test_a_cancelled_run_ends_its_edges(bridge: StreamBridge) -> None:
    opened(bridge)
    edge = bridge.edge(3, lane=1)
    edge.create()
    reader = edge.reader(1, Stop())
    reading = in_thread(lambda: pytest.raises(StreamCancelled, next, iter(reader)))
    bridge.cancel("client gone")
    assert reading()
    assert (bridge.status().state, bridge.status().cause) == ("cancelled", "client gone")
    with pytest.raises(StreamCancelled):
        edge.create()


def test_nothing_is_left_of_a_closed_run_but_the_epochs(
    bridge: StreamBridge, client: Redis
) -> None:
    bridge.begin()
    files = rings(client, bridge.key)
    bridge.offer("a")
    bridge.open(PLAN, 2)
    edge = bridge.edge(0, shared=True)
    edge.create()
    writer = edge.writer(claimed(bridge, 0, "lead"), Stop(), resume_seq=None)
    writer.write(bytes(100_000))
    assert files() == 1
    life: Any = [client.ttl(key) for key in client.keys()]  # type: ignore[union-attr]
    assert min(life) > 0
    bridge.close()
    bridge.close()
    assert client.keys() == [f"{PREFIX}:epoch".encode()]
    assert files() == 0
    for late in (lambda: writer.write(b"x"), edge.create, lambda: bridge.open(PLAN, 2)):
        with pytest.raises(StreamCancelled):
            late()
    assert bridge.offer("late") is None
    assert len(client.keys()) == 1  # type: ignore[arg-type]


def test_shared_memory_of_another_host_goes_when_its_process_sees_the_end(
    bridge: StreamBridge, client: Redis
) -> None:
    opened(bridge)
    files = rings(client, bridge.key)
    there = StreamBridge(client, PREFIX, "run1")
    edge = there.edge(0, shared=True)
    edge.create()
    edge.writer(1, Stop(), resume_seq=None).write(bytes(100_000))
    there.clean_host()
    assert files() == 1
    # As on another host, where closing does not reach these files.
    client.delete(bridge.key)
    there.clean_host()
    assert files() == 0


def test_a_seat_that_is_kept_keeps_all_keys_of_its_run(client: Redis) -> None:
    bridge = StreamBridge(client, PREFIX, "run1", ttl_s=0.4)
    opened(bridge)
    edge = bridge.edge(0)
    edge.create()
    epoch = claimed(bridge, 0, "lead")
    keys = set(client.keys())  # type: ignore[arg-type]
    renewed = 0
    while renewed < 8:
        wait_until(lambda: client.pttl(bridge.key) < 250)  # type: ignore[operator]
        assert bridge.renew(0, epoch, LEASE_S)
        renewed += 1
    assert set(client.keys()) == keys  # type: ignore[arg-type]


def test_a_lost_answer_changes_nothing_in_a_run(any_redis: Redis) -> None:
    lossy = binary(any_redis, loses_answers=True)
    bridge = StreamBridge(lossy, PREFIX, "run1")
    bridge.begin()
    assert [bridge.offer(holder) for holder in "ab"] == [1, 2]
    assert bridge.offers(2, 1) == 2
    assert bridge.open(PLAN, 2) == PLAN
    assert bridge.seat(1, 1) == 1
    epochs = [claimed(bridge, seat, f"h{seat}") for seat in range(2)]
    assert epochs == [1, 2]
    for seat, epoch in enumerate(epochs):
        assert bridge.renew(seat, epoch, LEASE_S)
        assert bridge.leave(seat, epoch, {"seat": seat})
    status = bridge.status()
    assert (status.state, status.outcomes) == ("done", {0: {"seat": 0}, 1: {"seat": 1}})
    assert status.takeovers == {}
    assert lossy.lost > 10  # type: ignore[attr-defined]


def test_a_stop_ends_waiting(client: Redis) -> None:
    stop = Stop()
    bridge = StreamBridge(client, PREFIX, "run1", stop=stop)
    bridge.begin()
    waiting = in_thread(lambda: pytest.raises(StreamCancelled, bridge.offers, 1, 60))
    stop.set("shutdown")
    assert waiting()
