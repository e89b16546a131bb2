"""Skipping: somebody ends a step with an output of his own, and the execution goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from engine.core.frame import Frame
from engine.core.graph import Graph
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists, InvalidArgument, TaskInvalidState
from engine.runtime import kept
from engine.runtime.cutting import item_frame, open_keys
from engine.runtime.pointer import Pointer, execution_id
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import again

MOST_NAMED = 10
"""Frames that an error names."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Which step ends with which output. `frame` None: the only one that stands at the step.

    `note`: who does it and why, for the history.
    """

    flow: str
    name: str
    step: str
    output: dict[str, Any]
    frame: str | None = None
    note: dict[str, str] = field(default_factory=dict)


def skip(runtime: Runtime, wanted: Skip) -> None:
    """Ends a step at which a frame stands: late results of it are refused. Atomic.

    Of an execution that has ended without success, the step is skipped by a redrive.

    Raises:
        ExecutionNotExists. InvalidArgument: no frame stands at the step, or several do, or the
        execution has succeeded. TaskInvalidState: the step ended meanwhile. ConcurrentUpdateError:
        another version's.
    """
    identity = execution_id(wanted.flow, wanted.name)
    runtime.store.check_version(identity)
    record = runtime.store.record(identity)
    if not record:
        raise ExecutionNotExists(f"flow {wanted.flow!r} has no execution {wanted.name!r}")
    graph = runtime.definitions.graph(record["definition"])
    news = {"output": wanted.output, "note": wanted.note}
    if ExecutionStatus(record["status"]).ended:
        frame_id = _chosen(wanted, _left_at(runtime, wanted, identity))
        order = Redrive(wanted.flow, wanted.name, skips={frame_id: news}, note=wanted.note)
        if redrive(runtime, order) is not None:
            raise TaskInvalidState(f"{wanted.flow}/{wanted.name} goes on already; look where it is")
        return
    pointer = Pointer(wanted.flow, wanted.name, wanted.step, 1, "", "", "resume")
    standing = _standing_at(runtime, pointer, graph)
    frame_id = _chosen(wanted, list(standing))
    at = replace(pointer, frame=frame_id)
    if not _tell(runtime, at, standing[frame_id], graph, {"kind": "skipped", **news}):
        raise TaskInvalidState(f"{wanted.step} has ended, or moved on; look at the history")


def _tell(runtime: Runtime, at: Pointer, key: str, graph: Graph, news: dict[str, Any]) -> bool:
    """Hands the news to a frame, or takes the item that a batch is at out of it for them."""
    identity = at.execution_id
    state = runtime.store.state(identity, key)
    if state is None:
        return False
    if state["st"] != "BATCH":
        waiting = replace(at, fence=state["fence"])
        to = again(runtime, waiting)
        told = _with_redrive(runtime, identity, state, news)
        if told is None:
            return False
        answer = runtime.store.wake(waiting, to, ("READY", "RUNNING", "WAITING"), told)
        return answer.applied
    join, index = key.rpartition("*")[0], int(state["cur"])
    frame = item_frame(runtime, at, graph, join, index)
    if frame is None or frame.id != at.frame:
        return False
    wake = runtime.store.packer.pack_detail(identity, news)
    item: dict[str, Any] = {
        "index": index,
        "frame": frame.id,
        "doc": runtime.store.pack_frame(identity, frame),
        "to": again(runtime, at).order() | {"wake": wake},
    }
    lost: dict[str, Any] = {"join": join, "batch": state["fence"], "taken": True}
    return runtime.store.verb("batch_lost", identity, **lost, **item).verdict is Verdict.APPLIED


def _with_redrive(
    runtime: Runtime, identity: str, state: dict[str, Any], news: dict[str, Any]
) -> dict[str, Any] | None:
    """The news for a frame; one that a redrive leads to its step enters it before it is skipped.

    None: the redrive leads it to another step.
    """
    wake = state.get("wake")
    waiting = runtime.store.packer.unpack_detail(identity, wake) if wake else {}
    if waiting.get("kind") != "redriven":
        return news | {"child": state.get("on")}
    if "step" in waiting:
        return None
    return waiting | {"skip": {"output": news["output"], "note": news["note"]}}


def _standing_at(runtime: Runtime, pointer: Pointer, graph: Graph) -> dict[str, str]:
    """The frames that stand at a step, each with the key of its state. Cost: O(open frames)."""
    found: dict[str, str] = {}
    for key in open_keys(runtime, pointer.execution_id):
        frame = runtime.store.frame(pointer.execution_id, key)
        if "*" in key:
            state = runtime.store.state(pointer.execution_id, key)
            if state is None or not state.get("open"):
                continue
            join = key.rpartition("*")[0]
            frame = item_frame(runtime, pointer, graph, join, int(state["cur"]))
        if frame is not None and _is_at(frame, pointer.step):
            found[frame.id] = key
    return found


def _left_at(runtime: Runtime, wanted: Skip, execution_id: str) -> list[str]:
    """The frames that were at a step when their execution ended. Cost: O(kept frames)."""
    frames = kept.going_on(runtime, execution_id)
    return [name for name, frame in frames.items() if _is_at(frame, wanted.step)]


def _is_at(frame: Frame, step_name: str) -> bool:
    return frame.step is not None and frame.step.path.rpartition("/")[2] == step_name


def _chosen(wanted: Skip, frames: list[str]) -> str:
    if wanted.frame is not None and wanted.frame in frames:
        return wanted.frame
    if wanted.frame is None and len(frames) == 1:
        return frames[0]
    where = f"{wanted.flow}/{wanted.name}"
    if not frames:
        raise InvalidArgument(f"{where} stands at no step {wanted.step!r}: nothing to skip")
    named = ", ".join(repr(frame) for frame in sorted(frames)[:MOST_NAMED])
    raise InvalidArgument(
        f"{where} stands at {wanted.step!r} in {len(frames)} frames; name one of them: {named}"
    )
