"""The codec of frames: a compact JSON form, in which what can be worked out is left out.

    {"id", "s": [[series, input, local], ...], "c": [open step, ...], "p": open step,
     "v": visits, "m": moves, "t": turn}

with an open step as [path, input, visit, attempt, retries, losses, event id, retried, redriven],
defaults at its end left out. The input of a step is null when it is its scope's input and local put
together, the input of an option's scope when it is its choice's input: nothing is stored twice.
"""

from __future__ import annotations

from typing import Any

from engine.core.frame import Frame, OpenStep, Scope
from engine.core.walk import merged

_STEP_DEFAULTS: list[Any] = [1, [], 0, 0, 0, False]


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """A frame as JSON; values are shared with it."""
    scopes = [_scope_to_json(scope, frame, at) for at, scope in enumerate(frame.scopes)]
    written: dict[str, Any] = {"id": frame.id, "s": scopes}
    if frame.choices:
        choices = zip(frame.choices, frame.scopes[:-1], strict=True)
        written["c"] = [_step_to_json(step, scope) for step, scope in choices]
    if frame.step is not None:
        written["p"] = _step_to_json(frame.step, frame.scopes[-1])
    for key, value in (("v", frame.visits), ("m", frame.moves), ("t", frame.turn)):
        if value:
            written[key] = value
    return written


def frame_from_json(written: dict[str, Any]) -> Frame:
    """The frame that `frame_to_json` has written."""
    scopes: list[Scope] = []
    choices: list[OpenStep] = []
    for series, given, local in written["s"]:
        if scopes:
            choices.append(_step_from_json(written["c"][len(choices)], scopes[-1]))
            given = choices[-1].input if given is None else given
        scopes.append(Scope(series, given, local))
    standing = written.get("p")
    return Frame(
        written["id"],
        tuple(scopes),
        tuple(choices),
        None if standing is None else _step_from_json(standing, scopes[-1]),
        written.get("v", 0),
        written.get("m", 0),
        written.get("t", ""),
    )


def _scope_to_json(scope: Scope, frame: Frame, at: int) -> list[Any]:
    known = at > 0 and scope.input is frame.choices[at - 1].input
    return [scope.series, None if known else scope.input, scope.local]


def _step_to_json(step: OpenStep, scope: Scope) -> list[Any]:
    known = _same_values(step.input, merged(scope.input, scope.local))
    rest: list[Any] = [step.attempt, list(step.retries), step.losses]
    rest += [step.event_id, step.retried, step.redriven]
    while rest and rest[-1] == _STEP_DEFAULTS[len(rest) - 1]:
        rest.pop()
    return [step.path, None if known else step.input, step.visit, *rest]


def _step_from_json(written: list[Any], scope: Scope) -> OpenStep:
    path, given, visit = written[:3]
    attempt, retries, *more = [*written[3:], *_STEP_DEFAULTS[len(written) - 3 :]]
    if given is None:
        given = merged(scope.input, scope.local)
    return OpenStep(path, given, visit, attempt, tuple(retries), *more)


def _same_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """True when both hold the same objects: equality would take 1, 1.0 and true for one."""
    if one is other:
        return True
    nothing = object()
    return len(one) == len(other) and all(
        other.get(key, nothing) is value for key, value in one.items()
    )
