"""Running: flows of a test on a real store and real workers, and what their histories say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.config import Settings
from engine.core.events import Event, EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution

END_WITHIN_S = 30.0
HEAD = "version: v1\ntype: flow\nsteps:\n"


@contextmanager
def fresh_engine() -> Iterator[tuple[Engine, str]]:
    """An engine on a server of its own, and that server's URL."""
    with EmbeddedRedis() as server:
        yield Engine(server.url, Settings()), server.url


def start(engine: Engine, name: str, steps: str, input: dict[str, Any] | None = None) -> Run:
    """Deploys steps (YAML, a list) as a flow and starts it."""
    engine.create_flow(name, HEAD + steps)
    return engine.start_execution(name, input or {})


def run(engine: Engine, name: str, steps: str, input: dict[str, Any] | None = None) -> Execution:
    """Deploys, starts and awaits a flow."""
    return start(engine, name, steps, input).wait(END_WITHIN_S)


def history(engine: Engine, execution: Execution | Run) -> list[Event]:
    """All events of an execution."""
    return engine.get_execution_history(execution.flow_name, execution.name)


def of_type(events: list[Event], kind: EventType) -> list[dict[str, Any]]:
    """The details of the events of one type, in their order."""
    return [event.detail for event in events if event.type is kind]


def nodes_of(events: list[Event]) -> set[str]:
    """The workers that have started tasks."""
    return {str(detail["worker"]) for detail in of_type(events, EventType.TASK_STARTED)}


def one_line(text: str | None) -> bool:
    """True for a text that is one line, and no traceback."""
    return bool(text) and "\n" not in str(text) and "Traceback" not in str(text)
