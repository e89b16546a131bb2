"""Driving: an engine without worker processes, whose messages a test holds in its hand.

A Driver takes the engine's messages out of their queues and delivers them in an order that a seed
draws: late, twice, or never; it lets workers die between any two calls of the store, and makes
time pass by moving what is stored instead of waiting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.runtime import views
from engine.runtime.claims import Holder
from engine.runtime.conductor import Conductor
from engine.runtime.ending import Ending
from engine.runtime.fleet import ANNOUNCE_TTL_S, WorkerInfo
from engine.runtime.pointer import Pointer
from engine.runtime.scripts import Verdict
from engine.runtime.starting import Start, start
from engine.runtime.sweeping import Sweeper
from engine.runtime.views import Execution
from tests.ageing import pass_time
from tests.driven import (
    DrawnLanes,
    FunctionRunner,
    Message,
    TaskFunction,
    WatchedScripts,
    make_runtime,
    message_of,
)

DEEPEST = 2
"""Messages that are worked on while others wait in the middle of theirs."""

MOST_ACTIONS = 20_000


class Died(BaseException):
    """The worker that was at a message has died; no handler of the product may catch it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What may go wrong, as chances from 0 to 1.

    twice: a message is delivered again some time later. lost: it never arrives. early: it comes
    before its time. between: another message is worked on between two calls of one worker.
    death: the worker dies before or after a call of the store, or in the middle of a task.
    stall: it stands still there for so long that others take over what it was at, and goes on.
    """

    twice: float = 0.0
    lost: float = 0.0
    early: float = 0.0
    between: float = 0.0
    death: float = 0.0
    stall: float = 0.0


QUIET = Trouble()


class Driver:
    """Workers, broker and clock of a test, all in one hand.

    `slots` and `functions` are announced as one worker's; `batch`: the longest batch.
    """

    def __init__(
        self,
        redis: Redis,
        functions: Mapping[str, TaskFunction],
        *,
        seed: int = 0,
        slots: int = 2,
        batch: int = 4,
        trouble: Trouble = QUIET,
        settings: Settings | None = None,
    ) -> None:
        self.redis = redis
        self.random = Random(seed)
        self.trouble = trouble
        self.runtime = make_runtime(redis, settings or Settings())
        self.store = self.runtime.store
        assert isinstance(self.store.scripts, WatchedScripts)
        self.scripts = self.store.scripts
        self.scripts.watch = self._call
        self.runner = FunctionRunner(self.runtime, functions, self._maybe_die)
        self.conductor = Conductor(self.runtime, self.runner)
        self.lanes = DrawnLanes(self.runtime, self.runner, batch, self.random)
        self.sweeper = Sweeper(self.runtime)
        queue = self.store.settings.queue
        self._worker = WorkerInfo("w1", slots, {name: (queue, None) for name in functions})
        self._announced_at = float("-inf")
        self._announce()
        self.hand: list[Message] = []
        self.delivered: list[Message] = []
        self.deaths = 0
        self._depth = 0

    # flows

    def deploy(self, text: str, name: str = "flow") -> None:
        """Deploys a flow."""
        self.runtime.definitions.create(name, text)

    def start(
        self, input: dict[str, Any] | None = None, name: str = "e-1", flow: str = "flow"
    ) -> str:
        """Starts an execution; its id."""
        start(self.runtime, Start(flow, name, input or {}))
        return f"{flow}:{name}"

    def run(self, text: str, input: dict[str, Any] | None = None) -> Execution:
        """Deploys a flow, and drives an execution of it to its end."""
        self.deploy(text)
        self.start(input)
        return self.drive()

    def describe(self, name: str = "e-1", flow: str = "flow") -> Execution:
        """An execution as it is now."""
        return views.describe(self.runtime, flow, name)

    def history(self, name: str = "e-1", flow: str = "flow") -> list[Event]:
        """All events of an execution."""
        return views.history(self.runtime, flow, name)

    # driving

    def drive(self, name: str = "e-1", flow: str = "flow") -> Execution:
        """Goes on until an execution has ended and nothing is left to be delivered."""
        for _ in range(MOST_ACTIONS):
            if self.step():
                continue
            if self.describe(name, flow).status.ended:
                return self.describe(name, flow)
            self.wait_for_next()
        raise AssertionError(f"{flow}/{name} does not end: {self.standing()}")

    def settle(self) -> None:
        """Goes on until nothing will ever be due; who died last may have left something to do."""
        for _ in range(MOST_ACTIONS):
            if self.step():
                continue
            if not self.hand and not self._dues():
                return
            self.wait_for_next()
        raise AssertionError(f"there is always something due: {self.standing()}")

    def step(self) -> bool:
        """Delivers one message, if there is one whose time has come."""
        self._announce()
        self.collect()
        ready = [message for message in self.hand if self._left_ms(message) <= 0]
        if self.hand and self.random.random() < self.trouble.early:
            ready = self.hand
        if not ready:
            return False
        self.deliver(self.random.choice(ready))
        return True

    def collect(self) -> list[Message]:
        """Takes what is in the queues into the hand; some of it gets lost, or comes twice."""
        keys = self.store.keys
        while text := self.redis.rpop(keys.queue):
            message = message_of(str(text))
            if self.random.random() < self.trouble.lost:
                continue
            self.hand.append(message)
            if self.random.random() < self.trouble.twice:
                self.hand.append(message)
        return self.hand

    def deliver(self, message: Message, node: str = "w1") -> Verdict | None:
        """Gives a message to a worker; None: it died of it."""
        if message in self.hand:
            self.hand.remove(message)
        self.delivered.append(message)
        self._depth += 1
        try:
            verdict = self._work(message.pointer, self.holder_of(message, node))
        except Died:
            self.deaths += 1
            return None
        finally:
            self._depth -= 1
        if verdict is Verdict.EARLY:
            self.hand.append(message)
        elif self.random.random() < self.trouble.twice / 4:
            self.hand.append(self.random.choice(self.delivered))
        return verdict

    def holder_of(self, message: Message, node: str = "w1") -> Holder:
        """Who is at a message."""
        return Holder(node, message.id)

    def stop(self, name: str = "e-1", flow: str = "flow") -> None:
        """Stops an execution."""
        status = ExecutionStatus.STOPPED
        Ending(self.runtime).stop(flow, name, status, "Test.Stopped", "enough")

    def sweep(self) -> int:
        """Lets the sweeper look for what is due; it may die of it as well."""
        self._depth += 1
        try:
            return self.sweeper.sweep()
        except Died:
            self.deaths += 1
            return 0
        finally:
            self._depth -= 1

    # time

    def wait_for_next(self) -> None:
        """Lets time pass until the next thing is due, and sweeps.

        Raises:
            AssertionError: nothing will ever be due.
        """
        dues = [*self._dues(), *map(self._left_ms, self.hand)]
        assert dues, f"nothing will happen any more: {self.standing()}"
        self.pass_time((max(0, min(dues)) + 1) / 1000)
        self.sweep()

    def pass_time(self, seconds: float) -> None:
        """Makes everything stored that much older."""
        pass_time(self.redis, self.store.keys, seconds)

    def now_ms(self) -> float:
        """The time of the store."""
        seconds, micros = self.redis.time()  # type: ignore[misc]
        return float(seconds) * 1000 + float(micros) / 1000

    def standing(self) -> dict[str, Any]:
        """Where everything stands, for people who look for a mistake."""
        keys = self.store.keys
        found: dict[str, Any] = {}
        for identity in self.redis.zrange(keys.executions, 0, -1):  # type: ignore[union-attr]
            name = str(identity)
            joins = self.redis.hgetall(keys.joins(name))
            texts = {k: v for k, v in joins.items() if ":" not in k}  # type: ignore[union-attr]
            found[name] = {"states": dict(self._states(name)), "joins": texts}
        return found

    def _work(self, pointer: Pointer, holder: Holder) -> Verdict:
        if pointer.kind == "lane":
            return self.lanes.run(pointer, holder)
        return self.conductor.advance(pointer, holder)

    def _announce(self) -> None:
        """Says that the worker lives; what it has said goes by the clock of the server."""
        if time.monotonic() - self._announced_at > ANNOUNCE_TTL_S / 3:
            self.runtime.fleet.announce(self._worker)
            self._announced_at = time.monotonic()

    def _call(self) -> None:
        """Between two calls of the store: others may work, or the worker dies."""
        if not self._depth:
            return
        self._maybe_die()
        if self.hand and self._depth < DEEPEST and self.random.random() < self.trouble.between:
            self.deliver(self.random.choice(self.hand), "w2")
        if self._depth < DEEPEST and self.random.random() < self.trouble.stall:
            self.pass_time(self.store.settings.lease_s + 1)
            self.sweep()
            for _ in range(self.random.randint(0, 6)):
                self.step()

    def _maybe_die(self) -> None:
        if self._depth and self.random.random() < self.trouble.death:
            raise Died

    def _left_ms(self, message: Message) -> float:
        """How long a message has to wait for its time."""
        if not message.eta:
            return 0.0
        at = message.pointer
        state = self.store.state(at.execution_id, at.frame) or {}
        mine = state.get("st") == "READY" and state.get("fence") == at.fence
        return float(state.get("due", 0)) - self.now_ms() if mine else 0.0

    def _dues(self) -> list[float]:
        keys, now = self.store.keys, self.now_ms()
        firsts = [
            self.redis.zrange(key, 0, 0, withscores=True)
            for key in (keys.timers, keys.lease, keys.dispatch)
        ]
        return [entries[0][1] - now for entries in firsts if entries]  # type: ignore[index]

    def _states(self, identity: str) -> list[tuple[str, dict[str, Any]]]:
        texts: Any = self.redis.hgetall(self.store.keys.states(identity))
        return [(frame, json.loads(text)) for frame, text in texts.items()]
