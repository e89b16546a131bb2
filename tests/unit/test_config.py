"""Settings: read from the environment, refused with the variable's name, told in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.config import Settings, load_settings, variable_of, without_password
from engine.errors import InvalidArgument

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def table() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{variable_of(name)}` | {default} | {meaning} |")
    return "\n".join(rows)


def test_a_variable_of_the_environment_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LEASE_S", "2.5")
    assert load_settings().lease_s == 2.5


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CONCURRENCY", "")
    assert load_settings().concurrency is None


def test_a_bad_variable_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PENSTOCK_LEASE_S", "swordfish")
    monkeypatch.setenv("PENSTOCK_POOL", "eventlet")
    with pytest.raises(InvalidArgument) as refused:
        load_settings()
    assert "PENSTOCK_LEASE_S: " in str(refused.value)
    assert "PENSTOCK_POOL: " in str(refused.value)
    assert "swordfish" not in str(refused.value)


def test_settings_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LEASE_S", "7200")
    with pytest.raises(InvalidArgument, match="lease_s must be under visibility_timeout_s"):
        load_settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().queue = "other"  # type: ignore[misc]  # the very thing that must fail


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_REDIS_URL", "redis://user:swordfish@host:6379/0")
    monkeypatch.setenv("PENSTOCK_TOKEN_SECRET", "swordfish")
    settings = load_settings()
    assert "swordfish" not in repr(settings) + settings.redis_shown
    assert settings.redis_shown == "redis://user:***@host:6379/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://:pw@[::1]:6379/0", "rediss://:***@[::1]:6379/0"),
        ("redis://:a@b@host/0", "redis://:***@host/0"),
        ("redis://:a/b@host/0", "redis://:***@host/0"),
        ("redis://host/0?password=pw", "redis://host/0?***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_docs_tell_every_setting_and_its_default() -> None:
    assert table() in OPERATIONS.read_text(), f"docs/operations.md should hold:\n{table()}"
