"""A stream step of a flow file, into the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from engine.fdl.fields import Fields, read_fields
from engine.fdl.mappings import source_path
from engine.fdl.model import DEFAULT_WINDOW_BYTES, Mappings, Stage, StreamStep
from engine.fdl.parse_attempts import read_attempts
from engine.fdl.parse_mappings import check_reference, read_mappings
from engine.fdl.parse_task import read_resource
from engine.fdl.parts import read_parts
from engine.fdl.paths import PathInvalid
from engine.fdl.problems import Report
from engine.fdl.resources import (
    ActionResource,
    CeleryResource,
    FlowResource,
    QueueResource,
    Resource,
    TopicResource,
)
from engine.fdl.shapes import PARTS
from engine.fdl.step_names import Siblings, StepNames, name_of
from engine.fdl.yaml_node import Node

NOT_IN_STREAM = "NOT_IN_STREAM"
"""Code of what a task step may have or be, but not as a part of a stream."""

_AROUND = "put it on the stream step, around all of its stages"
_KEYS_ELSEWHERE: Mapping[str, str] = {
    "retry": _AROUND,
    "catch": _AROUND,
    "errorMappings": _AROUND,
    "timeoutSeconds": _AROUND,
    "outputMappings": _AROUND,
    "end": _AROUND,
    "pattern": "it ends when it has read and written everything",
    "serviceParams": "its inputMappings say what it is called with",
}


def read_stream(
    fields: Fields, common: dict[str, Any], siblings: Siblings, names: StepNames, report: Report
) -> StreamStep:
    """The stream step of these fields; `common` is what all steps have (L11)."""
    for key in ("source", "sink"):
        if key in fields.nodes:
            check_reference(fields.nodes[key], f"{fields.where}: {key}", report)
    return StreamStep(
        **common,
        steps=_stages(fields, names, report),
        source=fields.get("source"),
        sink=fields.get("sink"),
        window_bytes=fields.get("windowBytes", DEFAULT_WINDOW_BYTES),
        fuse=fields.get("fuse"),
        **read_attempts(fields, siblings, names, report),
    )


def _stages(fields: Fields, names: StepNames, report: Report) -> tuple[Stage, ...]:
    nodes = read_parts(fields, "steps", report, least=1)
    names.check(nodes, report)
    read = [_stage(node, fields.where, report) for node in nodes]
    stages = tuple(stage for stage in read if stage is not None)
    _check_lanes(stages, fields.where, report)
    return stages


def _stage(node: Node, stream: str, report: Report) -> Stage | None:
    where = f"{stream}: {name_of(node) or 'a stage without a name'}"
    if _is_other_step(node, where, report):
        return None
    _check_keys(node, where, report)
    fields = read_fields(PARTS["stage"], node, where, report)
    resource = read_resource(fields, report)
    if resource is not None and (why := _refusal(resource)):
        key = "resourceArn" if "resourceArn" in fields.nodes else "action"
        report.error(fields.mark_of(key), NOT_IN_STREAM, f"{where}: {why}")
    mappings = read_mappings(fields, "inputMappings", report)
    _check_locals(mappings or (), where, report)
    return Stage(
        name=fields.get("name", ""),
        resource_arn=fields.get("resourceArn"),
        action=fields.get("action"),
        input_mappings=mappings,
        concurrency=fields.get("concurrency", 1),
        mark=node.mark,
    )


def _is_other_step(node: Node, where: str, report: Report) -> bool:
    kind = (node.entries or {}).get("type")
    if kind is None or kind.value == "task":
        return False
    text = f"{where}: a stage of a stream is of type task, not {kind.value!r}"
    report.error(kind.mark, NOT_IN_STREAM, text)
    return True


def _check_keys(node: Node, where: str, report: Report) -> None:
    entries = node.entries or {}
    for key in [key for key in entries if key in _KEYS_ELSEWHERE]:
        text = f"{where}: a stage of a stream has no '{key}': {_KEYS_ELSEWHERE[key]}"
        report.error(node.key_marks[key], NOT_IN_STREAM, text)
        # Said once, here: the shape of these tasks has no such key.
        node.entries = {name: part for name, part in (node.entries or {}).items() if name != key}


def _refusal(resource: Resource) -> str:
    match resource:
        case FlowResource() | QueueResource() | TopicResource() | CeleryResource():
            return f"{resource.display} can neither read nor write bytes: name a stream task"
        case ActionResource(product="fnf", operation="StartExecution"):
            return f"{resource.display} can neither read nor write bytes: name a stream task"
        case _:
            return ""


def _check_locals(mappings: Mappings, where: str, report: Report) -> None:
    for mapping in mappings:
        if isinstance(mapping.source, str) and _root_of(mapping.source) == "local":
            why = "$local is empty: the stages of a stream run at the same time"
            text = f"{where}: '{mapping.source}': {why}"
            report.warning(mapping.mark, "EMPTY_LOCAL", text)


def _root_of(source: str) -> str:
    with suppress(PathInvalid):  # it is reported where mappings are read
        if found := source_path(source):
            return found[0]
    return ""


def _check_lanes(stages: Sequence[Stage], where: str, report: Report) -> None:
    for one, other in pairwise(stages):
        if 1 < one.concurrency != other.concurrency > 1:
            text = (
                f"{where}: {one.name} has concurrency {one.concurrency} and its neighbour "
                f"{other.name} {other.concurrency}: give them the same, or one of them none"
            )
            report.error(other.mark, "CONFLICTING_KEYS", text)
