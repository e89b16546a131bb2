"""Schedules over REST."""

from __future__ import annotations

from fastapi import APIRouter

from engine.api.access import Operator, Viewer
from engine.api.answers import ScheduleAnswer, ScheduleList, StartedList, moment, perhaps
from engine.api.bodies import BackfillOrder, NewSchedule, ScheduleChangeBody
from engine.api.pages import LISTED, Limit, page_of
from engine.api.parameters import seconds_of
from engine.api.service import Serving
from engine.runtime.schedules import Schedule, ScheduleChange

router = APIRouter(prefix="/v1", tags=["schedules"])

AT = "/flows/{flow}/schedules/{schedule}"


@router.get("/schedules")
def list_all(
    service: Serving,
    caller: Viewer,
    flow: str | None = None,
    limit: Limit = LISTED,
    cursor: str = "",
) -> ScheduleList:
    """All schedules, or those of a flow; by flow and name."""
    found = service.engine.schedules.list(flow)
    rows = sorted((f"{each.flow_name}/{each.name}", each) for each in found)
    page, token = page_of(rows, cursor, limit)
    return ScheduleList(schedules=[_answer(each) for each in page], next_cursor=token or None)


@router.post("/flows/{flow}/schedules", status_code=201)
def create(flow: str, body: NewSchedule, service: Serving, caller: Operator) -> ScheduleAnswer:
    """Starts the flow at given times from now on."""
    change = ScheduleChange(**body.model_dump(exclude={"name"}))
    with caller.acting():
        return _answer(service.engine.schedules.create(flow, body.name, change))


@router.get(AT)
def describe(flow: str, schedule: str, service: Serving, caller: Viewer) -> ScheduleAnswer:
    """A schedule."""
    return _answer(service.engine.schedules.describe(flow, schedule))


@router.patch(AT)
def update(
    flow: str, schedule: str, body: ScheduleChangeBody, service: Serving, caller: Operator
) -> ScheduleAnswer:
    """Changes a schedule; `enabled: false` pauses it."""
    change = ScheduleChange(**body.model_dump())
    with caller.acting():
        return _answer(service.engine.schedules.update(flow, schedule, change))


@router.delete(AT, status_code=204)
def delete(flow: str, schedule: str, service: Serving, caller: Operator) -> None:
    """Takes a schedule away."""
    with caller.acting():
        service.engine.schedules.delete(flow, schedule)


@router.post(f"{AT}:trigger", status_code=201)
def trigger(flow: str, schedule: str, service: Serving, caller: Operator) -> StartedList:
    """Starts the flow now, as the schedule would."""
    with caller.acting():
        return StartedList(executions=[service.engine.schedules.trigger(flow, schedule)])


@router.post(f"{AT}:backfill", status_code=201)
def backfill(
    flow: str, schedule: str, body: BackfillOrder, service: Serving, caller: Operator
) -> StartedList:
    """Starts the flow once for each fire time of a span; the same again starts nothing."""
    start, end = seconds_of(body.start, "start"), seconds_of(body.end, "end")
    with caller.acting():
        return StartedList(executions=service.engine.schedules.backfill(flow, schedule, start, end))


def _answer(schedule: Schedule) -> ScheduleAnswer:
    times = {"created_time", "last_modified_time"}
    perhaps_times = {"next_time", "last_time"}
    fields = {name: getattr(schedule, name) for name in ScheduleAnswer.model_fields}
    fields |= {name: moment(fields[name]) for name in times}
    fields |= {name: perhaps(fields[name]) for name in perhaps_times}
    return ScheduleAnswer(**fields)
