"""Flows as deployed: a name, its current definition, and every definition it ever had."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict, Unpack

from redis import Redis
from redis.exceptions import WatchError

from engine.core.checks import load_flow
from engine.core.graph import Graph
from engine.core.states import ExecutionStatus
from engine.errors import (
    ConcurrentUpdateError,
    FlowAlreadyExists,
    FlowNotExists,
    InvalidArgument,
)
from engine.runtime.keys import Keys

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
TRIES = 20
"""How often an update is tried while other flows are being changed."""

MOST_RETAINED_S = 10 * 366 * 86_400

STANDARD = "Standard"
"""The execution mode where none is given."""

PLACEHOLDER = "<>${}"
"""What deploy templates put around a name that they would fill in."""


def plain_name(name: str) -> str:
    """A flow's name without a template placeholder's marks: `<restoreFlow>` is `restoreFlow`."""
    return name.strip(PLACEHOLDER)


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """A deployed flow. `definition_id` names the text; times are seconds since the epoch.

    `role_arn` and `execution_mode` are kept for clients that give them. `retention`: how long
    executions are kept after their end, in seconds by status; for others the setting holds.
    """

    name: str
    definition: str
    definition_id: str
    description: str
    version: int
    created_time: float
    last_modified_time: float
    role_arn: str = ""
    execution_mode: str = STANDARD
    retention: Mapping[str, float] = field(default_factory=dict)


class Kept(TypedDict, total=False):
    """What a flow may have besides; None: as it is."""

    role_arn: str | None
    execution_mode: str | None
    retention: Mapping[str, float] | None


class Definitions:
    """The deployed flows in Redis. A definition's text never changes: executions rely on it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def create(
        self, name: str, definition: str, description: str = "", **kept: Unpack[Kept]
    ) -> FlowRecord:
        """Deploys a new flow. Atomic. `kept`: role_arn, execution_mode, retention.

        Raises:
            FlowInvalid: the definition has errors. InvalidArgument: the name has.
            FlowAlreadyExists: the name is taken.
        """
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidArgument(
                f"flow name {name!r}: use 1 to 128 letters, digits, '_' and '-', "
                "beginning with a letter or '_'"
            )
        now = time.time()
        text_id = self._keep(name, definition)
        more: Any = {each: value for each, value in kept.items() if value is not None}
        record = FlowRecord(name, definition, text_id, description, 1, now, now, **more)
        _check_retention(record.retention)
        if not self._redis.hsetnx(self._keys.flows, name, _text(record)):
            raise FlowAlreadyExists(f"a flow {name!r} exists already; update_flow changes it")
        return record

    def update(
        self,
        name: str,
        definition: str | None = None,
        description: str | None = None,
        seen: FlowRecord | None = None,
        **kept: Unpack[Kept],
    ) -> FlowRecord:
        """Gives a flow a new definition; running executions keep theirs. `kept`: as in `create`.

        `seen`: what it must be like still; None: whatever it is like.

        Raises:
            FlowNotExists; FlowInvalid. ConcurrentUpdateError: somebody else changed it meanwhile.
        """
        old = self.describe(name)
        if seen is not None and seen != old:
            raise ConcurrentUpdateError(f"flow {name!r} was changed meanwhile; read it again")
        given = {"description": description, **kept}
        changes: Any = {each: value for each, value in given.items() if value is not None}
        record = replace(old, **changes, last_modified_time=time.time())
        _check_retention(record.retention)
        if definition is not None:
            text_id = self._keep(name, definition)
            record = replace(
                record, definition=definition, definition_id=text_id, version=old.version + 1
            )
        self.replace(old, record)
        return record

    def describe(self, name: str) -> FlowRecord:
        """A flow as it is deployed now. Raises FlowNotExists."""
        text = self._redis.hget(self._keys.flows, name)
        if not text:
            raise FlowNotExists(f"there is no flow {name!r}; create_flow deploys one")
        fields = json.loads(str(text))
        return _record(fields, self.text(fields["definition_id"]))

    def names(self) -> list[str]:
        """Names of all flows, sorted."""
        names: Any = self._redis.hkeys(self._keys.flows)
        return sorted(str(name) for name in names)

    def delete(self, name: str) -> None:
        """Takes a flow away; its running executions end as they would. Raises FlowNotExists."""
        if not self._redis.hdel(self._keys.flows, name):
            raise FlowNotExists(f"there is no flow {name!r} to delete")

    def text(self, definition_id: str) -> str:
        """The text of a definition. Raises FlowNotExists."""
        text = self._redis.hget(self._keys.definitions, definition_id)
        if text is None:
            raise FlowNotExists(f"definition {definition_id} is not in this Redis any more")
        return str(text)

    def graph(self, definition_id: str) -> Graph:
        """The graph of a definition; built once per process."""
        graph = _graphs.get(definition_id)
        if graph is None:
            graph = load_flow(self.text(definition_id))[0]
            if len(_graphs) > 500:
                _graphs.clear()
            _graphs[definition_id] = graph
        return graph

    def replace(self, old: FlowRecord, new: FlowRecord) -> None:
        """Writes a record in the place of the one it was made from, and of no other."""
        for _ in range(TRIES):
            with self._redis.pipeline() as pipe:
                pipe.watch(self._keys.flows)  # type: ignore[no-untyped-call]  # redis-py's
                found: Any = pipe.hget(self._keys.flows, old.name)
                if not found or _record(json.loads(found), old.definition) != old:
                    break
                pipe.multi()
                pipe.hset(self._keys.flows, old.name, _text(new))
                with suppress(WatchError):  # perhaps it was another flow that changed
                    pipe.execute()
                    return
        raise ConcurrentUpdateError(f"flow {old.name!r} was changed meanwhile; look at it again")

    def _keep(self, name: str, definition: object) -> str:
        if not isinstance(definition, str):
            kind = type(definition).__name__
            raise InvalidArgument(f"flow {name!r}: the definition must be a text, not {kind}")
        load_flow(definition, f"{name}.yml")
        kept = hashlib.sha256(definition.encode()).hexdigest()[:32]
        self._redis.hsetnx(self._keys.definitions, kept, definition)
        return kept


_graphs: dict[str, Graph] = {}


def _record(fields: dict[str, Any], definition: str) -> FlowRecord:
    # What an older version of the program has written lacks what it did not know.
    return FlowRecord(definition=definition, **fields)


def _check_retention(retention: Mapping[str, float]) -> None:
    for status, seconds in retention.items():
        if status not in tuple(ExecutionStatus) or not ExecutionStatus(status).ended:
            raise InvalidArgument(f"retention: {status!r} is no status that an execution ends with")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 1 <= seconds <= MOST_RETAINED_S:
            raise InvalidArgument(f"retention: {status} {seconds!r}: 1 to {MOST_RETAINED_S} s")


def _text(record: FlowRecord) -> str:
    fields = asdict(record)
    del fields["definition"]
    return json.dumps(fields)
