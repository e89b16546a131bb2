"""The batch restore, whole: two flows, real workers, each kind of store at its full size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution
from tasks.oss.fake_faults import FaultRates
from tasks.oss.fake_server import FakeOss
from tests.acceptance.archives import (
    BUCKET,
    CREDENTIALS,
    Archive,
    local_archive,
    oss_archive,
    s3_archive,
)
from tests.acceptance.running import fresh_engine, history, of_type, one_line
from tests.processes import WorkerProcess
from tests.waiting import wait_until

FLOWS = Path(__file__).resolve().parents[2] / "tasks" / "oss" / "flows"
OBJECTS = 2000
SHAPE = {"maxKeys": 500, "groupSize": 25, "workers": 8, "pollInterval": 0.3}
PAGES = OBJECTS // 500
RESTORED_WITHIN_S = 90.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine that has the two flows."""
    with fresh_engine() as (engine, _):
        for name in ("mainRestoreFlow", "restoreFlow"):
            engine.create_flow(name, (FLOWS / f"{name}.yml").read_text())
        yield engine


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def _worker(engine: Engine, env: Any) -> WorkerProcess:
    url = str(engine.runtime.canvas.app.conf.broker_url)
    return WorkerProcess(url, options=["-c", "2"], env=env)


def _restore(engine: Engine, archive: Archive) -> Execution:
    input = {**archive.input, "prefix": "", "marker": "", **SHAPE}
    return engine.start_execution("mainRestoreFlow", input).wait(RESTORED_WITHIN_S)


def _pages(engine: Engine, execution: Execution) -> list[Execution]:
    """The executions of restoreFlow that this one has started, oldest first."""
    started = of_type(history(engine, execution), EventType.TASK_SUBMITTED)
    return [engine.describe_execution("restoreFlow", one["executionName"]) for one in started]


def _restored_in_pages(engine: Engine, archive: Archive) -> list[Execution]:
    execution = _restore(engine, archive)
    assert execution.status == "Succeeded", (execution.error, execution.cause)
    assert archive.unreadable() == []
    pages = _pages(engine, execution)
    assert sum(len(group) for page in pages for group in page.input["filesGroup"]) == OBJECTS
    assert len(pages) == PAGES
    return pages


def test_a_local_archive_is_restored(engine: Engine, tmp_path: Path) -> None:
    archive = local_archive(tmp_path, OBJECTS)
    with _worker(engine, archive.env):
        _restored_in_pages(engine, archive)


def test_a_bucket_that_throttles_and_fails_is_restored_by_retries(engine: Engine) -> None:
    with oss_archive(OBJECTS) as (archive, server), _worker(engine, archive.env):
        rates = FaultRates(throttle_rate=0.05, error_rate=0.04, seed=1)
        server.faults.change(rates)
        execution = _restore(engine, archive)
        server.faults.change(FaultRates())
        assert execution.status == "Succeeded", (execution.error, execution.cause)
        assert archive.unreadable() == []
        pages = _pages(engine, execution)
        assert len(pages) == PAGES
        assert server.faults.thrown > OBJECTS * 0.05
        events = [event for page in pages for event in history(engine, page)]
        failed = {one["error"] for one in of_type(events, EventType.TASK_FAILED)}
        assert failed == {"FC.ResourceThrottled", "FC.InternalServerError"}
        attempts = [one["attempt"] for one in of_type(events, EventType.TASK_SCHEDULED)]
        assert max(attempts) > 1


def test_an_s3_archive_is_restored(engine: Engine) -> None:
    with s3_archive(OBJECTS) as archive, _worker(engine, archive.env):
        _restored_in_pages(engine, archive)


@pytest.fixture(scope="module")
def served(engine: Engine) -> Iterator[tuple[Archive, FakeOss]]:
    """A small bucket, and a worker that may use it."""
    with oss_archive(12) as (archive, server), _worker(engine, archive.env):
        yield archive, server


@pytest.fixture
def small(served: tuple[Archive, FakeOss]) -> tuple[Archive, FakeOss]:
    """The small bucket with all its objects frozen."""
    archive, server = served
    for key in archive.keys:
        server.buckets.put(BUCKET, key, b"", "Archive")
    return served


def _begun(engine: Engine, archive: Archive, server: FakeOss) -> Run:
    """A restore that has asked for all objects and now waits to look at them."""
    given = {**archive.input, "maxKeys": 100, "groupSize": 4, "pollInterval": 1.5}
    run = engine.start_execution("mainRestoreFlow", given)
    keys = archive.keys
    wait_until(lambda: all(server.buckets.get(BUCKET, key).thaws_at for key in keys))
    return run


def _failed(run: Run, error: str, mention: str) -> None:
    execution = run.wait(30)
    assert (execution.status, execution.error) == ("Failed", error), execution.cause
    assert mention in str(execution.cause)
    assert one_line(execution.cause)


def test_an_object_that_vanishes_meanwhile_fails_the_restore(
    engine: Engine, small: tuple[Archive, FakeOss]
) -> None:
    archive, server = small
    run = _begun(engine, archive, server)
    server.buckets.delete(BUCKET, archive.keys[7])
    _failed(run, "NoSuchKey", archive.keys[7])


def test_an_object_that_will_never_thaw_fails_the_restore(
    engine: Engine, small: tuple[Archive, FakeOss]
) -> None:
    archive, server = small
    run = _begun(engine, archive, server)
    server.buckets.put(BUCKET, archive.keys[7], b"frozen anew", "Archive")
    _failed(run, "RestoreNotStarted", archive.keys[7])


@pytest.mark.parametrize(
    ("error", "wrong", "mention"),
    [
        ("NoSuchBucket", {"bucketName": "nowhere"}, "nowhere"),
        ("AccessDenied", {"endpoint": "oss://cn-hangzhou"}, "PENSTOCK_STORAGE_ALLOW"),
        ("FC.InvalidArgument", {"endpoint": "ftp://host"}, "ftp"),
        ("FC.InvalidArgument", {"maxKeys": 100_000}, "maxKeys"),
    ],
)
def test_a_bucket_that_cannot_be_listed_fails_the_restore(
    engine: Engine,
    small: tuple[Archive, FakeOss],
    error: str,
    wrong: dict[str, Any],
    mention: str,
) -> None:
    run = engine.start_execution("mainRestoreFlow", {**small[0].input, **wrong})
    _failed(run, error, mention)


def test_a_key_that_is_not_there_fails_the_restore(
    engine: Engine, small: tuple[Archive, FakeOss]
) -> None:
    archive, _ = small
    groups = {"pollInterval": 0.1, "filesGroup": [[archive.keys[0], "gone"]]}
    _failed(engine.start_execution("restoreFlow", {**archive.input, **groups}), "NoSuchKey", "gone")


def test_missing_credentials_fail_the_restore(
    engine: Engine, small: tuple[Archive, FakeOss]
) -> None:
    archive, server = small
    elsewhere = archive.endpoint.replace("127.0.0.1", "localhost")
    without = {
        "OSS_ACCESS_KEY_ID": "",
        "PENSTOCK_STORAGE_ALLOW": elsewhere,
    }
