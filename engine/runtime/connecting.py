"""Connecting: the clients of the store's Redis, with the patience that each needs."""

from __future__ import annotations

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from engine.config import without_password
from engine.errors import StoreUnavailable

RETRIES = 8
"""How often a command is repeated when its reply is lost: every script may be repeated."""

ANSWER_S = 30.0
CONNECT_S = 5.0
MOST_PAUSE_S = 1.0
"""The longest pause before a command is repeated."""


def quick_answer_s(lease_s: float) -> float:
    """When an answer counts as lost for who has leases to renew: all within one lease, with the
    pause before the question is repeated and the one between two renewals.
    """
    return lease_s / 3


def connect(url: str, one_connection: bool = False, answer_s: float = ANSWER_S) -> Redis:
    """A client for the store, with a pool of connections or just one.

    `answer_s`: when an answer counts as lost; short for those who have leases to keep, since a
    connection may be dead without a word.

    Raises:
        StoreUnavailable: the URL cannot be used, or nobody answers there.
    """
    place = without_password(url)
    pause_s = min(MOST_PAUSE_S, answer_s / 2)
    try:
        redis = Redis.from_url(
            url,
            single_connection_client=one_connection,
            decode_responses=True,
            health_check_interval=25,
            socket_connect_timeout=min(CONNECT_S, answer_s),
            socket_timeout=answer_s,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=pause_s, base=0.01), RETRIES),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
        )
        redis.ping()
    except ValueError:  # its text may quote a part of a password
        form = "redis://:password@host:6379/0, with %2F for a / in the password"
        raise StoreUnavailable(f"{place} is no URL of a Redis; write {form}") from None
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"cannot use Redis at {place}: {error}") from None
    return redis
