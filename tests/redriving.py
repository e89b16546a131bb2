"""Redriving: flows whose tasks fail as long as a test wants it, and their histories."""

from __future__ import annotations

from collections import Counter
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core.events import EventType
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.views import Execution
from tasks.errors import TaskError
from tests.driving import QUIET, Driver, Trouble

TROUBLES = {
    "quiet": QUIET,
    "disorder": Trouble(twice=0.3, early=0.2, between=0.3),
    "losses": Trouble(lost=0.15),
    "deaths": Trouble(death=0.03, twice=0.1),
}
WHO = {"by": "ann", "reason": "try again"}
HEAD = "version: v1\ntype: flow\nsteps:\n"
EACH = (
    HEAD
    + """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps:
    - {type: task, name: first, resourceArn: count}
    - type: task
      name: second
      resourceArn: fragile
      outputMappings: [{target: done, source: $input.item}]
  outputMappings: [{target: done, source: "$local[*].done"}]
"""
)
TOLERANT = EACH.replace("  steps:\n", "  toleratedFailures: 2\n  concurrency: 1\n  steps:\n", 1)
NESTED = (
    HEAD
    + """
- type: foreach
  name: outer
  iterationMapping: {collection: $.rows, item: items}
  steps:
    - {type: task, name: before, resourceArn: count}
    - type: foreach
      name: inner
      iterationMapping: {collection: $.items, item: item}
      steps:
        - {type: pass, name: passes}
        - type: choice
          name: decides
          choices:
            - condition: $.item >= 0
              steps:
                - type: task
                  name: last
                  resourceArn: fragile
                  outputMappings: [{target: done, source: $input.item}]
      outputMappings: [{target: done, source: "$local[*].done"}]
  outputMappings: [{target: done, source: "$local[*].done[*]"}]
"""
)
ROW = (
    HEAD
    + """
- {type: task, name: one, resourceArn: count, outputMappings: [{target: seen, source: one}]}
- type: task
  name: two
  resourceArn: count
  inputMappings: [{target: item, source: $input.item}, {target: seen, source: $local.seen}]
  outputMappings: [{target: seen, source: two}]
- {type: task, name: three, resourceArn: fragile}
"""
)


class Work:
    """Tasks that fail while their item is among the broken ones, and count what they ran."""

    def __init__(self, broken: set[Any]) -> None:
        self.broken = broken
        self.ran: Counter[Any] = Counter()
        self.keys: dict[Any, set[str]] = {}
        self.inputs: list[dict[str, Any]] = []

    def count(self, input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self.inputs.append(dict(input))
        self.ran[f"{ctx.step} {ctx.frame}"] += 1
        return {}

    def fragile(self, input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        item = input["item"]
        self.ran[item] += 1
        self.keys.setdefault(item, set()).add(ctx.idempotency_key)
        if item in self.broken:
            raise TaskError("Test.Broken", f"item {item}")
        return {"done": item}

    def driver(self, redis: Redis, seed: int = 0, trouble: Trouble = QUIET) -> Driver:
        functions = {"count": self.count, "fragile": self.fragile}
        settings = Settings(max_losses=1000)
        return Driver(redis, functions, seed=seed, batch=3, trouble=trouble, settings=settings)


def again(driver: Driver, **more: Any) -> Execution:
    """Redrives the execution and drives it to its next end."""
    redrive(driver.runtime, Redrive("flow", "e-1", note=WHO, **more))
    return driver.drive()


def left_open(driver: Driver) -> list[str]:
    """What was entered in the history and not exited, or the other way round, by its frame."""
    depth: Counter[str] = Counter()
    wrong = []
    for event in driver.history():
        kind = str(event.type)
        where = f"{event.frame} {event.step_name}"
        if kind.endswith("Entered"):
            depth[where] += 1
        elif kind.endswith("Exited"):
            depth[where] -= 1
        if depth[where] not in (0, 1):
            wrong.append(f"{event.event_id} {where}")
    return wrong + [where for where, left in depth.items() if left]


def succeeded_twice(driver: Driver) -> list[tuple[str, str]]:
    """The tasks, by frame and step, that have succeeded more than once."""
    succeeded = [e for e in driver.history() if e.type is EventType.TASK_SUCCEEDED]
    times = Counter((event.frame, event.step_name) for event in succeeded)
    return [where for where, count in times.items() if count > 1]
