"""The step tree: progress as a person sees it, drawn with rich."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from engine.cli.progress import Progress, StepProgress
from engine.core.graph import sub_series
from engine.core.states import ExecutionStatus
from engine.fdl.model import ForeachStep, ParallelStep

BAR_CELLS = 30
SHORT_S = 0.05
"""What took less has no time beside it."""


@dataclass(frozen=True, slots=True)
class _Marks:
    waiting: str
    done: str
    failed: str
    stopped: str
    spinner: Spinner


_UNICODE = _Marks("○", "✓", "✗", "■", Spinner("dots", style="cyan"))
_ASCII = _Marks(".", "+", "x", "#", Spinner("line", style="cyan"))


def step_tree(
    executions: Mapping[tuple[str, str], Progress], root: tuple[str, str], console: Console
) -> Tree:
    """The steps of the execution `root`, sub-flows under the steps that started them."""
    marks = _ASCII if console.options.ascii_only else _UNICODE
    progress = executions[root]
    tree = Tree(_head(root, progress, marks), guide_style="bright_black")
    _add_series(tree, executions, progress, "", marks)
    return tree


def duration(seconds: float) -> str:
    """A duration for people: `0.4 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _head(key: tuple[str, str], progress: Progress, marks: _Marks) -> RenderableType:
    line = Text.assemble((key[0], "bold"), ("  " + key[1], "bright_black"))
    return _row(_flow_mark(progress.status, marks), line)


def _flow_mark(status: ExecutionStatus, marks: _Marks) -> RenderableType:
    match status:
        case ExecutionStatus.SUCCEEDED:
            return Text(marks.done, "green")
        case ExecutionStatus.FAILED | ExecutionStatus.TIMED_OUT:
            return Text(marks.failed, "red")
        case ExecutionStatus.STOPPED | ExecutionStatus.PAUSED:
            return Text(marks.stopped, "yellow")
        case _:
            return marks.spinner


def _add_series(
    tree: Tree,
    executions: Mapping[tuple[str, str], Progress],
    progress: Progress,
    series: str,
    marks: _Marks,
) -> None:
    for path, node in progress.graph.nodes.items():
        if node.series != series:
            continue
        step = progress.steps[path]
        fork = isinstance(node.step, ForeachStep | ParallelStep)
        branch = tree.add(_step_row(node.step.name, step, progress.status.ended, fork, marks))
        for inner, _ in sub_series(node.step, path):
            _add_series(branch, executions, progress, inner, marks)
        child = executions.get(step.child) if step.child else None
        if child is not None and step.child is not None:
            under = branch.add(_head(step.child, child, marks))
            _add_series(under, executions, child, "", marks)


def _step_row(
    name: str, step: StepProgress, over: bool, fork: bool, marks: _Marks
) -> RenderableType:
    cells: list[RenderableType] = [_step_mark(step, over, marks), _name(name, step)]
    if fork and step.total is not None:
        cells += [_bar(step), Text(f"{step.done}/{step.total}")]
    if facts := _facts(step, over, fork):
        cells.append(facts)
    return _row(*cells)


def _step_mark(step: StepProgress, over: bool, marks: _Marks) -> RenderableType:
    if step.active and not over:
        return marks.spinner
    if step.failures and step.note:
        return Text(marks.failed, "red")
    if step.active or step.aborted:
        return Text(marks.stopped, "yellow")
    return Text(marks.done, "green") if step.visits else Text(marks.waiting, "bright_black")


def _name(name: str, step: StepProgress) -> Text:
    return Text(name, "bold" if step.active else "" if step.visits else "bright_black")


def _bar(step: StepProgress) -> ProgressBar:
    return ProgressBar(
        total=max(1, step.total or 0),
        completed=step.done if step.total else 1,
        width=BAR_CELLS,
        complete_style="red" if step.failed else "cyan",
        finished_style="red" if step.failed else "green",
    )


def _facts(step: StepProgress, over: bool, fork: bool) -> Text:
    """Counts, time and note, as far as there is something to say."""
    facts: list[tuple[str, str]] = []
    running = step.active if not over else 0
    if fork and step.failed:
        facts.append((f"{step.failed} failed", "red"))
    if not fork and step.visits > 1:
        facts.append((f"×{step.visits}", "bright_black"))
    if not fork and running > 1:
        facts.append((f"{running} running", "cyan"))
    spent_s = step.spent_s + (time.time() - step.since if running else 0.0)
    if step.visits and spent_s >= SHORT_S:
        facts.append((duration(spent_s), "bright_black"))
    if step.stream:
        facts.append((step.stream, "bright_black"))
    if step.note:
        facts.append((step.note, "red" if step.failures else "yellow"))
    return Text("  ").join(Text(text, style) for text, style in facts)


def _row(*cells: RenderableType) -> Table:
    row = Table.grid(padding=(0, 1))
    for _ in cells:
        row.add_column(no_wrap=True)
    row.add_row(*cells)
    return row
