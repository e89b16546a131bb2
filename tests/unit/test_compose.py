"""The compose file and the image: well-formed, safe by default, and naming commands that exist."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from engine.cli.main import COMMANDS
from engine.config import Settings

ROOT = Path(__file__).resolve().parents[2]

WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "command", "restart"],
    "properties": {
        "image": {"type": "string", "minLength": 1},
        "build": {"const": "."},
        "init": {"const": True},
        "restart": {"const": "unless-stopped"},
        "profiles": WORDS,
        "entrypoint": WORDS,
        "command": WORDS,
        "stop_grace_period": {"type": "string", "pattern": r"^\d+s$"},
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:"}},
        "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^[a-z-]+:/"}},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["condition"],
                "properties": {"condition": {"const": "service_healthy"}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": WORDS,
                "interval": {"type": "string"},
                "timeout": {"type": "string"},
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
COMPOSE = {
    "type": "object",
    "required": ["name", "services", "volumes"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"const": "penstock"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def instruction(name: str) -> str:
    return [rest for word, rest in instructions() if word == name][-1]


def test_the_compose_file_has_the_shape_of_one(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, COMPOSE)


def test_a_compose_file_with_a_wrong_key_is_noticed(compose: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(compose))
    broken["services"]["worker"]["comand"] = ["worker"]
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        jsonschema.validate(broken, COMPOSE)


def test_what_a_service_waits_for_exists_and_tells_its_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in services[needed]


def test_named_volumes_are_declared(compose: dict[str, Any]) -> None:
    used = {v.split(":")[0] for s in compose["services"].values() for v in s.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_redis_keeps_what_it_was_told(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "redis-server"
    assert options == {
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--maxmemory-policy": "noeviction",
    }
    assert compose["services"]["redis"]["volumes"] == ["redis-data:/data"]


def test_workers_can_be_scaled(compose: dict[str, Any]) -> None:
    assert not {"container_name", "ports", "hostname"} & set(compose["services"]["worker"])


def test_a_worker_has_the_time_to_drain_before_it_is_killed(compose: dict[str, Any]) -> None:
    grace = compose["services"]["worker"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings().shutdown_grace_s + 5
    assert compose["services"]["worker"]["init"] is True


def test_it_starts_what_the_local_stack_starts(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"redis", "worker", "api", "flower"}
    assert [name for name, each in compose["services"].items() if "profiles" in each] == []


def test_our_services_run_commands_that_exist(compose: dict[str, Any]) -> None:
    ours = {name: each for name, each in compose["services"].items() if "build" in each}
    assert set(ours) == {"worker", "api", "flower"}
    for name, service in ours.items():
        assert service["environment"]["PENSTOCK_REDIS_URL"].startswith("redis://redis:")
        if name != "flower":
            assert service["command"][0] == name and name in COMMANDS


def test_the_api_needs_keys_that_have_no_default(compose: dict[str, Any]) -> None:
    assert compose["services"]["api"]["environment"]["PENSTOCK_API_KEYS"].startswith(
        "${PENSTOCK_API_KEYS:?"
    )


def test_flower_is_ours_and_asks_for_a_password_that_has_no_default(
    compose: dict[str, Any],
) -> None:
    flower = compose["services"]["flower"]
    assert flower["entrypoint"] == ["python", "-P", "-m"]
    assert find_spec(flower["command"][0]) is not None
    assert flower["environment"]["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")
    # Our module makes it read-only; Flower without it would not.
    assert "FLOWER_READ_ONLY" not in flower["environment"]


def test_console_and_flower_know_where_people_find_the_other(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service, variable, other in (
        ("api", "PENSTOCK_API_FLOWER_URL", "flower"),
        ("flower", "PENSTOCK_API_PUBLIC_URL", "api"),
    ):
        url = services[service]["environment"][variable].partition(":-")[2].rstrip("}")
        port = services[other]["ports"][0].split(":")[1]
        assert url == f"http://localhost:{port}"


def test_the_image_runs_as_nobody_special_and_tells_its_health() -> None:
    assert instruction("USER") == "penstock"
    assert json.loads(instruction("ENTRYPOINT")) == ["penstock"]
    assert json.loads(instruction("CMD"))[0] in COMMANDS
    health = instruction("HEALTHCHECK").partition("CMD ")[2]
    assert json.loads(health) == ["penstock", "doctor"]
    assert "doctor" in COMMANDS


def test_the_image_copies_only_what_is_there() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY"]
    sources = [s for words in copied for s in words if not s.startswith(("--", "/"))]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
