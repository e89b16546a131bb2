"""The service's own clients drive it unchanged but for the endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_fnf20190315 import models
from alibabacloud_fnf20190315.client import Client
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkfnf.request.v20190315 import (
    CreateFlowRequest,
    DeleteFlowRequest,
    DescribeExecutionRequest,
    GetExecutionHistoryRequest,
    ListExecutionsRequest,
    ReportTaskFailedRequest,
    StartExecutionRequest,
    StopExecutionRequest,
)
from darabonba.exceptions import DaraException

from tests.api.sdk import ask, client_of_service, old_client
from tests.api.serving import HEAD, Stack, served
from tests.waiting import wait_until

DOUBLE = HEAD + "- {type: task, name: twice, resourceArn: api/double}\n"
WAIT = HEAD + "- {type: wait, name: long, duration: 600}\n"
ASK = HEAD + (
    "- type: task\n  name: asks\n  resourceArn: api/ask\n  pattern: waitForCallback\n"
    "  inputMappings:\n  - {target: place, source: $input.place}\n"
    "  - {target: token, source: $context.task.token}\n"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def new(stack: Stack) -> Client:
    """The newer client."""
    return client_of_service(stack)


@pytest.fixture(scope="module")
def old(stack: Stack) -> AcsClient:
    """The older client."""
    return old_client()


def _create(client: Client, name: str, definition: str) -> Any:
    request = models.CreateFlowRequest(
        name=name, definition=definition, description="of a test", type="FDL", role_arn="acs:ram"
    )
    return client.create_flow(request).body


def _start(client: Client, flow: str, name: str, input: dict[str, Any]) -> Any:
    request = models.StartExecutionRequest(
        flow_name=flow, execution_name=name, input=json.dumps(input)
    )
    return client.start_execution(request).body


def test_the_newer_client_goes_through_a_life_of_a_flow(new: Client) -> None:
    made = _create(new, "new_life", DOUBLE)
    assert made.name == "new_life" and made.type == "FDL" and made.definition == DOUBLE
    assert made.role_arn == "acs:ram" and made.created_time.endswith("Z") and made.id
    started = _start(new, "new_life", "e1", {"value": 21})
    assert started.flow_name == "new_life" and started.name == "e1"
    request = models.DescribeExecutionRequest(
        flow_name="new_life", execution_name="e1", wait_time_seconds=20
    )
    ended = new.describe_execution(request).body
    assert ended.status == "Succeeded" and json.loads(ended.output) == {"value": 42}
    assert ended.flow_definition == DOUBLE and ended.stopped_time.endswith("Z")
    changed = models.UpdateFlowRequest(name="new_life", description="another", type="FDL")
    assert new.update_flow(changed).body.description == "another"
    found = new.describe_flow(models.DescribeFlowRequest(name="new_life")).body
    assert found.description == "another" and found.definition == DOUBLE
    names = [flow.name for flow in new.list_flows(models.ListFlowsRequest(limit=1000)).body.flows]
    assert "new_life" in names
    new.delete_flow(models.DeleteFlowRequest(name="new_life"))
    with pytest.raises(DaraException) as refused:
        new.describe_flow(models.DescribeFlowRequest(name="new_life"))
    assert refused.value.code == "FlowNotExists"
    assert refused.value.status_code == 404


def test_the_older_client_goes_through_a_life_of_a_flow(stack: Stack, old: AcsClient) -> None:
    ask(
        stack, old, CreateFlowRequest, Name="old_life", Definition=DOUBLE,
        Description="Überprüfung & mehr +~*", Type="FDL",
    )  # fmt: skip
    given = json.dumps({"value": 4, "text": "a+b c%20*~ü"})
    started = ask(
        stack, old, StartExecutionRequest, FlowName="old_life", ExecutionName="e1", Input=given
    )
    assert started["Name"] == "e1" and started["Input"] == given.replace("\\u00fc", "\\u00fc")
    place = {"FlowName": "old_life", "ExecutionName": "e1"}
    ended = ask(stack, old, DescribeExecutionRequest, **place, WaitTimeSeconds="20")
    assert ended["Status"] == "Succeeded" and json.loads(ended["Output"]) == {"value": 8}
    listed = ask(stack, old, ListExecutionsRequest, FlowName="old_life", Limit="10")
    assert [each["Name"] for each in listed["Executions"]] == ["e1"] and listed["NextToken"] == ""
    ask(stack, old, DeleteFlowRequest, Name="old_life")
    with pytest.raises(ServerException) as refused:
        ask(stack, old, StartExecutionRequest, FlowName="old_life", Input="{}")
    assert refused.value.get_error_code() == "FlowNotExists"
    assert refused.value.get_http_status() == 404


def test_a_long_poll_answers_when_the_execution_ends(stack: Stack, new: Client) -> None:
    _create(new, "short", HEAD + "- {type: wait, name: little, duration: 0.5}\n")
    _start(new, "short", "e1", {})
    began = time.monotonic()
    request = models.DescribeExecutionRequest(
        flow_name="short", execution_name="e1", wait_time_seconds=30
    )
    assert new.describe_execution(request).body.status == "Succeeded"
    assert time.monotonic() - began < 5
    _create(new, "endless", WAIT)
    _start(new, "endless", "e1", {})
    request = models.DescribeExecutionRequest(
        flow_name="endless", execution_name="e1", wait_time_seconds=1
    )
    began = time.monotonic()
    assert new.describe_execution(request).body.status == "Running"
    assert time.monotonic() - began > 0.9


def test_a_history_is_paged_to_its_end(stack: Stack, new: Client, old: AcsClient) -> None:
    _create(new, "paged", DOUBLE)
    _start(new, "paged", "e1", {"value": 1})
    stack.engine.wait("paged", "e1", 20)
    found: list[Any] = []
    token = None
    while token != "":
        request = models.GetExecutionHistoryRequest(
            flow_name="paged", execution_name="e1", limit=2, next_token=token
        )
        page = new.get_execution_history(request).body
        assert len(page.events) <= 2
        found += page.events
        token = page.next_token
    assert [event.event_id for event in found] == list(range(1, len(found) + 1))
    assert found[0].type == "ExecutionStarted" and found[-1].type == "ExecutionSucceeded"
    whole = ask(
        stack, old, GetExecutionHistoryRequest, FlowName="paged", ExecutionName="e1", Limit="100"
    )
    assert [event["Type"] for event in whole["Events"]] == [event.type for event in found]
    entered = next(event for event in whole["Events"] if event["Type"] == "TaskSucceeded")
    assert json.loads(entered["EventDetail"])["output"] == {"value": 2}


def test_executions_are_listed_newest_first_and_paged(stack: Stack, new: Client) -> None:
    _create(new, "listed", DOUBLE)
    for number in range(5):
        _start(new, "listed", f"run-{number}", {"value": number})
    names: list[str] = []
    token = None
    while token != "":
        request = models.ListExecutionsRequest(flow_name="listed", limit=2, next_token=token)
        page = new.list_executions(request).body
        names += [each.name for each in page.executions]
        token = page.next_token
    assert names == [f"run-{number}" for number in reversed(range(5))]
    request = models.ListExecutionsRequest(flow_name="listed", execution_name_prefix="run-3")
    assert [each.name for each in new.list_executions(request).body.executions] == ["run-3"]


def test_an_execution_is_stopped_with_an_error_of_ones_own(
    stack: Stack, new: Client, old: AcsClient
) -> None:
    _create(new, "stopped", WAIT)
    for name in ("e1", "e2"):
        _start(new, "stopped", name, {})
    request = models.StopExecutionRequest(
        flow_name="stopped", execution_name="e1", error="Enough", cause="it is"
    )
    assert new.stop_execution(request).body.status == "Stopped"
    place = {"FlowName": "stopped", "ExecutionName": "e2"}
    assert ask(stack, old, StopExecutionRequest, **place, Error="Enough")["Status"] == "Stopped"
    with pytest.raises(ServerException) as refused:
        ask(stack, old, StopExecutionRequest, **place)
    assert refused.value.get_error_code() == "ExecutionAlreadyCompleted"
    assert refused.value.get_http_status() == 400
    with pytest.raises(DaraException) as taken:
        _start(new, "stopped", "e1", {})
    assert taken.value.code == "ExecutionAlreadyExists"


def test_a_task_is_reported_by_its_token(
    stack: Stack, new: Client, old: AcsClient, tmp_path: Path
) -> None:
    _create(new, "asking", ASK)
    tokens = []
    for name in ("good", "bad"):
        place = tmp_path / name
        _start(new, "asking", name, {"place": str(place)})
        wait_until(place.exists, 20)
        tokens.append(place.read_text())
    good, bad = tokens
    request = models.ReportTaskSucceededRequest(task_token=good, output='{"answer": 1}')
    assert new.report_task_succeeded(request).body.event_id > 0
    ended = stack.engine.wait("asking", "good", 20)
    assert ended.output == {"answer": 1}
    assert ask(stack, old, ReportTaskFailedRequest, TaskToken=bad, Error="No", Cause="because")[
        "EventId"
    ]
    ended = stack.engine.wait("asking", "bad", 20)
    assert (ended.status, ended.error, ended.cause) == ("Failed", "No", "because")
    with pytest.raises(DaraException) as twice:
        new.report_task_succeeded(request)
    assert (twice.value.code, twice.value.status_code) == ("TaskAlreadyCompleted", 400)


def test_a_synchronous_start_answers_with_the_end(new: Client) -> None:
    _create(new, "at_once", DOUBLE)
    request = models.StartSyncExecutionRequest(flow_name="at_once", input='{"value": 3}')
    ended = new.start_sync_execution(request).body
    assert (ended.status, json.loads(ended.output)) == ("Succeeded", {"value": 6})
    assert (ended.error_code, ended.error_message) == ("", "")
    _create(new, "broken_at_once", HEAD + "- {type: task, name: b, resourceArn: api/break}\n")
    request = models.StartSyncExecutionRequest(flow_name="broken_at_once")
    failed = new.start_sync_execution(request).body
    assert (failed.status, failed.error_code) == ("Failed", "Broken")
    assert "it is broken" in failed.error_message and failed.output == ""


def test_errors_have_the_services_codes(stack: Stack, new: Client) -> None:
    _create(new, "codes", DOUBLE)

    def code(call: Any, request: Any) -> tuple[str, int]:
        with pytest.raises(DaraException) as refused:
            call(request)
        return str(refused.value.code), int(refused.value.status_code)

    again = models.CreateFlowRequest(name="codes", definition=DOUBLE, description="", type="FDL")
    assert code(new.create_flow, again) == ("FlowAlreadyExists", 409)
    wrong = models.CreateFlowRequest(name="x", definition="steps", description="", type="FDL")
    assert code(new.create_flow, wrong)[1] == 400
    bare = models.CreateFlowRequest(name="x", definition=DOUBLE, type="FDL")
    assert code(new.create_flow, bare) == ("MissingRequiredParams", 400)
    nobody = models.DescribeExecutionRequest(flow_name="codes", execution_name="none")
    assert code(new.describe_execution, nobody) == ("ExecutionNotExists", 404)
    bad = models.StartExecutionRequest(flow_name="codes", input="[1]")
    assert code(new.start_execution, bad) == ("InvalidArgument", 400)
    forged = models.ReportTaskSucceededRequest(task_token="forged", output="{}")
    assert code(new.report_task_succeeded, forged) == ("InvalidArgument", 400)
    regions = models.DescribeRegionsRequest()
    assert code(new.describe_regions, regions) == ("ActionNotSupported", 400)
    stranger = client_of_service(stack, "nobody", "nothing")
    listing = models.ListFlowsRequest()
    assert code(stranger.list_flows, listing) == ("InvalidAccessKeyID", 403)
    liar = client_of_service(stack, "admin-key", "wrong")
    assert code(liar.list_flows, listing) == ("SignatureNotMatch", 403)
    viewer = client_of_service(stack, "viewer-key", "viewer-secret")
    assert code(viewer.create_flow, again) == ("AccessDenied", 403)
    assert viewer.list_flows(listing).body.request_id
