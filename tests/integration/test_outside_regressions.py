"""What comes from outside, each once handled wrongly: inputs, tokens, updates, settings."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from engine.config import Settings, without_password
from engine.errors import ConcurrentUpdateError, InvalidArgument, StoreUnavailable
from engine.runtime.connecting import connect
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.reports import report
from tests.driving import Driver
from workers.inputs import TaskInput

HEAD = "version: v1\ntype: flow\nsteps:\n"
LONG = HEAD + "- {type: wait, name: w, duration: 5000}\n"
ONE = HEAD + "- {type: task, name: work, resourceArn: 'x:work'}\n"


@pytest.fixture
def client(redis_server: EmbeddedRedis) -> Redis:
    found: Redis = Redis.from_url(redis_server.url, decode_responses=True)
    found.flushall()
    return found


def driver(client: Redis) -> Driver:
    return Driver(client, {"x:work": lambda input, ctx: {}})


def test_a_text_that_utf8_cannot_write_is_refused(client: Redis) -> None:
    found = driver(client)
    found.deploy(LONG)
    with pytest.raises(InvalidArgument):
        found.start({"name": "a\udcff"})


def test_an_object_that_looks_like_a_stored_value_stays_what_it_is(client: Redis) -> None:
    strange = {"v": {"a": 1, "\0payload": "x"}, "w": {"\0payload": "x.3"}, "pad": "p" * 3000}
    ended = driver(client).run(ONE, strange)
    assert (ended.status, ended.input) == ("Succeeded", strange)


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA" * 40, None, 5])
def test_what_is_no_token_is_an_invalid_argument(client: Redis, token: Any) -> None:
    with pytest.raises(InvalidArgument):
        report(driver(client).runtime, token, {})


def test_an_update_of_a_flow_that_was_deleted_meanwhile_does_not_bring_it_back(
    client: Redis,
) -> None:
    definitions = driver(client).runtime.definitions
    old = definitions.create("flow", LONG)
    definitions.delete("flow")
    with pytest.raises(ConcurrentUpdateError):
        definitions.replace(old, old)
    assert definitions.names() == []


def test_a_value_that_a_task_sets_in_its_input_stays_the_same_object() -> None:
    given, mine = TaskInput({"items": [1]}), [2]
    given["items"] = mine
    assert given["items"] is mine


def test_a_second_installation_has_a_queue_of_its_own() -> None:
    assert Settings(key_prefix="other").queue == "other"
    assert Settings(key_prefix="other", queue="mine").queue == "mine"


@pytest.mark.parametrize("place", [":S3C/x@127.0.0.1:1/0", "127.0.0.1:1/0?password=S3C"])
def test_no_part_of_a_password_is_told_when_a_url_is_wrong(place: str) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        connect(f"redis://{place}")
    assert "S3C" not in str(refused.value) + without_password(f"redis://{place}")


def test_whoever_changes_what_was_described_changes_nothing_else(client: Redis) -> None:
    found = driver(client)
    found.run(ONE, {"items": list(range(2000))})
    found.describe().input["items"].clear()
    assert found.describe().input == {"items": list(range(2000))}
