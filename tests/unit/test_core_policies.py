"""Retry and catch: what applies to an error, and how long a retry waits."""

from __future__ import annotations

import pytest

from engine.core.policies import delay_before, matching_catcher, next_retry
from engine.fdl.model import Catcher, RetryPolicy


@pytest.mark.parametrize(("retry", "delay_s"), [(1, 1), (2, 1.5), (3, 2.25), (9, 10), (5000, 10)])
def test_waits_grow_by_the_multiplier_up_to_the_maximum(retry: int, delay_s: float) -> None:
    policy = RetryPolicy(("E",), interval_s=1, multiplier=1.5, max_interval_s=10)
    assert delay_before(policy, retry) == delay_s


def test_jitter_shortens_a_wait_to_half_at_most() -> None:
    policy = RetryPolicy(("E",), interval_s=8, jitter=True)
    assert delay_before(policy, 1, lambda: 0.0) == 4
    assert delay_before(policy, 1, lambda: 0.5) == 6
    assert delay_before(policy, 1, None) == 8


def test_the_first_policy_that_matches_applies_even_when_it_is_used_up() -> None:
    policies = (RetryPolicy(("A",), max_attempts=0), RetryPolicy(("FnF.ALL",)))
    assert next_retry(policies, (), "A") is None
    assert next_retry(policies, (), "a") is not None


def test_a_catcher_matches_exactly_or_by_all() -> None:
    catchers = (Catcher(("A.B",), "x"), Catcher(("FnF.ALL",), "y"))
    assert matching_catcher(catchers, "A.B") == 0
    assert matching_catcher(catchers, "A.b") == 1
    assert matching_catcher(catchers[:1], "A.b") is None
