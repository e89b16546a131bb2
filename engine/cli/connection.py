"""The connection of a command: the engine on the configured Redis, or a clear refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from engine.config import load_settings
from engine.errors import StoreUnavailable
from engine.runtime.engine import Engine
from engine.runtime.health import redis_errors, storage_warnings


@contextmanager
def configured_engine(warn: bool = False) -> Iterator[Engine]:
    """The engine of `PENSTOCK_REDIS_URL`; with `warn`, what may lose executions goes to stderr.

    Raises:
        StoreUnavailable: none is configured, it does not answer, or it goes away in the block.
    """
    settings = load_settings()
    if settings.redis_url is None:
        raise StoreUnavailable("no Redis: set PENSTOCK_REDIS_URL (redis://:password@host:6379/0)")
    with engine_at(settings.redis_url.get_secret_value(), warn) as engine:
        yield engine


@contextmanager
def engine_at(url: str, warn: bool = False) -> Iterator[Engine]:
    """The engine on that Redis; as `configured_engine` in all else."""
    with redis_errors():
        engine = Engine(url, load_settings().at(url))
        if warn:
            for warning in storage_warnings(engine.runtime.store.redis):
                typer.echo(f"penstock: warning: {warning}", err=True)
        yield engine
