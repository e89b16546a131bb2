"""Operations: what somebody does to executions while faults strike, and how histories show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any, Literal

from engine.core.events import EventType
from engine.core.history import NormalEvent
from engine.core.states import ExecutionStatus
from engine.errors import EngineError, ExecutionNotExists, StoreUnavailable
from engine.runtime.engine import Engine

At = tuple[str, str]
"""A flow's name and an execution's."""

LONGEST_ROUNDS = 4
"""The most faults between an operation and the one that takes it back."""

WHO = "operator"
BY_HAND = {
    str(kind)
    for kind in (
        EventType.EXECUTION_PAUSED,
        EventType.EXECUTION_RESUMED,
        EventType.EXECUTION_STOPPED,
        EventType.EXECUTION_REDRIVEN,
    )
}


class Operations:
    """Pauses and resumes executions, stops and redrives them, each call twice.

    `done`: how often each was done; `operated`: those that it was done to.
    """

    def __init__(self, engine: Engine, random: Random) -> None:
        self.engine = engine
        self.done: Counter[str] = Counter()
        self.operated: set[At] = set()
        self._random = random
        self._owed: dict[At, tuple[int, Callable[[At], bool]]] = {}

    def act(self, running: Iterable[At]) -> None:
        """Does one more to one of those that run, and takes back what is due."""
        free = sorted(set(running) - set(self._owed))
        if free:
            at = self._random.choice(free)
            self._random.choice((self._pause, self._pause_frozen, self._stop))(at)
        self._take_back()

    def settle(self) -> None:
        """Takes back what has not been taken back yet, as far as it is possible by now.

        Also what was taken back before a Redis that was killed forgot of it.
        """
        self._owed = {at: (0, undo) for at, (_, undo) in self._owed.items()}
        undo_of = {ExecutionStatus.STOPPED: self._redrive, ExecutionStatus.PAUSED: self._resume}
        for at in self.operated:
            status = self.engine.describe_execution(*at).status
            if status in undo_of:
                self._owed[at] = (0, undo_of[status])
        self._take_back()

    @property
    def settled(self) -> bool:
        """Whether all has been taken back."""
        return not self._owed

    def _take_back(self) -> None:
        for at, (rounds, undo) in list(self._owed.items()):
            if rounds > 0:
                self._owed[at] = (rounds - 1, undo)
            elif undo(at):
                del self._owed[at]

    def _owe(self, at: At, undo: Callable[[At], bool]) -> None:
        self.operated.add(at)
        self._owed[at] = (self._random.randint(0, LONGEST_ROUNDS), undo)

    def _pause(self, at: At, freeze: bool = False) -> None:
        call = partial(self.engine.pause_execution, *at, freeze_timers=freeze, by=WHO)
        if self._twice(call) != "refused":
            self.done["paused, timers frozen" if freeze else "paused"] += 1
            self._owe(at, self._resume)

    def _pause_frozen(self, at: At) -> None:
        self._pause(at, freeze=True)

    def _resume(self, at: At) -> bool:
        return self._twice(partial(self.engine.resume_execution, *at, by=WHO)) == "done"

    def _stop(self, at: At) -> None:
        if self._twice(partial(self.engine.stop_execution, *at, by=WHO)) != "refused":
            self._owe(at, self._redrive)

    def _redrive(self, at: At) -> bool:
        try:
            status = self.engine.describe_execution(*at).status
        except ExecutionNotExists:
            return True  # Redis has forgotten it
        if status is ExecutionStatus.SUCCEEDED:
            return True  # the stop came too late
        call = partial(self.engine.redrive_execution, *at, by=WHO)
        if not status.ended or self._twice(call) != "done":
            return False
        self.done["stopped, redriven"] += 1
        return True

    def _twice(self, call: Callable[[], Any]) -> Literal["done", "refused", "unknown"]:
        """What became of a call that is made twice."""
        became: Literal["done", "unknown"] = "unknown"
        for _ in range(2):
            try:
                call()
                became = "done"
            except StoreUnavailable:
                continue
            except EngineError:
                # It has ended, or is about to: of itself, or by the first call.
                return "refused" if became == "unknown" else became
        return became


def undone(events: Iterable[NormalEvent]) -> list[NormalEvent]:
    """The events of a frame without what operations left in it.

    What was cut off is as if it had not been: its exit goes, and the next entry of the same.
    """
    told: list[NormalEvent] = []
    cut: Counter[tuple[str, str]] = Counter()
    for kind, name, detail in events:
        what = (kind.removesuffix("Entered").removesuffix("Exited"), name)
        if kind in BY_HAND:
            continue
        if kind.endswith("Exited") and detail.get("aborted"):
            cut[what] += 1
        elif kind.endswith("Entered") and cut[what]:
            cut[what] -= 1
        else:
            told.append((kind, name, detail))
    return told
