"""A frame: one series of steps being walked, with the choice options it is inside of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scope:
    """An open scope: the frame's own series first, then one per choice option entered.

    `series` is the graph's path of the series (see `engine.core.graph`).
    """

    series: str
    input: dict[str, Any]
    local: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenStep:
    """The step a frame stands at.

    `visit` counts the steps this frame has entered, so (frame, visit) names this visit of the
    step for ever. `attempt` is 1 on the first try of a task; `retries` counts, per retry policy,
    the retries it has used; `losses` the attempts whose worker died. `event_id` is the id of
    its StepEntered, 0 when no mapping asks for it. `retried`: the retries before the last redrive;
    `redriven`: this is the first attempt since.
    """

    path: str
    input: dict[str, Any]
    visit: int
    attempt: int = 1
    retries: tuple[int, ...] = ()
    losses: int = 0
    event_id: int = 0
    retried: int = 0
    redriven: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One series being walked. Its id says where it hangs: "", `orders.3`, `orders.3/resize.0`.

    `scopes` has the frame's own series first; every scope after it is a choice option, and
    `choices` holds, for each of these, the OpenStep of its choice. `step` is the step that
    it waits at (None only before its first step). `moves` counts steps since the last task or wait.
    `turn` names the visits of the forks that enclose it ("" for the root, "4.", "4.2."), so that
    `turn` + a step's visit differs between two visits of the same frame id in a loop.
    """

    id: str
    scopes: tuple[Scope, ...]
    choices: tuple[OpenStep, ...] = ()
    step: OpenStep | None = None
    visits: int = 0
    moves: int = 0
    turn: str = ""


def parent_id(frame_id: str) -> str:
    """The id of the frame whose fork this frame hangs on; the root frame has none (ValueError)."""
    if not frame_id:
        raise ValueError("the root frame has no parent")
    return frame_id.rpartition("/")[0]


def join_id(frame_id: str, step_name: str) -> str:
    """The id of the join of the fork `step_name`: its children's ids without their index."""
    return f"{frame_id}/{step_name}" if frame_id else step_name


def child_id(frame_id: str, step_name: str, index: int) -> str:
    """The id of the child of `frame_id` at `index` of the fork `step_name`."""
    return f"{join_id(frame_id, step_name)}.{index}"


def child_turn(parent: Frame) -> str:
    """The `turn` of the children of the fork that a frame stands at."""
    visit = parent.step.visit if parent.step else 0
    return f"{parent.turn}{visit}."


def visit_key(frame: Frame) -> str:
    """Names this visit of the frame's step within its execution, the same on every attempt."""
    visit = frame.step.visit if frame.step else 0
    return f"{frame.id}#{frame.turn}{visit}"


def run_key(frame: Frame) -> str:
    """Names the stream run of the attempt that a frame is at, within its execution.

    An attempt that takes the place of one whose worker died has the run of that one, so that it
    can go on with it; after any other retry, a redrive or at another visit it is a new run.
    """
    step = frame.step
    return f"{visit_key(frame)}/{step.attempt - step.losses if step else 0}"


def index_of(frame_id: str) -> int:
    """The position of a frame among its siblings."""
    return int(frame_id.rpartition(".")[2])
