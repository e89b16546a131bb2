"""Flows over REST: deployed, read, changed under their ETag, taken away."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from engine.api.access import Admin, Viewer
from engine.api.admission import check_allowed
from engine.api.answers import FlowAnswer, FlowList, flow_answer
from engine.api.bodies import FlowChange, NewFlow
from engine.api.pages import LISTED, Limit, page_of_flows
from engine.api.preferences import matches
from engine.api.problems import UnsupportedRequest
from engine.api.service import Service, Serving
from engine.runtime.definitions import FlowRecord

router = APIRouter(prefix="/v1/flows", tags=["flows"])

CHANGED: dict[int | str, dict[str, Any]] = {412: {"description": "It is not as If-Match says."}}
IfMatch = Annotated[str | None, Header(description="Only if its ETag is this one still.")]
IfNoneMatch = Annotated[str | None, Header(description="Not if its ETag is this one.")]


@router.post("", status_code=201)
def create(body: NewFlow, service: Serving, caller: Admin, response: Response) -> FlowAnswer:
    """Deploys a flow; all mistakes of a wrong one are answered at once."""
    check_allowed(body.definition, service.settings)
    with caller.acting():
        record = service.engine.create_flow(
            body.name, body.definition, body.description, retention=body.retention
        )
    response.headers["Location"] = f"/v1/flows/{record.name}"
    return _tagged(record, response)


@router.get("")
def list_all(
    service: Serving,
    caller: Viewer,
    limit: Limit = LISTED,
    cursor: str = "",
) -> FlowList:
    """Flows, by name."""
    page, token = page_of_flows(service.engine, cursor, limit)
    return FlowList(flows=[flow_answer(flow) for flow in page], next_cursor=token or None)


@router.get(
    "/{flow}",
    response_model=FlowAnswer,
    responses={304: {"description": "It is as If-None-Match says."}},
)
def describe(
    flow: str,
    service: Serving,
    caller: Viewer,
    response: Response,
    if_none_match: IfNoneMatch = None,
) -> FlowAnswer | Response:
    """A flow as it is now."""
    record = service.engine.describe_flow(flow)
    tag = tag_of(record)
    if if_none_match is not None and matches(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    return _tagged(record, response)


@router.patch("/{flow}", responses=CHANGED)
def update(
    flow: str,
    body: FlowChange,
    service: Serving,
    caller: Admin,
    response: Response,
    if_match: IfMatch = None,
) -> FlowAnswer:
    """Changes a flow; running executions keep the definition they were started with."""
    if body.definition is not None:
        check_allowed(body.definition, service.settings)
    seen = _as_seen(service, flow, if_match)
    with caller.acting():
        record = service.engine.update_flow(
            flow, body.definition, body.description, seen, retention=body.retention
        )
    return _tagged(record, response)


@router.delete("/{flow}", status_code=204, responses=CHANGED)
def delete(flow: str, service: Serving, caller: Admin, if_match: IfMatch = None) -> None:
    """Takes a flow away; running executions go on."""
    _as_seen(service, flow, if_match)
    with caller.acting():
        service.engine.delete_flow(flow)


def tag_of(record: FlowRecord) -> str:
    """The ETag of a flow: another one whenever its answer is another."""
    text = f"{record.definition_id} {record.version} {record.last_modified_time}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


def _tagged(record: FlowRecord, response: Response) -> FlowAnswer:
    response.headers["ETag"] = tag_of(record)
    return flow_answer(record)


def _as_seen(service: Service, flow: str, if_match: str | None) -> FlowRecord | None:
    """The flow, if it is as the header says; None: nothing is said."""
    if if_match is None:
        return None
    record = service.engine.describe_flow(flow)
    if not matches(if_match, tag_of(record)):
        raise UnsupportedRequest(412, "PreconditionFailed", f"flow {flow!r} was changed meanwhile")
    return record
