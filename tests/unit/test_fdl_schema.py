"""The JSON Schema: it is one, and it agrees with the parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.fdl.parser import parse_with_warnings
from engine.fdl.problems import Report
from engine.fdl.schema import json_schema
from engine.fdl.yaml_source import read_yaml

ROOT = Path(__file__).resolve().parents[2]
FLOWS = sorted(
    path
    for folder in ("tests/flows", "tasks")
    for path in (ROOT / folder).rglob("*.yml")
    if not path.name.endswith(".expect.yml")
)
HEAD = "version: v1\ntype: flow\n"


def schema_errors(text: str) -> list[str]:
    node = read_yaml(text, Report("f.yml"))
    assert node is not None
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(node.value)]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_every_flow_that_parses_fits_the_schema(path: Path) -> None:
    text = path.read_text()
    flow, _ = parse_with_warnings(text)
    if flow is not None:
        assert schema_errors(text) == []


STEPS: list[tuple[str, bool]] = [
    ("type: pass", True),
    ("type: pass, end: true", True),
    ("type: pass, en: true", False),
    ("type: succeed, end: true", False),
    ("type: what", False),
    ("type: task, resourceArn: a", True),
    ("type: task", False),
    ("type: task, resourceArn: a, action: 'b:C'", False),
    ("type: task, resourceArn: a, timeoutSeconds: '60'", True),
    ("type: task, resourceArn: a, timeoutSeconds: 0", False),
    ("type: task, resourceArn: a, pattern: sync", True),
    ("type: task, resourceArn: a, pattern: syncc", False),
    ("type: task, resourceArn: a, retry: [{errors: [E], maxAttempts: '3'}]", True),
    ("type: task, resourceArn: a, retry: [{errors: []}]", False),
    ("type: task, resourceArn: a, retry: [{maxAttempts: 3}]", False),
    ("type: task, resourceArn: a, catch: [{errors: [E], goto: s}]", True),
    ("type: task, resourceArn: a, catch: [{errors: [E]}]", False),
    ("type: wait, duration: 5", True),
    ("type: wait, duration: '5'", True),
    ("type: wait, duration: $.x", True),
    ("type: wait, duration: soon", False),
    ("type: wait", False),
    ("type: choice, default: {goto: s}", True),
    ("type: choice, choices: [{goto: s}]", False),
    ("type: choice, choices: [{condition: $.a, steps: [{type: pass, name: b}]}]", True),
    ("type: choice, choices: [{condition: $.a, steps: [{type: pass}]}]", False),
    ("type: parallel, branches: []", False),
    ("type: parallel, branches: [{steps: [{type: pass, name: b}]}]", True),
    (
        "type: foreach, iterationMapping: {collection: $.a, item: b}, "
        "steps: [{type: pass, name: b}], toleratedFailures: 5%",
        True,
    ),
    ("type: foreach, iterationMapping: {collection: $.a}, steps: [{type: pass, name: b}]", False),
    ("type: fail, error: 404, cause: {}", True),
    ("type: pass, inputMappings: [{target: a, source: null}]", True),
    ("type: pass, inputMappings: [{source: 1}]", False),
]


@pytest.mark.parametrize(("step", "fits"), STEPS)
def test_parser_and_schema_agree(step: str, fits: bool) -> None:
    text = f"{HEAD}steps: [{{name: s, {step}}}]"
    assert (parse_with_warnings(text)[0] is not None) is fits
    assert (schema_errors(text) == []) is fits


@pytest.mark.parametrize("text", ["type: flow\nsteps: []", HEAD, HEAD + "steps: []", "[]", "5"])
def test_what_is_no_flow_does_not_fit(text: str) -> None:
    assert schema_errors(text)


def test_every_key_is_described() -> None:
    def properties(part: Any) -> list[dict[str, Any]]:
        if isinstance(part, list):
            return [found for item in part for found in properties(item)]
        if not isinstance(part, dict):
            return []
        own = list(part["properties"].values()) if "additionalProperties" in part else []
        return own + [found for item in part.values() for found in properties(item)]

    found = properties(json_schema())
    assert len(found) > 60 and all(item.get("description") for item in found)
