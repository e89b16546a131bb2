"""What a decision asks for: a frame always stops at exactly one command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from engine.core.events import NewEvent
from engine.core.frame import Frame

ForkKind = Literal["parallel", "foreach"]


@dataclass(frozen=True, slots=True)
class RunTask:
    """Run the task of the frame's step. `delay_s`: wait that long first (a retry).

    `goes_on`: the attempt is one that has been started, its time limit runs on.
    """

    delay_s: float = 0.0
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """A submitted task: wait for its report (waitForCallback) or for its child's end (sync)."""

    on: Literal["callback", "child"]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait: `duration_s` from now, or until `until` (seconds since the epoch)."""

    duration_s: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """Open `total` children under the frame's step, at most `window` at once.

    `tolerated` failures are no failure of the step; None: none are tolerated and the first
    child's error is the step's. `batch`: items carried by one message (None: adaptive).
    """

    kind: ForkKind
    total: int
    window: int
    tolerated: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The frame has ended. `local` on success; `error` and `cause` on failure.

    For the root frame `output` is the flow's output.
    """

    local: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def failed(self) -> bool:
        """True when the frame ended with an error."""
        return self.error is not None


Command: TypeAlias = RunTask | Await | Sleep | Fork | Finish


@dataclass(frozen=True, slots=True)
class Decision:
    """What a happening leads to: events to record, the frame as it is now, one command.

    `exact_ids` is true when a mapping used an event id: the decision is only right if its first
    event gets `RunInfo.next_event_id`.
    """

    frame: Frame
    events: tuple[NewEvent, ...]
    command: Command
    exact_ids: bool = False
