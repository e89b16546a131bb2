"""restoreStatus: whether all objects of a listing can be read again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tasks.context import TaskContext
from tasks.errors import TaskError
from tasks.oss.inputs import StatusInput
from tasks.oss.pool import ask_each, raise_if_failed
from tasks.oss.seeking import seek
from tasks.registry import task
from tasks.storage import ObjectInfo, OpenBucket, RestoreState

RESTORE_NOT_STARTED = "RestoreNotStarted"

HEADS_AT_MOST = 3
"""Up to so many keys a head each is less work for the store than a page of its listing."""

CONFIRMATIONS = 4
CONFIRM_PAUSE_S = 0.5
"""A store may show an accepted restore a moment late: ask again before calling it not started."""


@task("OSSRestoreService/restoreStatusFunction", stateless=True)
@task("oss:restoreStatus", stateless=True)
def restore_status(input: StatusInput, ctx: TaskContext) -> dict[str, Any]:
    """Looks at every key of `filesGroup`.

    Returns:
        `status`: "success" when all can be read, else "running"; `readable` of `total` objects.

    Raises:
        TaskError: `RestoreNotStarted`, an object is frozen and nothing is thawing it, so that
            waiting would never end; `NoSuchKey`, one is gone; or what the store answered.
    """
    bucket = input.open()
    keys = sorted({key for group in input.files_group for key in group})
    states = _states(bucket, keys, input.workers, ctx)
    readable = sum(info.readable for info in states.values())
    return {
        "status": "success" if readable == len(keys) else "running",
        "readable": readable,
        "total": len(keys),
    }


def _states(
    bucket: OpenBucket, keys: Sequence[str], workers: int, ctx: TaskContext
) -> dict[str, ObjectInfo]:
    """The state of each key: by pages where many are wanted, and by head whatever is in doubt."""
    states: dict[str, ObjectInfo] = {}
    if len(keys) > HEADS_AT_MOST:
        for infos in seek(bucket, keys):
            states |= infos
            ctx.heartbeat()
    doubtful = [key for key in keys if key not in states or _frozen(states[key])]
    for confirmation in range(CONFIRMATIONS):
        if not doubtful or ctx.cancelled:
            return states
        if confirmation:
            time.sleep(CONFIRM_PAUSE_S)
        states |= _heads(bucket, doubtful, workers, ctx)
        doubtful = [key for key in doubtful if _frozen(states.get(key))]
    if doubtful:
        raise _not_started(bucket, doubtful, len(keys))
    return states


def _heads(
    bucket: OpenBucket, keys: Sequence[str], workers: int, ctx: TaskContext
) -> dict[str, ObjectInfo]:
    answers = ask_each(keys, lambda key: bucket.store.head(bucket.name, key), workers, ctx)
    raise_if_failed(answers.failed, of=len(keys))
    return answers.found


def _frozen(info: ObjectInfo | None) -> bool:
    return info is not None and info.restore_state is RestoreState.FROZEN


def _not_started(bucket: OpenBucket, keys: Sequence[str], total: int) -> TaskError:
    shown = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
    return TaskError(
        RESTORE_NOT_STARTED,
        f"{len(keys)} of {total} objects in {bucket.name} are frozen and not being restored "
        f"(never asked for, refused, or the copy has expired): {shown}",
    )
