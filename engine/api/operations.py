"""Operations: what a call of the service's own protocol is handed, and how it is described."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.api.access import Caller
from engine.api.parameters import Parameters
from engine.api.service import Service
from engine.core.states import ExecutionStatus
from engine.runtime.access_keys import Role
from engine.runtime.engine import Engine
from engine.runtime.pointer import execution_id
from engine.runtime.views import Execution
from engine.runtime.watching import standing_of

LOOK_S = 10.0
"""The longest wait for one event; then it is looked anyway, also whether the client is there."""

FOR_EVER_S = 1e9


Gone: TypeAlias = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been let in. `gone`: whether its client has gone away."""

    service: Service
    caller: Caller
    given: Parameters
    gone: Gone

    @property
    def engine(self) -> Engine:
        """The engine it is for."""
        return self.service.engine


Answer: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. `run` blocks, and is called in a thread, unless it is `waiting`."""

    role: Role
    run: Callable[[Call], Answer] | None = None
    waiting: Callable[[Call], Awaitable[Answer]] | None = None

    async def answer(self, call: Call) -> Answer:
        """What the operation answers. Raises EngineError."""
        call.caller.needs(self.role)
        with call.caller.acting():
            if self.waiting is not None:
                return await self.waiting(call)
            assert self.run is not None
            return await call.service.call(self.run, call)


Operations: TypeAlias = Mapping[str, Operation]


async def wait_for_end(
    service: Service, flow: str, name: str, timeout_s: float, gone: Gone
) -> Execution:
    """An execution once it has ended, or as it is when the time is over or its client `gone`.

    Raises:
        ExecutionNotExists; ResourceThrottled: too many wait.
    """
    runtime = service.engine.runtime
    deadline = time.monotonic() + timeout_s
    async with service.followers.one():
        while True:
            status, last = await service.call(standing_of, runtime, flow, name)
            left_s = deadline - time.monotonic()
            over = left_s <= 0 or service.closing.is_set() or await gone()
            if status.ended or over:
                return await service.call(service.engine.describe_execution, flow, name)
            identity = execution_id(flow, name)
            await service.watch.changed(identity, last, min(left_s, LOOK_S))


def succeeded(execution: Execution) -> bool:
    """True for an execution that has come to its good end."""
    return execution.status is ExecutionStatus.SUCCEEDED
