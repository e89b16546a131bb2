"""Building: the runtime of one process, out of a URL and the settings."""

from __future__ import annotations

import secrets

from redis import Redis

from engine.config import Settings
from engine.runtime.broker import QUICK_S, Broker
from engine.runtime.canvas import Canvas, make_app
from engine.runtime.connecting import ANSWER_S, connect
from engine.runtime.definitions import Definitions
from engine.runtime.fleet import Fleet
from engine.runtime.keys import Keys
from engine.runtime.runtime import Runtime
from engine.runtime.store import ExecutionStore
from engine.runtime.streaming import Streams
from engine.runtime.tokens import Tokens


def make_runtime(
    url: str, settings: Settings, one_thread: bool = False, answer_s: float = ANSWER_S
) -> Runtime:
    """The runtime of one process; quicker for `one_thread`, whose calls never overlap.

    `answer_s`: when an answer of Redis counts as lost.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    redis = connect(url, one_thread, answer_s)
    broker_url = settings.other_broker(url)
    app = make_app(url, settings.queue, settings.visibility_timeout_s, broker_url)
    store = ExecutionStore(redis, settings, outbox=broker_url is not None)
    return Runtime(
        store=store,
        canvas=Canvas(app, store.clock.now_s),
        definitions=Definitions(redis, store.keys),
        fleet=Fleet(redis, store.keys),
        tokens=Tokens(_secret(redis, store.keys, settings)),
        streams=Streams(url, settings, store.keys, redis),
        broker=Broker(app, QUICK_S) if broker_url is not None else None,
    )


def _secret(redis: Redis, keys: Keys, settings: Settings) -> str:
    """The secret of tokens: from the settings, else one that the installation shares."""
    if settings.token_secret is not None:
        return settings.token_secret.get_secret_value()
    redis.set(keys.secret, secrets.token_urlsafe(32), nx=True)
    return str(redis.get(keys.secret))
