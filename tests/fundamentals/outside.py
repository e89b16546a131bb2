"""What a pair does to a simulation from outside: its stop, and its reports of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

import engine.errors
from engine.core.events import Event, EventType
from engine.simulate.world import World
from tests.fundamentals.pairs import Pair, Report
from tests.fundamentals.token_files import TOKEN_KEYS

STOP_AFTER_S = 0.5
LOOK_EVERY_S = 0.1
MOST_LOOKS = 1000
FORGED_START = "AAAA"


def submitted_attempts(history: Sequence[Event], step: str) -> int:
    """The attempt of a step that waits for its report; 0 when none does (yet)."""
    own = [event.type for event in history if event.step_name == step]
    waits = EventType.TASK_SUBMITTED in own[-1:]
    return own.count(EventType.TASK_SCHEDULED) if waits else 0


def forged(token: str) -> str:
    """A token that looks like one, but is none."""
    return FORGED_START + token[len(FORGED_START) :]


@dataclass(slots=True)
class Outsider:
    """Stops and reports as a pair says. Call `plan` before the simulation's clock starts.

    `tokens` has, by step and attempt, what the scripted tasks were handed.
    """

    pair: Pair
    execution: str
    tokens: dict[tuple[str, int], str] = field(default_factory=dict)
    done: int = 0
    looks: int = 0

    def keep_token(self, input: dict[str, Any], step: str, attempt: int) -> None:
        """Notes the token that a task's input holds, if it does."""
        for key in TOKEN_KEYS:
            if key in input:
                self.tokens[step, attempt] = input[key]

    def plan(self, world: World) -> None:
        """Puts the stop, and a look for what can be reported, on the clock."""
        if self.pair.stop is not None:
            world.clock.after(STOP_AFTER_S, lambda: self._stop(world))
        if self.pair.reports:
            world.clock.after(LOOK_EVERY_S, lambda: self._look(world))

    def _stop(self, world: World) -> None:
        stop = self.pair.stop
        assert stop is not None
        whom = (stop.flow or self.pair.name, stop.execution or self.execution)
        world.executions[whom].stop(stop.error, stop.cause)

    def _look(self, world: World) -> None:
        """Makes the reports that can be made now, and looks again later for the others."""
        self.looks += 1
        while self.done < len(self.pair.reports) and self._make(world):
            self.done += 1
        if self.done < len(self.pair.reports) and self.looks < MOST_LOOKS:
            world.clock.after(LOOK_EVERY_S, lambda: self._look(world))

    def _make(self, world: World) -> bool:
        report = self.pair.reports[self.done]
        token = self._token(world, report)
        history = world.executions[self.pair.name, self.execution].history
        waits = submitted_attempts(history, report.step) == report.attempt
        if token is None or not (waits or report.early or report.refused):
            return False
        if report.refused is None:
            _send(world, token, report)
        else:
            with pytest.raises(getattr(engine.errors, report.refused)):
                _send(world, forged(token) if report.forged else token, report)
        return True

    def _token(self, world: World, report: Report) -> str | None:
        """What a task was handed; a sub-flow's token is in its execution's input."""
        attempt = report.token_of_attempt or report.attempt
        inputs = [child.input for child in world.executions.values()]
        child = next((given["token"] for given in inputs if "token" in given), None)
        return self.tokens.get((report.step, attempt), child)


def _send(world: World, token: str, report: Report) -> None:
    if report.failed is not None:
        world.report_failed(token, **report.failed)
    else:
        world.report_succeeded(token, report.succeeded or {})
