"""The outbox: messages that scripts have written for another broker than the Redis of the state."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis

from engine.runtime.scripts import STORE_ERRORS

BATCH = 100
"""The most messages that are handed on at once."""

CARRIED = ("correlation_id", "reply_to", "delivery_mode", "priority")
"""The properties of a message that are not about the queue it is in."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as any broker takes it. `properties`: those of AMQP, by their names there."""

    queue: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]


def parcel_of(envelope: str) -> Parcel:
    """What an envelope, a message in the form of Celery's Redis transport, says. Pure."""
    told = json.loads(envelope)
    properties = told["properties"]
    return Parcel(
        queue=properties["delivery_info"]["routing_key"],
        body=base64.b64decode(told["body"]),
        content_type=told["content-type"],
        content_encoding=told["content-encoding"],
        headers=told["headers"],
        properties={name: properties[name] for name in CARRIED if name in properties},
    )


class Outbox:
    """One shard's outbox, for any number of relays at once. First in, first out."""

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key

    def take(self, wait_s: float, most: int = BATCH) -> list[str]:
        """The oldest envelopes; [] if there is none within `wait_s`. Blocking. Cost: O(most).

        They are nobody's until they have been handed on: should they be lost here, the dispatch
        deadlines of their frames have them sent again.
        """
        found: Any = self._redis.brpop([self._key], timeout=wait_s)
        if not found:
            return []
        taken = [str(found[1])]
        if most > 1:
            with suppress(*STORE_ERRORS):  # what was taken already must not be lost by it
                more: Any = self._redis.rpop(self._key, most - 1)
                taken += map(str, more or ())
        return taken

    def put_back(self, envelopes: Sequence[str], behind: bool = False) -> None:
        """Puts taken envelopes in front of all others, in their order; `behind`: after them."""
        if behind:
            self._redis.lpush(self._key, *envelopes)
        else:
            self._redis.rpush(self._key, *reversed(envelopes))

    def size(self) -> int:
        """How many wait. Cost: O(1)."""
        return int(self._redis.llen(self._key))  # type: ignore[arg-type]  # the client is the synchronous one
