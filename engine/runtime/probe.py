"""The probe: one message sent by Celery itself, held against the form in which we write ours."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

from redis import Redis

from engine.errors import EngineError
from engine.runtime.broker import Broker
from engine.runtime.canvas import RESUME, App, Canvas, Sending
from engine.runtime.outbox import parcel_of
from engine.runtime.pointer import Pointer

SCRATCH = "penstock.probe"
"""Beginning of the name of the queue that a probe is sent to, and that is deleted with it."""

BINDINGS = "_kombu.binding."
"""Where Celery's Redis transport keeps what it declares."""


class WireMismatch(EngineError):
    """Celery writes messages in another form than this version of the engine does."""

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        super().__init__(
            "the messages of the installed Celery and kombu differ from those of the engine: "
            f"{'; '.join(differences)}; install versions in the range that penstock requires"
        )


def check_wire(app: App, redis_url: str) -> None:
    """Sends one message by Celery to a queue of its own and compares it with our envelope of it.

    Raises:
        WireMismatch: their keys, or the shape of their bodies, are not the same.
        redis.exceptions.RedisError: Redis cannot be reached.
    """
    sending = _probe()
    canvas = Canvas(app)
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        try:
            canvas.publish(sending)
            sent = redis.lindex(sending.queue, 0)
        finally:
            redis.delete(sending.queue, f"{BINDINGS}{sending.queue}")
    if found := differences(str(sent), canvas.envelope(sending)):
        raise WireMismatch(found)


def check_relayed_wire(app: App, broker: Broker) -> None:
    """As `check_wire` elsewhere: a message of Celery's and one of the relay's, as they arrive.

    Raises:
        WireMismatch. BrokerUnavailable: the broker cannot be reached.
    """
    canvas, sending = Canvas(app), _probe()
    ours = parcel_of(canvas.envelope(sending))
    with broker.scratch(sending.queue) as take:
        canvas.publish(sending)
        theirs = take()
        broker.publish([ours])
        if found := list(_differences("message", _arrived(theirs), _arrived(take()))):
            raise WireMismatch(found)


def differences(theirs: str, ours: str) -> list[str]:
    """What the shapes of two messages differ in: one line for each place."""
    return list(_differences("message", shape(json.loads(theirs)), shape(json.loads(ours))))


def shape(message: dict[str, Any]) -> dict[str, Any]:
    """A message with its body decoded, its parts numbered."""
    return message | {"body": _numbered(base64.b64decode(message["body"]))}


def _probe() -> Sending:
    """A message to a queue of its own. Every field is set, so that no header is left out."""
    queue = f"{SCRATCH}.{uuid.uuid4().hex}"
    pointer = Pointer("probe", "probe", "probe", 1, "", "0", "resume")
    return Sending(
        RESUME, pointer, queue, uuid.uuid4().hex, "parent", "shown", 60.0, 1, group="group"
    )


def _arrived(message: Any) -> dict[str, Any]:
    """The shape of a message that has come from a broker."""
    return {
        "headers": message.headers,
        # Celery leaves it out for tasks that the process knows: it is the same.
        "properties": {"priority": 0} | dict(message.properties),
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "body": _numbered(message.body),
    }


def _numbered(text: str | bytes) -> Any:
    body = json.loads(text)
    if isinstance(body, list):
        return {str(number): part for number, part in enumerate(body)}
    return body


def _differences(place: str, theirs: Any, ours: Any) -> Iterator[str]:
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        # A different value is no different form; a different type is, unless there is none.
        if None not in (theirs, ours) and type(theirs) is not type(ours):
            yield f"{place} is {type(theirs).__name__}, ours {type(ours).__name__}"
        return
    for key in sorted(theirs.keys() ^ ours.keys()):
        yield f"{place}.{key} is {'missing in ours' if key in theirs else 'ours alone'}"
    for key in sorted(theirs.keys() & ours.keys()):
        yield from _differences(f"{place}.{key}", theirs[key], ours[key])
