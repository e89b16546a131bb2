"""What can happen to a frame that waits: the input of `decide`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.core.frame import Frame


@dataclass(frozen=True, slots=True)
class TaskReturned:
    """The task's attempt returned `result` (of any type: no JSON object is FnF.InvalidLocal).

    `closed`: the figures of a stream's edges, for its StreamClosed; None: there is none.
    """

    result: Any
    closed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TaskRaised:
    """The task's attempt failed. At a step that is no task: it fails, for a reason from outside.

    `reported`: somebody reported it by the task's token, so its name stays as it is (an error
    that an action itself raises gets the action's product). `closed`: as in TaskReturned.
    """

    error: str
    cause: str
    reported: bool = False
    closed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TaskTimedOut:
    """The task's attempt took longer than its timeoutSeconds. `closed`: as in TaskReturned."""

    closed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker of the task's attempt died: nobody knows how far it came."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """The attempt has not begun: who it needs is busy. It is asked for again, `delay_s` later."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Submitted:
    """The function of a waitForCallback task returned, or a child execution was started.

    `detail` goes into TaskSubmitted, e.g. {"executionName": ..., "flowName": ...}.
    """

    detail: dict[str, Any]
    on: str


@dataclass(frozen=True, slots=True)
class SubmitFailed:
    """A child execution could not be started (TaskSubmitFailed); then handled as TaskRaised."""

    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class Reported:
    """Somebody reported a task's token as succeeded, or a sync child succeeded."""

    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The wait is over."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All children ended. `results`: in order, a local each, or {"error", "cause"} if tolerated."""

    results: list[Any]


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """A child's failure fails the fork; its other children are already cut off."""

    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Somebody ends the step with `output`, whatever it was at; `note` says who and why."""

    output: dict[str, Any]
    note: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Redriven:
    """The execution goes on after its end: the frame's step is entered anew, as it was left.

    `skip`: and is skipped at once. `step`: the root frame enters that top-level step (its path)
    instead, with `local`; `visit`: as that earlier visit of it, whose children are kept.
    `failure`, an error and a cause: what that leads to cannot be kept, so the step fails.
    """

    skip: Skipped | None = None
    step: str | None = None
    local: dict[str, Any] | None = None
    visit: int | None = None
    failure: tuple[str, str] | None = None


Happening: TypeAlias = (
    TaskReturned
    | TaskRaised
    | TaskTimedOut
    | WorkerLost
    | PutOff
    | Submitted
    | SubmitFailed
    | Reported
    | TimerFired
    | Joined
    | JoinFailed
    | Skipped
    | Redriven
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a decision may know of its execution.

    `token(frame)` makes the callback token of the attempt its step is at. `next_event_id`:
    the id that the decision's first event will have, as far as known. `max_wait_s`: cap of a wait.
    `now`, in seconds since the epoch, lets a wait for a timestamp be judged in the decision; None:
    a Sleep is asked for whatever the timestamp is.
    """

    flow: str
    execution: str
    token: Callable[[Frame], str]
    next_event_id: int = 1
    max_wait_s: float = 365 * 86400.0
    max_losses: int = 3
    max_moves: int = 10_000
    random: Callable[[], float] | None = None
    now: float | None = None
