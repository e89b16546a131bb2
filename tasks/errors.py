"""Errors of tasks.

TaskError                 code, cause: what retry and catch of a flow see
├── DuplicateTask         .name; two functions want the same task name
└── TaskLoadError         .source; a module or file of tasks cannot be loaded
"""

from __future__ import annotations

THROTTLED = "FC.ResourceThrottled"
SERVER_ERROR = "FC.InternalServerError"
INVALID_ARGUMENT = "FC.InvalidArgument"
NOT_IN_STREAM = "NotInStream"
INVALID_DATA = "InvalidData"
MISSING_EXTRA = "MissingExtra"


class TaskError(Exception):
    """A task failed, with an error name that a flow can retry or catch.

    Args:
        code: The error's name, e.g. `FC.ResourceThrottled`; flows match it exactly.
        cause: What happened, for people.
    """

    def __init__(self, code: str, cause: str = "") -> None:
        # Both go to Exception.args so that the error survives pickling between processes.
        super().__init__(code, cause)
        self.code = code
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}" if self.cause else self.code


class DuplicateTask(TaskError):
    """Two different functions are registered under `name`."""

    def __init__(self, name: str, cause: str) -> None:
        TaskError.__init__(self, "DuplicateTask", cause)
        self.args = (name, cause)
        self.name = name

    def __str__(self) -> str:
        return self.cause


class TaskLoadError(TaskError):
    """The tasks of `source` (a module's name or a file's path) cannot be loaded.

    Its text is one line that names the source and what is wrong with it.
    """

    def __init__(self, source: str, cause: str) -> None:
        TaskError.__init__(self, "TaskLoadError", cause)
        self.args = (source, cause)
        self.source = source

    def __str__(self) -> str:
        return f"{self.source}: {self.cause}"
