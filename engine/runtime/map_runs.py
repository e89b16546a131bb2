"""Map runs: a foreach while it runs, with its live counts, and how it may be tuned."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from engine.core.outcomes import TOLERANCE_EXCEEDED
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyCompleted, InvalidArgument, MapRunNotExists
from engine.runtime.auditing import AuditLog
from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.views import describe as describe_execution


@dataclass(frozen=True, slots=True)
class MapRun:
    """A foreach as it is now. `name`: its step's, behind the frame it stands in: `orders.3/sizes`.

    `status`: as an execution's. `concurrency`: items at the same time, at most.
    `tolerated_failed_count` None: the first failure ends it. `failed` items are tolerated ones, and
    the one that was too many; `aborted`: cut off, or never begun, when it ended. Times are seconds
    since the epoch, None where they are not known.
    """

    flow_name: str
    execution_name: str
    name: str
    status: ExecutionStatus
    concurrency: int
    tolerated_failed_count: int | None
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    aborted: int
    started_time: float | None
    stopped_time: float | None


class MapRuns:
    """The foreachs of executions that run. Those of the flow itself are known after their end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._audit = AuditLog(runtime)

    @redis_errors()
    def describe(self, flow: str, execution: str, name: str) -> MapRun:
        """A foreach's latest visit. Cost: O(1) and its parent frame.

        Raises:
            ExecutionNotExists. MapRunNotExists: it has not begun, is no foreach, or is forgotten.
        """
        found = describe_execution(self._runtime, flow, execution)
        identity = f"{flow}:{execution}"
        counts = self._counts(identity, name)
        if counts is None:
            raise MapRunNotExists(f"{flow}/{execution} is not at a foreach {name!r}")
        return _map_run(flow, execution, name, found.status, counts)

    @redis_errors()
    def update(
        self,
        flow: str,
        execution: str,
        name: str,
        concurrency: int | None = None,
        tolerated_failed_count: int | None = None,
        tolerated_failed_percentage: float | None = None,
    ) -> MapRun:
        """Tunes a foreach that runs: what is given holds from now on, for this visit of it.

        Fewer items at a time: those that run end first. Fewer tolerated failures than there are
        already: it fails.

        Raises:
            ExecutionNotExists; ExecutionAlreadyCompleted. InvalidArgument: a number.
            MapRunNotExists: it does not run.
        """
        before = self.describe(flow, execution, name)
        if before.status.ended:
            raise ExecutionAlreadyCompleted(f"{name} of {flow}/{execution} has ended")
        order: dict[str, Any] = {
            "join": name,
            "lanes": 2 * self._runtime.fleet.slots(),
            "error": TOLERANCE_EXCEEDED,
        }
        if concurrency is not None:
            order["window"] = min(_whole(concurrency, "concurrency", 1), max(before.total, 1))
        tolerated = _tolerated(before.total, tolerated_failed_count, tolerated_failed_percentage)
        if tolerated is not None:
            order["tolerated"] = tolerated
        self._store.check_version(f"{flow}:{execution}")
        queue = (self._store.join(f"{flow}:{execution}", name) or {}).get("queue", "")
        answer = self._store.verb("tune", f"{flow}:{execution}", queue, **order)
        if answer.verdict is Verdict.MISSING:
            raise MapRunNotExists(f"{flow}/{execution} is not at a foreach {name!r} any more")
        told = {"concurrency": order.get("window"), "tolerated": order.get("tolerated")}
        self._audit.record("UpdateMapRun", f"{flow}/{execution}", {"map_run": name} | told)
        return self.describe(flow, execution, name)

    def _counts(self, identity: str, name: str) -> dict[str, Any] | None:
        """The counters of a foreach: of its join, else those that its end has left."""
        # A parallel's branches are counted alike; other fields of the hash have a colon.
        j = self._store.join(identity, name) if ":" not in name else None
        if j is not None:
            return j if j.get("kind") == "foreach" else None
        key = self._store.keys.record(identity)
        text = self._store.redis.hget(key, f"map:{name}")
        return json.loads(str(text)) if text else None


def _map_run(
    flow: str, execution: str, name: str, status: ExecutionStatus, j: dict[str, Any]
) -> MapRun:
    match j["st"]:
        case "FIRED" if "failure" in j:
            status = ExecutionStatus.FAILED
        case "FIRED":
            status = ExecutionStatus.SUCCEEDED
        case "OPEN":
            pass
        case _:
            status = ExecutionStatus.STOPPED
    total, failed, done = int(j["total"]), int(j["failed"]), int(j["done"])
    # The failure that was one too many has not been counted among those that are done.
    fatal = int(j.get("fatal", 0))
    rest = total - done - fatal
    running = 0 if status.ended else min(rest, int(j["active"]))
    return MapRun(
        flow_name=flow,
        execution_name=execution,
        name=name,
        status=status,
        concurrency=int(j["window"]),
        tolerated_failed_count=int(j["tolerated"]) if j["tolerant"] else None,
        total=total,
        pending=0 if status.ended else rest - running,
        running=running,
        succeeded=done - failed + fatal,
        failed=failed,
        aborted=rest if status.ended else 0,
        started_time=_seconds(j.get("started")),
        stopped_time=_seconds(j.get("stopped")),
    )


def _tolerated(total: int, count: int | None, percentage: float | None) -> int | None:
    """How many failures are tolerated; None: nothing is said."""
    if count is not None and percentage is not None:
        raise InvalidArgument("give a count of tolerated failures or a percentage, not both")
    if percentage is None:
        return None if count is None else _whole(count, "tolerated_failed_count", 0)
    if not isinstance(percentage, int | float) or not 0 <= percentage <= 100:
        raise InvalidArgument("tolerated_failed_percentage: 0 to 100")
    return math.floor(total * percentage / 100)


def _whole(value: int, name: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise InvalidArgument(f"{name}: a whole number from {least} on")
    return value


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
