"""Crowds: very many stored executions, made quickly as copies of one that has really run."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from engine.runtime.keys import Keys

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Crowd:
    """Copies of `model`, an execution of `flow` that has ended, with other names and times.

    The copy of a number began `number` × `apart_ms` before the model; every `rare_each`-th one has
    the status `rare`.
    """

    flow: str
    model: str
    count: int
    apart_ms: int = 50
    rare: str = "Failed"
    rare_each: int = 1000

    def name(self, number: int) -> str:
        """The name of a copy, numbers from 1."""
        return f"{self.model}-{number:06}"


def store_crowd(redis: Redis, keys: Keys, crowd: Crowd) -> None:
    """Stores a crowd with its records, histories and places in the indexes."""
    model = f"{crowd.flow}:{crowd.model}"
    began_ms = int(str(redis.hget(keys.record(model), "started_ms")))
    kinds = (keys.record, keys.history, keys.frames, keys.joins, keys.results, keys.payloads)
    kept = [kind for kind in kinds if redis.exists(kind(model))]
    for first in range(1, crowd.count + 1, AT_ONCE):
        with redis.pipeline(transaction=False) as pipe:
            for number in range(first, min(first + AT_ONCE, crowd.count + 1)):
                identity = f"{crowd.flow}:{crowd.name(number)}"
                for kind in kept:
                    pipe.copy(kind(model), kind(identity), replace=True)
                started_ms = began_ms - number * crowd.apart_ms
                told = {"name": crowd.name(number), "started_ms": str(started_ms)}
                if number % crowd.rare_each == 0:
                    told["status"] = crowd.rare
                pipe.hset(keys.record(identity), mapping=told)
                for index in (keys.executions, keys.executions_of(crowd.flow)):
                    pipe.zadd(index, {identity: started_ms})
            pipe.execute()
