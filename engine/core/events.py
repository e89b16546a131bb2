"""History events: the facts an execution leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The 21 types of the language, our own four for operations, and two for streams."""

    EXECUTION_STARTED = "ExecutionStarted"
    EXECUTION_SUCCEEDED = "ExecutionSucceeded"
    EXECUTION_FAILED = "ExecutionFailed"
    EXECUTION_STOPPED = "ExecutionStopped"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    STEP_ENTERED = "StepEntered"
    STEP_STARTED = "StepStarted"
    STEP_SUCCEEDED = "StepSucceeded"
    STEP_FAILED = "StepFailed"
    STEP_EXITED = "StepExited"
    BRANCH_ENTERED = "BranchEntered"
    BRANCH_EXITED = "BranchExited"
    ITERATION_ENTERED = "IterationEntered"
    ITERATION_EXITED = "IterationExited"
    TASK_SCHEDULED = "TaskScheduled"
    TASK_STARTED = "TaskStarted"
    TASK_SUBMITTED = "TaskSubmitted"
    TASK_SUBMIT_FAILED = "TaskSubmitFailed"
    TASK_SUCCEEDED = "TaskSucceeded"
    TASK_FAILED = "TaskFailed"
    TASK_TIMED_OUT = "TaskTimedOut"
    EXECUTION_PAUSED = "ExecutionPaused"
    EXECUTION_RESUMED = "ExecutionResumed"
    EXECUTION_REDRIVEN = "ExecutionRedriven"
    STEP_SKIPPED = "StepSkipped"
    STREAM_OPENED = "StreamOpened"
    STREAM_CLOSED = "StreamClosed"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that a decision makes; the store gives it its id, time and cause.

    Its cause is the event before it in the same frame. `step_name` is "" for
    events of an execution, a branch or an iteration as a whole. `begins_turn`: with it the flow
    goes back among its own steps; noted only in flows whose history keeps some turns (L10.14).
    """

    type: EventType
    step_name: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    begins_turn: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the history.

    `event_id` counts from 1 in its execution; `time` is seconds since the epoch;
    `schedule_event_id` is the id of the event that caused it (0: none); `frame`
    is the id of its frame ("" for the flow itself).
    """

    event_id: int
    type: EventType
    step_name: str
    frame: str
    time: float
    schedule_event_id: int
    detail: dict[str, Any]
