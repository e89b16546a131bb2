"""Firing: schedules whose time has come start their executions, once per fire time."""

from __future__ import annotations

import logging
from typing import Any

from engine.core.states import ExecutionStatus
from engine.errors import (
    EngineError,
    ExecutionAlreadyCompleted,
    ExecutionAlreadyExists,
    ExecutionNotExists,
    StoreUnavailable,
)
from engine.runtime.ending import Ending
from engine.runtime.fire_times import latest_fires
from engine.runtime.moves import Move
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime
from engine.runtime.schedules import Schedule, schedule_of
from engine.runtime.scripts import Verdict
from engine.runtime.standing import new_id
from engine.runtime.starting import Start, start

log = logging.getLogger("penstock.schedule")

LATE_S = 15
"""A fire that nobody has seen for longer was missed; one that a sweeper died over was not."""

AT_ONCE = 20
"""Starts of a schedule in one look: leases must be renewed in between."""


class Firing:
    """Fires schedules. Safe to run on every worker at once.

    A schedule stands at its next fire time, and the script that starts the execution moves it on:
    whoever comes second finds that it stands elsewhere.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._keys = runtime.store.keys

    def fire(self, member: str) -> None:
        """Fires a schedule, `FLOW/NAME`, as often as it is due. Idempotent."""
        flow, _, name = member.partition("/")
        record: Any = self._runtime.store.redis.hgetall(self._keys.schedule(flow, name))
        if "next_ms" not in record:
            self._runtime.store.redis.zrem(self._keys.fires, member)
            return
        schedule = schedule_of(flow, name, record)
        now = self._runtime.store.clock.now_s()
        stands = int(record["next_ms"]) // 1000
        fires = wanted_fires(schedule, stands, now)
        after = schedule.table.after(max(now, stands - 1))
        if not fires:
            self._move(Move(flow, name, stands, after))
        ahead = [*fires[1:], after][:AT_ONCE]
        previous = schedule.last_execution
        for fire, following in zip(fires, ahead, strict=False):
            started = self._start(schedule, fire, Move(flow, name, stands, following), previous)
            if started is None:
                return
            stands, previous = following or 0, started

    def _start(self, schedule: Schedule, fire: int, move: Move, previous: str) -> str | None:
        """Starts the execution of a fire time; the latest one then, None: others have moved it."""
        if previous and schedule.overlap != "allow" and self._runs(schedule, previous):
            if schedule.overlap == "skip":
                left_out = Move(move.flow, move.name, move.due, move.next, skipped=True)
                return previous if self._move(left_out) else None
            self._stop(schedule, previous)
        name = schedule.execution_at(fire)
        told = {"last_ms": str(fire * 1000), "last_execution": name, "last_error": ""}
        move = Move(move.flow, move.name, move.due, move.next, told)
        wanted = Start(schedule.flow_name, name, schedule.input_at(fire), move=move)
        try:
            moved = start(self._runtime, wanted).moved
        except ExecutionAlreadyExists:
            return name  # a backfill was here before; the schedule has moved on
        except StoreUnavailable:
            raise
        except EngineError as error:
            log.warning("schedule %s/%s: %s", move.flow, move.name, error)
            failed = {"last_error": f"{error.code}: {error}"}
            moved = self._move(Move(move.flow, move.name, move.due, move.next, failed))
            return previous if moved else None
        return name if moved else None

    def _move(self, move: Move) -> bool:
        order = {"call": new_id(), "fires": move.order()}
        keys = [self._keys.schedule(move.flow, move.name), self._keys.fires]
        answer = self._runtime.store.scripts.call("move", keys, order)
        return answer.verdict is not Verdict.STALE

    def _runs(self, schedule: Schedule, execution: str) -> bool:
        record = self._keys.record(execution_id(schedule.flow_name, execution))
        status = self._runtime.store.redis.hget(record, "status")
        return status is not None and not ExecutionStatus(str(status)).ended

    def _stop(self, schedule: Schedule, execution: str) -> None:
        ending, by = Ending(self._runtime), f"schedule {schedule.name}"
        cause = f"schedule {schedule.name} fires again"
        stopped = ExecutionStatus.STOPPED
        try:
            ending.stop(schedule.flow_name, execution, stopped, "FnF.Overlap", cause, by)
        except (ExecutionNotExists, ExecutionAlreadyCompleted):
            return


def wanted_fires(schedule: Schedule, stands: int, now: float) -> list[int]:
    """The fire times that are to be started now by one that stands at `stands`, oldest first."""
    table = schedule.table
    on_time = latest_fires(table, max(stands - 1, now - LATE_S), now, LATE_S)
    missed_until = now - LATE_S
    match schedule.catch_up:
        case "skip":
            missed = []
        case "last":
            missed = [] if on_time else latest_fires(table, stands - 1, missed_until, 1)
        case "all":
            missed = latest_fires(table, stands - 1, missed_until, schedule.catch_up_limit)
    return missed + on_time
