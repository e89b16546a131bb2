"""Policies: which retry or catch an error meets, and how long a retry waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.fdl.model import Catcher, RetryPolicy

ANY_ERROR = "FnF.ALL"


@dataclass(frozen=True, slots=True)
class Retry:
    """One more attempt: `used` counts the retries per policy, this one included."""

    used: tuple[int, ...]
    delay_s: float


def matches(errors: tuple[str, ...], error: str) -> bool:
    """True when a list of error names holds this one, exactly, or `FnF.ALL`."""
    return error in errors or ANY_ERROR in errors


def matching_policy(policies: tuple[RetryPolicy, ...], error: str) -> int | None:
    """The position of the first policy for an error, used up or not; None: there is none."""
    for position, policy in enumerate(policies):
        if matches(policy.errors, error):
            return position
    return None


def next_retry(
    policies: tuple[RetryPolicy, ...],
    used: tuple[int, ...],
    error: str,
    random: Callable[[], float] | None = None,
) -> Retry | None:
    """The retry that an error leads to, or None when its policy is used up or there is none.

    `used` may be () before the first. `random` gives numbers in [0, 1) for policies with
    jitter; None: no jitter.
    """
    position = matching_policy(policies, error)
    if position is None:
        return None
    counts = list(used) or [0] * len(policies)
    counts[position] += 1
    policy = policies[position]
    if counts[position] > policy.max_attempts:
        return None
    return Retry(tuple(counts), delay_before(policy, counts[position], random))


def delay_before(
    policy: RetryPolicy, retry: int, random: Callable[[], float] | None = None
) -> float:
    """Seconds to wait before retry number `retry` (from 1).

    A policy with jitter waits between half of it and all of it.
    """
    try:
        delay_s = min(policy.interval_s * policy.multiplier ** (retry - 1), policy.max_interval_s)
    except OverflowError:
        delay_s = policy.max_interval_s
    if policy.jitter and random is not None:
        delay_s *= 0.5 + random() / 2
    return delay_s


def matching_catcher(catchers: tuple[Catcher, ...], error: str) -> int | None:
    """The position of the first catcher for an error, None: nobody catches it."""
    for position, catcher in enumerate(catchers):
        if matches(catcher.errors, error):
            return position
    return None
