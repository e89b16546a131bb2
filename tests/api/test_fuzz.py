"""Whatever comes, both protocols answer it, and never with a defect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine import errors
from tests.api.rpc_schema import FORMS, GOOD, rpc_document
from tests.api.serving import Stack, served
from tests.waiting import wait_until

AS_DESCRIBED = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
AnyCase: TypeAlias = Case[Any]

EXAMPLES = 15
TIMEOUT_S = 10
THERE = {
    "flow": "there",
    "name": "done",
    "version": "1",
    "alias": "live",
    "schedule": "nightly",
    "map_run": "all",
}
"""What is found on the API, by the parameter that names it."""

LASTING = ("events", ":stream")
"""How the paths end whose answers may go on and on; what does not run ends at once."""

quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
modes = st.sampled_from(GenerationMode)
names = st.one_of(st.just(set(THERE)), st.sets(st.sampled_from(sorted(THERE))))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """An open API on which there is something of everything."""
    with served(keys="", slots=1) as made:
        made.deploy("there", "- {type: pass, name: nothing}\n")
        made.deploy("asked", "- {type: wait, name: long, duration: 600}\n")
        made.client.post("/v1/flows/there/versions", json={})
        alias = {"name": "live", "routing": [{"version": 1}]}
        made.client.post("/v1/flows/there/aliases", json=alias)
        schedule = {"name": "nightly", "cron": "0 0 4 * * *"}
        made.client.post("/v1/flows/there/schedules", json=schedule)
        made.engine.start_execution("there", {}, "done")
        wait_until(lambda: made.engine.describe_execution("there", "done").status.ended, 20)
        yield made
        assert "Traceback" not in made.api.log, made.api.log


def test_rest_answers_whatever_comes(stack: Stack) -> None:
    document = stack.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 35
    for operation in operations:
        _fuzz_rest(stack, operation)


def _fuzz_rest(stack: Stack, operation: Any) -> None:
    strategy = modes.flatmap(lambda mode: operation.as_strategy(generation_mode=mode))

    @quick
    @given(case=strategy, known=names)
    def each(case: AnyCase, known: set[str]) -> None:
        if case.method == "DELETE" and case.path.endswith("{flow}"):
            known = set()  # the others go on with it
        for name in known & set(case.path_parameters or {}):
            case.path_parameters[name] = THERE[name]
        if case.headers:
            case.headers.pop("Prefer", None)  # it would have the answer wait
        answer = case.call(stack.api.url, timeout=TIMEOUT_S)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        case.validate_response(answer, checks=AS_DESCRIBED)
        if answer.status_code >= 400 and case.method != "HEAD":
            body = answer.json()
            assert answer.headers["content-type"] == ["application/problem+json"], body
            assert body["status"] == answer.status_code and body["detail"]

    each()


@pytest.mark.parametrize("action", FORMS)
def test_rpc_answers_whatever_comes(stack: Stack, action: str) -> None:
    schema = schemathesis.openapi.from_dict(rpc_document())
    operation = schema[f"/{action}"]["POST"]

    fields = FORMS[action].split()
    good = st.sets(st.sampled_from(sorted(set(fields) & set(GOOD)) or [""]))

    @quick
    @given(case=operation.as_strategy(), known=good | st.just(set(fields)))
    def each(case: AnyCase, known: set[str]) -> None:
        given = case.body if isinstance(case.body, dict) else {}
        right = {name: GOOD[name] for name in known if name in GOOD}
        answer = stack.client.post("/", data={**given, **right, "Action": action})
        body = answer.json()
        assert answer.status_code < 500, (case.body, body)
        assert body["RequestId"]
        if answer.status_code >= 400:
            assert hasattr(errors, body["Code"]), body

    each()
