"""The steps of a flow file, into the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.fdl.expressions import ConditionInvalid, compile_condition
from engine.fdl.fields import Fields, read_fields
from engine.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    Option,
    ParallelStep,
    PassStep,
    Step,
    SucceedStep,
    WaitStep,
)
from engine.fdl.parse_mappings import check_either, check_reference, read_mappings
from engine.fdl.parse_stream import read_stream
from engine.fdl.parse_task import read_task
from engine.fdl.parts import read_parts
from engine.fdl.problems import Report
from engine.fdl.shapes import PARTS, STEPS, StepType
from engine.fdl.step_names import Siblings, StepNames, name_of
from engine.fdl.suggestions import did_you_mean
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_scalars import described


@dataclass(frozen=True, slots=True)
class Series:
    """Where a step is read: its siblings, the whole flow's step names, the report."""

    siblings: Siblings
    names: StepNames
    report: Report


def read_series(
    owner: Fields, names: StepNames, report: Report, least: int = 1
) -> tuple[Step, ...]:
    """The steps under an object's `steps`."""
    nodes = read_parts(owner, "steps", report, least)
    siblings = Siblings.of(nodes)
    names.check(nodes, report)
    series = Series(siblings, names, report)
    steps = (_step(node, series) for node in nodes)
    return tuple(step for step in steps if step is not None)


def _step(node: Node, series: Series) -> Step | None:
    name = name_of(node)
    where = name or "a step without a name"
    if node.entries is None:
        if not node.broken:
            text = f"a step must be an object with type and name, not {described(node.value)}"
            series.report.error(node.mark, "BAD_TYPE", text)
        return None
    kind = _type_of(node, where, series.report)
    if kind is None:
        return None
    _check_end(node, kind, where, series.report)
    fields = read_fields(STEPS[kind], node, where, series.report)
    return _BUILDERS[kind](fields, _common(fields, series.report), series)


def _type_of(node: Node, where: str, report: Report) -> StepType | None:
    entries = node.entries or {}
    given = entries["type"].value if "type" in entries else None
    for kind in STEPS:
        if given == kind:
            return kind
    known = ", ".join(STEPS)
    if given is None:
        report.error(node.mark, "MISSING_KEY", f"{where}: type is missing: one of {known}")
        return None
    hint = did_you_mean(given, STEPS) if isinstance(given, str) else ""
    text = f"{where}: unknown type {given!r}{hint or f'; known types: {known}'}"
    if hint:
        text += f" (known types: {known})"
    report.error(entries["type"].mark, "UNKNOWN_TYPE", text)
    return None


def _check_end(node: Node, kind: StepType, where: str, report: Report) -> None:
    if kind in ("succeed", "fail") and node.entries and "end" in node.entries:
        text = f"{where}: a {kind} step ends its series by itself: leave 'end' away"
        report.error(node.key_marks["end"], "END_NOT_ALLOWED", text)
        # Said once, here: the shape of these steps has no such key.
        node.entries = {key: part for key, part in node.entries.items() if key != "end"}


def _common(fields: Fields, report: Report) -> dict[str, Any]:
    return {
        "name": fields.get("name", ""),
        "end": fields.get("end", False),
        "input_mappings": read_mappings(fields, "inputMappings", report),
        "output_mappings": read_mappings(fields, "outputMappings", report),
        "mark": fields.node.mark,
    }


def _task(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    return read_task(fields, common, series.siblings, series.names, series.report)


def _stream(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    return read_stream(fields, common, series.siblings, series.names, series.report)


def _pass(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    return PassStep(**common)


def _succeed(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    return SucceedStep(**common)


def _fail(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    for key in ("error", "cause"):
        if key in fields.nodes:
            check_either(fields.nodes[key], f"{fields.where}: {key}", series.report)
    return FailStep(**common, error=fields.get("error"), cause=fields.get("cause"))


def _wait(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    for key in ("duration", "timestamp"):
        value = fields.get(key)
        if isinstance(value, str) and value.startswith("$"):
            where = f"{fields.where}: {key}"
            check_reference(fields.nodes[key], where, series.report, must=True)
    return WaitStep(
        **common, duration=fields.get("duration"), timestamp=fields.get("timestamp")
    )


def _choice(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    choices = tuple(
        _option(node, "choice", f"{fields.where}: choice {position}", fields.where, series)
        for position, node in enumerate(read_parts(fields, "choices", series.report), start=1)
    )
    default = fields.nodes.get("default")
    return ChoiceStep(
        **common,
        choices=choices,
        default=_option(default, "default", f"{fields.where}: default", fields.where, series)
        if default
        else None,
    )


def _option(node: Node, shape: str, where: str, step: str, series: Series) -> Option:
    fields = read_fields(PARTS[shape], node, where, series.report)
    goto = fields.get("goto")
    if goto is not None:
        mark = fields.mark_of("goto")
        series.names.check_goto(goto, mark, step, series.siblings, series.report)
    condition = fields.get("condition", "") if shape == "choice" else None
    if "condition" in fields.values:
        _check_condition(fields.nodes["condition"], fields.values["condition"], where, series)
    steps = read_series(fields, series.names, series.report, least=0)
    return Option(condition=condition, steps=steps, goto=goto, mark=node.mark)


def _check_condition(node: Node, text: str, where: str, series: Series) -> None:
    try:
        compile_condition(text)
    except ConditionInvalid as error:
        message = f"{where}: condition '{text.strip()}': {error}"
        series.report.error(node.mark_at(error.offset), "BAD_CONDITION", message)


def _parallel(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    branches = []
    for position, node in enumerate(read_parts(fields, "branches", series.report, 1), start=1):
        where = f"{fields.where}: branch {position}"
        branch = read_fields(PARTS["branch"], node, where, series.report)
        branches.append(read_series(branch, series.names, series.report))
    return ParallelStep(**common, branches=tuple(branches))


def _foreach(fields: Fields, common: dict[str, Any], series: Series) -> Step:
    steps = read_series(fields, series.names, series.report)
    tolerated = fields.get("toleratedFailures")
    percent = isinstance(tolerated, str)
    return ForeachStep(
        **common,
        **_iteration(fields, series.report),
        steps=steps,
        concurrency=fields.get("concurrency", 100),
        batch=fields.get("batch"),
        tolerated_failures=None if percent else tolerated,
        tolerated_percent=float(tolerated) if percent else None,
    )


def _iteration(fields: Fields, report: Report) -> dict[str, Any]:
    node = fields.nodes.get("iterationMapping")
    if node is None:
        return {"collection": "", "item": ""}
    where = f"{fields.where}: iterationMapping"
    mapping = read_fields(PARTS["iterationMapping"], node, where, report)
    if "collection" in mapping.values:
        collection = mapping.nodes["collection"]
        check_reference(collection, f"{where}: collection", report, must=True)
    item, index = mapping.get("item", ""), mapping.get("index")
    if item and item == index:
        text = f"{where}: item and index are both '{item}': give them two names"
        report.error(mapping.mark_of("index"), "CONFLICTING_KEYS", text)
    return {"collection": mapping.get("collection", ""), "item": item, "index": index}


Builder = Callable[[Fields, dict[str, Any], Series], Step]

_BUILDERS: Mapping[StepType, Builder] = {
    "task": _task,
    "stream": _stream,
    "pass": _pass,
    "wait": _wait,
    "choice": _choice,
    "parallel": _parallel,
    "foreach": _foreach,
    "succeed": _succeed,
    "fail": _fail,
}
