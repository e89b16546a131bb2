"""Schedules: flows that are started by the clock."""

from __future__ import annotations

import builtins
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, get_args

from engine.errors import (
    ConcurrentUpdateError,
    ExecutionAlreadyExists,
    InvalidArgument,
    ScheduleAlreadyExists,
    ScheduleNotExists,
)
from engine.runtime.auditing import AuditLog
from engine.runtime.fire_times import Timetable, fires_between, timetable
from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Verdict
from engine.runtime.standing import new_id
from engine.runtime.starting import Start, check_object, start

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Shorter than an execution's name, which is made of it and of a fire time."""

MOST_BACKFILLED = 1000
MOST_CAUGHT_UP = 1000

CatchUp = Literal["last", "skip", "all"]
Overlap = Literal["allow", "skip", "stop-previous"]


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """What a schedule is to be; None: as it is, or the default of a new one.

    `cron`: six fields, seconds first, perhaps behind `CRON_TZ=ZONE`, or `@every 10m`. `payload`:
    a text; one that is JSON arrives parsed. `catch_up`: what becomes of fire times that nobody saw:
    the last one is made up for, none, or the last `catch_up_limit` of them. `overlap`: what becomes
    of a fire while the execution of the one before still runs: it starts all the same, it is left
    out, or the one before is stopped.
    """

    cron: str | None = None
    time_zone: str | None = None
    payload: str | None = None
    enabled: bool | None = None
    description: str | None = None
    catch_up: CatchUp | None = None
    catch_up_limit: int | None = None
    overlap: Overlap | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule. Times are seconds since the epoch.

    `anchor`: from when its intervals are counted: since its times are as they are.
    `next_time` None: it is paused, or never fires again. `last_time`, `last_execution`: of its
    latest start. `last_error`: why its latest fire has started nothing, "" if it has. `skipped`:
    fires that were left out since an execution still ran.
    """

    flow_name: str
    name: str
    id: str
    cron: str
    time_zone: str
    payload: str
    enabled: bool
    description: str
    catch_up: CatchUp
    catch_up_limit: int
    overlap: Overlap
    created_time: float
    last_modified_time: float
    anchor: int
    next_time: float | None = None
    last_time: float | None = None
    last_execution: str = ""
    last_error: str = ""
    skipped: int = 0

    @property
    def table(self) -> Timetable:
        """Its fire times."""
        return timetable(self.cron, self.time_zone, self.anchor)

    def input_at(self, fire_s: float) -> dict[str, Any]:
        """The input of an execution that is started for a moment."""
        moment = datetime.fromtimestamp(fire_s, UTC)
        told = f"{moment:%Y-%m-%dT%H:%M:%S}Z"
        return {
            "payload": parsed(self.payload),
            "triggerTime": told,
            "triggerName": self.name,
        }

    def execution_at(self, fire_s: int) -> str:
        """The name of the execution of a fire time: the same one whoever starts it."""
        return f"{self.name}-{datetime.fromtimestamp(fire_s, UTC):%Y%m%dT%H%M%SZ}"


_DEFAULTS = ScheduleChange(
    time_zone="UTC",
    payload="",
    enabled=True,
    description="",
    catch_up="last",
    catch_up_limit=100,
    overlap="allow",
)
_TIMES = ("cron", "time_zone", "enabled")
_CHANGEABLE = tuple(field.name for field in fields(ScheduleChange))


class Schedules:
    """The schedules in one store. Workers fire them (`engine.runtime.firing`)."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._redis = runtime.store.redis
        self._keys = runtime.store.keys
        self._audit = AuditLog(runtime)

    @redis_errors()
    def create(self, flow: str, name: str, wanted: ScheduleChange) -> Schedule:
        """Makes a schedule; it fires from now on.

        Raises:
            FlowNotExists; ScheduleAlreadyExists; InvalidArgument; EntityTooLarge: the payload.
        """
        self._runtime.definitions.describe(flow)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidArgument(
                f"schedule name {name!r}: use 1 to 100 letters, digits, '_' and '-', beginning "
                "with a letter or '_'"
            )
        now = self._runtime.store.clock.now_s()
        chosen = {each: getattr(wanted, each) for each in _CHANGEABLE}
        chosen = {each: _or_default(each, value) for each, value in chosen.items()}
        made = self._checked(Schedule(flow, name, str(uuid.uuid4()), **chosen, **_made(now)), now)
        if self._put(made, None, made.next_time).verdict is Verdict.REPEATED:
            raise ScheduleAlreadyExists(f"flow {flow!r} has a schedule {name!r} already")
        self._audit.record("CreateSchedule", f"{flow}/{name}", {"cron": made.cron})
        return made

    @redis_errors()
    def update(self, flow: str, name: str, wanted: ScheduleChange) -> Schedule:
        """Changes what is given of a schedule. Paused or with other times, it fires from now on.

        Raises:
            ScheduleNotExists; InvalidArgument; EntityTooLarge: the payload.
            ConcurrentUpdateError: somebody else has changed it meanwhile.
        """
        record = self._record(flow, name)
        old = schedule_of(flow, name, record)
        given = {each: getattr(wanted, each) for each in _CHANGEABLE}
        changes = {each: value for each, value in given.items() if value is not None}
        now = self._runtime.store.clock.now_s()
        new = replace(old, **changes, last_modified_time=now)
        next_time: float | str | None = None
        if any(getattr(old, each) != getattr(new, each) for each in _TIMES):
            new = self._checked(replace(new, anchor=int(now)), now)
            next_time = new.next_time or ""
        else:
            self._checked(new, now)
        answer = self._put(new, record["revision"], next_time)
        if answer.verdict is Verdict.MISSING:
            raise ScheduleNotExists(f"flow {flow!r} has no schedule {name!r}")
        if not answer.applied:
            raise ConcurrentUpdateError(f"schedule {flow}/{name} was changed meanwhile")
        told = {each: value for each, value in changes.items() if each != "payload"}
        self._audit.record("UpdateSchedule", f"{flow}/{name}", told)
        return new

    @redis_errors()
    def describe(self, flow: str, name: str) -> Schedule:
        """A schedule as it is now. Raises ScheduleNotExists."""
        return schedule_of(flow, name, self._record(flow, name))

    @redis_errors()
    def list(self, flow: str | None = None) -> builtins.list[Schedule]:
        """All schedules, or those of a flow, by name. Cost: O(those)."""
        low, high = ("-", "+") if flow is None else (f"[{flow}/", f"({flow}0")  # 0 follows /
        members: Any = self._redis.zrangebylex(self._keys.schedules, low, high)
        names = [str(member).split("/", 1) for member in members]
        with self._redis.pipeline(transaction=False) as pipe:
            for each in names:
                pipe.hgetall(self._keys.schedule(*each))
            records = pipe.execute()
        found = zip(names, records, strict=True)
        return [schedule_of(of, name, record) for (of, name), record in found if record]

    @redis_errors()
    def delete(self, flow: str, name: str) -> None:
        """Takes a schedule away; what it has started goes on. Raises ScheduleNotExists."""
        self._record(flow, name)
        # Whatever others change of it meanwhile: it goes.
        key = self._keys.schedule(flow, name)
        while revision := self._redis.hget(key, "revision"):
            if self._verb(flow, name, gone=True, **{"from": str(revision)}).applied:
                break
        self._audit.record("DeleteSchedule", f"{flow}/{name}")

    @redis_errors()
    def trigger(self, flow: str, name: str) -> str:
        """Starts an execution now, whatever else runs or is to come; its name.

        Raises:
            ScheduleNotExists; FlowNotExists.
        """
        schedule = self.describe(flow, name)
        now = self._runtime.store.clock.now_s()
        moment = datetime.fromtimestamp(now, UTC)
        made = f"{name}-{moment:%Y%m%dT%H%M%S}.{secrets.token_hex(3)}"
        started = start(self._runtime, Start(flow, made, schedule.input_at(now)))
        self._audit.record("TriggerSchedule", f"{flow}/{name}", {"execution": started.name})
        return started.name

    @redis_errors()
    def backfill(self, flow: str, name: str, from_s: float, to_s: float) -> builtins.list[str]:
        """Starts an execution for each fire time from `from_s` up to, but not including, `to_s`.

        Those that have had theirs, by the clock or an earlier call, do not get another, as long as
        that one is kept. Names of the ones that this call has started.

        Raises:
            ScheduleNotExists; FlowNotExists. InvalidArgument: times to come, or too many.
        """
        schedule = self.describe(flow, name)
        if not 0 <= from_s <= to_s <= self._runtime.store.clock.now_s():
            raise InvalidArgument("a backfill is from one time to a later one, and not to come")
        times = fires_between(schedule.table, from_s - 0.001, to_s - 0.001)
        fires = builtins.list(islice(times, MOST_BACKFILLED + 1))
        if len(fires) > MOST_BACKFILLED:
            raise InvalidArgument(f"a backfill of more than {MOST_BACKFILLED} fire times")
        started = (self._backfilled(schedule, fire) for fire in fires)
        names = [execution for execution in started if execution is not None]
        self._audit.record("BackfillSchedule", f"{flow}/{name}", {"started": len(names)})
        return names

    def forget(self, flow: str) -> None:
        """Takes all schedules of a flow away."""
        for schedule in self.list(flow):
            self.delete(flow, schedule.name)

    def _backfilled(self, schedule: Schedule, fire: int) -> str | None:
        wanted = Start(schedule.flow_name, schedule.execution_at(fire), schedule.input_at(fire))
        try:
            started = start(self._runtime, wanted)
        except ExecutionAlreadyExists:
            return None
        return started.name if started.created else None

    def _checked(self, schedule: Schedule, now: float) -> Schedule:
        """The schedule with its next fire time. Raises InvalidArgument, EntityTooLarge."""
        if schedule.catch_up not in get_args(CatchUp):
            raise InvalidArgument(f"catch_up: one of {', '.join(get_args(CatchUp))}")
        if schedule.overlap not in get_args(Overlap):
            raise InvalidArgument(f"overlap: one of {', '.join(get_args(Overlap))}")
        if not 1 <= schedule.catch_up_limit <= MOST_CAUGHT_UP:
            raise InvalidArgument(f"catch_up_limit: 1 to {MOST_CAUGHT_UP}")
        check_object(self._runtime, schedule.input_at(now), "payload")
        fire = schedule.table.after(now)
        return replace(schedule, next_time=fire if schedule.enabled else None)

    def _put(
        self, schedule: Schedule, revision: str | None, next_time: float | str | None
    ) -> Answer:
        order: dict[str, Any] = {"fields": _fields(schedule)}
        if next_time is not None:
            order["next"] = "" if next_time == "" else f"{float(next_time) * 1000:.0f}"
        if revision is not None:
            order["from"] = revision
        return self._verb(schedule.flow_name, schedule.name, **order)

    def _verb(self, flow: str, name: str, **order: Any) -> Answer:
        keys = [self._keys.schedule(flow, name), self._keys.schedules, self._keys.fires]
        order |= {"call": new_id(), "member": f"{flow}/{name}"}
        return self._runtime.store.scripts.call("schedule", keys, order)

    def _record(self, flow: str, name: str) -> dict[str, str]:
        record: Any = self._redis.hgetall(self._keys.schedule(flow, name))
        if not record:
            raise ScheduleNotExists(f"flow {flow!r} has no schedule {name!r}")
        return dict(record)


def parsed(payload: str) -> Any:
    """What a payload is: the value of its JSON, or the text that it is."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def schedule_of(flow: str, name: str, record: Mapping[str, str]) -> Schedule:
    """The schedule of a record."""

    def seconds(field: str) -> float | None:
        return float(record[field]) / 1000 if field in record else None

    config = json.loads(record["config"])
    return Schedule(
        flow,
        name,
        **config,
        next_time=seconds("next_ms"),
        last_time=seconds("last_ms"),
        last_execution=record.get("last_execution", ""),
        last_error=record.get("last_error", ""),
        skipped=int(record.get("skipped", 0)),
    )


def _fields(schedule: Schedule) -> dict[str, str]:
    """What is kept of a schedule itself; where it stands is kept by its fires."""
    kept = ("id", *_CHANGEABLE, "created_time", "last_modified_time", "anchor")
    return {"config": json.dumps({each: getattr(schedule, each) for each in kept})}


def _made(now: float) -> dict[str, Any]:
    return {"created_time": now, "last_modified_time": now, "anchor": int(now)}


def _or_default(field: str, value: Any) -> Any:
    if value is None and field == "cron":
        raise InvalidArgument("cron: a schedule needs its times")
    return getattr(_DEFAULTS, field) if value is None else value
