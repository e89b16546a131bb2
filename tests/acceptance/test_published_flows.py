"""Published flows run as they stand, with whatever placeholders were left in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.runtime.definitions import plain_name
from tests.acceptance.archives import Archive, local_archive
from tests.acceptance.published import PublishedFlows, published_flows
from tests.acceptance.running import fresh_engine
from tests.processes import WorkerProcess

OBJECTS = 300
PLACEHOLDER = "<restoreFlow>"
SHAPE = {"prefix": "", "marker": "", "maxKeys": 100, "pollInterval": 0.3, "workers": 10}
FLOWS = published_flows()
every_form = pytest.mark.parametrize("flows", FLOWS.values(), ids=FLOWS)


def _input(archive: Archive) -> dict[str, object]:
    return {**archive.input, **SHAPE, "groupSize": 1}


@every_form
def test_published_flows_restore_a_bucket(flows: PublishedFlows, tmp_path: Path) -> None:
    assert PLACEHOLDER in flows.main and "!Ref" in flows.page
    archive = local_archive(tmp_path, OBJECTS)
    with fresh_engine() as (engine, url), WorkerProcess(url, options=["-c", "2"], env=archive.env):
        engine.create_flow("main", flows.main)
        engine.create_flow(plain_name(PLACEHOLDER), flows.page)
        execution = engine.start_execution("main", _input(archive)).wait(60)
        assert execution.status == "Succeeded", (execution.error, execution.cause)
        pages = engine.list_executions("restoreFlow", status="Succeeded")
        assert [len(page.input["filesGroup"]) for page in pages] == [100, 100, 100]
    assert archive.unreadable() == []


@every_form
def test_published_flows_run_by_one_command(flows: PublishedFlows, tmp_path: Path) -> None:
    archive = local_archive(tmp_path / "store", OBJECTS)
    main, page = tmp_path / "main.yml", tmp_path / "page.yml"
    main.write_text(flows.main)
    page.write_text(flows.page)
    command = [sys.executable, "-m", "penstock", "run", str(main)]
    command += ["--flow", f"{PLACEHOLDER}={page}", "--input", json.dumps(_input(archive))]
    env = {name: value for name, value in os.environ.items() if name != "PENSTOCK_REDIS_URL"}
    ended = subprocess.run(
        command, env=env | dict(archive.env), capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 0, ended.stderr
    assert isinstance(json.loads(ended.stdout), dict)
    assert archive.unreadable() == []
