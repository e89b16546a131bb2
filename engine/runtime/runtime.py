"""The runtime: what one process has at hand to conduct executions."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.happenings import RunInfo
from engine.runtime.broker import Broker
from engine.runtime.canvas import Canvas
from engine.runtime.definitions import Definitions
from engine.runtime.fleet import Fleet
from engine.runtime.pointer import Pointer
from engine.runtime.store import ExecutionStore
from engine.runtime.streaming import Streams
from engine.runtime.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Runtime:
    """The store, and what goes with it. `broker`: of the messages, None if Redis has them, too."""

    store: ExecutionStore
    canvas: Canvas
    definitions: Definitions
    fleet: Fleet
    tokens: Tokens
    streams: Streams
    broker: Broker | None = None

    def info(self, pointer: Pointer, next_event_id: int) -> RunInfo:
        """What decisions may know of the execution that a pointer is of."""
        settings = self.store.settings
        return RunInfo(
            flow=pointer.flow,
            execution=pointer.execution,
            token=lambda frame: self.tokens.make(pointer.flow, pointer.execution, frame),
            next_event_id=next_event_id,
            max_wait_s=settings.max_wait_s,
            max_losses=settings.max_losses,
            now=self.store.clock.now_s(),
        )
