"""Archiving: a long history stays short in the stream; its older pages are kept compressed."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

from engine.runtime.payloads import dumps
from engine.runtime.runtime import Runtime

PAGE = 1000
"""Events of an archived page; page n has the ids above n * PAGE, up to (n + 1) * PAGE."""

LIVE_PAGES = 2
"""Full pages of the stream from which on its oldest one is moved."""

DROPPED_AT_ONCE = 500
"""Events that one call of the store drops."""

MOST_PAGES = 10
MOST_DROPS = 100
"""Pages moved, and calls that drop events, before a sweeper looks after something else."""

_TEXTS = ("y", "s", "f", "d")

Entry: TypeAlias = tuple[str, dict[str, str]]
"""An entry of the stream: its id, `EVENT-0`, and its fields."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long a history is: the ids of its last event and of its last archived one.

    `lasting`: the events up to this id are never dropped. `begun` names the start of the execution.
    """

    begun: str
    last: int
    archived: int
    lasting: int


def tidy(runtime: Runtime, execution_id: str) -> None:
    """Archives and drops what is due of a history. Safe to run many times at once.

    Every call of the store is atomic, and changes nothing that was done before. The timer that
    asked for it goes with the last of them, or is due again at once if this was only a part.
    Cost: O(MOST_PAGES * PAGE).
    """
    more = _archive(runtime, execution_id)
    store = runtime.store
    for _ in range(MOST_DROPS):
        if not store.verb("compact", execution_id, page=DROPPED_AT_ONCE).applied:
            break
    else:
        more = True
    if more:
        store.redis.zadd(store.keys.timers, {f"history|{execution_id}||": 0})


def archived_page(runtime: Runtime, execution_id: str, number: int) -> list[Entry]:
    """The entries of an archived page; none if the execution's retention is over."""
    key = runtime.store.keys.payloads(execution_id)
    text: Any = runtime.store.redis.hget(key, field_of(number))
    return unpack_page(text) if text else []


def field_of(number: int) -> str:
    """The field of the payloads that has the page of this number."""
    return f"history.{number}"


def pack_page(entries: list[Entry]) -> str:
    """A page as the text that is kept; its entries' ids follow one another.

    Column by column, times and causes as distances: that is a fifth of the size of rows.
    """
    first = event_id_of(entries[0][0])
    fields = [entry[1] for entry in entries]
    columns: dict[str, list[Any]] = {name: [f[name] for f in fields] for name in _TEXTS}
    times = [int(f["t"]) for f in fields]
    columns["t"] = [time - before for before, time in zip([0, *times], times, strict=False)]
    # A script writes a number as Lua does: 12 may be 12.0.
    columns["c"] = [first + at - int(float(f["c"])) for at, f in enumerate(fields)]
    return base64.b85encode(zlib.compress(dumps(columns | {"first": first}).encode())).decode()


def unpack_page(text: str) -> list[Entry]:
    """The entries of a page's text."""
    columns = json.loads(zlib.decompress(base64.b85decode(text)))
    first = columns["first"]
    columns["t"] = [str(time) for time in accumulate(columns["t"])]
    columns["c"] = [str(first + at - back) for at, back in enumerate(columns["c"])]
    names = (*_TEXTS, "t", "c")
    rows = zip(*(columns[name] for name in names), strict=True)
    return [(f"{first + at}-0", dict(zip(names, row, strict=True))) for at, row in enumerate(rows)]


def event_id_of(entry_id: str) -> int:
    """The event's id in an entry's."""
    return int(entry_id.partition("-")[0])


def _archive(runtime: Runtime, execution_id: str) -> bool:
    """Moves full pages; True when there are more of them than one sweep should move."""
    for _ in range(MOST_PAGES):
        length = _length(runtime, execution_id)
        if length is None or not _is_due(length):
            return False
        _move(runtime, execution_id, length)
    return True


def _is_due(length: Length) -> bool:
    """True when a full page may go; what may still be dropped stays where it can be."""
    too_long = length.last - length.archived >= LIVE_PAGES * PAGE
    return too_long and length.archived + PAGE <= length.lasting


def _move(runtime: Runtime, execution_id: str, length: Length) -> None:
    first, last = length.archived + 1, length.archived + PAGE
    key = runtime.store.keys.history(execution_id)
    entries: Any = runtime.store.redis.xrange(key, f"{first}-0", f"{last}-0")
    if len(entries) < PAGE:
        return  # somebody else has moved it meanwhile
    keys = runtime.store.keys.execution(execution_id)
    order = {
        "id": execution_id,
        "call": "",
        "begun": length.begun,
        "page": length.archived // PAGE,
    }
    runtime.store.scripts.call("archive", keys, order, pack_page(entries))


def _length(runtime: Runtime, execution_id: str) -> Length | None:
    key = runtime.store.keys.record(execution_id)
    names = ["start_call", "events", "archived", "turns"]
    begun, last, archived, turns = runtime.store.redis.hmget(key, names)  # type: ignore[misc]
    if begun is None:
        return None
    middle = json.loads(turns).get("middle") if turns else None
    lasting = int(middle) - 1 if middle is not None else int(last or 0)
    return Length(begun, int(last or 0), int(archived or 0), lasting)
