"""Mappings, references and service parameters of a flow file, into the model."""

from __future__ import annotations

from typing import Any

from engine.fdl.fields import Fields, read_fields
from engine.fdl.mappings import reference_path, source_path, uses_context
from engine.fdl.model import JsonObject, Mapping, Mappings
from engine.fdl.parts import read_parts
from engine.fdl.paths import Path, PathInvalid
from engine.fdl.problems import Report
from engine.fdl.shapes import PARTS
from engine.fdl.suggestions import did_you_mean
from engine.fdl.yaml_node import Node

CONTEXT = {
    "flow": ("name",),
    "execution": ("name",),
    "step": ("name", "eventId"),
    "task": ("token",),
}
"""What `$context` holds."""


def read_mappings(fields: Fields, key: str, report: Report) -> Mappings | None:
    """The mappings under a key; None when the key is not there."""
    if key not in fields.nodes:
        return None
    where = f"{fields.where}: {key}"
    items: list[Mapping] = []
    for node in read_parts(fields, key, report):
        item = _mapping(node, where, report)
        if any(item.target == other.target for other in items):
            text = f"{where}: target '{item.target}' is there twice: the last one wins"
            report.warning(item.mark, "REPEATED_TARGET", text)
        items.append(item)
    return tuple(items)


def read_service_params(fields: Fields, report: Report) -> JsonObject | None:
    """The serviceParams of a task; None when they are not there."""
    params: JsonObject | None = fields.get("serviceParams")
    node = fields.nodes.get("serviceParams")
    if params is None or node is None:
        return None
    for name, part in (node.entries or {}).items():
        where = f"{fields.where}: serviceParams: {name}"
        if uses_context(part.value):
            check_source(part, where, report)
        else:
            check_reference(part, where, report)
    return params


def check_source(node: Node, where: str, report: Report) -> None:
    """Reports a mapping's source that is a malformed path, or a constant that looks like one."""
    text = node.value
    if not isinstance(text, str) or not text.startswith("$"):
        return
    try:
        found = source_path(text)
    except PathInvalid as error:
        _malformed(node, error, where, report)
        return
    if found is None:
        _constant(node, "$input, $local or $context", where, report)
    elif found[0] == "context":
        _check_context(node, found[1], where, report)


def check_reference(node: Node, where: str, report: Report, must: bool = False) -> None:
    """Reports a reference into the input that is malformed, or a constant that looks like one.

    `must`: a constant is an error.
    """
    text = node.value
    if not isinstance(text, str) or not (must or text.startswith("$")):
        return
    try:
        found = reference_path(text)
    except PathInvalid as error:
        _malformed(node, error, where, report)
        return
    if found is None and must:
        message = f"{where}: '{text}' is no path into the step's input: write $.key"
        report.error(node.mark, "BAD_PATH", message)
    elif found is None:
        _constant(node, "$.key", where, report)


def check_either(node: Node, where: str, report: Report) -> None:
    """Checks what may be a mapping's source or a reference (`error`, `cause` of a fail step)."""
    text = node.value
    if isinstance(text, str) and (text == "$" or text.startswith(("$.", "$["))):
        check_reference(node, where, report)
    else:
        check_source(node, where, report)


def _mapping(node: Node, where: str, report: Report) -> Mapping:
    fields = read_fields(PARTS["mapping"], node, where, report)
    target = fields.get("target", "")
    if "source" in fields.nodes:
        check_source(fields.nodes["source"], f"{where}: {target}", report)
    return Mapping(target, fields.get("source"), node.mark)


def _malformed(node: Node, error: PathInvalid, where: str, report: Report) -> None:
    text = f"{where}: '{node.value}' is no path: {error}"
    report.error(node.mark_at(error.offset), "BAD_PATH", text)


def _constant(node: Node, roots: str, where: str, report: Report) -> None:
    text = f"{where}: '{node.value}' is a constant: a path begins with {roots}"
    report.warning(node.mark, "CONSTANT_WITH_DOLLAR", text)


def _check_context(node: Node, path: Path, where: str, report: Report) -> None:
    known: Any = CONTEXT
    for key in path.chain or ():
        if key in known:
            known = known[key] if isinstance(known, dict) else ()
            continue
        names = ", ".join(known)
        hint = did_you_mean(str(key), known) or (f"; there is {names}" if names else "")
        text = f"{where}: '{node.value}': $context has no '{key}' there{hint}"
        report.warning(node.mark, "UNKNOWN_CONTEXT", text)
        return
