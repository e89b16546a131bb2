"""Streams on the command line: what is checked, shown, simulated and told while they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.progress import Progress
from engine.cli.step_tree import step_tree
from engine.cli.stream_facts import stream_fact
from engine.core.checks import load_flow
from engine.core.events import Event, EventType
from engine.simulate.simulator import simulate

COMMAND = Path(sys.executable).with_name("penstock")
FLOW = """\
version: v1
type: flow
steps:
  - type: stream
    name: pack
    source: $.from
    sink: $.to
    steps:
      - {type: task, name: squeeze, resourceArn: bytes:gzip}
      - {type: task, name: mine, resourceArn: mine, concurrency: 2}
"""
PLAIN_TASK = "from penstock import task\n\n@task('mine')\ndef mine(input):\n    pass\n"
STREAM_TASK = PLAIN_TASK.replace("'mine'", "'mine', stream=True")
STATELESS_TASK = """\
from penstock import task

@task("mine", stream=True, stateless=True)
def mine(input, ctx):
    for chunk in ctx.read():
        ctx.write(chunk)
"""


def penstock(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **env},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pack.yml").write_text(FLOW)
    return tmp_path


def simulated(folder: Path, ends: dict[str, str], allow: str) -> subprocess.CompletedProcess[str]:
    words = ("simulate", "pack.yml", "--input", json.dumps(ends), "--tasks", "mine.py")
    return penstock(folder, *words, PENSTOCK_STORAGE_ALLOW=allow)


def test_a_stage_that_nobody_has_is_a_warning_at_its_place(folder: Path) -> None:
    done = penstock(folder, "validate", "pack.yml")
    assert done.returncode == 0
    assert done.stdout.startswith("pack.yml:10:9: warning: TASK_UNKNOWN pack: mine: no task 'mine'")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("tasks", "code"), [(PLAIN_TASK, "NO_STREAM_TASK"), (STREAM_TASK, "NOT_STATELESS")]
)
def test_a_task_that_cannot_be_this_stage_is_an_error(folder: Path, tasks: str, code: str) -> None:
    (folder / "mine.py").write_text(tasks)
    done = penstock(folder, "validate", "pack.yml", "--tasks", "mine.py")
    assert done.returncode == 1
    assert done.stdout.startswith(f"pack.yml:10:9: error: {code} pack: mine: ")


def test_a_stateless_stream_task_is_all_right(folder: Path) -> None:
    (folder / "mine.py").write_text(STATELESS_TASK)
    done = penstock(folder, "validate", "pack.yml", "--tasks", "mine.py")
    assert (done.returncode, done.stdout) == (0, "")


def test_stages_and_edges_are_explained(folder: Path) -> None:
    done = penstock(folder, "explain", "pack.yml")
    assert done.returncode == 0, done.stderr
    for line in (
        "pack (stream)",
        "task   penstock.stream (shown as stream:squeeze+mine) -> penstock",
        "seat   penstock.seat (shown as stream:squeeze+mine) -> penstock",
        "stage  squeeze: bytes:gzip -> penstock",
        "stage  mine: mine -> penstock, 2 at once",
        "edge   source -> squeeze, at most 4194304 bytes",
        "edge   squeeze -> mine, at most 4194304 bytes",
        "edge   mine -> sink, at most 4194304 bytes",
        "streams              penstock:{s:DIGEST OF pack:EXECUTION}:RUN:eN",
        's0_0[("$.from")]',
        "s0_0 ==> s0_1",
        's0_2["mine: mine (x2)"]',
        "s0_2 ==> s0_3",
    ):
        assert line in done.stdout, line


def test_a_fused_stream_asks_nobody_for_help(folder: Path) -> None:
    (folder / "pack.yml").write_text(FLOW.replace("    steps:", "    fuse: true\n    steps:"))
    assert "penstock.seat" not in penstock(folder, "explain", "pack.yml").stdout


def test_a_simulation_reads_and_writes_real_objects(folder: Path) -> None:
    (folder / "mine.py").write_text(STATELESS_TASK)
    (folder / "a.txt").write_bytes(b"line\n" * 1000)
    ends = {"from": f"file://{folder}/a.txt", "to": f"file://{folder}/a.gz"}
    done = simulated(folder, ends, f"file://{folder.parent}")
    assert done.returncode == 0, done.stdout + done.stderr
    output = json.loads(done.stdout)["output"]
    assert output["sink"] == ends["to"]
    assert output["steps"]["squeeze"]["bytesIn"] == 5000
    unpacked = subprocess.run(
        ["gzip", "-dc", "a.gz"], cwd=folder, capture_output=True, check=True
    ).stdout
    assert unpacked == b"line\n" * 1000


def test_an_object_that_is_not_there_fails_a_simulation(folder: Path) -> None:
    (folder / "mine.py").write_text(STATELESS_TASK)
    ends = {"from": f"file://{folder}/none", "to": f"file://{folder}/out"}
    done = simulated(folder, ends, f"file://{folder.parent}")
    result = json.loads(done.stdout)
    assert (done.returncode, result["status"]) == (1, "Failed")
    assert result["cause"].startswith("squeeze: ")
    refused = json.loads(simulated(folder, ends, "file:///elsewhere").stdout)
    assert refused["error"] == "AccessDenied"
    assert not (folder / "out").exists()


def test_progress_tells_where_a_stream_runs_and_what_came_out() -> None:
    graph, _ = load_flow(FLOW.replace("    source: $.from\n    sink: $.to\n", ""))
    functions: Any = {
        "bytes:gzip": lambda input, ctx: ctx.write(b"x" * 1234),
        "mine": lambda input, ctx: [ctx.write(chunk) for chunk in ctx.read()] and None,
    }
    history = simulate(graph, tasks=functions, now=0.0).history
    progress, told = Progress(graph), []
    for event in history:
        progress.apply(event)
        told.append(progress.steps["pack"].stream)
    assert list(dict.fromkeys(told)) == ["", "2 stages in 1 process", "1.2 kB in 1 chunk"]
    text = StringIO()
    key = ("pack", "one")
    console = Console(width=100, file=text)
    console.print(step_tree({key: progress}, key, console))
    assert "1.2 kB in 1 chunk" in text.getvalue()


@pytest.mark.parametrize(
    ("kind", "detail", "fact"),
    [
        (
            EventType.STREAM_OPENED,
            {
                "segments": [
                    {"stages": ["a"], "worker": "w", "pid": 1},
                    {"stages": ["b", "c"], "worker": "w", "pid": 2},
                ]
            },
            "3 stages in 2 processes",
        ),
        (
            EventType.STREAM_CLOSED,
            {
                "edges": [
                    {"chunks": 9, "bytes": 999_960, "takeovers": 1},
                    {"chunks": 2, "bytes": 999_960, "takeovers": 1},
                ]
            },
            "1.0 MB in 2 chunks, 2 takeovers",
        ),
        (EventType.STREAM_CLOSED, {"edges": [{"chunks": 1, "bytes": 999}]}, "999 bytes in 1 chunk"),
        (
            EventType.STREAM_CLOSED,
            {"edges": [{"chunks": 1, "bytes": 3 * 10**15}]},
            "3000.0 TB in 1 chunk",
        ),
        (EventType.STREAM_CLOSED, {"edges": []}, ""),
    ],
)
def test_the_facts_of_a_stream_read_as_people_say_them(
    kind: EventType, detail: dict[str, Any], fact: str
) -> None:
    told = stream_fact(Event(1, kind, "s", "", 0.0, 0, detail))
    assert told == fact
