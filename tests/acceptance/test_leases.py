"""Leases: nobody takes a step from a worker that lives; scaled down from tests/chaos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.leases import (
    starts_while_redis_is_away,
    starts_while_the_interpreter_is_held,
)

QUICK = {"PENSTOCK_LEASE_S": "3", "PENSTOCK_SWEEP_EVERY_S": "0.2"}
AWAY_S = 5.0
"""Longer than a lease."""

HELD_S = 8.0
"""Longer than another worker takes to come, and then leaves alone what nobody has looked after."""


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_redis_that_is_away_costs_no_lease(tmp_path: Path, killed: bool) -> None:
    assert len(starts_while_redis_is_away(tmp_path, AWAY_S, QUICK, killed)) == 1


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_that_holds_the_interpreter_keeps_its_lease(tmp_path: Path, pool: str) -> None:
    assert len(starts_while_the_interpreter_is_held(tmp_path, HELD_S, QUICK, pool)) == 1


def test_nor_does_one_that_holds_it_by_a_regular_expression_lose_it(tmp_path: Path) -> None:
    held = starts_while_the_interpreter_is_held(tmp_path, 6.0, QUICK, "threads", "match_for_long")
    assert len(held) == 1
