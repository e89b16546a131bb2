"""Errors of the engine, named like the codes of the service's API.

EngineError                       http_status, code
├── InvalidArgument               400   also: MissingRequiredParams, EntityTooLarge
│   ├── FlowInvalid               400   .problems: all of a definition's problems
│   ├── NotCanvasable             400   .step
│   └── ActionNotSupported        400
├── AccessDenied                  403   also: InvalidAccessKeyID, SignatureNotMatch,
│                                       RequestTimeTooSkewed
├── SignatureNonceUsed            400
├── ResourceThrottled             429
├── FlowNotExists                 404
├── FlowAlreadyExists             409
├── ExecutionNotExists            404
├── ExecutionAlreadyExists        400
├── ExecutionAlreadyCompleted     400
├── FlowVersionNotExists          404
├── FlowVersionInUse              409
├── FlowAliasNotExists            404
├── FlowAliasAlreadyExists        409
├── ScheduleNotExists             404
├── ScheduleAlreadyExists         409
├── MapRunNotExists               404
├── AccessKeyNotExists            404
├── ConcurrentUpdateError         409
├── TaskAlreadyCompleted          400
├── TaskInvalidState              409
├── ExecutionFailed                     .error, .cause: of the execution
└── StoreUnavailable                    Redis is not there, or not usable
    ├── StoreFull                           Redis has no memory left
    └── BrokerUnavailable                   another broker is not there, or not usable
"""

from __future__ import annotations

from typing import Any


class EngineError(Exception):
    """Root of all errors the engine raises. `code` is the API's name of it."""

    http_status = 500

    @property
    def code(self) -> str:
        """The API's code: the class's name."""
        return type(self).__name__


class InvalidArgument(EngineError):
    """A value that was handed in cannot be used; the message names it."""

    http_status = 400


class MissingRequiredParams(InvalidArgument):
    """A required parameter is not there."""


class EntityTooLarge(InvalidArgument):
    """A payload is over the hard limit."""


class ActionNotSupported(InvalidArgument):
    """An operation that this engine does not have."""


class FlowInvalid(InvalidArgument):
    """A definition has errors.

    `problems` holds every one (`engine.fdl.problems.Problem`), warnings included.
    """

    def __init__(self, problems: tuple[Any, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class NotCanvasable(InvalidArgument):
    """A flow has a step that plain Celery cannot run; `step` is its name."""

    def __init__(self, step: str, why: str) -> None:
        self.step = step
        super().__init__(f"{step}: {why}; run the flow with start_execution instead")


class AccessDenied(EngineError):
    """The settings do not allow it; the message names the setting."""

    http_status = 403


class InvalidAccessKeyID(AccessDenied):
    """There is no access key of that id."""


class SignatureNotMatch(AccessDenied):
    """A request was not signed with the key's secret, or its secret is another."""


class RequestTimeTooSkewed(AccessDenied):
    """A request was signed too long ago, or in the future."""


class SignatureNonceUsed(EngineError):
    """A signed request has come a second time."""

    http_status = 400


class ResourceThrottled(EngineError):
    """Too many requests of one caller; ask again after `retry_after_s`."""

    http_status = 429

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class FlowNotExists(EngineError):
    """No flow of that name (or no such version)."""

    http_status = 404


class FlowAlreadyExists(EngineError):
    """A flow of that name exists; use update_flow."""

    http_status = 409


class ExecutionNotExists(EngineError):
    """No execution of that name in that flow, or its retention is over."""

    http_status = 404


class ExecutionAlreadyExists(EngineError):
    """The name belongs to an execution that has ended."""

    http_status = 400


class ExecutionAlreadyCompleted(EngineError):
    """The execution has ended: there is nothing left to change."""

    http_status = 400


class FlowVersionNotExists(EngineError):
    """The flow has no published version of that number."""

    http_status = 404


class FlowVersionInUse(EngineError):
    """An alias leads to the version; give the alias another first."""

    http_status = 409


class FlowAliasNotExists(EngineError):
    """The flow has no alias of that name."""

    http_status = 404


class FlowAliasAlreadyExists(EngineError):
    """The flow has an alias of that name; update it."""

    http_status = 409


class ScheduleNotExists(EngineError):
    """The flow has no schedule of that name."""

    http_status = 404


class ScheduleAlreadyExists(EngineError):
    """The flow has a schedule of that name; update it."""

    http_status = 409


class MapRunNotExists(EngineError):
    """The execution is not at that foreach now, or it is not one."""

    http_status = 404


class AccessKeyNotExists(EngineError):
    """No access key of that id is stored."""

    http_status = 404


class ConcurrentUpdateError(EngineError):
    """Somebody else changed it at the same moment; read it again and retry."""

    http_status = 409


class TaskAlreadyCompleted(EngineError):
    """The task of this token was reported before, has timed out or was cut off."""

    http_status = 400


class TaskInvalidState(EngineError):
    """The task of this token does not wait for a report now."""

    http_status = 409


class ExecutionFailed(EngineError):
    """An execution that was waited for did not succeed; `error` and `cause` are its own."""

    def __init__(self, error: str, cause: str) -> None:
        self.error = error
        self.cause = cause
        super().__init__(error, cause)

    def __str__(self) -> str:
        return f"{self.error}: {self.cause}"


class StoreUnavailable(EngineError):
    """Redis cannot be reached, or cannot hold an execution as it is configured."""

    http_status = 503


class StoreFull(StoreUnavailable):
    """Redis has no memory left: what was asked for has not happened, and may be asked for later."""


class BrokerUnavailable(StoreUnavailable):
    """A broker other than the Redis of the state cannot be reached, or refuses."""
