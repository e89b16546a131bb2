"""Executions over REST: started, read, found, held, stopped, and let go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from engine.api.access import Caller, Operator, Viewer
from engine.api.answers import (
    EventList,
    ExecutionAnswer,
    ExecutionList,
    MapRunAnswer,
    event_answer,
    execution_answer,
    execution_brief,
    perhaps,
)
from engine.api.bodies import (
    MapRunChange,
    NewExecution,
    Order,
    PauseOrder,
    RedriveOrder,
    SkipOrder,
    StopOrder,
)
from engine.api.decisive import is_decisive
from engine.api.operations import wait_for_end
from engine.api.pages import LISTED, Limit
from engine.api.parameters import seconds_of
from engine.api.preferences import name_of_key, wait_of
from engine.api.problems import UnsupportedRequest
from engine.api.service import Service, Serving
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyExists, InvalidArgument
from engine.runtime.access_keys import Role
from engine.runtime.engine import Engine
from engine.runtime.health import redis_errors
from engine.runtime.map_runs import MapRun
from engine.runtime.searching import Search
from engine.runtime.starting import Start
from engine.runtime.starting import start as start_flow
from engine.runtime.views import Execution, execution_of

router = APIRouter(prefix="/v1", tags=["executions"])

AT = "/flows/{flow}/executions/{name}"
Prefer = Annotated[str | None, Header(description="`wait=N`: answer when it has ended, or in N s.")]
IdempotencyKey = Annotated[
    str | None, Header(description="The same start, sent again, starts nothing again.")
]


@router.post(
    "/flows/{flow}/executions",
    status_code=201,
    responses={
        200: {"model": ExecutionAnswer, "description": "It has ended, or was there before."},
        202: {"model": ExecutionAnswer, "description": "It runs on; the wait was over."},
        422: {"description": "The Idempotency-Key was used for another input."},
    },
)
async def start(
    flow: str,
    body: NewExecution,
    service: Serving,
    caller: Operator,
    request: Request,
    response: Response,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> ExecutionAnswer:
    """Starts an execution; with `Prefer: wait=N` it is answered when it has ended."""
    execution, made = await service.call(_start, service, caller, flow, body, idempotency_key)
    wait_s = wait_of(prefer)
    if wait_s is not None:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        execution = await wait_for_end(
            service, flow, execution.name, wait_s, request.is_disconnected
        )
        response.status_code = 200 if execution.status.ended else 202
    elif not made:
        response.status_code = 200
    response.headers["Location"] = f"/v1/flows/{execution.flow_name}/executions/{execution.name}"
    return execution_answer(execution)


@router.get("/executions")
def search(
    service: Serving,
    caller: Viewer,
    flow: str | None = None,
    status: Annotated[list[ExecutionStatus] | None, Query()] = None,
    started_from: Annotated[str | None, Query(description="RFC 3339; included.")] = None,
    started_to: Annotated[str | None, Query(description="RFC 3339; not included.")] = None,
    name_prefix: str = "",
    qualifier: str | None = None,
    limit: Limit = LISTED,
    cursor: str = "",
) -> ExecutionList:
    """Executions, newest first."""
    wanted = Search(
        flow=flow,
        statuses=tuple(status or ()),
        started_from=seconds_of(started_from, "started_from") if started_from else None,
        started_to=seconds_of(started_to, "started_to") if started_to else None,
        name_prefix=name_prefix,
        qualifier=qualifier,
        limit=limit,
        token=cursor,
        metadata_only=True,
    )
    page = service.engine.search_executions(wanted)
    rows = [execution_brief(each) for each in page.executions]
    return ExecutionList(executions=rows, next_cursor=page.next_token or None)


@router.get(AT)
def describe(flow: str, name: str, service: Serving, caller: Viewer) -> ExecutionAnswer:
    """An execution as it is now."""
    return execution_answer(service.engine.describe_execution(flow, name))


@router.get(f"{AT}/history")
def history(
    flow: str,
    name: str,
    service: Serving,
    caller: Viewer,
    after: Annotated[int, Query(ge=0, le=10**15)] = 0,
    limit: Limit = LISTED,
) -> EventList:
    """A page of its history: the events after that id."""
    events = service.engine.get_execution_history(flow, name, after, limit + 1)
    more = len(events) > limit
    rows = [event_answer(event) for event in events[:limit]]
    return EventList(events=rows, next_after=rows[-1].event_id if more else None)


@router.post(f"{AT}:stop")
def stop(
    flow: str, name: str, service: Serving, caller: Operator, body: StopOrder | None = None
) -> ExecutionAnswer:
    """Stops an execution and the sub-flows that it waits for."""
    order = body or StopOrder()
    return _done(caller, service, lambda e: e.stop_execution(flow, name, order.error, order.cause))


@router.post(f"{AT}:pause")
def pause(
    flow: str, name: str, service: Serving, caller: Operator, body: PauseOrder | None = None
) -> ExecutionAnswer:
    """Holds an execution: what runs ends, nothing new begins."""
    order = body or PauseOrder()
    freeze, reason = order.freeze_timers, order.reason
    return _done(caller, service, lambda e: e.pause_execution(flow, name, freeze, reason=reason))


@router.post(f"{AT}:resume")
def resume(
    flow: str, name: str, service: Serving, caller: Operator, body: Order | None = None
) -> ExecutionAnswer:
    """Lets a paused execution go on."""
    reason = (body or Order()).reason
    return _done(caller, service, lambda e: e.resume_execution(flow, name, reason=reason))


@router.post(f"{AT}:redrive")
def redrive(
    flow: str, name: str, service: Serving, caller: Operator, body: RedriveOrder | None = None
) -> ExecutionAnswer:
    """Lets an execution go on that failed, timed out or was stopped; what succeeded stays.

    From a step of one's own choice it needs an approver, if a step waits for a decision.
    """
    order = body or RedriveOrder()
    if order.from_step is not None and is_decisive(service.engine, flow, name):
        caller.needs(Role.APPROVER)
    return _done(
        caller,
        service,
        lambda engine: engine.redrive_execution(
            flow, name, order.from_step, order.definition, order.items, reason=order.reason
        ),
    )


@router.post(f"{AT}:skip")
def skip(
    flow: str, name: str, body: SkipOrder, service: Serving, caller: Operator
) -> ExecutionAnswer:
    """Ends a step that runs, waits or has failed, with an output of yours.

    It needs an approver, if the step waits for a decision, or one within it.
    """
    if is_decisive(service.engine, flow, name, body.step):
        caller.needs(Role.APPROVER)
    return _done(
        caller,
        service,
        lambda engine: engine.skip_step(
            flow, name, body.step, body.output, body.frame, reason=body.reason
        ),
    )


@router.get(f"{AT}/map-runs/{{map_run}}")
def describe_map_run(
    flow: str, name: str, map_run: str, service: Serving, caller: Viewer
) -> MapRunAnswer:
    """How far a foreach is; its name is its frame's and its step's."""
    return _map_run(service.engine.map_runs.describe(flow, name, map_run))


@router.patch(f"{AT}/map-runs/{{map_run}}")
def update_map_run(
    flow: str, name: str, map_run: str, body: MapRunChange, service: Serving, caller: Operator
) -> MapRunAnswer:
    """Tunes a foreach that runs."""
    with caller.acting():
        return _map_run(service.engine.map_runs.update(flow, name, map_run, **body.model_dump()))


def _start(
    service: Service, caller: Caller, flow: str, body: NewExecution, key: str | None
) -> tuple[Execution, bool]:
    """The execution, and whether this request made it."""
    name = body.name
    if key is not None:
        if name is not None:
            raise InvalidArgument("give a name or an Idempotency-Key, not both")
        name = name_of_key(caller.id, key)
    engine = service.engine
    if body.callback_token:
        caller.needs(Role.APPROVER)  # who has it told of an end reports a task
    notify = {"token": body.callback_token} if body.callback_token else None
    wanted = Start(flow, name, body.input, notify, body.qualifier)
    try:
        with redis_errors():
            started = start_flow(engine.runtime, wanted)
    except ExecutionAlreadyExists:
        if key is None:
            raise
        return _same(engine.describe_execution(flow, str(name)), body), False
    if started.created:
        return execution_of(engine.runtime, started.record), True
    execution = engine.describe_execution(flow, started.name)
    return (execution if key is None else _same(execution, body)), False


def _same(found: Execution, body: NewExecution) -> Execution:
    if found.input != body.input:
        raise UnsupportedRequest(
            422, "IdempotencyKeyReused", "the Idempotency-Key was used for a start with other input"
        )
    return found


def _done(caller: Caller, service: Service, what: Callable[[Engine], Execution]) -> ExecutionAnswer:
    with caller.acting():
        return execution_answer(what(service.engine))


def _map_run(run: MapRun) -> MapRunAnswer:
    fields = {name: getattr(run, name) for name in MapRunAnswer.model_fields}
    fields |= {name: perhaps(fields[name]) for name in ("started_time", "stopped_time")}
    return MapRunAnswer(**fields)
