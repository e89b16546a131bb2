"""Reach: where the steps of a series can lead, as far as the text alone tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from engine.fdl.expressions import ConditionInvalid, compile_condition
from engine.fdl.model import (
    AttemptedStep,
    ChoiceStep,
    FailStep,
    ForeachStep,
    Option,
    ParallelStep,
    Step,
    SucceedStep,
    WaitStep,
)

_END = ""
"""Stands for the end of the series among the names of its steps."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What can happen in a series.

    `unreached`: steps that no way leads to. `stuck`: steps that lead only to each other, with no
    task, wait or end on the way. `ends`: its end can be reached. `works`: a task, a wait or a
    fail can be met.
    """

    unreached: tuple[Step, ...]
    stuck: tuple[Step, ...]
    ends: bool
    works: bool


Known: TypeAlias = dict[int, Reach]
"""What was found already, by the identity of a series' steps; for one flow, while it is alive."""


def reach_of(steps: tuple[Step, ...], known: Known) -> Reach:
    """Follows every way through a series (an empty one ends at once).

    `known` keeps what was found for the series inside, so that each is followed once.
    """
    if id(steps) not in known:
        known[id(steps)] = _follow(steps, known) if steps else Reach((), (), True, False)
    return known[id(steps)]


def _follow(steps: tuple[Step, ...], known: Known) -> Reach:
    following = [*(step.name for step in steps[1:]), _END]
    exits = {
        step.name: _exits(step, after, known) for step, after in zip(steps, following, strict=True)
    }
    reached = _closure({steps[0].name}, exits)
    working = {step.name for step in steps if _works(step, known)}
    free = _leading_to({*working, _END}, exits)
    return Reach(
        unreached=tuple(step for step in steps if step.name not in reached),
        stuck=tuple(step for step in steps if step.name in reached - free and exits[step.name]),
        ends=_END in reached,
        works=bool(working & reached),
    )


def _exits(step: Step, following: str, known: Known) -> set[str]:
    after = _END if step.end else following
    match step:
        case FailStep():
            return set()
        case SucceedStep():
            return {_END}
        case AttemptedStep():
            return {after, *(catcher.goto for catcher in step.catch)}
        case ChoiceStep():
            options, falls_through = _takeable(step)
            ending = [option for option in options if reach_of(option.steps, known).ends]
            exits = {after if option.goto is None else option.goto for option in ending}
            return exits | {after} if falls_through else exits
        case _:
            return {after}


def _works(step: Step, known: Known) -> bool:
    match step:
        case AttemptedStep() | WaitStep() | FailStep():
            return True
        case ChoiceStep():
            return any(reach_of(option.steps, known).works for option in _takeable(step)[0])
        case ParallelStep():
            return any(reach_of(branch, known).works for branch in step.branches)
        case ForeachStep():
            return reach_of(step.steps, known).works
        case _:
            return False


def _takeable(step: ChoiceStep) -> tuple[list[Option], bool]:
    """The options that can be taken, and whether it can be that none is."""
    options = []
    for option in step.choices:
        value = _constant(option.condition or "")
        if value is not False:
            options.append(option)
        if value is True:
            return options, False
    if step.default is not None:
        return [*options, step.default], False
    return options, True


def _constant(condition: str) -> bool | None:
    """The value of a condition that refers to nothing, None for any other."""
    if "$" in condition:
        return None
    try:
        return compile_condition(condition).test({})
    except ConditionInvalid:
        return None


def _closure(start: Iterable[str], exits: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    open_names = list(start)
    while open_names:
        name = open_names.pop()
        if name not in seen:
            seen.add(name)
            open_names.extend(exits.get(name, ()))
    return seen


def _leading_to(goal: set[str], exits: dict[str, set[str]]) -> set[str]:
    entries: dict[str, set[str]] = {}
    for name, targets in exits.items():
        for target in targets:
            entries.setdefault(target, set()).add(name)
    return _closure(goal, entries)
