"""Auditing: a log of what people did by hand, trimmed to the latest entries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidArgument
from engine.runtime.health import redis_errors
from engine.runtime.operators import operator
from engine.runtime.runtime import Runtime

KEPT = 10_000
"""About so many entries stay."""

ENTRY_ID = re.compile(r"[1-9][0-9]{0,17}-[0-9]{1,18}")

MOST = 1000
MAX_TEXT = 256
"""The longest text of an entry: a name may be anything that somebody sent."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was done. `time`: seconds since the epoch, by the store's clock.

    `action`: the operation's name in the service's API, such as `StopExecution`; `subject`: what
    it was done to, `FLOW`, `FLOW/EXECUTION` or a key's id; `source`: the address it came from, ""
    for this machine's own programs; `detail`: what else is told.
    """

    id: str
    time: float
    action: str
    subject: str
    by: str
    source: str
    detail: dict[str, Any]


class AuditLog:
    """The log of one store."""

    def __init__(self, runtime: Runtime) -> None:
        self._settings = runtime.store.settings
        self._redis = runtime.store.redis
        self._key = runtime.store.keys.audit

    @redis_errors()
    def record(
        self,
        action: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        by: str | None = None,
    ) -> None:
        """Writes an entry. `by` None: whom `acting` names. Cost: O(1)."""
        who = operator(self._settings, by)
        told = {each: value for each, value in (detail or {}).items() if value not in (None, "")}
        fields: dict[Any, Any] = {
            "action": action,
            "subject": subject[:MAX_TEXT],
            "by": who.by[:MAX_TEXT],
            "source": who.source[:MAX_TEXT],
            "detail": json.dumps(told),
        }
        self._redis.xadd(self._key, fields, maxlen=KEPT, approximate=True)

    @redis_errors()
    def read(self, before: str = "", limit: int = 100) -> list[AuditEntry]:
        """Entries, newest first; `before`: those before the entry of that id. Cost: O(page).

        Raises:
            InvalidArgument: the limit, or an id that is none.
        """
        if not 1 <= limit <= MOST:
            raise InvalidArgument(f"limit {limit}: use 1 to {MOST}")
        if before and not ENTRY_ID.fullmatch(before):
            raise InvalidArgument(f"{before[:MAX_TEXT]!r} is not the id of an entry")
        rows: Any = self._redis.xrevrange(self._key, f"({before}" if before else "+", "-", limit)
        return [_entry(entry_id, fields) for entry_id, fields in rows]


def _entry(entry_id: str, fields: dict[str, str]) -> AuditEntry:
    return AuditEntry(
        id=entry_id,
        time=int(entry_id.partition("-")[0]) / 1000,
        action=fields["action"],
        subject=fields["subject"],
        by=fields["by"],
        source=fields["source"],
        detail=json.loads(fields["detail"]),
    )
