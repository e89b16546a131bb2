"""Every pair of `tests/flows` on a real store and a real worker: the same as in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.history import normalise
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.fundamentals.on_worker import (
    Bench,
    children_end_as_expected,
    history_of,
    run_on,
)
from tests.fundamentals.pairs import Pair, worker_pairs
from tests.fundamentals.simulated import simulated
from tests.fundamentals.token_files import TOKEN_FOLDER
from tests.fundamentals.unexpected import unexpected
from tests.processes import WorkerProcess

SCRIPTED_TASKS = Path(__file__).with_name("scripted_tasks.py")
SLOTS = 4
SETTINGS = {"PENSTOCK_RESOURCE_GRACE_S": "1"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One store and one worker for all pairs: their flows have different names."""
    tokens = tmp_path_factory.mktemp("tokens")
    env = {**SETTINGS, TOKEN_FOLDER: str(tokens)}
    with (
        EmbeddedRedis() as server,
        WorkerProcess(server.url, [SCRIPTED_TASKS], ["-c", str(SLOTS)], env),
    ):
        yield Bench(Engine(server.url), server.url, tokens)


@pytest.mark.parametrize("pair", worker_pairs(), ids=lambda pair: pair.name)
def test_a_real_worker_does_what_the_pair_says(pair: Pair, bench: Bench) -> None:
    execution = run_on(bench, pair)
    history = history_of(bench, execution)
    frames = normalise(history)
    assert unexpected(pair, execution, history) == []
    children_end_as_expected(bench, pair)
    if pair.expect.race is None and pair.expect.worker_only is None:
        assert frames == normalise(simulated(pair, 0).history)
