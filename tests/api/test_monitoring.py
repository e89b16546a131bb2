"""What the dashboard and the autoscaler ask for is what the API tells."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.api.serving import served
from tests.readme_blocks import blocks_of
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
SCALED: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "keda-scaledobject.yaml").read_text())
PAGE = ROOT / "docs" / "observability.md"
STEPS = "- {type: task, name: only, resourceArn: api/double}\n"


@dataclass(slots=True)
class Told:
    """What `/metrics` has told: names of samples, by metric, with the names of their labels."""

    kinds: dict[str, str] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with served(slots=1) as stack:
        stack.deploy("seen", STEPS)
        stack.start("seen", {"value": 2})

        def ended() -> str:
            text: str = stack.client.get("/metrics").text
            return text if 'penstock_executions_ended_total{flow="seen"' in text else ""

        found = Told()
        for family in text_string_to_metric_families(wait_until(ended)):
            for sample in family.samples:
                found.labels.setdefault(sample.name, set()).update(sample.labels)
            suffix = "_total" if family.type == "counter" else ""
            found.kinds[f"{family.name}{suffix}"] = family.type
        yield found


def _queries() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    variables = [each["definition"] for each in DASHBOARD["templating"]["list"][1:]]
    return [*shown, *variables, *(each["metadata"]["query"] for each in SCALED["spec"]["triggers"])]


def _asked(query: str) -> set[str]:
    return set(re.findall(r"penstock_\w+", query))


@pytest.mark.parametrize("query", _queries())
def test_a_query_asks_for_what_there_is(query: str, told: Told) -> None:
    names = _asked(query)
    assert names
    for name in names:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in told.kinds or told.kinds.get(base) == "histogram", name
        counter = told.kinds.get(name) == "counter" or base != name
        assert counter == bool(re.search(r"rate\(|increase\(", query)) or "label_values" in query
        grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \((.*?)\)", query))))
        chosen = set(re.findall(r"(\w+)=~?\"", query))
        if name in told.labels:  # there is a value
            assert grouped | chosen <= told.labels[name], (name, told.labels[name])


def test_all_metrics_are_on_the_dashboard(told: Told) -> None:
    asked = {re.sub(r"_bucket$", "", name) for query in _queries() for name in _asked(query)}
    assert set(told.kinds) - asked == {"penstock_api_streams_total"}


def test_what_every_process_tells_alike_is_not_added_up() -> None:
    for query in _queries():
        if "penstock_api_" not in query and "label_values" not in query:
            assert re.match(r"(sum( by \(\w+\) )?\()?max|histogram_quantile\([\d.]+, max", query)


def test_panels_lie_beside_each_other_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in
                 range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["title"] and (panel["type"] == "row" or panel["description"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_autoscaler_scales_the_workers_that_the_pages_deploy() -> None:
    operations = blocks_of(ROOT / "docs" / "operations.md")
    (text,) = [block.text for block in operations if "kind: Deployment" in block.text]
    assert SCALED["spec"]["scaleTargetRef"]["name"] == yaml.safe_load(text)["metadata"]["name"]
    assert 1 <= SCALED["spec"]["minReplicaCount"] < SCALED["spec"]["maxReplicaCount"]


def test_every_metric_is_on_the_page(told: Told) -> None:
    listed = set(re.findall(r"`(penstock_\w+)`", PAGE.read_text()))
    assert listed == set(told.kinds)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_api_logs_in_the_form_that_is_set(redis_url: str, form: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = subprocess.run(
            [sys.executable, "-m", "engine.api", "--port", str(taken.getsockname()[1])],
            env=os.environ | {"PENSTOCK_REDIS_URL": redis_url, "PENSTOCK_LOG_FORMAT": form},
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    (line,) = [each for each in refused.stderr.splitlines() if "address already in use" in each]
    if form == "text":
        assert line.startswith("ERROR")
    else:
        told = json.loads(line)
        assert set(told) == {"time", "level", "logger", "process", "message"}
        assert (told["level"], told["logger"]) == ("error", "uvicorn.error")
