"""Attempts: what one step got and gave, try by try, in texts that are cut where they are long."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from engine.api.console.snapshot import View, failure_of, resolved
from engine.api.console.visits import Attempt, Visit
from engine.runtime.inspecting import Inspector

MOST_VISITS = 20
"""Visits that are told of: the last ones."""

MOST_ATTEMPTS = 20

SHOWN_LETTERS = 32 * 1024
"""Letters of a payload that are sent; the API has the rest."""


def visits_told(view: View, path: str, event: int = 0) -> list[dict[str, Any]]:
    """The last visits of a step, newest first; only the newest, or that of `event`, has payloads.

    `event`: the id of a visit's StepEntered. Raises ExecutionNotExists.
    """
    now, visits = view.visits()
    found = [visit for visit in visits if visit.path == path][-MOST_VISITS:]
    shown = event or (found[-1].entered_event if found else 0)
    return [
        _told(view.inspector, visit, now.last_event, visit.entered_event == shown)
        for visit in reversed(found)
    ]


def _told(inspector: Inspector, visit: Visit, last_event: int, whole: bool) -> dict[str, Any]:
    error, cause = failure_of(visit)
    told: dict[str, Any] = {
        "event": visit.entered_event,
        "frame": visit.frame,
        "state": visit.state,
        "began": visit.entered,
        "ended": visit.ended,
        "error": error,
        "cause": cause[:SHOWN_LETTERS],
        "by": visit.by,
        "child": visit.child,
        "opened": visit.opened,
        "closed": visit.closed,
    }
    if whole:
        told["input"] = _payload(inspector, visit.entered_event, "input")
        told["output"] = _payload(inspector, visit.exited_event, "output")
        attempts = visit.attempts[-MOST_ATTEMPTS:]
        told["attempts"] = [_attempt(inspector, each) for each in attempts]
    return told


def _attempt(inspector: Inspector, attempt: Attempt) -> dict[str, Any]:
    told = asdict(attempt)
    told["cause"] = attempt.cause[:SHOWN_LETTERS]
    told["input"] = _payload(inspector, attempt.input_event, "input")
    told["output"] = _payload(inspector, attempt.end_event, "output")
    return told


def _payload(inspector: Inspector, event: int, key: str) -> dict[str, Any] | None:
    """A value of an event's detail as text: what is shown of it, and how long it is."""
    facts = inspector.facts(event, event) if event else []
    try:
        detail = resolved(inspector, facts[0]) if facts else {}
    except LookupError:
        return {"text": "", "letters": 0, "gone": True}
    if key not in detail:
        return None
    return payload_text(detail[key])


def payload_text(value: Any) -> dict[str, Any]:
    """A payload as it is sent: indented JSON, cut where it is long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return {"text": text[:SHOWN_LETTERS], "letters": len(text)}
