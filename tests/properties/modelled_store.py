"""The store with its model beside it: every call is made of both, and they have to agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from engine.runtime.claims import Claim
from engine.runtime.scripts import Answer
from engine.runtime.store import ExecutionStore
from tests.driven import WatchedScripts
from tests.driving import Died
from tests.properties.store_model import StoreModel


@dataclass(frozen=True, slots=True)
class Hitch:
    """What happens to a process while it works with the store.

    `twice`: each reply is lost, and its call made again. `what` happens before or after a call, at
    the look of that number, two for each call: "dies", or the name of what somebody else does;
    with `twice`, a claim comes between a call and its repetition.
    """

    twice: bool = False
    what: str = ""
    look: int = 0


NO_HITCH = Hitch()

REMEMBERED = ("settle", "fork", "wake", "item")
"""Verbs that know a call again after somebody else has gone on from there."""


class ModelledScripts(WatchedScripts):
    """The verbs, each of them called of the model, too.

    `somebody` does by name what happens in between; the flow that is worked on comes with it.
    """

    def __init__(
        self, redis: Redis, model: StoreModel, somebody: Callable[[str, str], None]
    ) -> None:
        super().__init__(redis)
        self.redis, self.model, self.somebody = redis, model, somebody
        self.wrong: list[str] = []
        self.hitch = NO_HITCH
        self.looks = 0

    def call(self, verb: str, keys: Sequence[str], order: dict[str, Any], *more: str) -> Answer:
        """As the verbs'."""
        self._look(order)
        queued = self.redis.llen(keys[10]) != 0
        answer = super().call(verb, keys, order, *more)
        expected = self.model.call(verb, order, [answer.verdict, *answer.values], queued)
        if answer.verdict != expected:
            self.wrong.append(f"{verb} says {answer}, not {expected}: {order}")
        if self.hitch.twice:
            if self.hitch.what == "claims" and verb in REMEMBERED:
                self._somebody(order)
            again = super().call(verb, keys, order, *more)
            if _timeless(verb, again) != _timeless(verb, answer):
                self.wrong.append(f"{verb} says {again} when repeated, not {answer}: {order}")
        self._look(order)
        return answer

    def _look(self, order: dict[str, Any]) -> None:
        self.looks += 1
        if not self.hitch.what or self.looks != self.hitch.look:
            return
        if self.hitch.what == "dies":
            raise Died
        self._somebody(order)

    def _somebody(self, order: dict[str, Any]) -> None:
        mine, self.hitch = self.hitch, NO_HITCH
        self.somebody(mine.what, str(order["id"]).partition(":")[0])
        self.hitch = Hitch(mine.twice)


def _timeless(verb: str, answer: Answer) -> Any:
    """An answer without what tells the time."""
    if verb not in ("claim", "lane"):
        return answer
    return answer.verdict, answer.values[:1] if answer.applied else ()


class Late:
    """A store in which a claim was made some time ago."""

    def __init__(self, store: ExecutionStore, claim: Claim) -> None:
        self._store, self._claim = store, claim

    def claim(self, *_: Any) -> Claim:
        """What was claimed then."""
        return self._claim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
