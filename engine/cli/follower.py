"""The follower: an execution and the sub-flows it starts, as they go on."""

from __future__ import annotations

from collections.abc import Iterator

from engine.cli.progress import Progress
from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.runtime.engine import Engine
from engine.runtime.pointer import execution_id
from engine.runtime.views import Execution

LOOK_S = 0.2
"""How long one look waits for news of the execution itself; its sub-flows are looked at between."""
PAGE = 500

ExecutionKey = tuple[str, str]
"""Flow and name."""


class Follower:
    """Reads the histories of one execution and of those it started, oldest first.

    `executions` has a Progress for each, by (flow, name); the followed one is `root`.
    """

    def __init__(self, engine: Engine, flow: str, name: str) -> None:
        self._engine = engine
        self.root: ExecutionKey = (flow, name)
        self.executions: dict[ExecutionKey, Progress] = {}
        self._add(self.root)

    def events(self) -> Iterator[list[tuple[ExecutionKey, Event]]]:
        """The events as they come, already applied, in batches; empty ones as time goes by.

        Ends with the execution. Blocking: `LOOK_S` a batch. Raises ExecutionNotExists.
        """
        while True:
            batch = [*self._news(self.root, LOOK_S)]
            for key in list(self.executions):
                if key != self.root and not self.executions[key].status.ended:
                    batch += self._news(key, 0)
            yield batch
            if self.executions[self.root].status.ended and not batch:
                return

    def execution(self) -> Execution:
        """The followed execution as it is now."""
        return self._engine.describe_execution(*self.root)

    def _news(self, key: ExecutionKey, timeout_s: float) -> Iterator[tuple[ExecutionKey, Event]]:
        progress = self.executions[key]
        after = progress.last_event
        if timeout_s and not progress.status.ended:
            events = self._engine.follow(*key, after, timeout_s)
        else:
            events = self._engine.get_execution_history(*key, after=after, limit=PAGE)
        for event in events:
            progress.apply(event)
            yield key, event
        while progress.children:
            child = progress.children.pop(0)
            if child not in self.executions:
                self._add(child)
            elif self.executions[child].status.ended:  # it goes on, with a parent that was redriven
                self.executions[child].status = ExecutionStatus.RUNNING

    def _add(self, key: ExecutionKey) -> None:
        runtime = self._engine.runtime
        self._engine.describe_execution(*key)
        # Its own definition: the flow may have another one by now.
        record = runtime.store.record(execution_id(*key))
        self.executions[key] = Progress(runtime.definitions.graph(record["definition"]))
