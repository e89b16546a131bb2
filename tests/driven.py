"""Driven: the parts of an engine that a test holds in its hand: messages, verbs, tasks, lanes."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core import happenings as hap
from engine.core.outcomes import failure_of
from engine.fdl.resources import FlowResource
from engine.runtime.canvas import Canvas, make_app
from engine.runtime.children import start_child, start_execution
from engine.runtime.definitions import Definitions
from engine.runtime.fleet import Fleet
from engine.runtime.lanes import Lanes
from engine.runtime.pointer import Pointer
from engine.runtime.runner import Runner, Work
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Scripts
from engine.runtime.sending import served_names
from engine.runtime.store import ExecutionStore
from engine.runtime.streaming import Streams
from engine.runtime.tokens import Tokens
from workers.context import unwatched_context_of
from workers.inputs import TaskInput

TaskFunction = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker has it. `task`: its Celery name; `eta`: it is not for now."""

    id: str
    task: str
    pointer: Pointer
    eta: bool
    text: str


def message_of(text: str) -> Message:
    """The message of an envelope in the queue's list."""
    envelope = json.loads(text)
    headers = envelope["headers"]
    _, kwargs, _ = json.loads(base64.b64decode(envelope["body"]))
    eta = headers.get("eta") is not None
    return Message(headers["id"], headers["task"], Pointer(**kwargs), eta, text)


class WatchedScripts(Scripts):
    """The verbs, with somebody told before and after each call.

    `calls` counts them by name, `largest` has the bytes of the largest, `orders` the latest.
    """

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.calls: Counter[str] = Counter()
        self.orders: dict[str, tuple[Sequence[str], dict[str, Any]]] = {}
        self.largest: Counter[str] = Counter()
        self.watch: Callable[[], None] = lambda: None

    def call(self, verb: str, keys: Sequence[str], order: dict[str, Any], *more: str) -> Answer:
        """As the verbs'."""
        self.watch()
        self.orders[verb] = (keys, order)
        self.calls[verb] += 1
        size = len(json.dumps(order)) + sum(map(len, more))
        self.largest[verb] = max(self.largest[verb], size)
        answer = super().call(verb, keys, order, *more)
        self.watch()
        return answer

    def again(self, verb: str, **changes: Any) -> Answer:
        """The latest call of a verb once more, as a client does that has lost the reply.

        With `call` among the changes it is another call of the same transition.
        """
        keys, order = self.orders[verb]
        return super().call(verb, keys, order | changes)


def make_runtime(redis: Redis, settings: Settings) -> Runtime:
    """The runtime of a test's process on the Redis at hand, with calls that are counted."""
    store = ExecutionStore(redis, settings)
    store.scripts = WatchedScripts(redis)
    return Runtime(
        store=store,
        canvas=Canvas(make_app("memory://", settings.queue)),
        definitions=Definitions(redis, store.keys),
        fleet=Fleet(redis, store.keys),
        tokens=Tokens("a secret of the tests"),
        streams=Streams("redis://no-streams-here", settings, store.keys, redis),
    )


@dataclass
class FunctionRunner:
    """Runs tasks that are plain functions; `during` is called in the middle of one."""

    runtime: Runtime
    functions: Mapping[str, TaskFunction]
    during: Callable[[], None] = lambda: None
    ran: Counter[str] = field(default_factory=Counter)

    def run(self, work: Work) -> hap.Happening:
        """As a worker does it."""
        resource = work.call.resource
        if isinstance(resource, FlowResource):
            return start_child(self.runtime, work)
        if not (names := served_names(resource)):
            return start_execution(self.runtime, work)
        function = next(self.functions[name] for name in names if name in self.functions)
        context = unwatched_context_of(work)
        self.ran[context.idempotency_key] += 1
        try:
            result = function(TaskInput(work.call.input), context)
        except Exception as error:
            failure = failure_of(error)
            return hap.TaskRaised(failure.error, failure.cause)
        self.during()
        return hap.TaskReturned(result)


class DrawnLanes(Lanes):
    """Lanes whose batches are as long as a seed says, instead of as long as pays."""

    def __init__(self, runtime: Runtime, runner: Runner, most: int, random: Random) -> None:
        super().__init__(runtime, runner)
        self.most = most
        self._random = random

    def _wanted(self, pointer: Pointer) -> int:
        return self._random.randint(1, self.most)
