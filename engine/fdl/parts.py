"""The list under a key of a flow file, as nodes."""

from __future__ import annotations

from engine.fdl.fields import Fields
from engine.fdl.problems import Report
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_scalars import described


def read_parts(fields: Fields, key: str, report: Report, least: int = 0) -> list[Node]:
    """The items of the list under a key; none when it is not there or no list.

    `least`: how many there must be.
    """
    node = fields.nodes.get(key)
    if node is None or node.broken:
        return []
    if node.items is None:
        text = f"{fields.where}: {key} must be a list, not {described(node.value)}"
        report.error(node.mark, "BAD_TYPE", text)
        return []
    if len(node.items) < least:
        text = f"{fields.where}: {key} must not be empty"
        report.error(node.mark, "EMPTY_LIST", text)
    return node.items
