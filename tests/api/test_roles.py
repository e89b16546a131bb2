"""Every path and every operation asks for the role that the documentation names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api.rpc import OPERATIONS
from engine.runtime.access_keys import Role
from tests.api.serving import Stack, client_of, served
from tests.api.signed import signed

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
ROLES = list(Role)


def _documented() -> Iterator[tuple[str, str, str]]:
    """Method, path and role of every line of the table."""
    for methods, path, roles in re.findall(r"^\| ((?:[A-Z]+,? )+)`(.+?)` \| (.+?) \|", TEXT, re.M):
        each = methods.replace(",", "").split()
        named = roles.split(", ")
        for place, method in enumerate(each):
            # One role for the first method, or the first and one for all others.
            yield method, path, named[min(place, len(named) - 1)]


ROUTES = sorted(_documented())


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=0) as made:
        yield made


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_a_path_asks_for_its_role(stack: Stack, method: str, path: str, role: str) -> None:
    url = re.sub(r"{\w+}", "1", path)
    body: dict[str, str] | None = (
        {} if method in ("POST", "PATCH") and ":stream" not in url else None
    )
    with client_of(stack.api, None) as nobody:
        status = nobody.request(method, url, json=body).status_code
    if role == "anybody":
        assert status in (200, 404)
        return
    assert status == 401
    for each in ROLES:
        with stack.as_role(each) as client:
            status = client.request(method, url, json=body).status_code
        assert (status == 403) == (not each.covers(Role(role))), (each, status)


@pytest.mark.parametrize("action", OPERATIONS)
def test_an_operation_asks_for_its_role(stack: Stack, action: str) -> None:
    for role in ROLES:
        query = signed(f"{role}-key", f"{role}-secret", Action=action)
        with client_of(stack.api, None) as client:
            answer = client.get("/", params=query)
        refused = answer.json().get("Code") == "AccessDenied"
        assert refused == (not role.covers(_needed(action))), (role, answer.text)


def _needed(action: str) -> Role:
    """The role that an operation's name gives away."""
    if action.startswith(("Describe", "List", "Get")):
        return Role.VIEWER
    if action.startswith("Report"):
        return Role.APPROVER
    if "Execution" in action or "Schedule" in action or action == "UpdateMapRun":
        return Role.OPERATOR
    return Role.ADMIN
