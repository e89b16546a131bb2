"""Versions: a flow as it was published, for good, and the aliases that lead to versions."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import (
    ConcurrentUpdateError,
    FlowAliasAlreadyExists,
    FlowAliasNotExists,
    FlowVersionInUse,
    FlowVersionNotExists,
    InvalidArgument,
)
from engine.runtime.auditing import AuditLog
from engine.runtime.definitions import NAME, FlowRecord
from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Answer, Verdict
from engine.runtime.standing import new_id

LATEST = "LATEST"
"""The qualifier of a flow as it is deployed, as if there were none."""

WHOLE = 100
"""What the weights of an alias add up to."""

MOST_DIGITS = 15
"""A number with more of them is no version's."""

BOOKKEEPING = ("last", "call")


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """A published flow: it never changes. `version` counts from 1 per flow."""

    flow_name: str
    version: int
    definition: str
    definition_id: str
    description: str
    created_time: float


@dataclass(frozen=True, slots=True)
class Route:
    """A version that an alias leads to, with its share of the starts, in percent."""

    version: int
    weight: int


@dataclass(frozen=True, slots=True)
class FlowAlias:
    """A name for one version of a flow, or for two that share the starts by their weights."""

    flow_name: str
    name: str
    description: str
    routing: tuple[Route, ...]
    created_time: float
    last_modified_time: float


class Versions:
    """The versions and aliases of the flows in one store."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._redis = runtime.store.redis
        self._keys = runtime.store.keys
        self._audit = AuditLog(runtime)

    @redis_errors()
    def publish(self, flow: str, description: str = "") -> FlowVersion:
        """Keeps the flow as it is deployed now as its next version. Raises FlowNotExists."""
        record = self._runtime.definitions.describe(flow)
        fields = {
            "definition_id": record.definition_id,
            "description": description,
            "created_time": time.time(),
        }
        answer = self._verb("publish", flow, version=json.dumps(fields))
        number = int(answer.values[0])
        self._audit.record("PublishFlowVersion", flow, {"version": number})
        return FlowVersion(flow, number, definition=record.definition, **fields)  # type: ignore[arg-type]

    @redis_errors()
    def describe(self, flow: str, version: int) -> FlowVersion:
        """A published version. Raises FlowNotExists, FlowVersionNotExists."""
        self._runtime.definitions.describe(flow)
        text = self._redis.hget(self._keys.versions(flow), str(version))
        if text is None:
            raise FlowVersionNotExists(f"flow {flow!r} has no version {version}")
        return self._version(flow, version, str(text))

    @redis_errors()
    def delete(self, flow: str, version: int) -> None:
        """Takes a version away; executions of it go on.

        Raises:
            FlowNotExists; FlowVersionNotExists. FlowVersionInUse: an alias leads to it.
        """
        self.describe(flow, version)
        answer = self._verb("unpublish", flow, version=str(version))
        if answer.verdict is Verdict.STALE:
            raise FlowVersionInUse(
                f"alias {answer.values[0]!r} of flow {flow!r} leads to version {version}; "
                "update_alias gives it another"
            )
        self._audit.record("DeleteFlowVersion", flow, {"version": version})

    @redis_errors()
    def create_alias(
        self, flow: str, name: str, routing: Sequence[Route], description: str = ""
    ) -> FlowAlias:
        """Makes an alias.

        Raises:
            FlowNotExists; FlowAliasAlreadyExists. FlowVersionNotExists: it is to lead there.
            InvalidArgument: the name, or weights that are not 100 in sum.
        """
        self._runtime.definitions.describe(flow)
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == LATEST:
            raise InvalidArgument(
                f"alias name {name!r}: use 1 to 128 letters, digits, '_' and '-', beginning with "
                f"a letter or '_', and not {LATEST}"
            )
        now = time.time()
        alias = FlowAlias(flow, name, description, checked_routes(routing), now, now)
        self._put(alias, None)
        self._audit.record("CreateFlowAlias", flow, _told(alias))
        return alias

    @redis_errors()
    def update_alias(
        self,
        flow: str,
        name: str,
        routing: Sequence[Route] | None = None,
        description: str | None = None,
    ) -> FlowAlias:
        """Changes what is given of an alias; starts go by it at once.

        Raises:
            FlowNotExists; FlowAliasNotExists; FlowVersionNotExists; InvalidArgument.
            ConcurrentUpdateError: somebody else has changed it meanwhile.
        """
        old, text = self._alias(flow, name)
        alias = FlowAlias(
            flow,
            name,
            old.description if description is None else description,
            old.routing if routing is None else checked_routes(routing),
            old.created_time,
            time.time(),
        )
        self._put(alias, text)
        self._audit.record("UpdateFlowAlias", flow, _told(alias))
        return alias

    @redis_errors()
    def describe_alias(self, flow: str, name: str) -> FlowAlias:
        """An alias. Raises FlowNotExists, FlowAliasNotExists."""
        return self._alias(flow, name)[0]

    @redis_errors()
    def list_aliases(self, flow: str) -> list[FlowAlias]:
        """All aliases of a flow, by name. Raises FlowNotExists."""
        self._runtime.definitions.describe(flow)
        rows: Any = self._redis.hgetall(self._keys.aliases(flow))
        return [_alias_of(flow, name, text) for name, text in sorted(rows.items())]

    @redis_errors()
    def list(self, flow: str) -> list[FlowVersion]:
        """All versions of a flow, newest first. Raises FlowNotExists."""
        self._runtime.definitions.describe(flow)
        rows: Any = self._redis.hgetall(self._keys.versions(flow))
        numbers = sorted((int(field) for field in rows if field not in BOOKKEEPING), reverse=True)
        return [self._version(flow, number, rows[str(number)]) for number in numbers]

    @redis_errors()
    def delete_alias(self, flow: str, name: str) -> None:
        """Takes an alias away; executions that it has led go on.

        Raises:
            FlowNotExists; FlowAliasNotExists. ConcurrentUpdateError: it was changed meanwhile.
        """
        _, text = self._alias(flow, name)
        answer = self._verb("alias", flow, name=name, versions=[], **{"from": text})
        # Gone: that is what was asked for, by whomever.
        if answer.verdict is Verdict.MOVED and self._redis.hexists(self._keys.aliases(flow), name):
            raise ConcurrentUpdateError(f"alias {name!r} of flow {flow!r} was changed meanwhile")
        self._audit.record("DeleteFlowAlias", flow, {"alias": name})

    def forget(self, flow: str) -> None:
        """Deletes all versions and aliases of a flow that is gone."""
        self._redis.delete(self._keys.versions(flow), self._keys.aliases(flow))

    def _put(self, alias: FlowAlias, old: str | None) -> None:
        flow, name = alias.flow_name, alias.name
        versions = [str(route.version) for route in alias.routing]
        order: dict[str, Any] = {"alias": _text(alias), "versions": versions}
        if old is not None:
            order["from"] = old
        answer = self._verb("alias", flow, name=name, **order)
        match answer.verdict:
            case Verdict.MISSING:
                raise FlowVersionNotExists(f"flow {flow!r} has no version {answer.values[0]}")
            case Verdict.REPEATED:
                raise FlowAliasAlreadyExists(
                    f"flow {flow!r} has an alias {name!r} already; update_alias changes it"
                )
            case Verdict.MOVED:
                raise ConcurrentUpdateError(f"{flow}: alias {name!r} was changed meanwhile")
            case _:
                return

    def _alias(self, flow: str, name: str) -> tuple[FlowAlias, str]:
        """An alias, and the text that is kept of it."""
        self._runtime.definitions.describe(flow)
        text = self._redis.hget(self._keys.aliases(flow), name)
        if text is None:
            raise FlowAliasNotExists(f"flow {flow!r} has no alias {name!r}")
        return _alias_of(flow, name, str(text)), str(text)

    def _version(self, flow: str, version: int, text: str) -> FlowVersion:
        fields = json.loads(text)
        definition = self._runtime.definitions.text(fields["definition_id"])
        return FlowVersion(flow, version, definition=definition, **fields)

    def _verb(self, verb: str, flow: str, **order: Any) -> Answer:
        keys = [self._keys.versions(flow), self._keys.aliases(flow)]
        return self._runtime.store.scripts.call(verb, keys, {"call": new_id()} | order)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an execution runs; `version` None: the flow as it is deployed."""

    definition_id: str
    version: int | None = None


def choose(runtime: Runtime, flow: FlowRecord, qualifier: str | None, execution: str) -> Chosen:
    """The definition that a qualifier means for an execution: the same one whenever it is asked.

    `qualifier`: a version's number, an alias's name, LATEST or None.

    Raises:
        FlowVersionNotExists; FlowAliasNotExists.
    """
    if qualifier in (None, "", LATEST):
        return Chosen(flow.definition_id)
    versions = Versions(runtime)
    assert qualifier is not None
    if qualifier.isdecimal() and len(qualifier) <= MOST_DIGITS:
        number = int(qualifier)
    else:
        number = route(versions.describe_alias(flow.name, qualifier), execution)
    return Chosen(versions.describe(flow.name, number).definition_id, number)


def route(alias: FlowAlias, execution: str) -> int:
    """The version that an alias leads an execution to. By its name, so a repeated start agrees."""
    digest = hashlib.sha256(f"{alias.flow_name}:{execution}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") % WHOLE
    return next(
        each.version
        for index, each in enumerate(alias.routing)
        if at < sum(before.weight for before in alias.routing[: index + 1])
    )


def checked_routes(routing: Sequence[Route]) -> tuple[Route, ...]:
    """The routes of an alias. Raises InvalidArgument."""
    versions = [each.version for each in routing]
    numbers = [*versions, *(each.weight for each in routing)]
    if not 1 <= len(routing) <= 2 or len(set(versions)) < len(versions):
        raise InvalidArgument("routing: give one version, or two different ones")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise InvalidArgument("routing: versions and weights are whole numbers")
    if (total := sum(each.weight for each in routing)) != WHOLE:
        raise InvalidArgument(f"routing: the weights add up to {total}; they must to {WHOLE}")
    return tuple(routing)


def _told(alias: FlowAlias) -> dict[str, Any]:
    shares = ", ".join(f"{each.weight} % to {each.version}" for each in alias.routing)
    return {"alias": alias.name, "routing": shares}


def _text(alias: FlowAlias) -> str:
    fields = asdict(alias)
    del fields["flow_name"], fields["name"]
    return json.dumps(fields | {"routing": [[r.version, r.weight] for r in alias.routing]})


def _alias_of(flow: str, name: str, text: str) -> FlowAlias:
    fields = json.loads(text)
    routing = tuple(Route(*each) for each in fields.pop("routing"))
    return FlowAlias(flow, name, routing=routing, **fields)
