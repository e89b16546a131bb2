"""Outcomes: what a task's result, an exception or a child's end means in error names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from engine.core.states import ExecutionStatus
from engine.fdl.resources import ActionResource, Resource

TASK_TIMEOUT = "FnF.TaskTimeout"
INVALID_LOCAL = "FnF.InvalidLocal"
RUNTIME_ERROR = "FnF.RuntimeError"
INVALID_COLLECTION = "FnF.InvalidCollection"
INVALID_WAIT = "FnF.InvalidWait"
INVALID_INPUT = "FnF.InvalidArgument"
TOLERANCE_EXCEEDED = "FnF.ToleranceExceeded"
FLOW_NOT_EXISTS = "FnF.FlowNotExists"
EXECUTION_EXISTS = "FnF.ExecutionAlreadyExists"
DEFAULT_FAIL = "FnF.Fail"
PAYLOAD_TOO_LARGE = "FnF.PayloadTooLarge"
OUTCOME_UNKNOWN = "FC.Unknown"
FUNCTION_NOT_FOUND = "FC.FunctionNotFound"
INVALID_ARGUMENT = "FC.InvalidArgument"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a flow sees it: its name and a text for people."""

    error: str
    cause: str = ""


def result_outcome(result: Any) -> dict[str, Any] | Failure:
    """A task's local: its result, which must be an object; nothing counts as an empty one."""
    if isinstance(result, dict):
        return result
    if result is None:
        return {}
    kind = type(result).__name__
    return Failure(INVALID_LOCAL, f"the result must be a JSON object, it is of type {kind}")


def failure_of(exception: BaseException) -> Failure:
    """The failure that an exception of a task is.

    An exception that carries both texts `code` and `cause` (a TaskError) names them; of any
    other the class name is the error and the message the cause.
    """
    code, cause = getattr(exception, "code", None), getattr(exception, "cause", None)
    if isinstance(code, str) and code and hasattr(exception, "cause"):
        return Failure(code, "" if cause is None else str(cause))
    return Failure(type(exception).__name__, str(exception))


def named_failure(failure: Failure, resource: Resource | None) -> Failure:
    """A failure under the name the flow sees: an action's errors without a dot get its product."""
    if isinstance(resource, ActionResource) and "." not in failure.error:
        return Failure(f"{resource.product}.{failure.error}", failure.cause)
    return failure


def child_failure(status: ExecutionStatus, error: str | None, cause: str | None) -> Failure:
    """The failure that a child execution's end is for the task that waits for it."""
    if status is ExecutionStatus.TIMED_OUT:
        return Failure(TASK_TIMEOUT, cause or "the child execution timed out")
    return Failure(error or RUNTIME_ERROR, cause or "")


def function_not_found(display: str) -> Failure:
    """The failure of a task that nobody has registered."""
    return Failure(FUNCTION_NOT_FOUND, f"no live worker has a task {display!r}")


def flow_not_exists(name: str) -> Failure:
    """The failure of a sub-flow that is not deployed."""
    return Failure(FLOW_NOT_EXISTS, f"there is no flow {name!r}")


def execution_exists(flow: str, name: str) -> Failure:
    """The failure of a sub-flow whose execution's name is taken."""
    return Failure(EXECUTION_EXISTS, f"flow {flow!r} has an execution {name!r} already")


def tolerance_exceeded(last: Failure) -> Failure:
    """The failure of a foreach that tolerates failures, by the one that was one too many."""
    return Failure(TOLERANCE_EXCEEDED, f"{last.error}: {last.cause}")


def child_input(value: Any) -> dict[str, Any] | Failure:
    """The input of a child execution: an object, the JSON text of one, or nothing."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return Failure(INVALID_INPUT, "Input is neither a JSON object nor the text of one")
    if isinstance(value, dict):
        return value
    return Failure(INVALID_INPUT, f"Input must be a JSON object, not {type(value).__name__}")


def as_text(value: Any) -> str:
    """A cause as text: what is no text is written as JSON, null is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
