"""Versions and aliases of flows over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from engine.api.access import Admin, Viewer
from engine.api.answers import (
    AliasAnswer,
    AliasList,
    RouteAnswer,
    VersionAnswer,
    VersionList,
    moment,
)
from engine.api.bodies import AliasChange, NewAlias, NewVersion, RouteBody
from engine.api.pages import LISTED, Limit, page_of
from engine.api.service import Serving
from engine.runtime.versions import FlowAlias, FlowVersion, Route

router = APIRouter(prefix="/v1/flows/{flow}", tags=["versions"])


@router.post("/versions", status_code=201)
def publish(flow: str, body: NewVersion, service: Serving, caller: Admin) -> VersionAnswer:
    """Publishes the flow as it is now: it stays so under the next number."""
    with caller.acting():
        return _version(service.engine.versions.publish(flow, body.description))


@router.get("/versions")
def list_versions(
    flow: str,
    service: Serving,
    caller: Viewer,
    limit: Limit = LISTED,
    cursor: Annotated[int, Query(ge=1, le=10**9, description="Those below.")] = 10**9,
) -> VersionList:
    """The flow's versions, newest first."""
    left = [each for each in service.engine.versions.list(flow) if each.version < cursor]
    page = [_version(each) for each in left[:limit]]
    token = str(page[-1].version) if len(left) > limit else None
    return VersionList(versions=page, next_cursor=token)


@router.get("/versions/{version}")
def describe_version(flow: str, version: int, service: Serving, caller: Viewer) -> VersionAnswer:
    """A version."""
    return _version(service.engine.versions.describe(flow, version))


@router.delete("/versions/{version}", status_code=204)
def delete_version(flow: str, version: int, service: Serving, caller: Admin) -> None:
    """Takes a version away that no alias leads to."""
    with caller.acting():
        service.engine.versions.delete(flow, version)


@router.post("/aliases", status_code=201)
def create_alias(flow: str, body: NewAlias, service: Serving, caller: Admin) -> AliasAnswer:
    """Gives one version a name, or shares its starts between two."""
    routing = _routing(body.routing)
    with caller.acting():
        versions = service.engine.versions
        return _alias(versions.create_alias(flow, body.name, routing, body.description))


@router.get("/aliases")
def list_aliases(
    flow: str, service: Serving, caller: Viewer, limit: Limit = LISTED, cursor: str = ""
) -> AliasList:
    """The flow's aliases, by name."""
    found = service.engine.versions.list_aliases(flow)
    page, token = page_of([(each.name, each) for each in found], cursor, limit)
    return AliasList(aliases=[_alias(each) for each in page], next_cursor=token or None)


@router.get("/aliases/{alias}")
def describe_alias(flow: str, alias: str, service: Serving, caller: Viewer) -> AliasAnswer:
    """An alias."""
    return _alias(service.engine.versions.describe_alias(flow, alias))


@router.patch("/aliases/{alias}")
def update_alias(
    flow: str, alias: str, body: AliasChange, service: Serving, caller: Admin
) -> AliasAnswer:
    """Leads an alias elsewhere."""
    routing = None if body.routing is None else _routing(body.routing)
    with caller.acting():
        versions = service.engine.versions
        return _alias(versions.update_alias(flow, alias, routing, body.description))


@router.delete("/aliases/{alias}", status_code=204)
def delete_alias(flow: str, alias: str, service: Serving, caller: Admin) -> None:
    """Takes an alias away."""
    with caller.acting():
        service.engine.versions.delete_alias(flow, alias)


def _routing(routes: list[RouteBody]) -> list[Route]:
    return [Route(route.version, route.weight) for route in routes]


def _version(version: FlowVersion) -> VersionAnswer:
    return VersionAnswer(
        version=version.version,
        description=version.description,
        definition=version.definition,
        created_time=moment(version.created_time),
    )


def _alias(alias: FlowAlias) -> AliasAnswer:
    return AliasAnswer(
        name=alias.name,
        description=alias.description,
        routing=[RouteAnswer(version=r.version, weight=r.weight) for r in alias.routing],
        created_time=moment(alias.created_time),
        last_modified_time=moment(alias.last_modified_time),
    )
