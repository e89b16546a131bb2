"""Commands: the calls that streams make of Redis, repeated while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Self, TypeVar

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streams.errors import StreamUnavailable
from streams.stop import Stop

AWAY = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
"""What may be over soon: no connection, no answer, loading, no memory, a replica."""

LARGEST_SETTING = "proto-max-bulk-len"
LARGEST_BYTES = 512 * 1024 * 1024
"""Redis' own limit of a value. It closes the connection to who sends more, and says no reason."""

SHORTEST_WAIT_S = 0.01
"""Redis to 6.2 cuts waits to whole ms, and so a wait of 1 ms, in its arithmetic, to 0: for ever."""

FIRST_PAUSE_S = 0.001
MOST_PAUSE_S = 0.5

Answer = TypeVar("Answer")


class Commands:
    """One Redis as streams use it. Every call may have been made more often than it was answered.

    `redis` returns bytes. `stop` ends the patience.
    """

    def __init__(self, redis: Redis, patience_s: float, stop: Stop | None = None) -> None:
        if redis.connection_pool.connection_kwargs.get("decode_responses"):
            raise ValueError("streams need a Redis client that returns bytes: decode_responses off")
        self._redis: Any = redis
        self._patience_s = patience_s
        self._stop = stop or Stop()
        self._scripts = _scripts(redis)

    def stopped_by(self, stop: Stop) -> Self:
        """The same for an end that `stop` ends."""
        return type(self)(self._redis, self._patience_s, stop)

    def call(self, *command: Any) -> Any:
        """One command. It must be one that may come twice.

        Raises:
            StreamUnavailable: no answer for `patience_s`.
            StreamCancelled: `stop` was set while Redis was away.
            redis.exceptions.ResponseError: Redis refuses it.
        """
        return self._patiently(lambda: self._redis.execute_command(*command))

    def pop(self, key: str, timeout_s: float) -> bytes | None:
        """The first of a list; None if none comes in time, which is SHORTEST_WAIT_S at least.

        Blocking. Raises as `call`.
        """
        found = self.call("BLPOP", key, max(SHORTEST_WAIT_S, timeout_s))
        return found[1] if found else None

    def script(self, verb: str, keys: Sequence[str], *values: Any) -> Any:
        """One script. Raises as `call`."""
        script = self._scripts[verb]
        return self._patiently(lambda: script(keys=keys, args=values))

    def stream_end(self, stream: str) -> tuple[str, bytes | None] | None:
        """The last id that a stream has seen and the `h` of its last entry; None: it is gone.

        Cost: O(size of its first and last entry). Raises as `call`.
        """
        try:
            answer = self.call("XINFO", "STREAM", stream)
        except ResponseError:
            return None
        facts = dict(zip(answer[::2], answer[1::2], strict=True))
        last = facts[b"last-entry"]
        return facts[b"last-generated-id"].decode(), last[1][1] if last else None

    def largest_bytes(self) -> int:
        """The largest value that Redis takes; where it does not tell, what it takes by default."""
        try:
            told = self.call("CONFIG", "GET", LARGEST_SETTING)
        except ResponseError:  # an account that may not ask
            return LARGEST_BYTES
        pairs = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
        return int(pairs.get(LARGEST_SETTING.encode(), LARGEST_BYTES))

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        gone_at: float | None = None
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return attempt()
            except (*AWAY, ResponseError) as error:
                if not _may_pass(error):
                    raise
                now = time.monotonic()
                gone_at = now if gone_at is None else gone_at
                if now - gone_at >= self._patience_s:
                    text = f"Redis has not answered for {self._patience_s:g} s: {error}"
                    raise StreamUnavailable(text) from error
            self._stop.wait(pause_s)
            self._stop.check()
            pause_s = min(2 * pause_s, MOST_PAUSE_S)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, AWAY) or str(error).startswith("MISCONF")


def _scripts(redis: Redis) -> dict[str, Callable[..., Any]]:
    return {name: redis.register_script(text) for name, text in _TEXTS.items()}


_TEXTS = {
    file.name.removesuffix(".lua"): file.read_text()
    for file in (files("streams") / "lua").iterdir()
    if file.name.endswith(".lua")
}
