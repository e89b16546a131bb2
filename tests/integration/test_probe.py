"""The probe of Celery's message form, against the installed Celery and a real Redis."""

from __future__ import annotations

import json

import pytest
import redis

from engine.runtime.canvas import Canvas, Sending, make_app
from engine.runtime.pointer import Pointer
from engine.runtime.probe import WireMismatch, check_wire, differences

POINTER = Pointer("flow", "run", "step", 1, "", "fence", "task")


def _envelope(redis_url: str) -> str:
    app = make_app(redis_url, "penstock")
    return Canvas(app).envelope(Sending("resize", POINTER, "penstock", "id"))


def test_our_messages_have_the_form_of_the_installed_celery(redis_url: str) -> None:
    check_wire(make_app(redis_url, "penstock"), redis_url)


def test_a_probe_leaves_nothing_behind(redis_url: str, redis_client: redis.Redis) -> None:
    app = make_app(redis_url, "penstock")
    check_wire(app, redis_url)
    assert redis_client.keys("*") == []
    assert list(app.amqp.queues) == ["penstock"]


def test_another_form_is_refused_with_what_differs(
    redis_url: str, redis_client: redis.Redis
) -> None:
    app = make_app(redis_url, "penstock")
    app.conf.task_protocol = 1
    with pytest.raises(WireMismatch, match=r"message\.headers\.root_id is ours alone") as refused:
        check_wire(app, redis_url)
    assert "message.body.task is missing in ours" in refused.value.differences
    assert redis_client.keys("*") == []


def test_a_key_more_less_or_of_another_type_is_a_difference(redis_url: str) -> None:
    ours = _envelope(redis_url)
    theirs = json.loads(ours)
    theirs["headers"]["novelty"] = 1
    del theirs["properties"]["priority"]
    theirs["headers"]["retries"] = "0"
    assert differences(json.dumps(theirs), ours) == [
        "message.headers.novelty is missing in ours",
        "message.headers.retries is str, ours int",
        "message.properties.priority is ours alone",
    ]
