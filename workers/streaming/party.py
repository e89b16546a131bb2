"""A party: one process that takes part in a run, as its lead or as a helper."""

from __future__ import annotations

import os
import threading
import uuid
from typing import Any

from engine.core.frame import run_key, visit_key
from engine.core.streaming import StreamCall
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.sending import served_names
from streams.run import StreamBridge
from streams.shared import host_token
from tasks import registry
from workers.streaming.opening import Opening
from workers.streaming.plan import Offer, Plan
from workers.streaming.seats import Seats, Worker
from workers.streaming.stage import Stage


class Party:
    """What a process knows of the run that it takes part in.

    `node`: the name of its worker; `memory` names the shared memory it sees. `news` is
    set when something here is over.
    """

    def __init__(self, runtime: Runtime, work: Work, node: str) -> None:
        assert work.call.stream is not None
        self.runtime = runtime
        self.work = work
        self.call: StreamCall = work.call.stream
        self.node = node
        self.bridge: StreamBridge = runtime.streams.bridge(
            work.pointer.execution_id, run_key(work.frame)
        )
        self.stages = _own_stages(self.call)
        self.memory = host_token(runtime.store.settings.stream_memory)
        self.news = threading.Event()
        # Another one each time: it is never taken for a former self.
        self._holder = f"{node}/{os.getpid()}/{uuid.uuid4().hex[:8]}"

    def offer(self) -> Offer:
        """What this process can do."""
        return Offer(self.node, os.getpid(), frozenset(self.stages), memory=self.memory)

    def missing(self) -> list[str]:
        """The tasks of the stages that this process has not."""
        stages = enumerate(self.call.stages)
        return [stage.resource.display for n, stage in stages if n not in self.stages]

    def seats(self, plan: Plan) -> Seats:
        """The seats that this process may take."""
        worker = Worker(self._holder, self.stages, self._told, self.news.set)
        opening = Opening(self.runtime, self.work, self.bridge, plan, self.memory)
        lease_s = self.runtime.store.settings.lease_s
        return Seats(self.bridge, plan, opening, worker, lease_s)

    def drop_kept(self) -> None:
        """Removes what this host has kept of the run's edges, once it is over. Idempotent."""
        self.bridge.clean_host()
        self.runtime.streams.drop_spools(self.work.pointer.execution_id, self.bridge.run)

    def _told(self, stage: Stage) -> dict[str, Any]:
        pointer, frame = self.work.pointer, self.work.frame
        return {
            "execution": pointer.execution,
            "flow": pointer.flow,
            "step": f"{pointer.step}/{stage.call.name}",
            "frame": frame.id,
            "attempt": self.work.call.attempt,
            "idempotency_key": f"{pointer.execution_id}/{visit_key(frame)}/{stage.call.name}",
        }


def _own_stages(call: StreamCall) -> dict[int, Stage]:
    found: dict[int, Stage] = {}
    for position, stage in enumerate(call.stages):
        task = registry.find(served_names(stage.resource))
        if task is not None:
            found[position] = Stage(stage, task)
    return found
