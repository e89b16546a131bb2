"""Relayed: a stack whose messages go to another broker than the Redis of its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redis import Redis

from engine.config import Settings
from engine.core.history import normalise
from engine.runtime.engine import Engine, Run
from tests.acceptance.running import HEAD, history, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

WORKING = Path(__file__).with_name("working_tasks.py")
ENDS_WITHIN_S = 60.0
QUEUE = "penstock"
OUTBOX = "penstock:{p0}:outbox"
QUICK = {"PENSTOCK_LEASE_S": "2", "PENSTOCK_SWEEP_EVERY_S": "0.3"}

CHILD = "- {type: task, name: inner, resourceArn: double, "
CHILD += "outputMappings: [{target: value, source: $local.value}]}\n"
ALL = """
- type: task
  name: first
  resourceArn: double
  outputMappings: [{target: doubled, source: $local.value}]
- type: task
  name: flaky
  resourceArn: fail_once
  retry: [{errors: [Test.Once], intervalSeconds: 1, maxAttempts: 2}]
  outputMappings: [{target: attempt, source: $local.attempt}]
- {type: wait, name: rest, duration: 1}
- type: foreach
  name: outer
  iterationMapping: {collection: $.groups, item: group}
  steps:
    - type: foreach
      name: inner
      iterationMapping: {collection: $.group, item: value}
      steps:
        - type: task
          name: twice
          resourceArn: double
          outputMappings: [{target: value, source: $local.value}]
      outputMappings: [{target: values, source: "$local[*].value"}]
  outputMappings: [{target: groups, source: "$local[*].values"}]
- type: task
  name: child
  resourceArn: acs:fnf:::flow/child
  pattern: sync
  inputMappings: [{target: value, source: $input.forChild.value}]
  outputMappings: [{target: child, source: $local.value}]
- type: task
  name: outside
  resourceArn: hand_over
  pattern: waitForCallback
  inputMappings:
    - {target: token, source: $context.task.token}
    - {target: place, source: $input.place}
  outputMappings: [{target: told, source: $local.told}]
"""
GROUPS = [[10 * group + value for value in range(10)] for group in range(20)]
ONE = "- {type: task, name: one, resourceArn: double, "
ONE += "outputMappings: [{target: value, source: $local.value}]}\n"
OUTPUT = {
    "doubled": 42,
    "attempt": 2,
    "groups": [[2 * value for value in group] for group in GROUPS],
    "child": 8,
    "told": "yes",
}


class Stack:
    """A Redis for the state, a broker for the messages (None: that Redis), and an engine."""

    def __init__(self, redis_url: str, broker_url: str | None) -> None:
        self.redis_url = redis_url
        self.env = dict(QUICK)
        if broker_url is not None:
            self.env["PENSTOCK_BROKER_URL"] = broker_url
        given = {"broker_url": broker_url}
        self.engine = Engine(redis_url, Settings.model_validate(given))
        self.redis: Redis = self.engine.runtime.store.redis

    def worker(self, slots: int = 1) -> WorkerProcess:
        """One that is not started yet."""
        return WorkerProcess(self.redis_url, [WORKING], ["-c", str(slots)], self.env)

    def outbox(self) -> int:
        """Messages that no relay has taken."""
        return int(self.redis.llen(OUTBOX))  # type: ignore[arg-type]

    def run_all(self, place: Path) -> Run:
        """Runs a flow with a bit of everything, and reports its token."""
        place.mkdir()
        self.engine.create_flow("child", HEAD + CHILD)
        given = {"value": 21, "groups": GROUPS, "place": str(place), "forChild": {"value": 4}}
        run = start(self.engine, "everything", ALL, given)
        token = wait_until(lambda: _read(place / "token"), ENDS_WITHIN_S)
        self.engine.report_task_succeeded(token, {"told": "yes"})
        return run


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def story(stack: Stack, run: Run) -> dict[str, Any]:
    """The history without what differs, such as names of its own and its token."""
    return normalise(history(stack.engine, run), lambda text: text == run.name or len(text) > 40)
