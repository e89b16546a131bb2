"""The picture of a flow: its control flow as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.graph import Graph, Node
from engine.fdl.model import ChoiceStep, ForeachStep, ParallelStep, TaskStep, WaitStep

_ENDS = ("((", "))")
_SHAPES = {"choice": ("{{", "}}"), "wait": ("([", "])"), "succeed": _ENDS, "fail": _ENDS}


def picture(graph: Graph, flow: str) -> str:
    """The flowchart: steps by name, series of a fork in boxes, catches as dotted arrows."""
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
            case TaskStep():
                for catcher, target in zip(node.step.catch, node.catches, strict=True):
                    errors = _text(", ".join(catcher.errors))
                    yield f'{indent}{self._ids[node.path]} -. "{errors}" .-> {self._ids[target]}'
            case _:
                return

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
