"""Fixtures that every kind of test may use: real servers, never stand-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedRedis]:
    """One real server for each test process."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of that server, emptied for this test."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the emptied server; it returns bytes."""
    with redis.Redis.from_url(redis_url) as client:
        yield client
