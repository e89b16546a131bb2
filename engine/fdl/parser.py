"""The parser: from the text of a flow file to the typed flow, with all its problems at once."""

from __future__ import annotations

from engine.errors import FlowInvalid
from engine.fdl.fields import Fields, read_fields
from engine.fdl.model import Flow, Mark
from engine.fdl.parse_mappings import read_mappings
from engine.fdl.parse_steps import read_series
from engine.fdl.problems import Problem, Report
from engine.fdl.shapes import FLOW, PARTS
from engine.fdl.step_names import StepNames, all_names
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_source import read_yaml

WHERE = "the flow"

MAX_TEXT_BYTES = 2**20
"""What a flow's text may have in UTF-8."""

MAX_STEPS = 10_000
"""The most steps of a flow, those inside of others too."""


def parse_flow(text: str, file: str = "<flow>") -> Flow:
    """Parses a flow; `file` is the name that its problems carry.

    Raises:
        engine.errors.FlowInvalid: it has errors; `problems` holds all, warnings included.
    """
    flow, problems = parse_with_warnings(text, file)
    if flow is None:
        raise FlowInvalid(problems)
    return flow


def parse_with_warnings(
    text: str, file: str = "<flow>"
) -> tuple[Flow | None, tuple[Problem, ...]]:
    """Parses a flow and never raises: the flow (None when there are errors) and all problems."""
    flow, problems = parse_in_part(text, file)
    return (None if any(problem.is_error for problem in problems) else flow), problems


def parse_in_part(text: str, file: str = "<flow>") -> tuple[Flow | None, tuple[Problem, ...]]:
    """As `parse_with_warnings`, but with what could be read of a flow that has errors.

    That part is for looking for further problems only; None: nothing could be read.
    """
    report = Report(file)
    flow = None
    if _is_short(text, report):
        root = read_yaml(text, report)
        if root is not None and _has_few_steps(root, report):
            flow = _flow(root, report)
    return flow, report.in_order()


def _is_short(text: str, report: Report) -> bool:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size <= MAX_TEXT_BYTES:
        return True
    way_out = "hand large values in as the execution's input, or put parts into flows of their own"
    report.error(
        Mark(), "TOO_LARGE", f"the text has {size} bytes; the limit is {MAX_TEXT_BYTES}: {way_out}"
    )
    return False


def _has_few_steps(root: Node, report: Report) -> bool:
    total, waiting = 0, [root]
    while waiting:
        node = waiting.pop()
        series = (node.entries or {}).get("steps")
        total += len(series.items or ()) if series is not None else 0
        if total > MAX_STEPS:
            text = f"the flow has more than {MAX_STEPS} steps: put parts into flows of their own"
            report.error(node.mark, "TOO_MANY_STEPS", text)
            return False
        # An aliased part counts each time: each use is a step of its own.
        waiting.extend([*(node.items or ()), *(node.entries or {}).values()])
    return True


def _flow(root: Node, report: Report) -> Flow:
    fields = read_fields(FLOW, root, WHERE, report)
    names = StepNames(everywhere=all_names(root))
    return Flow(
        steps=read_series(fields, names, report),
        version=fields.get("version", "v1"),
        name=_name(fields.get("name")),
        input_mappings=read_mappings(fields, "inputMappings", report),
        output_mappings=read_mappings(fields, "outputMappings", report),
        timeout_s=fields.get("timeoutSeconds"),
        strict=fields.get("strict", False),
        kept_turns=_kept_turns(fields, report),
    )


def _kept_turns(fields: Fields, report: Report) -> int | None:
    if "history" not in fields.nodes:
        return None
    where = f"{WHERE}: history"
    option = read_fields(PARTS["history"], fields.nodes["history"], where, report)
    turns: int | None = option.get("turns")
    return turns


def _name(name: object) -> str | None:
    return None if name is None else str(name)
