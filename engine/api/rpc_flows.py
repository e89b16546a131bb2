"""Operations on flows, their versions and their aliases."""

from __future__ import annotations

import uuid
from typing import Any

from engine.api.admission import check_allowed
from engine.api.operations import Answer, Call, Operation, Operations
from engine.api.pages import page_of, page_of_flows
from engine.api.parameters import service_time
from engine.errors import InvalidArgument
from engine.runtime.access_keys import Role
from engine.runtime.definitions import FlowRecord
from engine.runtime.versions import FlowAlias, FlowVersion, Route

TYPES = ("FDL",)
MODES = ("Standard", "Express")
_IDS = uuid.UUID("3f0e5bb8-3c0a-4c53-9a57-0d6b1c4a7d10")


def create_flow(call: Call) -> Answer:
    """CreateFlow."""
    given = call.given
    name, definition = given.required("Name"), given.required("Definition")
    description = given.present("Description")
    _check_type(given.required("Type"))
    mode = _mode(given.text("ExecutionMode"))
    check_allowed(definition, call.service.settings)
    record = call.engine.create_flow(
        name, definition, description, role_arn=given.text("RoleArn"), execution_mode=mode
    )
    return flow_answer(record)


def update_flow(call: Call) -> Answer:
    """UpdateFlow: what is not given stays."""
    given = call.given
    name, definition = given.required("Name"), given.text("Definition") or None
    _check_type(given.text("Type") or TYPES[0])
    if definition is not None:
        check_allowed(definition, call.service.settings)
    description, role_arn = given.optional("Description"), given.optional("RoleArn")
    mode = _mode(given.text("ExecutionMode")) if given.text("ExecutionMode") else None
    record = call.engine.update_flow(
        name, definition, description, role_arn=role_arn, execution_mode=mode
    )
    return flow_answer(record)


def describe_flow(call: Call) -> Answer:
    """DescribeFlow: as it is now, or one of its versions."""
    record = call.engine.describe_flow(call.given.required("Name"))
    answer = flow_answer(record)
    number = call.given.perhaps_number("FlowVersion", 1, 10**9)
    if number is None:
        return answer
    version = call.engine.versions.describe(record.name, number)
    created = service_time(version.created_time)
    return answer | {
        "Definition": version.definition,
        "Description": version.description,
        "CreatedTime": created,
        "LastModifiedTime": created,
    }


def delete_flow(call: Call) -> Answer:
    """DeleteFlow."""
    call.engine.delete_flow(call.given.required("Name"))
    return {}


def list_flows(call: Call) -> Answer:
    """ListFlows, by name; a token is the name that a page begins after."""
    limit, after = call.given.limit(), call.given.text("NextToken")
    page, token = page_of_flows(call.engine, after, limit)
    return {"Flows": [flow_answer(flow) for flow in page], "NextToken": token}


def flow_answer(record: FlowRecord) -> Answer:
    """A flow in the service's form."""
    return {
        "Name": record.name,
        "Id": str(uuid.uuid5(_IDS, f"{record.name} {record.created_time}")),
        "Type": TYPES[0],
        "Definition": record.definition,
        "Description": record.description,
        "RoleArn": record.role_arn,
        "ExecutionMode": record.execution_mode,
        "CreatedTime": service_time(record.created_time),
        "LastModifiedTime": service_time(record.last_modified_time),
    }


def publish_version(call: Call) -> Answer:
    """PublishFlowVersion."""
    name = call.given.required("FlowName")
    version = call.engine.versions.publish(name, call.given.text("Description"))
    return {"FlowName": name, **version_answer(version)}


def list_versions(call: Call) -> Answer:
    """ListFlowVersions, newest first; a token is the version that a page begins below."""
    name, limit = call.given.required("FlowName"), call.given.limit()
    below = call.given.number("NextToken", 10**9, 1, 10**9)
    versions = [v for v in call.engine.versions.list(name) if v.version < below]
    page = versions[:limit]
    token = str(page[-1].version) if len(versions) > limit else ""
    return {"FlowVersions": [version_answer(v) for v in page], "NextToken": token}


def delete_version(call: Call) -> Answer:
    """DeleteFlowVersion."""
    name = call.given.required("FlowName")
    call.given.required("FlowVersion")
    call.engine.versions.delete(name, call.given.number("FlowVersion", 0, 1, 10**9))
    return {}


def version_answer(version: FlowVersion) -> Answer:
    """A version in the service's form."""
    return {
        "Version": str(version.version),
        "Description": version.description,
        "CreatedTime": service_time(version.created_time),
    }


def create_alias(call: Call) -> Answer:
    """CreateFlowAlias."""
    flow, name = call.given.required("FlowName"), call.given.required("Name")
    call.given.required("RoutingConfigurations")
    routing = _routing(call) or []
    alias = call.engine.versions.create_alias(flow, name, routing, call.given.text("Description"))
    return {"FlowName": flow, **alias_answer(alias)}


def update_alias(call: Call) -> Answer:
    """UpdateFlowAlias: what is not given stays."""
    flow, name = call.given.required("FlowName"), call.given.required("Name")
    description = call.given.optional("Description")
    alias = call.engine.versions.update_alias(flow, name, _routing(call), description)
    return {"Alias": alias_answer(alias)}


def describe_alias(call: Call) -> Answer:
    """DescribeFlowAlias."""
    flow, name = call.given.required("FlowName"), call.given.required("Name")
    return {"Alias": alias_answer(call.engine.versions.describe_alias(flow, name))}


def delete_alias(call: Call) -> Answer:
    """DeleteFlowAlias."""
    flow, name = call.given.required("FlowName"), call.given.required("Name")
    call.engine.versions.delete_alias(flow, name)
    return {}


def list_aliases(call: Call) -> Answer:
    """ListFlowAliases, by name."""
    flow, limit = call.given.required("FlowName"), call.given.limit()
    aliases = [(alias.name, alias) for alias in call.engine.versions.list_aliases(flow)]
    page, token = page_of(aliases, call.given.text("NextToken"), limit)
    return {"Aliases": [alias_answer(alias) for alias in page], "NextToken": token}


def alias_answer(alias: FlowAlias) -> Answer:
    """An alias in the service's form."""
    return {
        "Name": alias.name,
        "Description": alias.description,
        "RoutingConfigurations": [
            {"Version": str(route.version), "Weight": route.weight} for route in alias.routing
        ],
        "CreatedTime": service_time(alias.created_time),
        "LastModifiedTime": service_time(alias.last_modified_time),
    }


def _routing(call: Call) -> list[Route] | None:
    given = call.given.json_list("RoutingConfigurations")
    return None if given is None else [_route(each) for each in given]


def _route(given: Any) -> Route:
    try:
        return Route(int(given["Version"]), int(given.get("Weight", 100)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        form = '[{"Version": "1", "Weight": 100}]'
        raise InvalidArgument(f"RoutingConfigurations must be like {form}") from None


def _check_type(given: str) -> None:
    if given not in TYPES:
        raise InvalidArgument(f"Type must be {TYPES[0]}, not {given!r}")


def _mode(given: str) -> str:
    mode = given or MODES[0]
    if mode not in MODES:
        raise InvalidArgument(f"ExecutionMode must be one of {', '.join(MODES)}, not {given!r}")
    return mode


OPERATIONS: Operations = {
    "CreateFlow": Operation(Role.ADMIN, create_flow),
    "UpdateFlow": Operation(Role.ADMIN, update_flow),
    "DescribeFlow": Operation(Role.VIEWER, describe_flow),
    "DeleteFlow": Operation(Role.ADMIN, delete_flow),
    "ListFlows": Operation(Role.VIEWER, list_flows),
    "PublishFlowVersion": Operation(Role.ADMIN, publish_version),
    "ListFlowVersions": Operation(Role.VIEWER, list_versions),
    "DeleteFlowVersion": Operation(Role.ADMIN, delete_version),
    "CreateFlowAlias": Operation(Role.ADMIN, create_alias),
    "UpdateFlowAlias": Operation(Role.ADMIN, update_alias),
    "DescribeFlowAlias": Operation(Role.VIEWER, describe_alias),
    "DeleteFlowAlias": Operation(Role.ADMIN, delete_alias),
    "ListFlowAliases": Operation(Role.VIEWER, list_aliases),
}
