"""Routes: what the console's pages ask for beside the REST API: pictures, snapshots, items."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from engine.api.access import Approver, Viewer, may_still
from engine.api.console.attempts import payload_text, visits_told
from engine.api.console.decisions import Decision, decide
from engine.api.console.differences import differences
from engine.api.console.documents import flow_picture_of, picture_of
from engine.api.console.items import MOST_ITEMS, failed_page, last_event_of, loop_of, page
from engine.api.console.live import snapshots
from engine.api.console.snapshot import View, collection_size_of
from engine.api.events import Following
from engine.api.service import Service, Serving
from engine.runtime.health import redis_errors
from engine.runtime.inspecting import Inspector

router = APIRouter(prefix="/console/data", include_in_schema=False)

AT = "/flows/{flow}/executions/{name}"
Frame = Annotated[str, Query(max_length=2000)]
Version = Annotated[str, Query(pattern=r"^(now|[0-9]{1,9})$")]
EventId = Annotated[int, Query(ge=0, le=10**15)]


@router.get("/me")
def me(service: Serving, caller: Viewer) -> dict[str, Any]:
    """Who asks: their key's id and role; `open`: there are no keys."""
    flower = service.settings.flower_url.rstrip("/")
    return {"id": caller.id, "role": caller.role, "open": service.open, "flower": flower}


@router.get(f"{AT}/picture")
def picture(
    flow: str, name: str, service: Serving, caller: Viewer, frame: Frame = ""
) -> dict[str, Any]:
    """The picture of the flow as this execution runs it, or of what a frame walks."""
    return picture_of(_view(service, flow, name, frame, head=False))


@router.get(f"{AT}/snapshot")
def snapshot(
    flow: str, name: str, service: Serving, caller: Viewer, frame: Frame = ""
) -> dict[str, Any]:
    """Where the steps of that picture stand."""
    return _view(service, flow, name, frame).take()


@router.get(f"{AT}/live")
async def live(
    flow: str, name: str, request: Request, service: Serving, caller: Viewer, frame: Frame = ""
) -> Response:
    """Snapshots as server-sent events, one when something has happened, until the end."""
    view = await service.call(_view, service, flow, name, frame)
    service.followers.take()
    return Following(service, snapshots(service, view, partial(may_still, request)))


@router.get(f"{AT}/payloads")
def payloads(flow: str, name: str, service: Serving, caller: Viewer) -> dict[str, Any]:
    """The input and output of the execution, cut where they are long."""
    execution = service.engine.describe_execution(flow, name)
    output = execution.output
    return {
        "input": payload_text(execution.input),
        "output": None if output is None else payload_text(output),
        "version": execution.version,
        "qualifier": execution.qualifier,
    }


@router.get(f"{AT}/visits")
def visits(
    flow: str,
    name: str,
    path: Frame,
    service: Serving,
    caller: Viewer,
    frame: Frame = "",
    event: EventId = 0,
) -> list[dict[str, Any]]:
    """The visits of a step, newest first, with what it got and gave in one of them."""
    return visits_told(_view(service, flow, name, frame), path, event)


@router.get(f"{AT}/items")
def items(
    flow: str,
    name: str,
    path: Frame,
    service: Serving,
    caller: Viewer,
    frame: Frame = "",
    event: EventId = 0,
    first: EventId = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 25,
    failed: bool = False,
) -> dict[str, Any]:
    """A page of a foreach's items; `failed`: of those that have failed or are open."""
    view = _view(service, flow, name, frame)
    with redis_errors():
        loop = loop_of(view, path, event)
        if failed:
            return failed_page(view.inspector, loop, first, limit)
        return page(view.inspector, loop, first, limit, collection_size_of(view, loop.first))


@router.post(f"{AT}/decision", status_code=204)
def decision(flow: str, name: str, body: Decision, service: Serving, caller: Approver) -> None:
    """Approves or rejects the task that a frame waits at."""
    with caller.acting():
        decide(service.engine, flow, name, body)


@router.get("/flows/{flow}/picture")
def flow_picture(flow: str, service: Serving, caller: Viewer) -> dict[str, Any]:
    """The picture of a flow as it is deployed."""
    with redis_errors():
        record = service.engine.describe_flow(flow)
        return flow_picture_of(service.engine.runtime.definitions.graph(record.definition_id))


@router.get("/flows/{flow}/differences")
def compare(
    flow: str, old: Version, new: Version, service: Serving, caller: Viewer
) -> list[dict[str, Any]]:
    """What differs between two versions of a flow; `now` is the one that is deployed."""
    return differences(_text(service, flow, old), _text(service, flow, new))


def _text(service: Service, flow: str, version: str) -> str:
    if version.isdecimal():
        return service.engine.versions.describe(flow, int(version)).definition
    return service.engine.describe_flow(flow).definition


def _view(service: Service, flow: str, name: str, frame: str, head: bool = True) -> View:
    """A view of a frame. Raises ExecutionNotExists; InvalidArgument: there is no such frame."""
    runtime = service.engine.runtime
    inspector = Inspector(runtime, flow, name)
    with redis_errors():
        graph = runtime.definitions.graph(inspector.summary().definition_id)
        return View(inspector, graph, frame, last_event_of(inspector, graph, frame) if head else 0)
