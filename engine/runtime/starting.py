"""Starting: a deployed flow becomes an execution, once per name."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from engine.core import scheduler
from engine.core.states import ExecutionStatus
from engine.errors import EntityTooLarge, ExecutionAlreadyExists, InvalidArgument
from engine.runtime.documents import STATE_VERSION, VERSION_FIELD
from engine.runtime.payloads import dumps
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import beginning
from engine.runtime.standing import fresh

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started. `name` None: a fresh one. `notify`: who is told of its end.

    `notify` is {"token"}, or the step of a parent: {"flow", "execution", "frame", "step", "visit",
    "attempt", "waits": whether it waits for the end}.
    """

    flow: str
    name: str | None
    input: dict[str, Any]
    notify: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """An execution's name, and whether this start made it (else it was there)."""

    name: str
    created: bool


def start(runtime: Runtime, wanted: Start) -> Started:
    """Starts an execution. Atomic, idempotent by name.

    Raises:
        FlowNotExists. InvalidArgument: the name, the input or the token. EntityTooLarge: the input.
        ExecutionAlreadyExists: the name belongs to one that has ended.
    """
    name = wanted.name or str(uuid.uuid4())
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidArgument(
            f"execution name {name!r}: use 1 to 128 letters, digits, '_', '.' and '-', "
            "beginning with a letter, a digit or '_'"
        )
    given = check_object(runtime, wanted.input, "input")
    flow = runtime.definitions.describe(wanted.flow)
    graph = runtime.definitions.graph(flow.definition_id)
    frame = scheduler.open_root(graph, given)
    pointer = fresh(Pointer(flow.name, name, "", 1, "", "", "begin"))
    standing = beginning(runtime, pointer)
    runtime.store.packer.forget(pointer.execution_id)
    record = {
        "flow": flow.name,
        "name": name,
        "definition": flow.definition_id,
        VERSION_FIELD: STATE_VERSION,
        "input": runtime.store.packer.pack(pointer.execution_id, given),
    }
    if graph.flow.kept_turns is not None:
        record["kept_turns"] = str(graph.flow.kept_turns)
    if wanted.notify is not None:
        record["notify"] = json.dumps(wanted.notify)
    event = scheduler.start_event(frame)
    answer = runtime.store.start(pointer, frame, event, standing, record, graph.flow.timeout_s)
    if answer.verdict is Verdict.REPEATED and ExecutionStatus(answer.values[0]).ended:
        raise ExecutionAlreadyExists(
            f"{flow.name} has an execution {name!r} that has ended ({answer.values[0]}); "
            "take another name"
        )
    return Started(name, answer.applied)


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
