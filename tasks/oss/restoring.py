"""restore: asks for the restore of one group of objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tasks.context import TaskContext
from tasks.oss.inputs import RestoreInput
from tasks.oss.pool import ask_each, raise_if_failed
from tasks.registry import task
from tasks.storage import RestoreOutcome


@task("OSSRestoreService/restoreFunction", stateless=True)
@task("oss:restore", stateless=True)
def restore(input: RestoreInput, ctx: TaskContext) -> dict[str, Any]:
    """Asks the store for each of `files`, `workers` at a time; again is harmless.

    Returns:
        How many of them were `started` now, `inProgress` or `alreadyRestored`.

    Raises:
        TaskError: After all were tried. `FC.ResourceThrottled` or `FC.InternalServerError` when
            another attempt may do it, else the name of what is wrong, e.g. `NoSuchKey`.
    """
    bucket = input.open()
    days = input.restore_days or bucket.settings.restore_days
    tier = input.restore_tier or bucket.settings.restore_tier

    def ask(key: str) -> RestoreOutcome:
        return bucket.store.restore(bucket.name, key, days, tier)

    answers = ask_each(input.files, ask, input.workers, ctx)
    raise_if_failed(answers.failed, of=len(input.files))
    counts = Counter(answers.found.values())
    return {
        "started": counts[RestoreOutcome.STARTED],
        "inProgress": counts[RestoreOutcome.IN_PROGRESS],
        "alreadyRestored": counts[RestoreOutcome.ALREADY_RESTORED],
    }
