"""Random flows: documents of every kind of step that always come to an end, and their tasks.

A flow is drawn as plain data; its JSON text is the flow file. Its tasks are those of `TASKS`.
Without `failing`, nothing in it depends on what happens first: no failure leaves a fork.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tasks import TaskError

Document = dict[str, Any]
MAX_DEPTH = 3


class _Names:
    """Hands out step names, each one once in a flow."""

    def __init__(self) -> None:
        self.count = 0

    def next(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"


def _ok(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    return {"done": ctx.step, "size": len(input)}


def _flaky(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    if ctx.attempt == 1:
        raise TaskError("Test.Busy", "come again")
    return {"attempt": ctx.attempt}


def _broken(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    raise TaskError("Test.Broken", ctx.step)


def _count(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    return {"turn": input["turn"] + 1}


TASKS = {"ok": _ok, "flaky": _flaky, "broken": _broken, "count": _count}
"""The functions of random flows by the names of their resources."""


@st.composite
def documents(draw: st.DrawFn, failing: bool = False) -> Document:
    """A whole flow; `failing`: with tasks that may fail it, in forks too."""
    names = _Names()
    return {"version": "v1", "type": "flow", "steps": draw(_series(names, MAX_DEPTH, failing))}


def text_of(document: Document) -> str:
    """The flow file of a document."""
    return json.dumps(document)


@st.composite
def _series(draw: st.DrawFn, names: _Names, depth: int, failing: bool) -> list[Document]:
    steps: list[Document] = []
    for _ in range(draw(st.integers(1, 3))):
        steps += draw(_group(names, depth, failing))
    if draw(st.booleans()):
        _goto_forward(draw, steps)
    if draw(st.integers(0, 9)) == 0:
        steps.append({"type": "succeed", "name": names.next("succeed")})
    return steps


@st.composite
def _group(draw: st.DrawFn, names: _Names, depth: int, failing: bool) -> list[Document]:
    """One step, or the steps of a loop."""
    flat = ["ok", "flaky", "caught", "pass", "wait", "loop"]
    kinds = flat + (["choice", "parallel", "foreach"] if depth else [])
    kind = draw(st.sampled_from(kinds + (["broken"] if failing else [])))
    match kind:
        case "pass":
            target = draw(st.sampled_from(["done", "x", "y"]))
            mapping = {"target": target, "source": draw(st.integers(0, 3))}
            return [{"type": "pass", "name": names.next("pass"), "outputMappings": [mapping]}]
        case "wait":
            return [{"type": "wait", "name": names.next("wait"), "duration": draw(_seconds())}]
        case "loop":
            return _loop(names)
        case "caught":
            return _caught(names)
        case "choice":
            return [draw(_choice(names, depth, failing))]
        case "parallel":
            branches = draw(st.lists(_series(names, depth - 1, failing), min_size=1, max_size=3))
            made = [{"steps": branch} for branch in branches]
            return [{"type": "parallel", "name": names.next("parallel"), "branches": made}]
        case "foreach":
            return draw(_foreach(names, depth, failing))
        case _:
            return [_task(names, kind)]


def _seconds() -> st.SearchStrategy[float]:
    return st.sampled_from([0, 0.5, 3, 86400])


def _task(names: _Names, resource: str) -> Document:
    retry = [{"errors": ["Test.Busy"], "intervalSeconds": 2}]
    return {"type": "task", "name": names.next(resource), "resourceArn": resource, "retry": retry}


def _caught(names: _Names) -> list[Document]:
    """A task that always fails, and the step that its catch goes on at."""
    rescue = {"type": "pass", "name": names.next("rescue")}
    task = {
        "type": "task",
        "name": names.next("caught"),
        "resourceArn": "broken",
        "catch": [{"errors": ["Test.Broken"], "goto": rescue["name"]}],
        "errorMappings": [{"target": "why", "source": "$local.cause"}],
    }
    return [task, rescue]


def _loop(names: _Names) -> list[Document]:
    first = names.next("first")
    count = names.next("count")
    zero = {"target": "turn", "source": 0}
    back = {"condition": "$.turn < 3", "goto": count}
    return [
        {"type": "pass", "name": first, "outputMappings": [zero]},
        {"type": "task", "name": count, "resourceArn": "count"},
        {"type": "choice", "name": names.next("again"), "choices": [back]},
    ]


@st.composite
def _choice(draw: st.DrawFn, names: _Names, depth: int, failing: bool) -> Document:
    conditions = draw(st.lists(st.sampled_from(["$.x > 1", "$.y == 0", "$.n"]), max_size=2))
    options = [
        {"condition": condition, "steps": draw(_series(names, depth - 1, failing))}
        for condition in conditions
    ]
    step: Document = {"type": "choice", "name": names.next("choice"), "choices": options}
    if not options or draw(st.booleans()):
        step["default"] = {"steps": draw(_series(names, depth - 1, failing))}
    return step


@st.composite
def _foreach(draw: st.DrawFn, names: _Names, depth: int, failing: bool) -> list[Document]:
    items = {"target": "items", "source": draw(st.lists(st.integers(0, 3), max_size=4))}
    foreach: Document = {
        "type": "foreach",
        "name": names.next("foreach"),
        "iterationMapping": {"collection": "$.items", "item": "n", "index": "at"},
        "concurrency": draw(st.integers(1, 4)),
        "steps": draw(_series(names, depth - 1, failing)),
        "outputMappings": [{"target": "results", "source": "$local"}],
    }
    if failing and draw(st.booleans()):
        foreach["toleratedFailures"] = draw(st.integers(0, 2))
    return [{"type": "pass", "name": names.next("items"), "outputMappings": [items]}, foreach]


def _goto_forward(draw: st.DrawFn, steps: list[Document]) -> None:
    """Gives an option of some choice a goto to a later step, and some step its `end`."""
    for place, step in enumerate(steps[:-1]):
        later = [other["name"] for other in steps[place + 1 :]]
        if step["type"] == "choice" and step.get("default") and draw(st.booleans()):
            step["default"]["goto"] = draw(st.sampled_from(later))
    steps[-1]["end"] = draw(st.booleans())
