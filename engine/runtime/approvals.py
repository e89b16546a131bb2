"""Approvals: what somebody needs to see of a task that waits for a decision, and links to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.core.frame import visit_key
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime

LINK_VALID_S = 7 * 86_400.0
"""How long a link is good for, unless its maker says otherwise."""


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """The task of a token. `waits`: a report would count now; `input`: {} once it does not."""

    flow_name: str
    execution_name: str
    step_name: str
    frame: str
    attempt: int
    input: dict[str, Any]
    waits: bool


def describe_task(runtime: Runtime, token: str) -> WaitingTask:
    """What a token stands for; reading changes nothing. Cost: O(its input).

    Raises:
        InvalidArgument: the token is not ours.
    """
    ticket = runtime.tokens.read(token)
    identity = execution_id(ticket.flow, ticket.execution)
    state = runtime.store.state(identity, ticket.frame)
    frame = runtime.store.frame(identity, ticket.frame)
    step = frame.step if frame is not None else None
    same = frame is not None and step is not None and visit_key(frame) == ticket.visit
    if step is None or state is None or not same or step.attempt != ticket.attempt:
        return WaitingTask(
            ticket.flow, ticket.execution, "", ticket.frame, ticket.attempt, {}, False
        )
    waits = state["st"] in ("WAITING", "RUNNING") and not state.get("wake")
    name = step.path.rpartition("/")[2]
    given = step.input if waits else {}
    return WaitingTask(
        ticket.flow, ticket.execution, name, ticket.frame, ticket.attempt, given, waits
    )


def approval_link(runtime: Runtime, token: str, valid_s: float = LINK_VALID_S) -> str:
    """A text for a link: signed, good for `valid_s` seconds, and no token for who only sees it.

    Raises:
        InvalidArgument: the token is not ours.
    """
    runtime.tokens.read(token)
    return runtime.tokens.seal(token, runtime.store.clock.now_s() + valid_s)


def token_of_link(runtime: Runtime, link: str) -> str:
    """The token that a link is for.

    Raises:
        InvalidArgument: the link is not ours, or its time is over.
    """
    return runtime.tokens.unseal(link, runtime.store.clock.now_s())
