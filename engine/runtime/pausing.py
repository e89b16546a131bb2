"""Pausing: an execution is held between two steps, with all that it waits for, and goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from engine.core.events import EventType, NewEvent
from engine.errors import ConcurrentUpdateError, ExecutionAlreadyCompleted, ExecutionNotExists
from engine.runtime.cutting import open_keys, pages
from engine.runtime.pointer import Pointer, execution_id
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import repeated
from engine.runtime.standing import fresh
from engine.runtime.store import NET_S

LANE = "lane"
"""In the place of a fence: the deadline of a join's lanes."""


def pause(
    runtime: Runtime,
    flow: str,
    name: str,
    freeze: bool,
    note: dict[str, str],
    parent: bool = False,
) -> None:
    """Holds an execution and the children that it waits for. Atomic, idempotent.

    `freeze`: waits, delays and time-outs stand still; else they run on, and what they lead to waits
    for the resume. `parent`: it is paused because its parent is, and goes on with it.

    Raises:
        ExecutionNotExists; ExecutionAlreadyCompleted. ConcurrentUpdateError: another version's.
    """
    identity = execution_id(flow, name)
    runtime.store.check_version(identity)
    detail = {**note, "timers": "freeze" if freeze else "run on"}
    event = NewEvent(EventType.EXECUTION_PAUSED, "", detail)
    order: dict[str, Any] = {
        "events": runtime.store.events(identity, "", [event]),
        "paused": {"freeze": freeze, "parent": parent},
        "net_ms": round(NET_S * 1000),
    }
    answer = runtime.store.verb("pause", identity, **order)
    if answer.verdict is Verdict.REPEATED and int(answer.values[0]) and not parent:
        # The resume that is on its way came first: this is the next pause.
        go_on(runtime, identity)
        answer = runtime.store.verb("pause", identity, **order)
    if answer.verdict is Verdict.MISSING:
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    if answer.verdict is Verdict.STALE:
        raise ExecutionAlreadyCompleted(f"{flow}/{name} has ended, or is about to")
    hold(runtime, identity)


def resume(runtime: Runtime, flow: str, name: str, note: dict[str, str]) -> None:
    """Lets a paused execution go on. Idempotent; a sweeper completes it if the caller dies.

    Raises:
        ExecutionNotExists. ConcurrentUpdateError: another version's.
    """
    identity = execution_id(flow, name)
    runtime.store.check_version(identity)
    net_ms = round(NET_S * 1000)
    answer = runtime.store.verb("resume", identity, resuming={"note": note}, net_ms=net_ms)
    if answer.verdict is Verdict.MISSING:
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    go_on(runtime, identity)


def hold(runtime: Runtime, identity: str) -> None:
    """Completes a pause that somebody has begun. Idempotent. Cost: O(open frames)."""
    for child in children(runtime, identity):
        pause_with_parent(runtime, child, identity)
    _done(runtime, identity, "pausing")


def go_on(runtime: Runtime, identity: str) -> None:
    """Completes a resume that somebody has begun. Idempotent. Cost: O(open frames)."""
    record = runtime.store.record(identity)
    if "resuming" in record and "paused" in record:
        paused = json.loads(record["paused"])
        if paused["freeze"]:
            _thaw(runtime, identity, paused["call"])
        note = json.loads(record["resuming"])["note"]
        event = NewEvent(EventType.EXECUTION_RESUMED, "", note)
        events = runtime.store.events(identity, "", [event])
        runtime.store.verb("resume", identity, events=events, pause=paused["call"])
    _thaw(runtime, identity, None)
    _send_what_was_held(runtime, identity)
    for child in children(runtime, identity):
        resume_child(runtime, child, identity)
    _done(runtime, identity, "resuming")


def pause_child(runtime: Runtime, child: str, parent: str, freeze: bool) -> None:
    """Pauses a child with its parent; one that has ended meanwhile is none."""
    flow, _, name = child.partition(":")
    try:
        pause(runtime, flow, name, freeze, {"by": f"parent {parent}"}, parent=True)
    except (ExecutionNotExists, ExecutionAlreadyCompleted, ConcurrentUpdateError):
        return
    if "paused" not in runtime.store.record(parent):
        resume_child(runtime, child, parent)


def resume_child(runtime: Runtime, child: str, parent: str) -> None:
    """Resumes a child that was paused with its parent, and no other."""
    flow, _, name = child.partition(":")
    held = json.loads(runtime.store.record(child).get("paused", "{}"))
    if not held.get("parent"):
        return
    try:
        resume(runtime, flow, name, {"by": f"parent {parent}"})
    except (ExecutionNotExists, ConcurrentUpdateError):
        return


def pause_with_parent(runtime: Runtime, child: str, parent: str) -> None:
    """Pauses a child that was started while its parent was being paused."""
    if text := runtime.store.record(parent).get("paused"):
        pause_child(runtime, child, parent, json.loads(text)["freeze"])


def children(runtime: Runtime, identity: str) -> Iterator[str]:
    """The child executions that an execution waits for. Cost: O(open frames)."""
    for key in open_keys(runtime, identity):
        state = runtime.store.state(identity, key)
        if state is not None and state.get("on"):
            yield str(state["on"])


def _thaw(runtime: Runtime, identity: str, pause: str | None) -> None:
    """Moves the timers that a pause stopped; None: puts those back that were due meanwhile."""
    for page in pages([key for key in open_keys(runtime, identity) if "*" not in key]):
        runtime.store.verb("thaw", identity, frames=page, **({"pause": pause} if pause else {}))


def _done(runtime: Runtime, identity: str, what: str) -> None:
    """Takes the net away that was to catch what its caller has done now."""
    if what == "resuming" and what in runtime.store.record(identity):
        return  # the next one, by another caller
    runtime.store.redis.zrem(runtime.store.keys.timers, f"{what}|{identity}||")


def _send_what_was_held(runtime: Runtime, identity: str) -> None:
    """Sends anew what was claimed in vain: it has no deadline any more."""
    record = runtime.store.record(identity)
    if "definition" not in record or "paused" in record:
        return
    flow, _, name = identity.partition(":")
    graph = runtime.definitions.graph(record["definition"])
    pointer = Pointer(flow, name, "", 1, "", "", "resume")
    for key in open_keys(runtime, identity):
        state, frame = runtime.store.state(identity, key), runtime.store.frame(identity, key)
        if state is None or frame is None or state["st"] != "READY":
            continue
        if _has_deadline(runtime, identity, key, state["fence"]):
            continue
        at = Pointer(flow, name, "", 1, key, state["fence"], state["kind"])
        left_s = max(0.0, float(state.get("due", 0)) / 1000 - _now_s(runtime))
        to = repeated(runtime, fresh(at), graph, frame, left_s)
        runtime.store.wake(at, to, ("READY",), None, kept=state.get("wake"), resumed=True)
    _send_lanes(runtime, identity, pointer)


def _send_lanes(runtime: Runtime, identity: str, pointer: Pointer) -> None:
    redis, keys = runtime.store.redis, runtime.store.keys
    found: Any = redis.hscan_iter(keys.joins(identity))
    for join in [str(name) for name, _ in found if ":" not in str(name)]:
        j = runtime.store.join(identity, join)
        if j is not None and j["st"] == "OPEN" and not _has_deadline(runtime, identity, join, LANE):
            queue = str(j["queue"])
            runtime.store.verb("resend", identity, queue, join=join, fence=LANE, resumed=True)


def _has_deadline(runtime: Runtime, identity: str, frame: str, fence: str) -> bool:
    member = f"{identity}|{frame}|{fence}"
    return runtime.store.redis.zscore(runtime.store.keys.dispatch, member) is not None


def _now_s(runtime: Runtime) -> float:
    seconds, micros = runtime.store.redis.time()  # type: ignore[misc]
    return float(seconds) + float(micros) / 1_000_000
