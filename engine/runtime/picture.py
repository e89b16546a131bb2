"""The picture of a flow: its control flow as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.graph import Graph, Node
from engine.core.streaming import SINK, SOURCE
from engine.fdl.model import (
    AttemptedStep,
    ChoiceStep,
    ForeachStep,
    ParallelStep,
    StreamStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.resources import StreamResource

_ENDS = ("((", "))")
_SHAPES = {"choice": ("{{", "}}"), "wait": ("([", "])"), "succeed": _ENDS, "fail": _ENDS}


def picture(graph: Graph, flow: str) -> str:
    """The flowchart: steps by name, series of a fork in boxes, catches as dotted arrows.

    A stream is a box as well; the thick arrows in it are bytes.
    """
    return "\n".join(["flowchart TD", *Picture(graph).lines(flow)])


class Picture:
    """Draws one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._ids = {path: f"s{number}" for number, path in enumerate(graph.nodes)}

    def lines(self, flow: str) -> Iterator[str]:
        """The lines below the first."""
        yield f'  start(["{_text(flow)}"])'
        yield '  done(["end"])'
        yield from self._series("", "  ", "done")
        first = self.graph.first("")
        yield f"  start --> {self._ids[first] if first else 'done'}"

    def _series(self, path: str, indent: str, after: str | None) -> Iterator[str]:
        """A series; `after` is where its end leads to (None: nowhere, its box ends there)."""
        for node in self.graph.nodes.values():
            if node.series == path:
                yield from self._node(node, indent, after)

    def _node(self, node: Node, indent: str, after: str | None) -> Iterator[str]:
        me = self._ids[node.path]
        following = self._ids[node.next] if node.next is not None else after
        kind = type(node.step).__name__.removesuffix("Step").lower()
        left, right = _SHAPES.get(kind, ("[", "]"))
        yield f'{indent}{me}{left}"{_text(_label(node))}"{right}'
        yield from self._ways(node, indent, following)
        always_chooses = isinstance(node.step, ChoiceStep) and node.step.default is not None
        if following is not None and kind != "fail" and not always_chooses:
            yield f"{indent}{me} --> {following}"

    def _ways(self, node: Node, indent: str, following: str | None) -> Iterator[str]:
        """Where a step leads to other than on to the next."""
        match node.step:
            case ChoiceStep():
                yield from self._options(node, indent, following)
            case ParallelStep() | ForeachStep():
                yield from self._fork(node, indent)
            case StreamStep():
                yield from self._stream(node, node.step, indent)
            case _:
                pass
        if isinstance(node.step, AttemptedStep):
            yield from self._catches(node, node.step, indent)

    def _catches(self, node: Node, step: AttemptedStep, indent: str) -> Iterator[str]:
        for catcher, target in zip(step.catch, node.catches, strict=True):
            errors = _text(", ".join(catcher.errors))
            yield f'{indent}{self._ids[node.path]} -. "{errors}" .-> {self._ids[target]}'

    def _stream(self, node: Node, step: StreamStep, indent: str) -> Iterator[str]:
        """The box of a stream: its stages in a row, between the ends that its bytes come and go."""
        me = self._ids[node.path]
        assert isinstance(node.resource, StreamResource)
        tasks = [called.display for _, called in node.resource.stages]
        yield f'{indent}subgraph {me}_stages["{_text(node.path)}"]'
        for number, (stage, task) in enumerate(zip(step.steps, tasks, strict=True), start=1):
            lanes = f" (x{stage.concurrency})" if stage.concurrency > 1 else ""
            yield f'{indent}  {me}_{number}["{_text(f"{stage.name}: {task}{lanes}")}"]'
        last = len(step.steps) + 1
        yield f'{indent}  {me}_0[("{_text(step.source or SOURCE)}")]'
        yield f'{indent}  {me}_{last}[("{_text(step.sink or SINK)}")]'
        for number in range(last):
            yield f"{indent}  {me}_{number} ==> {me}_{number + 1}"
        yield f"{indent}end"
        yield f"{indent}{me} -.-> {me}_stages"

    def _options(self, node: Node, indent: str, following: str | None) -> Iterator[str]:
        assert isinstance(node.step, ChoiceStep)
        written = [*node.step.choices, *([node.step.default] if node.step.default else [])]
        for option, text in zip(node.options, written, strict=True):
            leads = self._ids[option.goto] if option.goto is not None else following
            first = self.graph.first(option.series)
            target = self._ids[first] if first is not None else leads
            label = _text(text.condition or "default")
            if target is not None:
                yield f'{indent}{self._ids[node.path]} -- "{label}" --> {target}'
            yield from self._series(option.series, indent, leads)

    def _fork(self, node: Node, indent: str) -> Iterator[str]:
        me = self._ids[node.path]
        for series in self.graph.series.values():
            if series.owner != node.path or series.first is None:
                continue
            box = f"{me}_{series.path.rpartition('/')[2]}"
            yield f'{indent}subgraph {box}["{_text(series.path)}"]'
            yield from self._series(series.path, indent + "  ", None)
            yield f"{indent}end"
            yield f"{indent}{me} -.-> {box}"


def _label(node: Node) -> str:
    step = node.step
    match step:
        case TaskStep() if node.resource is not None:
            return f"{step.name}: {node.resource.display}"
        case WaitStep():
            written = step.timestamp or step.duration
            return f"{step.name}: {written}" + (" s" if isinstance(written, int | float) else "")
        case ForeachStep():
            return f"{step.name}: each of {step.collection}"
        case _:
            return step.name


def _text(text: str) -> str:
    """A text as it may stand in a label: Mermaid knows HTML entities, and no other escapes."""
    for plain, entity in (("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(plain, entity)
    return text
