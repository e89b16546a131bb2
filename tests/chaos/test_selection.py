"""The chaos run: a short one for every change, the whole one by `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.run import chaos, table


@pytest.mark.timeout(300)
def test_forty_faults_change_no_end_and_no_history() -> None:
    outcome = chaos(faults=40, executions=20, seed=3, workers=2)
    print(table(outcome))
    assert outcome.wrong == []
    assert set(outcome.struck) == set(FAULTS)
    assert outcome.operations.total() >= 10
