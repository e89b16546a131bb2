"""The shapes of the language: which keys each kind of object has, and what they hold.

The parser checks a file against this table, and the JSON Schema is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from engine.fdl.kinds import (
    ANYTHING,
    CONDITION,
    COUNT,
    DURATION,
    ERROR_NAMES,
    FLAG,
    LANES,
    NAME,
    OBJECT,
    POSITIVE,
    POSITIVE_COUNT,
    SCALAR_TEXT,
    SECONDS,
    TEXT,
    TIMESTAMP,
    TOLERATED,
    TURNS,
    WINDOW,
    Kind,
    one_of,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A value that is an object of another shape, or a list of such objects."""

    shape: str
    many: bool = False
    least: int = 0


@dataclass(frozen=True, slots=True)
class Steps:
    """A value that is a series of steps; `least` of them."""

    least: int = 1


Holds: TypeAlias = Kind | Part | Steps


@dataclass(frozen=True, slots=True)
class Key:
    """A key: what it holds, whether it must be there, and a sentence for editors."""

    holds: Holds
    about: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """An object of the language. `one_of`: exactly one of these keys must be there."""

    title: str
    keys: Mapping[str, Key]
    one_of: tuple[str, ...] = ()


StepType = Literal[
    "task", "stream", "pass", "wait", "choice", "parallel", "foreach", "succeed", "fail"
]

_MAPPINGS = Part("mapping", many=True)
_IN = Key(_MAPPINGS, "What the input is made of. Not there: everything the parent has.")
_OUT = Key(_MAPPINGS, "What the output is made of.")
_END = Key(FLAG, "true: the series ends after this step.")


def _step(title: str, kind: StepType, ends: bool = True, **keys: Key) -> Shape:
    common = {
        "type": Key(one_of(kind), "The kind of step.", required=True),
        "name": Key(NAME, "The step's name, once among its siblings.", required=True),
        "inputMappings": _IN,
        "outputMappings": _OUT,
    }
    return Shape(title, MappingProxyType({**common, **({"end": _END} if ends else {}), **keys}))


FLOW = Shape(
    "flow",
    MappingProxyType({
        "version": Key(one_of("v1", "v1beta1"), "v1 or v1beta1.", required=True),
        "type": Key(one_of("flow"), "The word flow.", required=True),
        "name": Key(ANYTHING, "Has no effect."),
        "steps": Key(Steps(), "The steps, in order.", required=True),
        "inputMappings": Key(_MAPPINGS, "The flow's input, from the execution's."),
        "outputMappings": Key(_MAPPINGS, "The flow's output. Not there: all of $local."),
        "timeoutSeconds": Key(POSITIVE, "Seconds after which the execution is TimedOut."),
        "strict": Key(FLAG, "true: a path that is not there fails its step."),
        "history": Key(Part("history"), "What the history keeps. Not there: everything."),
    }),
)

_ATTEMPTS = {
    "timeoutSeconds": Key(POSITIVE, "Seconds one attempt may take."),
    "errorMappings": Key(_MAPPINGS, "The output after a caught error."),
    "retry": Key(Part("retry", many=True), "What to do again, tried in order."),
    "catch": Key(Part("catch", many=True), "Where to go on after an error."),
}
_ACTION = Key(TEXT, "The operation to call: product:Operation.")

_TASK = _step(
    "task step", "task", True,
    resourceArn=Key(TEXT, "The function, sub-flow, queue, topic or task to call."),
    action=_ACTION,
    pattern=Key(
        one_of("requestResponse", "sync", "waitForCallback"), "What counts as its end."
    ),
    serviceParams=Key(OBJECT, "Parameters of the call: constants, $ or $.key of the input."),
    **_ATTEMPTS,
)

STEPS: Mapping[StepType, Shape] = MappingProxyType({
    "task": Shape(_TASK.title, _TASK.keys, one_of=("resourceArn", "action")),
    "stream": _step(
        "stream step", "stream", True,
        steps=Key(Part("stage", many=True, least=1), "The stages, in order.", required=True),
        source=Key(TEXT, "URI of the object read, or $.key. Not there: the caller's bytes."),
        sink=Key(TEXT, "URI of the object written, or $.key. Not there: the caller gets them."),
        windowBytes=Key(WINDOW, "Bytes under way between two stages, 65536 to 268435456."),
        fuse=Key(FLAG, "true: all in one process; false: a process each."),
        **_ATTEMPTS,
    ),
    "pass": _step("pass step", "pass"),
    "wait": Shape(
        "wait step",
        _step(
            "wait step", "wait",
            duration=Key(DURATION, "Seconds, or a path to them such as $.seconds."),
            timestamp=Key(TIMESTAMP, "RFC 3339, or a path to it such as $.until."),
        ).keys,
        one_of=("duration", "timestamp"),
    ),
    "choice": _step(
        "choice step", "choice",
        choices=Key(Part("choice", many=True), "The options; the first true one is taken."),
        default=Key(Part("default"), "The option taken when no condition is true."),
    ),
    "parallel": _step(
        "parallel step", "parallel",
        branches=Key(Part("branch", many=True, least=1), "Run at the same time.", required=True),
    ),
    "foreach": _step(
        "foreach step", "foreach",
        iterationMapping=Key(Part("iterationMapping"), "What to iterate over.", required=True),
        steps=Key(Steps(), "The steps of one iteration.", required=True),
        concurrency=Key(POSITIVE_COUNT, "Iterations at the same time; 100 when not there."),
        batch=Key(POSITIVE_COUNT, "Items carried by one message: speed only."),
        toleratedFailures=Key(TOLERATED, 'Items that may fail: a count or a "5%".'),
    ),
    "succeed": _step("succeed step", "succeed", ends=False),
    "fail": _step(
        "fail step", "fail", ends=False,
        error=Key(SCALAR_TEXT, "The error's name: a constant or a path."),
        cause=Key(ANYTHING, "The error's cause: a constant or a path."),
    ),
})
"""The shapes of the steps, by their type."""

_GOTO = Key(TEXT, "The sibling step to go on at.")

PARTS: Mapping[str, Shape] = MappingProxyType({
    "mapping": Shape(
        "mapping",
        MappingProxyType({
            "target": Key(TEXT, "The key to set.", required=True),
            "source": Key(ANYTHING, "A constant, or a path at $input, $local or $context."),
        }),
    ),
    "retry": Shape(
        "retry policy",
        MappingProxyType({
            "errors": Key(ERROR_NAMES, "The errors to try again after.", required=True),
            "intervalSeconds": Key(SECONDS, "Seconds before the first retry; 1."),
            "maxIntervalSeconds": Key(SECONDS, "Most seconds before a retry; 86400."),
            "maxAttempts": Key(COUNT, "Number of retries; 3."),
            "multiplier": Key(POSITIVE, "What each wait is multiplied with; 2."),
            "jitter": Key(FLAG, "true: waits vary at random."),
        }),
    ),
    "catch": Shape(
        "catch",
        MappingProxyType({
            "errors": Key(ERROR_NAMES, "The errors to catch.", required=True),
            "goto": Key(_GOTO.holds, _GOTO.about, required=True),
        }),
    ),
    "stage": Shape(
        "stage of a stream",
        MappingProxyType({
            "type": Key(one_of("task"), "The word task.", required=True),
            "name": Key(NAME, "The stage's name, once in the stream.", required=True),
            "resourceArn": Key(TEXT, "The stream task to call: its name or a function."),
            "action": _ACTION,
            "inputMappings": _IN,
            "concurrency": Key(LANES, "How many of it run at once, 1 to 64; 1."),
        }),
        one_of=("resourceArn", "action"),
    ),
    "choice": Shape(
        "choice option",
        MappingProxyType({
            "condition": Key(CONDITION, "An expression over the input, $.key.", required=True),
            "steps": Key(Steps(least=0), "The steps of the option."),
            "goto": _GOTO,
        }),
    ),
    "default": Shape(
        "default option",
        MappingProxyType({
            "steps": Key(Steps(least=0), "The steps of the option."),
            "goto": _GOTO,
        }),
    ),
    "branch": Shape(
        "branch",
        MappingProxyType({"steps": Key(Steps(), "The steps of the branch.", required=True)}),
    ),
    "history": Shape(
        "history option",
        MappingProxyType({
            "turns": Key(
                TURNS, "Turns kept at the beginning and at the end, 1 to 1000.", required=True
            ),
        }),
    ),
    "iterationMapping": Shape(
        "iterationMapping",
        MappingProxyType({
            "collection": Key(TEXT, "A path to a list in the step's input.", required=True),
            "item": Key(TEXT, "The key that each iteration's element has.", required=True),
            "index": Key(TEXT, "The key that each iteration's number has, from 0."),
        }),
    ),
})
"""The shapes of the objects that are no steps, by name."""
