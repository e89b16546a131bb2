"""The shipped restore flows, decided by the engine and run on a local bucket in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tasks
import tasks.oss
from engine.core.checks import check_flow, load_flow
from engine.core.graph import Graph
from engine.simulate.simulator import Simulation, simulate
from tasks import registry
from tasks.storage import LocalStore

FLOWS = Path(tasks.oss.__file__).parent / "flows"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("PENSTOCK_STORAGE_ENDPOINT", tmp_path.as_uri())
    monkeypatch.setenv("PENSTOCK_STORAGE_ALLOW", tmp_path.as_uri())
    # The waits of a simulation take no time, so a restore must not take any either.
    monkeypatch.setenv("PENSTOCK_STORAGE_LOCAL_THAW_S", "0")
    store = LocalStore(tmp_path)
    store.create_bucket("archive")
    for number in range(30):
        archived = number < 8 or number >= 20
        store.put("archive", f"{number:02d}", b"x", "Archive" if archived else "Standard")
    return store


def _graph(name: str) -> Graph:
    return load_flow((FLOWS / f"{name}.yml").read_text(), f"{name}.yml")[0]


def _run(name: str, input: Mapping[str, Any]) -> Simulation:
    calls = {known: found.call for known, found in registry.tasks().items()}
    sub_flows = {"restoreFlow": _graph("restoreFlow")}
    return simulate(_graph(name), dict(input), tasks=calls, flows=sub_flows)


@pytest.mark.parametrize("name", ["mainRestoreFlow", "restoreFlow"])
def test_the_shipped_flows_have_no_problems(name: str) -> None:
    assert check_flow((FLOWS / f"{name}.yml").read_text(), f"{name}.yml") == ()


@pytest.mark.parametrize("empty", [{}, {"marker": "", "prefix": "", "pollInterval": ""}])
def test_the_main_flow_restores_all_pages_and_passes_over_empty_ones(
    store: LocalStore, empty: dict[str, str]
) -> None:
    run = _run("mainRestoreFlow", {"bucketName": "archive", "maxKeys": 5, "groupSize": 2} | empty)
    assert (run.status, run.error, run.cause) == ("Succeeded", None, None)
    listings = [
        event
        for event in run.history
        if event.step_name == "listArchiveFiles" and event.type == "TaskSucceeded"
    ]
    assert len(listings) == 6
    assert all(info.readable for info in store.list_page("archive").objects)


def test_an_object_that_is_gone_fails_the_flow_with_its_name(store: LocalStore) -> None:
    run = _run(
        "restoreFlow",
        {"bucketName": "archive", "filesGroup": [["00", "gone"]], "pollInterval": 1},
    )
    assert (run.status, run.error) == ("Failed", "NoSuchKey")
    assert "gone" in (run.cause or "")
