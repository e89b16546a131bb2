"""The messages by which a stream asks for helpers: whoever gets one may take a part of the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from celery import Celery

from engine.runtime.canvas import SEAT, STATE_HEADER
from engine.runtime.documents import STATE_VERSION
from engine.runtime.pointer import execution_id


@dataclass(frozen=True, slots=True)
class Call:
    """What a helper is told: which step's run it is asked for. The rest is in the store."""

    flow: str
    execution: str
    step: str
    frame: str
    run: str

    @property
    def execution_id(self) -> str:
        """The id under which everything of the execution is kept."""
        return execution_id(self.flow, self.execution)


def call_helpers(app: Celery, call: Call, display: str, queues: Counter[str]) -> None:
    """Sends so many messages to each queue. What nobody takes in time finds the run begun.

    `display`: what monitors show.
    """
    told: dict[str, Any] = asdict(call)
    for queue, count in queues.items():
        for _ in range(count):
            app.send_task(
                SEAT,
                kwargs=told,
                queue=queue,
                root_id=call.execution_id,
                parent_id=call.execution_id,
                ignore_result=True,
                shadow=display,
                headers={STATE_HEADER: STATE_VERSION},
            )
