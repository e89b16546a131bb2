"""Ageing: time passes for a store by moving what is stored, instead of waiting."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from engine.runtime.keys import Keys

_TIMES = ("due", "since", "limit")


def pass_time(redis: Redis, keys: Keys, seconds: float) -> None:
    """Makes everything stored that much older. Nobody else may be at work meanwhile."""
    past_ms = round(seconds * 1000)
    for key in (keys.timers, keys.lease, keys.dispatch):
        for member in redis.zrange(key, 0, -1):  # type: ignore[union-attr]
            redis.zincrby(key, -past_ms, member)
    for member in redis.zrange(keys.schedules, 0, -1):  # type: ignore[union-attr]
        _age_schedule(redis, keys, str(member), past_ms)
    for identity in redis.zrange(keys.executions, 0, -1):  # type: ignore[union-attr]
        _age_states(redis, keys.states(str(identity)), past_ms)
        _age_record(redis, keys.record(str(identity)), past_ms)


def _age_states(redis: Redis, key: str, past_ms: int) -> None:
    states: Any = redis.hgetall(key)
    for frame, text in states.items():
        state = json.loads(text)
        older = {at: state[at] - past_ms for at in _TIMES if at in state}
        redis.hset(key, frame, json.dumps(state | older))


def _age_record(redis: Redis, record: str, past_ms: int) -> None:
    """Makes what a record says of times that much older."""
    if redis.hexists(record, "expire_ms"):
        redis.hincrbyfloat(record, "expire_ms", -past_ms)
    for field in ("paused", "resuming"):
        if text := redis.hget(record, field):
            told = json.loads(str(text))
            redis.hset(record, field, json.dumps(told | {"at": told["at"] - past_ms}))


def _age_schedule(redis: Redis, keys: Keys, member: str, past_ms: int) -> None:
    """Makes a schedule stand, and have begun to count, that much earlier: whole seconds."""
    key = keys.schedule(*member.split("/"))
    config = json.loads(str(redis.hget(key, "config")))
    redis.hset(key, "config", json.dumps(config | {"anchor": config["anchor"] - past_ms // 1000}))
    if redis.hexists(key, "next_ms"):
        stands: Any = redis.hincrby(key, "next_ms", -(past_ms // 1000) * 1000)
        redis.zadd(keys.fires, {member: stands})
