"""Operations on schedules."""

from __future__ import annotations

from engine.api.operations import Answer, Call, Operation, Operations
from engine.api.pages import page_of
from engine.api.parameters import service_time
from engine.errors import InvalidArgument
from engine.runtime.access_keys import Role
from engine.runtime.schedules import Schedule, ScheduleChange


def create_schedule(call: Call) -> Answer:
    """CreateSchedule; it is enabled unless it says otherwise."""
    flow, name = _place(call)
    call.given.required("CronExpression")
    return schedule_answer(call.engine.schedules.create(flow, name, _change(call)))


def update_schedule(call: Call) -> Answer:
    """UpdateSchedule: what is not given stays."""
    return schedule_answer(call.engine.schedules.update(*_place(call), _change(call)))


def describe_schedule(call: Call) -> Answer:
    """DescribeSchedule."""
    return schedule_answer(call.engine.schedules.describe(*_place(call)))


def delete_schedule(call: Call) -> Answer:
    """DeleteSchedule."""
    call.engine.schedules.delete(*_place(call))
    return {}


def list_schedules(call: Call) -> Answer:
    """ListSchedules, by name."""
    flow, limit = call.given.required("FlowName"), call.given.limit()
    call.engine.describe_flow(flow)
    schedules = [(each.name, each) for each in call.engine.schedules.list(flow)]
    page, token = page_of(schedules, call.given.text("NextToken"), limit)
    return {"Schedules": [schedule_answer(each) for each in page], "NextToken": token}


def schedule_answer(schedule: Schedule) -> Answer:
    """A schedule in the service's form."""
    return {
        "ScheduleName": schedule.name,
        "ScheduleId": schedule.id,
        "FlowName": schedule.flow_name,
        "CronExpression": schedule.cron,
        "Payload": schedule.payload,
        "Enable": schedule.enabled,
        "Description": schedule.description,
        "CreatedTime": service_time(schedule.created_time),
        "LastModifiedTime": service_time(schedule.last_modified_time),
    }


def _place(call: Call) -> tuple[str, str]:
    return call.given.required("FlowName"), call.given.required("ScheduleName")


def _change(call: Call) -> ScheduleChange:
    given = call.given
    if given.optional("CronExpression") == "":
        raise InvalidArgument("CronExpression must not be empty")
    return ScheduleChange(
        cron=given.optional("CronExpression"),
        payload=given.optional("Payload"),
        enabled=given.perhaps_flag("Enable"),
        description=given.optional("Description"),
    )


OPERATIONS: Operations = {
    "CreateSchedule": Operation(Role.OPERATOR, create_schedule),
    "UpdateSchedule": Operation(Role.OPERATOR, update_schedule),
    "DescribeSchedule": Operation(Role.VIEWER, describe_schedule),
    "DeleteSchedule": Operation(Role.OPERATOR, delete_schedule),
    "ListSchedules": Operation(Role.VIEWER, list_schedules),
}
