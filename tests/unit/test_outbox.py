"""The outbox and its relay: what a script writes for another broker arrives there, in order.

The other broker is a second database of the test's Redis, as Celery's transport for it has it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from engine.config import Settings
from engine.errors import BrokerUnavailable, InvalidArgument
from engine.runtime.broker import Broker
from engine.runtime.building import make_runtime
from engine.runtime.canvas import make_app
from engine.runtime.claims import Claim, Holder
from engine.runtime.outbox import Outbox
from engine.runtime.pointer import Pointer
from engine.runtime.probe import check_relayed_wire, shape
from engine.runtime.runtime import Runtime
from engine.runtime.starting import Start, start
from engine.runtime.sweeping import Sweeper
from tests.acceptance.servers import free_port
from tests.waiting import wait_until
from workers.relay import Relay

FLOW = "version: v1\ntype: flow\nsteps:\n- {type: pass, name: only}\n"
QUEUE = "penstock"


class Stand:
    """A runtime whose messages are for another broker, and the relay between them."""

    def __init__(self, url: str, broker_url: str) -> None:
        settings = Settings.model_validate({"broker_url": broker_url})
        self.runtime: Runtime = make_runtime(url, settings)
        self.state: Any = self.runtime.store.redis
        self.key = self.runtime.store.keys.outbox
        assert self.runtime.broker is not None
        self.outbox = Outbox(self.state, self.key)
        self.relay = Relay(self.outbox, self.runtime.broker)
        self.runtime.definitions.create("flow", FLOW)

    def start(self, *names: str) -> None:
        for name in names:
            start(self.runtime, Start("flow", name, {}))

    def names(self, texts: list[Any]) -> list[str]:
        """The executions that messages are about."""
        return [json.loads(text)["headers"]["root_id"].partition(":")[2] for text in texts]

    def waiting_here(self) -> list[str]:
        """What is in the outbox, the oldest first."""
        return self.names(self.state.lrange(self.key, 0, -1)[::-1])


@pytest.fixture
def other_url(redis_url: str) -> str:
    return redis_url.removesuffix("/0") + "/1"


@pytest.fixture
def other(other_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(other_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def stand(redis_url: str, other_url: str) -> Iterator[Stand]:
    made = Stand(redis_url, other_url)
    yield made
    made.relay.broker.close()


@pytest.fixture
def cut_off(redis_url: str) -> Stand:
    """Its broker is not there."""
    return Stand(redis_url, f"amqp://guest:guest@127.0.0.1:{free_port()}//")


def test_a_message_is_written_with_the_change_of_the_state(stand: Stand, other: Any) -> None:
    stand.start("a")
    assert stand.waiting_here() == ["a"]
    assert stand.state.exists(QUEUE) == 0 and other.dbsize() == 0
    stand.start("a")  # by name: it is there
    assert stand.waiting_here() == ["a"]


def test_messages_arrive_in_their_order_and_the_outbox_is_empty(stand: Stand, other: Any) -> None:
    names = [f"e-{number}" for number in range(250)]
    stand.start(*names)
    carried = [stand.relay.carry(0.1) for _ in range(4)]
    assert carried == [100, 100, 50, 0]
    assert stand.names(other.lrange(QUEUE, 0, -1)[::-1]) == names
    assert stand.state.exists(stand.key) == 0


def test_a_message_arrives_as_the_envelope_says(stand: Stand, other: Any) -> None:
    stand.start("a")
    written = shape(json.loads(stand.state.lindex(stand.key, 0)))
    stand.relay.carry(0.1)
    arrived = shape(json.loads(other.lindex(QUEUE, 0)))
    for message in (written, arrived):
        del message["properties"]["delivery_tag"]
    assert arrived == written


def test_messages_that_the_broker_does_not_get_are_put_back_in_their_order(cut_off: Stand) -> None:
    cut_off.start("a", "b", "c")
    for _ in range(3):
        with pytest.raises(BrokerUnavailable, match="cannot use the broker at amqp://guest:") as no:
            cut_off.relay.carry(0.1)
        assert "guest:guest" not in str(no.value)
        assert cut_off.waiting_here() == ["a", "b", "c"]


def test_a_relay_goes_on_by_itself_once_the_broker_is_there(
    redis_url: str, stand: Stand, other: Any
) -> None:
    stand.start("a", "b")
    lost = Relay(stand.outbox, Broker(make_app(redis_url, QUEUE, 3600.0, _nowhere())))
    with pytest.raises(BrokerUnavailable):
        lost.carry(0.1)
    while stand.relay.carry(0.1):
        pass
    assert stand.names(other.lrange(QUEUE, 0, -1)[::-1]) == ["a", "b"]


def test_one_message_that_the_broker_refuses_is_not_in_the_way(stand: Stand, other: Any) -> None:
    stand.start("poisoned", "b", "c")
    text = stand.state.rpop(stand.key)
    poisoned = json.loads(text)
    poisoned["properties"]["delivery_info"]["routing_key"] = "taken"
    other.hset("taken", "by", "something else than a queue")
    stand.state.rpush(stand.key, json.dumps(poisoned))
    for _ in range(6):
        try:
            stand.relay.carry(0.1)
        except BrokerUnavailable:
            continue
    assert sorted(stand.names(other.lrange(QUEUE, 0, -1))) == ["b", "c"]
    assert stand.waiting_here() == ["poisoned"]


def _nowhere() -> str:
    return f"amqp://127.0.0.1:{free_port()}//"


def _unclaimed(stand: Stand, name: str) -> dict[str, str]:
    """Lets the deadline of an execution's message pass, and sweeps; its record."""
    redis, keys = stand.state, stand.runtime.store.keys
    for member in redis.zrange(keys.dispatch, 0, -1):
        redis.zincrby(keys.dispatch, -60_000, member)
    Sweeper(stand.runtime).sweep()
    return stand.runtime.store.record(f"flow:{name}")


def test_a_message_that_is_in_the_outbox_still_is_not_lost(stand: Stand) -> None:
    stand.start("a")
    assert "redispatches" not in _unclaimed(stand, "a")
    assert stand.waiting_here() == ["a"]


def test_a_message_that_waits_at_the_broker_is_not_lost(stand: Stand) -> None:
    stand.start("a")
    stand.relay.carry(0.1)
    assert "redispatches" not in _unclaimed(stand, "a")


def test_a_message_that_is_nowhere_is_sent_again(stand: Stand) -> None:
    stand.start("a")
    assert len(stand.outbox.take(0.1)) == 1  # by a relay that dies of it
    assert _unclaimed(stand, "a")["redispatches"] == "1"
    assert stand.waiting_here() == ["a"]


def test_a_message_is_not_taken_for_lost_while_the_broker_is_away(cut_off: Stand) -> None:
    cut_off.start("a")
    cut_off.outbox.take(0.1)
    assert "redispatches" not in _unclaimed(cut_off, "a")


def test_a_lost_message_is_sent_again_once_a_younger_one_is_claimed(stand: Stand) -> None:
    stand.start("a")
    stand.outbox.take(0.1)
    before = stand.state.time()
    wait_until(lambda: stand.state.time() > (before[0], before[1] + 2000))
    stand.start("b")
    stand.relay.carry(0.1)
    state = stand.runtime.store.state("flow:b", "")
    assert state is not None
    pointer = Pointer("flow", "b", "", 1, "", state["fence"], "begin")
    assert isinstance(stand.runtime.store.claim(pointer, Holder("w", "r")), Claim)
    assert _unclaimed(stand, "a")["redispatches"] == "1"


def test_a_broker_that_does_not_answer_holds_nobody_up_for_long(redis_url: str) -> None:
    """The sweeper asks it, who has leases to renew."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}//"
        held_up = Stand(redis_url, url)
        held_up.start("a")
        begun = time.monotonic()
        for _ in range(3):
            assert "redispatches" not in _unclaimed(held_up, "a")
        assert time.monotonic() - begun < 3


def test_the_form_of_relayed_messages_is_that_of_the_installed_celery(
    stand: Stand, other: Any
) -> None:
    app, broker = stand.runtime.canvas.app, stand.relay.broker
    check_relayed_wire(app, broker)
    assert other.keys("*") == []


def test_the_broker_of_no_url_that_there_is_a_transport_for_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"no transport for nosuch://x:\*\*\*@host"):
        Broker(make_app("redis://localhost:6379/0", QUEUE, 3600.0, "nosuch://x:secret@host/"))


@pytest.mark.parametrize(
    ("broker_url", "other"),
    [
        (None, False),
        ("redis://host:6379/0", False),
        ("redis://:secret@host", False),
        ("redis://host:6379/1", True),
        ("redis://host:6380/0", True),
        ("redis://elsewhere/0", True),
        ("amqp://host//", True),
    ],
)
def test_a_broker_is_another_one_unless_it_is_the_redis_of_the_state(
    broker_url: str | None, other: bool
) -> None:
    settings = Settings.model_validate({"broker_url": broker_url})
    assert settings.other_broker("redis://host/0") == (broker_url if other else None)


def test_a_redis_that_is_not_the_configured_one_is_its_own_broker() -> None:
    given = {"broker_url": "amqp://host//", "redis_url": "redis://host/0"}
    settings = Settings.model_validate(given)
    assert settings.at("redis://host/0").broker_url is not None
    assert settings.at("redis://127.0.0.1:12345/0").broker_url is None
