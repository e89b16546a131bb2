"""The fields of one object of a flow file, checked against its shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.fdl.kinds import ANYTHING, Kind, ValueUnfit
from engine.fdl.model import Mark
from engine.fdl.problems import Report
from engine.fdl.shapes import Shape
from engine.fdl.suggestions import did_you_mean
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_scalars import described


@dataclass(slots=True)
class Fields:
    """What an object of the file holds. `where` begins every message about it.

    `values` has the plain values that fit, ready for the model; `nodes` every known key's node.
    """

    where: str
    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; the default when it is not there or did not fit."""
        return self.values.get(key, default)

    def mark_of(self, key: str) -> Mark:
        """Where a key's value stands, or the object when the key is not there."""
        return self.nodes[key].mark if key in self.nodes else self.node.mark


def read_fields(shape: Shape, node: Node, where: str, report: Report) -> Fields:
    """Reads an object of a shape; what does not fit goes to the report.

    A key whose value is null counts as not there, but for a mapping's source: it may be null.
    """
    fields = Fields(where, node)
    if node.entries is None:
        if not node.broken:
            text = f"{where}: must be an object with {_keys(shape)}, not {described(node.value)}"
            report.error(node.mark, "BAD_TYPE", text)
        return fields
    for name, part in node.entries.items():
        if name not in shape.keys:
            _unknown_key(shape, node, name, where, report)
        elif part.value is not None or (name == "source" and shape.keys[name].holds is ANYTHING):
            fields.nodes[name] = part
            _read_value(shape, name, fields, report)
    _check_presence(shape, fields, report)
    return fields


def _read_value(shape: Shape, name: str, fields: Fields, report: Report) -> None:
    holds, node = shape.keys[name].holds, fields.nodes[name]
    if not isinstance(holds, Kind) or node.broken:
        return
    try:
        fields.values[name] = holds.read(node.value)
    except ValueUnfit as error:
        report.error(node.mark, error.code, f"{fields.where}: {name} {error}")


def _unknown_key(shape: Shape, node: Node, name: str, where: str, report: Report) -> None:
    hint = did_you_mean(name, shape.keys) or f"; a {shape.title} has {_keys(shape)}"
    text = f"{where}: unknown key '{name}'{hint}"
    report.error(node.key_marks[name], "UNKNOWN_KEY", text)


def _check_presence(shape: Shape, fields: Fields, report: Report) -> None:
    for name, key in shape.keys.items():
        if key.required and name not in fields.nodes:
            text = f"{fields.where}: {name} is missing: {_sentence(key.about)}"
            report.error(fields.node.mark, "MISSING_KEY", text)
    there = [name for name in shape.one_of if name in fields.nodes]
    if shape.one_of and not there:
        text = f"{fields.where}: {' or '.join(shape.one_of)} is missing"
        report.error(fields.node.mark, "MISSING_KEY", text)
    if len(there) > 1:
        text = f"{fields.where}: {' and '.join(there)} exclude each other: keep one"
        report.error(fields.mark_of(there[-1]), "CONFLICTING_KEYS", text)


def _keys(shape: Shape) -> str:
    return ", ".join(shape.keys)


def _sentence(about: str) -> str:
    return about[0].lower() + about[1:].rstrip(".")
