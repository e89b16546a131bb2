"""Searching: executions by flow, status, time, name and version, a page at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.states import ExecutionStatus
from engine.errors import InvalidArgument
from engine.runtime.runtime import Runtime
from engine.runtime.views import Execution, execution_of

MOST = 1000
"""The most executions of a page."""

LATEST_S = 1e12
"""No time is later than this, in seconds since the epoch."""

LOOKED = 5000
"""So many entries a call looks at: a page of rare ones is short, and goes on with its token."""

CHUNK = 500
"""Entries of the index that are filtered by one round trip."""

FILTERED_BY = ["status", "flow_version", "qualifier"]
METADATA = [
    "flow",
    "name",
    "definition",
    "error",
    "cause",
    "started_ms",
    "stopped_ms",
    *FILTERED_BY,
]

Place = tuple[float, str]
"""An entry of the index: when it started, in milliseconds since the epoch, and its id."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which executions are wanted; what is empty or None does not restrict them.

    `started_from` is included, `started_to` is not; both are seconds since the epoch.
    `qualifier`: a version's number or an alias's name, as they were started with.
    `token`: of the page before. `metadata_only`: without input and output.
    """

    flow: str | None = None
    statuses: Collection[str] = ()
    started_from: float | None = None
    started_to: float | None = None
    name_prefix: str = ""
    qualifier: str | None = None
    limit: int = 50
    token: str = ""
    metadata_only: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """Executions, newest first. `next_token`: of the next page, "" after the last one.

    A page with a token may be short, even empty: the search goes on there.
    """

    executions: list[Execution]
    next_token: str


def search(runtime: Runtime, wanted: Search) -> ExecutionPage:
    """Looks for executions. What starts meanwhile does not move the pages that follow.

    Cost: O(page) by flow and time; by status, name and version O(those looked at), at most LOOKED.

    Raises:
        InvalidArgument: a status that there is not, the limit, or the token of another search.
    """
    _check(wanted)
    found: list[Place] = []
    looked = 0
    last: Place | None = None
    for chunk in _chunks(runtime, wanted, _place_of(wanted)):
        found += _matching(runtime, wanted, chunk)
        if len(found) > wanted.limit:
            found = found[: wanted.limit]
            last = found[-1]
            break
        looked += len(chunk)
        if looked >= LOOKED:
            last = chunk[-1]
            break
    return ExecutionPage(_read(runtime, wanted, found), _token(wanted, last) if last else "")


def search_all(runtime: Runtime, wanted: Search, limit: int | None) -> list[Execution]:
    """The first `limit` executions of a search, None: all. Cost: O(those looked at).

    Raises:
        InvalidArgument: as `search`.
    """
    found: list[Execution] = []
    token = wanted.token
    while limit is None or len(found) < limit:
        size = MOST if limit is None else min(MOST, limit - len(found))
        page = search(runtime, replace(wanted, limit=size, token=token))
        found += page.executions
        if not (token := page.next_token):
            break
    return found


def _check(wanted: Search) -> None:
    for status in wanted.statuses:
        if status not in tuple(ExecutionStatus):
            known = ", ".join(ExecutionStatus)
            raise InvalidArgument(f"there is no status {status!r}; there are {known}")
    if not 1 <= wanted.limit <= MOST:
        raise InvalidArgument(f"limit {wanted.limit}: use 1 to {MOST}")
    for moment in (wanted.started_from, wanted.started_to):
        if moment is not None and not -LATEST_S < moment < LATEST_S:
            raise InvalidArgument("a time is a number of seconds since the epoch")


def _chunks(runtime: Runtime, wanted: Search, after: Place | None) -> Iterator[list[Place]]:
    """The index from a place on, newest first, in pieces; the place itself is left out."""
    keys, redis = runtime.store.keys, runtime.store.redis
    index = keys.executions if wanted.flow is None else keys.executions_of(wanted.flow)
    low = "-inf" if wanted.started_from is None else str(_ms(wanted.started_from))
    high = "+inf" if wanted.started_to is None else f"({_ms(wanted.started_to)}"
    filtered = wanted.statuses or wanted.name_prefix or wanted.qualifier
    size = CHUNK if filtered else wanted.limit + 1
    skipped = 0
    while True:
        top = high if after is None else f"{after[0]:.0f}"
        rows: Any = redis.zrevrangebyscore(index, top, low, skipped, size, withscores=True)
        places = [(score, str(identity)) for identity, score in rows]
        new = [place for place in places if after is None or place < after]
        if new:
            yield new
            after, skipped = new[-1], 0
        else:  # all of them began in one millisecond, and have been seen
            skipped += len(places)
        if len(places) < size:
            return


def _matching(runtime: Runtime, wanted: Search, chunk: list[Place]) -> list[Place]:
    """Those that are wanted. Entries whose execution's retention is over leave the index."""
    keys = runtime.store.keys
    named = [place for place in chunk if _name(place).startswith(wanted.name_prefix)]
    gone, found = [], []
    with runtime.store.redis.pipeline(transaction=False) as pipe:
        for _, identity in named:
            pipe.hmget(keys.record(identity), FILTERED_BY)
        for place, (status, version, qualifier) in zip(named, pipe.execute(), strict=True):
            if status is None:
                gone.append(place[1])
            elif wanted.statuses and status not in wanted.statuses:
                continue
            elif wanted.qualifier is None or wanted.qualifier in (version, qualifier):
                found.append(place)
    _forget(runtime, gone)
    return found


def _forget(runtime: Runtime, identities: Sequence[str]) -> None:
    keys = runtime.store.keys
    with runtime.store.redis.pipeline(transaction=False) as pipe:
        for identity in identities:
            pipe.zrem(keys.executions_of(identity.partition(":")[0]), identity)
            pipe.zrem(keys.executions, identity)
        pipe.execute()


def _read(runtime: Runtime, wanted: Search, places: list[Place]) -> list[Execution]:
    keys = runtime.store.keys
    with runtime.store.redis.pipeline(transaction=False) as pipe:
        for _, identity in places:
            if wanted.metadata_only:
                pipe.hmget(keys.record(identity), METADATA)
            else:
                pipe.hgetall(keys.record(identity))
        rows = pipe.execute()
    records = [_record(row) if wanted.metadata_only else row for row in rows]
    return [execution_of(runtime, record) for record in records if record.get("status")]


def _record(row: list[str | None]) -> dict[str, str]:
    fields = zip(METADATA, row, strict=True)
    return {field: value for field, value in fields if value is not None}


def _name(place: Place) -> str:
    return place[1].partition(":")[2]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _token(wanted: Search, place: Place) -> str:
    text = json.dumps([_mark(wanted), *place])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place_of(wanted: Search) -> Place | None:
    """Where a search goes on. Raises InvalidArgument."""
    if not wanted.token:
        return None
    try:
        padded = wanted.token + "=" * (-len(wanted.token) % 4)
        mark, score, identity = json.loads(base64.b64decode(padded, b"-_", validate=True))
        place = (float(score), str(identity))
        if not math.isfinite(place[0]):
            raise ValueError(score)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidArgument("the token is not one of a list of executions") from None
    if mark != _mark(wanted):
        raise InvalidArgument("the token is of another search: begin without one")
    return place


def _mark(wanted: Search) -> str:
    """What tells a search from others, whatever the sizes of its pages."""
    fields = [wanted.flow, sorted(wanted.statuses), wanted.started_from, wanted.started_to]
    fields += [wanted.name_prefix, wanted.qualifier]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:12]
