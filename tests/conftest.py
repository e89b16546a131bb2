"""Fixtures that every kind of test may use: real servers, never stand-ins."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import fakeredis
import pytest
import redis

from engine.runtime.embedded import EmbeddedRedis


def pytest_configure() -> None:
    """A shell that starts us in the background has us, and all we start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What collecting has made stays to the end: looking through it again costs half a second."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(params=["fakeredis", "server"])
def any_redis(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client that returns texts, of fakeredis and of the emptied server: the same must hold."""
    if request.param == "fakeredis":
        server = fakeredis.FakeServer()
        yield fakeredis.FakeStrictRedis(server=server, decode_responses=True)
        return
    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client
