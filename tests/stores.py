"""Stores: the Redis of a test, and what may be left in it."""

from __future__ import annotations

import re
from typing import Any

from redis import Redis

LASTING = re.compile(
    r"[\w.-]+:(\{p\d+\}:(executions(:.+)?|figures|fires|(schedules|versions|aliases)(:.+)?"
    r"|(timers|dispatch|lease)\..+)|flows|definitions|secret|keys|audit)"
    r"|_kombu\.binding\..+|unacked.*"
)
"""Keys that may stay without a time to live when nothing runs (docs/operations.md, "Keys")."""


def without_ttl(redis: Redis) -> list[str]:
    """The keys that stay for ever and should not."""
    keys = [str(key) for key in redis.scan_iter(count=1000)]
    return sorted(key for key in keys if life_s(redis, key) == -1 and not LASTING.fullmatch(key))


def life_s(redis: Redis, key: str) -> int:
    """How long a key still lives, in seconds; -1: for ever, -2: it is not there."""
    seconds: Any = redis.ttl(key)
    return int(seconds)


def keys_of(redis: Redis, execution_id: str) -> dict[str, int]:
    """The keys of an execution with what each takes in memory, in bytes."""
    found: dict[str, int] = {}
    for key in redis.scan_iter(match=f"*:{execution_id}", count=1000):
        usage: Any = redis.memory_usage(key, samples=0)
        found[str(key)] = int(usage)
    return found
