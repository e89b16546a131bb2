"""The local stack: the Redis and the worker that one command runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from engine.cli.owned_process import OwnedProcess
from engine.cli.worker import worker_command
from engine.config import Settings, load_settings, variable_of
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.heap import heap_environment

RESOURCE_GRACE_S = 1.0
"""Nobody but the command's own worker will ever serve its tasks: no use in waiting for others."""


@contextmanager
def redis_for(settings: Settings) -> Iterator[str]:
    """The URL of the configured Redis, else of an embedded one that ends with the block.

    Raises:
        StoreUnavailable: none is configured and there is no server to start.
    """
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    with EmbeddedRedis() as server:
        yield server.url


def own_worker(
    url: str,
    tasks: Sequence[str],
    say: Callable[[str], None],
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> OwnedProcess:
    """A worker for that Redis with these tasks, not started yet."""
    named = [word for source in tasks for word in ("--tasks", source)]
    command = worker_command(["--while-stdin", "--log-level", "warning", *named, *options])
    given = {**heap_environment(), **environment_at(url), **(environment or {})}
    return OwnedProcess("worker", command, given, lambda line: line == "ready", say)


def environment_at(url: str) -> dict[str, str]:
    """What tells an owned process to work on that Redis; one of our own is its own broker."""
    given = {variable_of("redis_url"): url}
    if load_settings().at(url).broker_url is None:
        given[variable_of("broker_url")] = ""
    return given


def alone(settings: Settings) -> dict[str, str]:
    """The environment of a worker that is alone on an embedded Redis; what the user set stays."""
    if settings.redis_url is not None or "resource_grace_s" in settings.model_fields_set:
        return {}
    return {variable_of("resource_grace_s"): f"{RESOURCE_GRACE_S:g}"}
