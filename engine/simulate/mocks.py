"""Mocks: what steps answer in a simulation, instead of their functions.

    steps:
      orders/pay:                      # a step; see below
        - error: FC.Unknown            # its first call fails
          cause: the bank is closed
        - delay_s: 90                  # its second takes 90 s (longer than its time limit?)
        - output: {paid: true}         # its third and all later ones return this
      approve:
        report: {output: {ok: true}, delay_s: 3600}    # somebody reports its token an hour later
      thumbnail: {lost: true}          # its worker dies, every time

A step is named by its name (`pay`), by the names on the way to it (`orders/pay`), by its path in
the graph (`orders/steps/pay`) or, for one item or branch only, with its frame (`orders.3/pay`),
the most exact one wins. A flow's name and a colon before it mean that flow's step only
(`restoreFlow:restore`). Calls are counted per execution and frame, retries included. An entry
with nothing but `delay_s` or `report` calls the function that is registered (without one: {}).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from engine.errors import InvalidArgument
from engine.fdl.problems import Report
from engine.fdl.yaml_source import read_yaml


class MockReport(BaseModel):
    """A report of a callback, `delay_s` after the task was submitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: dict[str, Any] | None = None
    error: str | None = None
    cause: str = ""
    delay_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_end(self) -> MockReport:
        if self.output is not None and self.error is not None:
            raise ValueError("a report has an output or an error, not both")
        return self


class Mock(BaseModel):
    """One call's answer; `delay_s` is how long it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Any = None
    error: str | None = None
    cause: str = ""
    delay_s: float = Field(default=0.0, ge=0)
    lost: bool = False
    report: MockReport | None = None

    @property
    def answers(self) -> bool:
        """True when it takes the place of the function."""
        return self.lost or self.error is not None or "output" in self.model_fields_set

    @model_validator(mode="after")
    def _one_answer(self) -> Mock:
        given = [self.lost, self.error is not None, "output" in self.model_fields_set]
        if sum(given) > 1:
            raise ValueError("a mock has one of output, error and lost")
        return self


class Mocks(BaseModel):
    """All mocks of a simulation, by step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: Mapping[str, tuple[Mock, ...]] = Field(default_factory=dict)

    @field_validator("steps", mode="before")
    @classmethod
    def _lists(cls, steps: Any) -> Any:
        if not isinstance(steps, Mapping):
            return steps
        return {
            name: entry if isinstance(entry, list | tuple) else [entry]
            for name, entry in steps.items()
        }

    def entry(self, names: Iterable[str]) -> tuple[Mock, ...] | None:
        """The entries of the first of these names that has any."""
        for name in names:
            if entries := self.steps.get(name):
                return entries
        return None


def read_mocks(text: str, file: str = "<mocks>") -> Mocks:
    """Reads a file of mocks.

    Raises:
        InvalidArgument: it is no YAML, or not of this shape; the message names the places.
    """
    report = Report(file)
    root = read_yaml(text, report)
    if root is None or report.failed:
        raise InvalidArgument("\n".join(str(problem) for problem in report.in_order()))
    return mocks_of(root.value, file)


def mocks_of(value: Any, file: str = "mocks") -> Mocks:
    """Mocks from plain data: `{"steps": {name: entry or list of entries}}`; None: no mocks.

    Raises:
        InvalidArgument: it is not of this shape; the message names the places.
    """
    if isinstance(value, Mocks):
        return value
    try:
        return Mocks.model_validate({} if value is None else value)
    except ValidationError as error:
        lines = (
            f"{file}: {'/'.join(str(part) for part in problem['loc'])}: {_said(problem)}"
            for problem in error.errors()
        )
        raise InvalidArgument("\n".join(lines)) from error


def _said(problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    if len(problem["loc"]) == 1:
        return "unknown key; write the names of steps below the key 'steps'"
    known = MockReport if "report" in problem["loc"][2:-1] else Mock
    return f"unknown key; there is {', '.join(known.model_fields)}"
