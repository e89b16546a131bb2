"""The batch restore, whole: two flows, real workers, each kind of store at its full size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.core.events import Event, EventType
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution
from tasks.oss.fake_faults import FaultRates
from tasks.oss.fake_server import FakeOss
from tests.acceptance.archives import (
    BUCKET,
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
PAGES = 4
RESTORED_WITHIN_S = 90.0
FAILED_WITHIN_S = 30.0


@contextmanager
def restoring(env: Mapping[str, str]) -> Iterator[Engine]:
    """An engine that has the two flows, and a worker with this environment."""
    with fresh_engine() as (engine, url), WorkerProcess(url, options=["-c", "2"], env=env):
        for name in ("mainRestoreFlow", "restoreFlow"):
            engine.create_flow(name, (FLOWS / f"{name}.yml").read_text())
        yield engine


def _restored(engine: Engine, archive: Archive) -> list[Execution]:
    """Restores it all; the executions of restoreFlow that this took, one a page."""
    input = {**archive.input, "prefix": "", "marker": "", **SHAPE}
    execution = engine.start_execution("mainRestoreFlow", input).wait(RESTORED_WITHIN_S)
    assert execution.status == "Succeeded", (execution.error, execution.cause)
    started = of_type(history(engine, execution), EventType.TASK_SUBMITTED)
    pages = [engine.describe_execution("restoreFlow", one["executionName"]) for one in started]
    assert sum(len(group) for page in pages for group in page.input["filesGroup"]) == OBJECTS
    assert len(pages) == PAGES
    return pages


def _told_by(engine: Engine, pages: list[Execution]) -> list[Event]:
    return [event for page in pages for event in history(engine, page)]


def test_a_local_archive_is_restored(tmp_path: Path) -> None:
    archive = local_archive(tmp_path, OBJECTS)
    with restoring(archive.env) as engine:
        _restored(engine, archive)
    assert archive.unreadable() == []


def test_a_bucket_that_throttles_and_fails_is_restored_by_retries() -> None:
    with oss_archive(OBJECTS) as (archive, server), restoring(archive.env) as engine:
        server.faults.change(FaultRates(throttle_rate=0.05, error_rate=0.04, seed=1))
        events = _told_by(engine, _restored(engine, archive))
        server.faults.change(FaultRates())
        assert archive.unreadable() == []
        assert server.faults.thrown > OBJECTS * 0.05
    failed = {one["error"] for one in of_type(events, EventType.TASK_FAILED)}
    assert failed == {"FC.ResourceThrottled", "FC.InternalServerError"}
    assert max(one["attempt"] for one in of_type(events, EventType.TASK_SCHEDULED)) > 1


def test_an_s3_archive_is_restored() -> None:
    with s3_archive(OBJECTS) as archive:
        with restoring(archive.env) as engine:
            _restored(engine, archive)
        assert archive.unreadable() == []


@dataclass(frozen=True, slots=True)
class Small:
    """A small bucket, the server it is on, and an engine whose worker may use it."""

    engine: Engine
    archive: Archive
    server: FakeOss

    def begun(self) -> Run:
        """A restore that has asked for all objects and now waits to look at them."""
        given = {**self.archive.input, "groupSize": 4, "pollInterval": 1.5}
        run = self.engine.start_execution("mainRestoreFlow", given)
        buckets, keys = self.server.buckets, self.archive.keys
        wait_until(lambda: all(buckets.get(BUCKET, key).thaws_at for key in keys))
        return run


@pytest.fixture(scope="module")
def served() -> Iterator[Small]:
    with oss_archive(12) as (archive, server), restoring(archive.env) as engine:
        yield Small(engine, archive, server)


@pytest.fixture
def small(served: Small) -> Small:
    """The small bucket with all its objects frozen."""
    for key in served.archive.keys:
        served.server.buckets.put(BUCKET, key, b"", "Archive")
    return served


def _failed(run: Run, error: str, mention: str) -> None:
    execution = run.wait(FAILED_WITHIN_S)
    assert (execution.status, execution.error) == ("Failed", error), execution.cause
    assert mention in str(execution.cause)
    assert one_line(execution.cause)


def test_an_object_that_vanishes_meanwhile_fails_the_restore(small: Small) -> None:
    run, key = small.begun(), small.archive.keys[7]
    small.server.buckets.delete(BUCKET, key)
    _failed(run, "NoSuchKey", key)


def test_an_object_that_will_never_thaw_fails_the_restore(small: Small) -> None:
    run, key = small.begun(), small.archive.keys[7]
    small.server.buckets.put(BUCKET, key, b"frozen anew", "Archive")
    _failed(run, "RestoreNotStarted", key)


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
    small: Small, error: str, wrong: dict[str, Any], mention: str
) -> None:
    given = {**small.archive.input, **wrong}
    _failed(small.engine.start_execution("mainRestoreFlow", given), error, mention)


def test_a_key_that_is_not_there_fails_the_restore(small: Small) -> None:
    groups = {"pollInterval": 0.1, "filesGroup": [[small.archive.keys[0], "gone"]]}
    given = {**small.archive.input, **groups}
    _failed(small.engine.start_execution("restoreFlow", given), "NoSuchKey", "gone")


def test_missing_credentials_fail_the_restore(small: Small) -> None:
    without = {**small.archive.env, "OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": ""}
    with restoring(without) as engine:
        run = engine.start_execution("mainRestoreFlow", small.archive.input)
        _failed(run, "MissingCredentials", "OSS_ACCESS_KEY_ID")
