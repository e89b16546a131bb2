"""Following: waiting for an execution's end, or for its next events."""

from __future__ import annotations

import time

from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.runtime import views
from engine.runtime.runtime import Runtime

WAIT_SLICE_S = 5.0
"""The longest a blocking read of the history lasts."""

FOLLOWED = 500
"""The most events that one look at a history brings."""


def wait_for_end(runtime: Runtime, flow: str, name: str, timeout_s: float | None) -> None:
    """Returns once an execution has ended, or is not there. Blocking; None waits for ever.

    Raises:
        TimeoutError: it did not end within `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        status, last = _status(runtime, flow, name)
        if status is None or ExecutionStatus(status).ended:
            return
        left_s = WAIT_SLICE_S if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{flow}/{name} is {status} after {timeout_s} s")
        key = runtime.store.keys.history(f"{flow}:{name}")
        block = max(1, round(min(left_s, WAIT_SLICE_S) * 1000))
        runtime.store.redis.xread({key: f"{last}-0"}, count=1, block=block)


def next_events(
    runtime: Runtime, flow: str, name: str, after: int, timeout_s: float
) -> list[Event]:
    """The next events above `after`. Blocking: waits for the first, at most `timeout_s`."""
    identity = f"{flow}:{name}"
    key = runtime.store.keys.history(identity)
    block = max(1, round(timeout_s * 1000))
    # It tells that there is something; where that is by now, the views know.
    if not runtime.store.redis.xread({key: f"{after}-0"}, count=1, block=block):
        return []
    return views.news(runtime, identity, after, FOLLOWED)


def _status(runtime: Runtime, flow: str, name: str) -> tuple[str | None, int]:
    """The status of an execution (None: there is none), and the id of its last event."""
    record = runtime.store.keys.record(f"{flow}:{name}")
    status, last = runtime.store.redis.hmget(record, ["status", "events"])  # type: ignore[misc]
    return status, int(last or 0)
