"""Leases at default settings: 20 s without Redis or without the interpreter cost none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.leases import (
    starts_while_redis_is_away,
    starts_while_the_interpreter_is_held,
)

AWAY_S = 20.0

pytestmark = pytest.mark.chaos_long


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_redis_that_is_away_for_20_s_costs_no_lease(tmp_path: Path, killed: bool) -> None:
    assert len(starts_while_redis_is_away(tmp_path, AWAY_S, {}, killed)) == 1


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_that_holds_the_interpreter_for_20_s_keeps_its_lease(
    tmp_path: Path, pool: str
) -> None:
    assert len(starts_while_the_interpreter_is_held(tmp_path, AWAY_S, {}, pool)) == 1


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_so_does_one_that_holds_it_by_a_regular_expression(tmp_path: Path, pool: str) -> None:
    held = starts_while_the_interpreter_is_held(tmp_path, AWAY_S, {}, pool, "match_for_long")
    assert len(held) == 1
