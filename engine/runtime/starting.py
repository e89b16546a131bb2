"""Starting: a deployed flow becomes an execution, once per name."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core import scheduler
from engine.core.states import ExecutionStatus
from engine.errors import EntityTooLarge, ExecutionAlreadyExists, InvalidArgument
from engine.runtime.documents import STATE_VERSION, VERSION_FIELD
from engine.runtime.moves import Move
from engine.runtime.payloads import dumps
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import beginning
from engine.runtime.standing import fresh
from engine.runtime.versions import choose

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started. `name` None: a fresh one. `notify`: who is told of its end.

    `notify` is {"token"}, or the step of a parent: {"flow", "execution", "frame", "step", "visit",
    "attempt", "waits": whether it waits for the end}. `qualifier`: a published version of the flow,
    or an alias; None: the flow as it is deployed. `move`: of the schedule that starts it. `caller`:
    whether a program "sends" its streams their source, or only "reads" them; None: there is none.
    """

    flow: str
    name: str | None
    input: dict[str, Any]
    notify: dict[str, Any] | None = None
    qualifier: str | None = None
    move: Move | None = None
    caller: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """An execution's name, and whether this start made it (else it was there).

    `moved`: False when its schedule has moved on meanwhile; nothing was started then. `record`:
    what is stored of it as it began; empty if this start has not made it.
    """

    name: str
    created: bool
    moved: bool = True
    record: Mapping[str, str] = field(default_factory=dict)


def start(runtime: Runtime, wanted: Start) -> Started:
    """Starts an execution. Atomic, idempotent by name.

    Raises:
        FlowNotExists. InvalidArgument: the name, the input or the token. EntityTooLarge: the input.
        FlowVersionNotExists, FlowAliasNotExists: the qualifier.
        ExecutionAlreadyExists: the name belongs to one that has ended.
    """
    name = wanted.name or str(uuid.uuid4())
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidArgument(
            f"execution name {name!r}: use 1 to 128 letters, digits, '_', '.' and '-', "
            "beginning with a letter, a digit or '_'"
        )
    given = check_object(runtime, wanted.input, "input")
    _check_token(runtime, wanted.notify)
    flow = runtime.definitions.describe(wanted.flow)
    chosen = choose(runtime, flow, wanted.qualifier, name)
    graph = runtime.definitions.graph(chosen.definition_id)
    frame = scheduler.open_root(graph, given)
    pointer = fresh(Pointer(flow.name, name, "", 1, "", "", "begin"))
    standing = beginning(runtime, pointer)
    runtime.store.packer.forget(pointer.execution_id)
    record = {
        "flow": flow.name,
        "name": name,
        "definition": chosen.definition_id,
        VERSION_FIELD: STATE_VERSION,
        "input": runtime.store.packer.pack(pointer.execution_id, given),
    }
    if chosen.version is not None:
        record |= {"flow_version": str(chosen.version), "qualifier": str(wanted.qualifier)}
    if flow.retention:
        kept_ms = {status: round(seconds * 1000) for status, seconds in flow.retention.items()}
        record["retention"] = json.dumps(kept_ms)
    if graph.flow.kept_turns is not None:
        record["kept_turns"] = str(graph.flow.kept_turns)
    if wanted.caller is not None:
        record["caller"] = wanted.caller
    if wanted.notify is not None:
        record["notify"] = json.dumps(wanted.notify)
    event = scheduler.start_event(frame)
    limit_s = graph.flow.timeout_s
    answer = runtime.store.start(pointer, frame, event, standing, record, limit_s, wanted.move)
    if answer.verdict is Verdict.REPEATED and ExecutionStatus(answer.values[0]).ended:
        raise ExecutionAlreadyExists(
            f"{flow.name} has an execution {name!r} that has ended ({answer.values[0]}); "
            "take another name"
        )
    if not answer.applied:
        return Started(name, False, answer.verdict is not Verdict.STALE)
    status, began_ms = answer.values
    return Started(name, True, record=record | {"status": status, "started_ms": began_ms})


def _check_token(runtime: Runtime, notify: dict[str, Any] | None) -> None:
    if notify is not None and "token" in notify:
        runtime.tokens.read(notify["token"])


def check_object(runtime: Runtime, value: Any, what: str) -> dict[str, Any]:
    """Refuses what is no JSON object, or too large; answers it as a copy of the engine's own.

    Raises:
        InvalidArgument; EntityTooLarge.
    """
    if not isinstance(value, dict):
        raise InvalidArgument(f"{what} must be a JSON object, not {type(value).__name__}")
    try:
        text = dumps(value)
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{what} is not JSON: {error}") from None
    limit = runtime.store.settings.payload_limit_bytes
    if size > limit:
        raise EntityTooLarge(
            f"{what} has {size} bytes; the limit is {limit} (PENSTOCK_PAYLOAD_LIMIT_BYTES)"
        )
    own: dict[str, Any] = json.loads(text)
    return own
