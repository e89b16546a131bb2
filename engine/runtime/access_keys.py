"""Access keys: who may call the API, and what for."""

from __future__ import annotations

import builtins
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum

from engine.config import Settings, variable_of
from engine.errors import AccessDenied, AccessKeyNotExists, InvalidArgument
from engine.runtime.auditing import AuditLog
from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime

ID_PREFIX = "PK"
ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that people take for others."""

ID_LENGTH = 18
MAX_NAME = 128


class Role(StrEnum):
    """What a key is for; each role may do what those before it may.

    A viewer reads. An operator starts, stops, pauses, redrives. An approver also reports the tasks
    that wait for somebody. An admin also changes flows, schedules and keys.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """True when this role may do what is for `needed`."""
        order = builtins.list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key. `secret`: "" in lists. `created_time`: None for one of the environment."""

    id: str
    role: Role
    name: str
    secret: str = field(repr=False)
    created_time: float | None


class AccessKeys:
    """The keys that are stored, and those of `PENSTOCK_API_KEYS`.

    A request is signed with the key's secret itself (HMAC-SHA1), so no hash of it would do. It is
    not stored either: it is derived from the key's id with the secret of the tokens. Where that
    one is in the environment (`PENSTOCK_TOKEN_SECRET`), who reads Redis cannot sign.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._redis = runtime.store.redis
        self._hash = runtime.store.keys.access_keys
        self._audit = AuditLog(runtime)

    @redis_errors()
    def create(self, role: str, name: str = "") -> AccessKey:
        """Makes a key; its secret is not shown again.

        Raises:
            InvalidArgument: there is no such role, or the name is too long.
        """
        wanted = role_of(role)
        if len(name) > MAX_NAME:
            raise InvalidArgument(f"the key's name has {len(name)} letters, at most {MAX_NAME}")
        letters = (secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH))
        key_id = ID_PREFIX + "".join(letters)
        secret, now = self._secret(key_id), time.time()
        kept = {"role": wanted, "name": name, "created_time": now, "check": _check(secret)}
        self._redis.hset(self._hash, key_id, json.dumps(kept))
        self._audit.record("CreateAccessKey", key_id, {"role": wanted, "name": name})
        return AccessKey(key_id, wanted, name, secret, now)

    @redis_errors()
    def find(self, key_id: str) -> AccessKey | None:
        """The key of an id, with its secret; None: there is none. Cost: O(1).

        Raises:
            AccessDenied: `PENSTOCK_TOKEN_SECRET` is another than when the key was made.
        """
        for key in configured(self._runtime.store.settings):
            if hmac.compare_digest(key.id.encode(), key_id.encode()):
                return key
        text = self._redis.hget(self._hash, key_id)
        if text is None:
            return None
        secret, kept = self._secret(key_id), json.loads(str(text))
        if kept["check"] != _check(secret):
            raise AccessDenied(
                f"{key_id} was made with another {variable_of('token_secret')}: make a new key"
            )
        return _key(key_id, kept, secret)

    @redis_errors()
    def any(self) -> bool:
        """True when there is any key at all."""
        return bool(configured(self._runtime.store.settings) or self._redis.hlen(self._hash))

    @redis_errors()
    def list(self) -> builtins.list[AccessKey]:
        """All keys without their secrets: those of the environment, then the oldest first."""
        rows = self._redis.hgetall(self._hash)
        stored = [_key(key_id, json.loads(text), "") for key_id, text in rows.items()]  # type: ignore[union-attr]
        stored.sort(key=lambda key: key.created_time or 0)
        own = [
            AccessKey(key.id, key.role, key.name, "", None)
            for key in configured(self._runtime.store.settings)
        ]
        return own + stored

    @redis_errors()
    def delete(self, key_id: str) -> None:
        """Takes a key away; requests with it are refused at once. Raises AccessKeyNotExists."""
        if not self._redis.hdel(self._hash, key_id):
            raise AccessKeyNotExists(f"there is no stored access key {key_id!r}")
        self._audit.record("DeleteAccessKey", key_id)

    def _secret(self, key_id: str) -> str:
        return self._runtime.tokens.derive(f"access-key:{key_id}")


def role_of(text: str) -> Role:
    """The role of that name. Raises InvalidArgument."""
    try:
        return Role(text)
    except ValueError:
        raise InvalidArgument(f"there is no role {text!r}; there are {', '.join(Role)}") from None


def configured(settings: Settings) -> list[AccessKey]:
    """The keys of `PENSTOCK_API_KEYS`; one without a role is an admin's.

    Raises:
        InvalidArgument: it cannot be read; what it says is not shown.
    """
    if settings.api_keys is None:
        return []
    entries = settings.api_keys.get_secret_value().split(",")
    return [_configured(entry.strip()) for entry in entries if entry.strip()]


def _configured(entry: str) -> AccessKey:
    key_id, _, rest = entry.partition(":")
    secret, _, role = rest.partition(":")
    if not key_id or not secret or (role or "admin") not in tuple(Role):
        known = ", ".join(Role)
        raise InvalidArgument(
            f"{variable_of('api_keys')}: write id:secret or id:secret:role, separated by commas; "
            f"roles are {known}"
        )
    return AccessKey(key_id, Role(role or "admin"), "environment", secret, None)


def _key(key_id: str, kept: dict[str, object], secret: str) -> AccessKey:
    made = kept["created_time"]
    assert isinstance(made, float)
    return AccessKey(key_id, Role(str(kept["role"])), str(kept["name"]), secret, made)


def _check(secret: str) -> str:
    """Tells whether a secret is the one that was shown, and nothing else about it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
