"""Health: what a Redis says of itself, and what of it endangers executions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from engine.errors import InvalidArgument, StoreFull, StoreUnavailable

OLDEST_VERSION = (6, 2)

_OUT_OF_MEMORY = "OOM command not allowed"
_FULL = (
    "Redis has no memory left (maxmemory); nothing was changed, and running executions wait: raise"
    " its maxmemory, or keep ended executions for a shorter time (PENSTOCK_RETENTION_S)"
)


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """What was read. `policy` is None where the server does not tell its settings.

    `skew_s`: how far this machine's clock is ahead of the server's; `round_trip_s`: one question.
    """

    version: str
    append_only: bool
    policy: str | None
    memory_bytes: int
    memory_limit_bytes: int
    skew_s: float
    round_trip_s: float

    @property
    def version_number(self) -> tuple[int, ...]:
        """The version, to be compared; () if the server does not tell one."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())


def read_health(redis: Redis) -> RedisHealth:
    """Asks the server. Cost: O(1).

    Raises:
        StoreUnavailable: it does not answer.
    """
    with redis_errors():
        started = time.time()
        seconds, micros = redis.time()  # type: ignore[misc]  # the client is the synchronous one
        ended = time.time()
        info: Any = redis.info()
    return RedisHealth(
        version=str(info.get("redis_version", "?")),
        append_only=bool(info.get("aof_enabled")),
        policy=info.get("maxmemory_policy"),
        memory_bytes=int(info.get("used_memory", 0)),
        memory_limit_bytes=int(info.get("maxmemory", 0)),
        skew_s=(started + ended) / 2 - (seconds + micros / 1e6),
        round_trip_s=ended - started,
    )


def storage_warnings(redis: Redis) -> tuple[str, ...]:
    """What may lose executions on this server, a line each; () when all is well.

    Raises:
        StoreUnavailable: it does not answer.
    """
    health = read_health(redis)
    found: list[str] = []
    if not health.append_only:
        found.append(
            "this Redis does not persist (appendonly no): its restart loses all executions;"
            " set appendonly yes"
        )
    if health.policy not in (None, "noeviction"):
        found.append(
            f"this Redis may evict keys (maxmemory-policy {health.policy}), running executions"
            " too; set maxmemory-policy noeviction"
        )
    return tuple(found)


def waiting_messages(redis: Redis, queue: str) -> int:
    """Messages in a Celery queue that no worker has taken. Cost: O(1). Raises StoreUnavailable."""
    with redis_errors():
        return int(redis.llen(queue))  # type: ignore[arg-type]  # the client is the synchronous one


@contextmanager
def redis_errors() -> Iterator[None]:
    """Within the block (or function) a Redis that fails raises StoreUnavailable, of one line.

    A text that cannot be sent to it raises InvalidArgument.
    """
    try:
        yield
    except UnicodeEncodeError:
        raise InvalidArgument("half a surrogate pair, as in \\ud800 alone, is no text") from None
    except ResponseError as error:
        if _OUT_OF_MEMORY in str(error):  # a script's error has it in its middle
            raise StoreFull(_FULL) from None
        raise StoreUnavailable(f"Redis refuses: {error}") from None
    except RedisError as error:
        raise StoreUnavailable(f"Redis does not answer: {error}") from None
