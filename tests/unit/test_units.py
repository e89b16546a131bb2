"""The settings of supervisors in docs/operations.md: a worker has the time to drain."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import yaml

from engine.cli.main import COMMANDS
from engine.config import Settings
from tests.readme_blocks import blocks_of
from workers.leaving import HAND_ON_S, STOP_S

BLOCKS = blocks_of(Path(__file__).resolve().parents[2] / "docs" / "operations.md")
NEEDED_S = Settings().shutdown_grace_s + STOP_S + 2 * HAND_ON_S
"""How long a worker may take at most to end."""


def _unit() -> configparser.ConfigParser:
    (text,) = [block.text for block in BLOCKS if block.language == "ini"]
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    unit.read_string(text)
    return unit


def _pod() -> dict[str, Any]:
    (text,) = [block.text for block in BLOCKS if "kind: Deployment" in block.text]
    deployment = yaml.safe_load(text)
    spec = deployment["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    pod: dict[str, Any] = spec["template"]["spec"]
    return pod


def test_systemd_tells_the_first_process_and_waits_for_it() -> None:
    service = _unit()["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > NEEDED_S
    program, command = service["ExecStart"].split()
    assert Path(program).name == "penstock" and command in COMMANDS
    # A worker that is told to end exits with 0, and systemd does not start it again then.
    assert service["Restart"] == "always"


def test_kubernetes_tells_the_first_process_and_waits_for_it() -> None:
    pod = _pod()
    assert pod["terminationGracePeriodSeconds"] > NEEDED_S
    (container,) = pod["containers"]
    program, command = container["command"]
    assert program == "penstock" and command in COMMANDS
    assert "lifecycle" not in container
