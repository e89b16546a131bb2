"""The connection that streams need: it gives bytes, and notices when Redis no longer answers."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ANSWER_S = 10.0
"""When an answer counts as lost: much more than streams wait in Redis at once."""
CONNECT_S = 5.0


def connect(url: str) -> Redis:
    """A client for `Edge` and `StreamBridge`. Nothing is asked of Redis yet.

    It repeats nothing by itself: streams know how long to be patient.

    Raises:
        ValueError: `url` is no URL of a Redis.
    """
    return Redis.from_url(
        url,
        decode_responses=False,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=CONNECT_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )
