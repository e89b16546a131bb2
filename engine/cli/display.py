"""The display: an execution's progress on stderr, a live tree or plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

from engine.cli.follower import ExecutionKey, Follower
from engine.cli.step_tree import step_tree
from engine.core.events import Event, EventType

FRAMES_PER_S = 10


class Display(Protocol):
    """Shows what a follower reads; a context manager that ends with the showing."""

    def __enter__(self) -> Display:
        """Begins."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends; what was shown stays."""
        ...

    def show(self, follower: Follower, news: Iterable[tuple[ExecutionKey, Event]]) -> None:
        """Takes the next batch in."""
        ...

    def say(self, line: str) -> None:
        """Writes a worker's line between."""
        ...

    def tell(self, line: str) -> None:
        """Writes a line of our own."""
        ...

    def add(self, below: Callable[[], RenderableType]) -> None:
        """Shows something of its own below the steps, where that can change in place."""
        ...


def make_display(console: Console) -> Display:
    """The live tree on a terminal, else plain lines."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class LiveDisplay:
    """A tree of steps that changes in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._follower: Follower | None = None
        self._below: Callable[[], RenderableType] | None = None
        self._starting = Spinner("dots", "starting", style="cyan")
        self._live = Live(
            console=console, refresh_per_second=FRAMES_PER_S, get_renderable=self._draw
        )

    def __enter__(self) -> LiveDisplay:
        """Begins."""
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends with the last state."""
        self._live.stop()

    def show(self, follower: Follower, news: Iterable[tuple[ExecutionKey, Event]]) -> None:
        """Draws the tree from now on; the events are in the follower already."""
        self._follower = follower

    def say(self, line: str) -> None:
        """Writes above the tree."""
        self._console.print(Text(f"worker: {line}", style="dim"))

    def tell(self, line: str) -> None:
        """Writes a line."""
        self._console.print(Text(line))

    def add(self, below: Callable[[], RenderableType]) -> None:
        """Draws it below the tree from now on."""
        self._below = below

    def _draw(self) -> RenderableType:
        if self._follower is None:
            return self._starting
        tree = step_tree(self._follower.executions, self._follower.root, self._console)
        return tree if self._below is None else Group(tree, self._below())


class PlainDisplay:
    """A line for each event of a step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: float | None = None

    def __enter__(self) -> PlainDisplay:
        """Begins."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends."""

    def show(self, follower: Follower, news: Iterable[tuple[ExecutionKey, Event]]) -> None:
        """Writes the lines of the events."""
        for key, event in news:
            if self._started is None:
                self._started = event.time
            if text := event_line(event):
                flow = "" if key == follower.root else f"{key[0]}: "
                self._write(f"{event.time - self._started:8.2f}s  {flow}{text}")

    def say(self, line: str) -> None:
        """Writes a line."""
        self._write(f"worker: {line}")

    def tell(self, line: str) -> None:
        """Writes a line."""
        self._write(line)

    def add(self, below: Callable[[], RenderableType]) -> None:
        """Does nothing: lines do not change in place."""

    def _write(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)


_WORDS = {
    EventType.STEP_ENTERED: "entered",
    EventType.STEP_SUCCEEDED: "succeeded",
    EventType.STEP_FAILED: "failed",
    EventType.TASK_FAILED: "task failed",
    EventType.TASK_TIMED_OUT: "task timed out",
    EventType.TASK_SUBMIT_FAILED: "task not submitted",
    EventType.STEP_SKIPPED: "skipped",
    EventType.EXECUTION_PAUSED: "paused",
    EventType.EXECUTION_RESUMED: "resumed",
    EventType.EXECUTION_REDRIVEN: "redriven",
}
_TOLD = ("error", "cause", "by", "reason")
"""What of an event's detail stands in its line."""


def event_line(event: Event) -> str:
    """What an event says in a line; "" for those that say nothing to people."""
    if event.type not in _WORDS:
        return ""
    place = f"{event.frame}/{event.step_name}" if event.frame else event.step_name
    told = ": ".join(str(event.detail[key]) for key in _TOLD if event.detail.get(key))
    return f"{place} {_WORDS[event.type]}".lstrip() + (f" ({told})" if told else "")
