"""Claims: what a worker holds while it works on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.core.frame import Frame
from engine.runtime.pointer import Pointer


@dataclass(frozen=True, slots=True)
class Holder:
    """Who claims: a worker's node name, and the Celery task id of the message it is at."""

    node: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A frame that is ours until its lease ends, and what it needs to go on.

    `waited_s`: how long it has stood where it was.
    """

    pointer: Pointer
    holder: Holder
    frame: Frame
    kind: str
    wake: dict[str, Any] | None
    next_event_id: int
    definition: str
    waited_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of a fork that are ours, one after the other, until the lease ends.

    `redriven`: some may have been begun before a redrive; their frames are kept.
    """

    pointer: Pointer
    holder: Holder
    fence: str
    first: int
    stop: int
    parent: Frame
    fork_event_id: int
    next_event_id: int
    definition: str
    redriven: bool = False
