"""The thread pool of one task: the same request for many keys, some of which may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from tasks.context import TaskContext
from tasks.errors import TaskError
from tasks.storage.errors import RETRYABLE

Answer = TypeVar("Answer")

SHOWN = 3
"""How many failures an error's cause tells in full."""


@dataclass(frozen=True, slots=True)
class Answers(Generic[Answer]):
    """What came back, per key; a key that was not asked for (cancelled) is in neither."""

    found: dict[str, Answer]
    failed: dict[str, TaskError]


def ask_each(
    keys: Sequence[str], ask: Callable[[str], Answer], workers: int, ctx: TaskContext
) -> Answers[Answer]:
    """Asks for every key with up to `workers` threads; one failure does not stop the others.

    Says that the task is alive after each answer, and asks no more once it is cancelled.
    """

    def attempt(key: str) -> tuple[str, Answer | TaskError | None]:
        if ctx.cancelled:
            return key, None
        try:
            return key, ask(key)
        except TaskError as error:
            return key, error

    if workers == 1 or len(keys) < 2:
        return _sorted_out(map(attempt, keys), ctx)
    with ThreadPoolExecutor(min(workers, len(keys)), thread_name_prefix="restore") as pool:
        return _sorted_out(pool.map(attempt, keys), ctx)


def raise_if_failed(failed: dict[str, TaskError], of: int) -> None:
    """Raises one error for all failures, nothing without any.

    A failure that another try cannot mend comes first: with it, a retry would be in vain.

    Raises:
        TaskError: With the code of the gravest failure; the cause counts them all and tells
            the first.
    """
    if not failed:
        return
    lasting = {key: error for key, error in failed.items() if error.code not in RETRYABLE}
    code = next(iter((lasting or failed).values())).code
    same = [error.cause for error in failed.values() if error.code == code]
    more = f"; and {len(same) - SHOWN} more" if len(same) > SHOWN else ""
    shown = "; ".join(same[:SHOWN])
    raise TaskError(code, f"{len(failed)} of {of} objects failed: {shown}{more}")


def _sorted_out(
    answers: Iterable[tuple[str, Answer | TaskError | None]], ctx: TaskContext
) -> Answers[Answer]:
    found: dict[str, Answer] = {}
    failed: dict[str, TaskError] = {}
    for key, answer in answers:
        ctx.heartbeat()
        if isinstance(answer, TaskError):
            failed[key] = answer
        elif answer is not None:
            found[key] = answer
    return Answers(found, failed)
