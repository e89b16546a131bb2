"""What steps that run in attempts have in common: time limit, retry, catch and errorMappings."""

from __future__ import annotations

from typing import Any

from engine.fdl.fields import Fields, read_fields
from engine.fdl.model import Catcher, RetryPolicy
from engine.fdl.parse_mappings import read_mappings
from engine.fdl.parts import read_parts
from engine.fdl.problems import Report
from engine.fdl.shapes import PARTS
from engine.fdl.step_names import Siblings, StepNames
from engine.fdl.yaml_node import Node

_RETRY_FIELDS = {
    "errors": "errors",
    "interval_s": "intervalSeconds",
    "max_interval_s": "maxIntervalSeconds",
    "max_attempts": "maxAttempts",
    "multiplier": "multiplier",
    "jitter": "jitter",
}


def read_attempts(
    fields: Fields, siblings: Siblings, names: StepNames, report: Report
) -> dict[str, Any]:
    """The arguments of an AttemptedStep that its own keys give."""
    attempts = {
        "timeout_s": fields.get("timeoutSeconds"),
        "error_mappings": read_mappings(fields, "errorMappings", report),
        "retry": _retry(fields, report),
        "catch": _catch(fields, siblings, names, report),
    }
    if attempts["error_mappings"] and not attempts["catch"]:
        text = f"{fields.where}: errorMappings have no effect without catch"
        report.warning(fields.mark_of("errorMappings"), "NO_CATCH", text)
    return attempts


def _retry(fields: Fields, report: Report) -> tuple[RetryPolicy, ...]:
    return tuple(
        _policy(node, f"{fields.where}: retry {position}", report)
        for position, node in enumerate(read_parts(fields, "retry", report), start=1)
    )


def _policy(node: Node, where: str, report: Report) -> RetryPolicy:
    fields = read_fields(PARTS["retry"], node, where, report)
    given = {
        name: fields.values[key] for name, key in _RETRY_FIELDS.items() if key in fields.values
    }
    return RetryPolicy(**{"errors": (), **given})


def _catch(
    fields: Fields, siblings: Siblings, names: StepNames, report: Report
) -> tuple[Catcher, ...]:
    catchers = []
    for position, node in enumerate(read_parts(fields, "catch", report), start=1):
        item = read_fields(PARTS["catch"], node, f"{fields.where}: catch {position}", report)
        goto = item.get("goto")
        if goto is not None:
            names.check_goto(goto, item.mark_of("goto"), fields.where, siblings, report)
        catchers.append(Catcher(item.get("errors", ()), goto or "", node.mark))
    return tuple(catchers)
