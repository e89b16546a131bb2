"""The Lua verbs as typed functions: one order in, one verdict out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from engine.runtime.crashing import crash_at_verb

STORE_ERRORS = (RedisError,)
"""What is raised when the store cannot be reached, after the client's own retries."""

JOINING = frozenset("settle fork lane item resend batch_lost forget abort tune".split())
"""Verbs that touch join counters."""

PRELUDE = ("prelude", "tallies", "history", "standing")
"""What is put before every verb on one execution."""

MOVING = frozenset({"start", "move"})
"""Verbs with which a schedule goes on to its next fire time."""

BARE = frozenset("sweep renew publish unpublish alias schedule move uncount".split())
"""Verbs that are not about one execution: the prelude is not theirs."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Verdict(StrEnum):
    """What a verb says it did. Callers match on it."""

    APPLIED = "APPLIED"
    REPEATED = "REPEATED"
    STALE = "STALE"
    MISSING = "MISSING"
    EARLY = "EARLY"
    ENDING = "ENDING"
    PAUSED = "PAUSED"
    MOVED = "MOVED"
    EMPTY = "EMPTY"
    WAITING = "WAITING"
    FOREIGN = "FOREIGN"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and what came with it."""

    verdict: Verdict
    values: tuple[Any, ...] = ()

    @property
    def applied(self) -> bool:
        """True when the verb did it, now or in an earlier call with the same id."""
        return self.verdict is Verdict.APPLIED


class Scripts:
    """The verbs, registered at one Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        folder = files("engine.runtime") / "lua"
        prelude = "".join((folder / f"_{part}.lua").read_text() for part in PRELUDE)
        joins = "".join((folder / f"_{part}.lua").read_text() for part in ("joins", "ranges"))
        moving = (folder / "_moving.lua").read_text()
        self._scripts = {}
        for file in folder.iterdir():
            name = file.name.removesuffix(".lua")
            if not file.name.endswith(".lua") or name.startswith("_"):
                continue
            head = "" if name in BARE else prelude + (joins if name in JOINING else "")
            head += moving if name in MOVING else ""
            self._scripts[name] = redis.register_script(head + file.read_text())

    def call(self, verb: str, keys: Sequence[str], order: dict[str, Any], *more: str) -> Answer:
        """Runs a verb. Atomic, Idempotent by order["call"]. Cost: as the script's header says."""
        reply = self._run(verb, keys, order, *more)
        return Answer(Verdict(reply[0]), tuple(reply[1:]))

    def raw(self, verb: str, keys: Sequence[str], order: dict[str, Any]) -> Any:
        """Runs a verb that has no verdict. Atomic."""
        return self._run(verb, keys, order)

    def _run(self, verb: str, keys: Sequence[str], order: dict[str, Any], *more: str) -> Any:
        crash_at_verb("before", verb)
        reply = self._scripts[verb](keys=keys, args=[_encode(order), *more])
        crash_at_verb("after", verb)
        return reply
