"""The API's documentation tells of everything there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine import errors
from engine.api.app import ROUTERS
from engine.api.rpc import OPERATIONS
from engine.api.settings import API_PREFIX, ApiSettings
from engine.errors import EngineError

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()


def _table() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in ApiSettings.model_fields.items():
        default = "" if field.default in ("", ()) else f"`{field.default}`"
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{API_PREFIX}{name.upper()}` | {default} | {meaning} |")
    return "\n".join(rows)


def test_every_setting_is_told_with_its_default() -> None:
    assert _table() in TEXT, f"docs/api.md should hold:\n{_table()}"


def test_every_path_is_told_with_its_methods() -> None:
    rows = re.findall(r"^\| ((?:[A-Z]+,? )+)`(.+?)`", TEXT, re.M)
    told = {(method.strip(","), path) for methods, path in rows for method in methods.split()}
    routes: list[Any] = [route for router in ROUTERS for route in router.routes]
    there = {
        (method, route.path)
        for route in routes
        if route.include_in_schema
        for method in route.methods
    }
    assert there == told


def test_every_operation_is_told() -> None:
    assert [name for name in OPERATIONS if not re.search(rf"\b{name}\b", TEXT)] == []


def test_every_code_is_told_with_its_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        name, base = kind.__name__, EngineError
        if issubclass(kind, base) and kind is not base and kind.http_status < 500:
            if name not in ("AccessKeyNotExists", "ExecutionFailed", "NotCanvasable"):
                assert f"`{name}` | {kind.http_status} |" in TEXT, name
