"""Nonces: a signed request counts once."""

from __future__ import annotations

import hashlib

from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime


class Nonces:
    """Remembers the nonces of signed requests, for as long as their time is accepted."""

    def __init__(self, runtime: Runtime) -> None:
        self._redis = runtime.store.redis
        self._prefix = runtime.store.keys.prefix

    @redis_errors()
    def is_new(self, key_id: str, nonce: str, life_s: float) -> bool:
        """True for the first to come with a nonce within `life_s`. Atomic. Cost: O(1)."""
        digest = hashlib.sha256(f"{key_id}\0{nonce}".encode()).hexdigest()[:32]
        life_ms = round(life_s * 1000)
        return bool(self._redis.set(f"{self._prefix}:nonce:{digest}", "1", nx=True, px=life_ms))
