"""Answers: what a scripted task says to a call, the same in the simulator and on a worker."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tasks.errors import TaskError

NOBODY_ANSWERS = "Script.NoAnswer"
"""The error of a call that the pair's script does not know: the pair is wrong or the engine is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a scripted task: its input and where in the execution it was made."""

    input: dict[str, Any]
    step: str = ""
    execution: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One entry of a pair's script: for which calls it is, and what the task then does.

    It answers calls whose input holds everything in `when` (`only`: and nothing else) and that
    have this attempt, step and execution, where these are given. The task takes `delay_s`, then
    raises `error` with `cause`, or an exception of class `raises` with `message`, or returns:
    `result`; its input (`echo`: true) or some of it (`echo`: {key: key of the input}); the
    number of its attempt; the input's `count` key plus one; a text of `bytes` characters under
    the key `fill`; the length of the text under `length_of`. The worker of its first `losses`
    attempts dies.
    """

    when: dict[str, Any] | None = None
    only: bool = False
    attempt: int | None = None
    step: str | None = None
    execution: str | None = None
    delay_s: float = 0.0
    losses: int = 0
    result: Any = None
    error: str | None = None
    cause: str = ""
    raises: str | None = None
    message: str = ""
    echo: bool | dict[str, str] = False
    tell_attempt: bool = False
    count: str | None = None
    fill: str | None = None
    bytes: int = 0
    length_of: str | None = None

    def fits(self, call: Call) -> bool:
        """True when it is for this call."""
        asked = ((self.attempt, call.attempt), (self.step, call.step))
        if any(wanted is not None and wanted != got for wanted, got in asked):
            return False
        if self.execution is not None and self.execution != call.execution:
            return False
        if self.only:
            return call.input == (self.when or {})
        return all(
            key in call.input and call.input[key] == value
            for key, value in (self.when or {}).items()
        )


def answer_to(call: Call, script: Iterable[Answer]) -> Answer:
    """The first answer that is for a call; one that fails and shows the input if none is."""
    for answer in script:
        if answer.fits(call):
            return answer
    return Answer(error=NOBODY_ANSWERS, cause=f"attempt {call.attempt} with {call.input}"[:500])


def perform(answer: Answer, call: Call) -> Any:
    """What the task returns, its delay left to the caller.

    Raises:
        TaskError: the answer is an error.
        Exception: the answer is an exception of that class.
    """
    if answer.error is not None:
        raise TaskError(answer.error, answer.cause)
    if answer.raises is not None:
        raise getattr(builtins, answer.raises)(answer.message)
    return _result(answer, call)


def _result(answer: Answer, call: Call) -> Any:
    if answer.echo is True:
        return call.input
    if isinstance(answer.echo, dict):
        return {key: call.input.get(source) for key, source in answer.echo.items()}
    if answer.tell_attempt:
        return {"attempt": call.attempt}
    if answer.count is not None:
        return {answer.count: call.input.get(answer.count, 0) + 1}
    if answer.fill is not None:
        return {answer.fill: "x" * answer.bytes}
    if answer.length_of is not None:
        return {"length": len(call.input[answer.length_of])}
    return answer.result
