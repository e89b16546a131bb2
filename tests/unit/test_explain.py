"""What `penstock explain` says of flows, as people run it, and of every flow of the language."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.checks import load_flow
from engine.runtime.documents import STATE_VERSION
from engine.runtime.explaining import Assumptions, as_json, explain
from engine.runtime.fleet import Served
from engine.runtime.picture import picture
from tests.fundamentals.pairs import Pair, valid_pairs

COMMAND = Path(sys.executable).with_name("penstock")
FLOW = """\
version: v1
type: flow
steps:
  - type: task
    name: list
    resourceArn: acs:fc:::services/shop/functions/list
    retry: [{errors: [FC.Unknown], intervalSeconds: 30, maxAttempts: 3}]
    catch: [{errors: [Empty], goto: rest}]
  - type: foreach
    name: each
    iterationMapping: {collection: $.items, item: item}
    concurrency: 5
    steps:
      - {type: task, name: pack, resourceArn: pack, timeoutSeconds: 9}
      - {type: wait, name: cool, duration: 2}
  - {type: wait, name: rest, duration: 3600}
  - type: choice
    name: more
    choices:
      - {condition: '$.left > "0"', goto: list}
    default:
      steps: [{type: task, name: close, resourceArn: acs:fnf:::flow/close, pattern: sync}]
"""


def _explain(folder: Path, *options: str, text: str = FLOW) -> subprocess.CompletedProcess[str]:
    (folder / "shop.yml").write_text(text)
    command = [str(COMMAND), "explain", "shop.yml", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def _messages(steps: list[dict[str, Any]]) -> Iterator[tuple[str, str, str, list[str]]]:
    for step in steps:
        for one in step["messages"]:
            yield step["path"], one["form"], one["task"], one["headers"]
        for inner in step["series"].values():
            yield from _messages(inner)


def test_each_step_lists_its_messages_with_task_queue_and_headers(tmp_path: Path) -> None:
    done = _explain(tmp_path, "--format", "json")
    assert done.returncode == 0, done.stderr
    explained = json.loads(done.stdout)
    every = ["root_id", "penstock_state"]
    delayed = [*every, "parent_id", "eta", "retries", "penstock_retry"]
    assert list(_messages(explained["steps"])) == [
        ("list", "task", "shop/list", [*every, "parent_id"]),
        ("list", "retry", "shop/list", delayed),
        ("list", "due", "shop/list", [*every, "retries", "penstock_retry"]),
        ("each", "lane", "penstock.lane", [*every, "parent_id", "group", "shadow"]),
        ("each", "join", "penstock.join", [*every, "parent_id", "group"]),
        ("each/steps/pack", "task", "pack", [*every, "parent_id", "timelimit"]),
        ("each/steps/cool", "wait", "penstock.wait", [*every, "parent_id", "eta"]),
        ("rest", "due", "penstock.wait", every),
        ("more/default/close", "task", "penstock.step", [*every, "parent_id", "shadow"]),
        ("more/default/close", "resume", "penstock.resume", every),
    ]
    assert explained["steps"][0]["retry"] == [
        {"errors": ["FC.Unknown"], "max_attempts": 3, "delays_s": [30, 60, 120], "jitter": False}
    ]
    assert explained["keys"]["history"] == "penstock:{p0}:h:shop:EXECUTION"


def test_the_text_shows_canvas_messages_keys_and_picture(tmp_path: Path) -> None:
    done = _explain(tmp_path)
    assert done.returncode == 0, done.stderr
    for line in (
        "  chain(list, chord(group(chain(pack, cool)), join each), rest, more?(close))",
        "    policy FC.Unknown: after 30, 60, 120 s",
        "each (foreach, at most 5 at once)",
        f"penstock:{{p0}}:timers.{STATE_VERSION}",
        "flowchart TD",
    ):
        assert line in done.stdout


def test_the_picture_shows_every_way(tmp_path: Path) -> None:
    done = _explain(tmp_path, "--format", "mermaid")
    ids = {name: key for key, name in re.findall(r'(\w+)[(\[{]+"(\w+)[:"]', done.stdout)}
    for line in (
        f"start --> {ids['list']}",
        f'{ids["list"]} -. "Empty" .-> {ids["rest"]}',
        f"{ids['each']} -.-> {ids['each']}_steps",
        f"{ids['pack']} --> {ids['cool']}",
        f'{ids["more"]} -- "$.left #gt; #quot;0#quot;" --> {ids["list"]}',
        f'{ids["more"]} -- "default" --> {ids["close"]}',
        f"{ids['close']} --> done",
    ):
        assert line in done.stdout, line


def test_a_task_file_tells_the_queue_of_its_tasks(tmp_path: Path) -> None:
    lines = "from penstock import task\n\n@task('pack', queue='gpu')\ndef pack(input):\n    pass\n"
    (tmp_path / "mine.py").write_text(lines)
    done = _explain(tmp_path, "--format", "json", "--tasks", "mine.py")
    each = json.loads(done.stdout)["steps"][1]
    assert each["series"]["each/steps"][0]["messages"][0]["queue"] == "gpu"


def test_a_flow_with_errors_is_not_explained(tmp_path: Path) -> None:
    done = _explain(tmp_path, text="version: v1\ntype: flow\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "shop.yml:1:1: error:" in done.stderr


def test_a_quick_task_is_the_lane_of_its_foreach() -> None:
    steps = FLOW.replace(", timeoutSeconds: 9", "")
    tasks = {"pack": Served("pack", "gpu")}
    explained = explain(load_flow(steps)[0], "shop", Assumptions(tasks=tasks))
    lane = explained.steps[1].messages[0]
    assert (lane.form, lane.task, lane.queue, lane.shown) == ("lane", "pack", "gpu", None)


@pytest.mark.parametrize("pair", valid_pairs(), ids=lambda pair: pair.name)
def test_every_flow_can_be_explained(pair: Pair) -> None:
    graph, _ = load_flow(pair.text)
    explained = as_json(explain(graph, pair.name, Assumptions()))
    assert json.loads(json.dumps(explained)) == explained
    drawn = picture(graph, pair.name)
    assert all(node.step.name in drawn for node in graph.nodes.values())
    assert drawn.count("subgraph ") == sum(line.strip() == "end" for line in drawn.splitlines())
