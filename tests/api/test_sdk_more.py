"""The service's own clients drive versions, aliases, schedules and map runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from alibabacloud_fnf20190315 import models
from alibabacloud_fnf20190315.client import Client
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkfnf.request.v20190315 import (
    CreateScheduleRequest,
    DeleteScheduleRequest,
    DescribeFlowRequest,
    DescribeScheduleRequest,
    ListFlowsRequest,
    ListSchedulesRequest,
    ReportTaskSucceededRequest,
    StartSyncExecutionRequest,
    UpdateFlowRequest,
    UpdateScheduleRequest,
)
from darabonba.exceptions import DaraException

from tests.api.sdk import ask, client_of_service, old_client
from tests.api.serving import HEAD, Stack, served
from tests.waiting import wait_until

DOUBLE = HEAD + "- {type: task, name: twice, resourceArn: api/double}\n"
PASS = HEAD + "- {type: pass, name: nothing}\n"
EACH = HEAD + (
    "- type: foreach\n  name: all\n  iterationMapping: {collection: $.items, item: item}\n"
    "  steps: [{type: wait, name: long, duration: 600}]\n"
)
NIGHTLY = "0 0 4 * * *"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served() as made:
        yield made


@pytest.fixture(scope="module")
def new(stack: Stack) -> Client:
    """The newer client."""
    return client_of_service(stack)


@pytest.fixture(scope="module")
def old() -> AcsClient:
    """The older client."""
    return old_client()


def _create(client: Client, name: str, definition: str) -> None:
    request = models.CreateFlowRequest(name=name, definition=definition, description="", type="FDL")
    client.create_flow(request)


def _refusal(call: Any, request: Any) -> tuple[str, int]:
    with pytest.raises(DaraException) as refused:
        call(request)
    return str(refused.value.code), int(refused.value.status_code)


def _routes(*shares: tuple[str, int]) -> list[Any]:
    kind = models.CreateFlowAliasRequestRoutingConfigurations
    return [kind(version=version, weight=weight) for version, weight in shares]


def test_versions_are_published_listed_read_and_deleted(new: Client) -> None:
    _create(new, "versioned", DOUBLE)
    for number in (1, 2, 3):
        request = models.PublishFlowVersionRequest(
            flow_name="versioned", description=f"the {number}."
        )
        made = new.publish_flow_version(request).body
        assert (made.version, made.flow_name) == (str(number), "versioned")
        assert made.created_time.endswith("Z") and made.description == f"the {number}."
        text = DOUBLE + f"# {number}\n"
        new.update_flow(models.UpdateFlowRequest(name="versioned", definition=text, type="FDL"))
    found: list[str] = []
    token = None
    while token != "":
        listing = models.ListFlowVersionsRequest(flow_name="versioned", limit=2, next_token=token)
        page = new.list_flow_versions(listing).body
        found += [each.version for each in page.flow_versions]
        token = page.next_token
    assert found == ["3", "2", "1"]
    second = models.DescribeFlowRequest(name="versioned", flow_version="2")
    assert new.describe_flow(second).body.definition == DOUBLE + "# 1\n"
    request = models.DeleteFlowVersionRequest(flow_name="versioned", flow_version="2")
    new.delete_flow_version(request)
    assert _refusal(new.delete_flow_version, request) == ("FlowVersionNotExists", 404)
    assert _refusal(new.describe_flow, second) == ("FlowVersionNotExists", 404)


def test_an_alias_leads_starts_to_a_version(stack: Stack, new: Client) -> None:
    _create(new, "aliased", DOUBLE)
    new.publish_flow_version(models.PublishFlowVersionRequest(flow_name="aliased"))
    new.update_flow(models.UpdateFlowRequest(name="aliased", definition=PASS, type="FDL"))
    new.publish_flow_version(models.PublishFlowVersionRequest(flow_name="aliased"))
    request = models.CreateFlowAliasRequest(
        flow_name="aliased",
        name="live",
        description="d",
        routing_configurations=_routes(("1", 100)),
    )
    made = new.create_flow_alias(request).body
    assert (made.name, made.routing_configurations[0].version) == ("live", "1")
    assert _refusal(new.create_flow_alias, request) == ("FlowAliasAlreadyExists", 409)
    start = models.StartSyncExecutionRequest(
        flow_name="aliased", qualifier="live", input='{"value": 2}'
    )
    assert json.loads(new.start_sync_execution(start).body.output) == {"value": 4}
    kind = models.UpdateFlowAliasRequestRoutingConfigurations
    shares = [kind(version="1", weight=0), kind(version="2", weight=100)]
    changed = models.UpdateFlowAliasRequest(
        flow_name="aliased", name="live", routing_configurations=shares
    )
    assert len(new.update_flow_alias(changed).body.alias.routing_configurations) == 2
    assert json.loads(new.start_sync_execution(start).body.output) == {}
    listing = models.ListExecutionsRequest(flow_name="aliased", qualifier="live")
    assert len(new.list_executions(listing).body.executions) == 2
    place = {"flow_name": "aliased", "name": "live"}
    described = new.describe_flow_alias(models.DescribeFlowAliasRequest(**place)).body.alias
    assert [route.weight for route in described.routing_configurations] == [0, 100]
    aliases = new.list_flow_aliases(models.ListFlowAliasesRequest(flow_name="aliased")).body
    assert [each.name for each in aliases.aliases] == ["live"] and aliases.next_token == ""
    new.delete_flow_alias(models.DeleteFlowAliasRequest(**place))
    missing = models.DescribeFlowAliasRequest(**place)
    assert _refusal(new.describe_flow_alias, missing) == ("FlowAliasNotExists", 404)
    wrong = models.CreateFlowAliasRequest(
        flow_name="aliased", name="bad", routing_configurations=_routes(("1", 30))
    )
    assert _refusal(new.create_flow_alias, wrong) == ("InvalidArgument", 400)


def test_a_running_foreach_is_seen_and_tuned(stack: Stack, new: Client) -> None:
    _create(new, "each", EACH)
    items = json.dumps({"items": list(range(7))})
    new.start_execution(
        models.StartExecutionRequest(flow_name="each", execution_name="e1", input=items)
    )
    place = {"flow_name": "each", "execution_name": "e1", "map_run_name": "all"}
    wait_until(lambda: stack.engine.get_execution_history("each", "e1", 2), 20)

    def counts() -> Any:
        return new.describe_map_run(models.DescribeMapRunRequest(**place)).body

    wait_until(lambda: counts().item_counts.running > 0, 20)
    found = counts()
    assert found.item_counts.total == 7 and found.status == "Running"
    assert found.map_run_name == "all" and found.started_time.endswith("Z")
    tuned = new.update_map_run(
        models.UpdateMapRunRequest(**place, concurrency=3, tolerated_failed_count=2)
    ).body
    assert (tuned.concurrency, tuned.tolerated_failed_count) == (3, 2)
    by_share = models.UpdateMapRunRequest(**place, tolerated_failed_percentage=50.0)
    assert new.update_map_run(by_share).body.tolerated_failed_count == 3
    other = models.DescribeMapRunRequest(flow_name="each", execution_name="e1", map_run_name="none")
    assert _refusal(new.describe_map_run, other) == ("MapRunNotExists", 404)
    new.stop_execution(models.StopExecutionRequest(flow_name="each", execution_name="e1"))


def test_the_newer_client_has_schedules_from_birth_to_end(stack: Stack, new: Client) -> None:
    _create(new, "scheduled", PASS)
    request = models.CreateScheduleRequest(
        flow_name="scheduled", schedule_name="nightly", cron_expression=NIGHTLY,
        payload='{"a": 1}', enable=False, description="by night",
    )  # fmt: skip
    made = new.create_schedule(request).body
    assert (made.schedule_name, made.cron_expression) == ("nightly", NIGHTLY)
    assert (made.payload, made.enable) == ('{"a": 1}', False) and made.schedule_id
    assert _refusal(new.create_schedule, request) == ("ScheduleAlreadyExists", 409)
    place = {"flow_name": "scheduled", "schedule_name": "nightly"}
    often = models.UpdateScheduleRequest(**place, cron_expression="@every 1s", enable=True)
    changed = new.update_schedule(often).body
    assert (changed.cron_expression, changed.enable) == ("@every 1s", True)
    assert changed.payload == '{"a": 1}' and changed.description == "by night"
    wait_until(lambda: stack.engine.list_executions("scheduled"), 20)
    (first, *_) = stack.engine.list_executions("scheduled")
    assert first.input["payload"] == {"a": 1}
    described = new.describe_schedule(models.DescribeScheduleRequest(**place)).body
    assert described.schedule_id == made.schedule_id
    listed = new.list_schedules(models.ListSchedulesRequest(flow_name="scheduled")).body
    assert [each.schedule_name for each in listed.schedules] == ["nightly"]
    new.delete_schedule(models.DeleteScheduleRequest(**place))
    missing = models.DescribeScheduleRequest(**place)
    assert _refusal(new.describe_schedule, missing) == ("ScheduleNotExists", 404)
    wrong = models.CreateScheduleRequest(
        flow_name="scheduled", schedule_name="x", cron_expression="sometimes"
    )
    assert _refusal(new.create_schedule, wrong) == ("InvalidArgument", 400)


def test_the_older_client_has_schedules_from_birth_to_end(
    stack: Stack, new: Client, old: AcsClient
) -> None:
    _create(new, "old_scheduled", PASS)
    place = {"FlowName": "old_scheduled", "ScheduleName": "nightly"}
    made = ask(stack, old, CreateScheduleRequest, **place, CronExpression=NIGHTLY, Enable="true")
    assert made["Enable"] is True and made["CronExpression"] == NIGHTLY
    changed = ask(stack, old, UpdateScheduleRequest, **place, Enable="false", Payload="{}")
    assert (changed["Enable"], changed["CronExpression"]) == (False, NIGHTLY)
    assert ask(stack, old, DescribeScheduleRequest, **place)["ScheduleId"] == made["ScheduleId"]
    listed = ask(stack, old, ListSchedulesRequest, FlowName="old_scheduled", Limit="5")
    assert [each["ScheduleName"] for each in listed["Schedules"]] == ["nightly"]
    ask(stack, old, DeleteScheduleRequest, **place)
    with pytest.raises(ServerException) as refused:
        ask(stack, old, DescribeScheduleRequest, **place)
    assert refused.value.get_error_code() == "ScheduleNotExists"


def test_the_older_client_does_what_is_left(stack: Stack, new: Client, old: AcsClient) -> None:
    _create(new, "left", DOUBLE)
    given = {"FlowName": "left", "ExecutionName": "e1", "Input": '{"value": 2}'}
    ended = ask(stack, old, StartSyncExecutionRequest, **given)
    assert (ended["Status"], json.loads(ended["Output"])) == ("Succeeded", {"value": 4})
    changed = ask(
        stack, old, UpdateFlowRequest, Name="left", Definition=PASS, Description="x", Type="FDL"
    )
    assert changed["Definition"] == PASS
    assert ask(stack, old, DescribeFlowRequest, Name="left")["Description"] == "x"
    names: list[str] = []
    token = ""
    while True:
        page = ask(stack, old, ListFlowsRequest, Limit="1", NextToken=token)
        names += [flow["Name"] for flow in page["Flows"]]
        if not (token := page["NextToken"]):
            break
    assert names == sorted(names) and "left" in names
    with pytest.raises(ServerException) as refused:
        ask(stack, old, ReportTaskSucceededRequest, TaskToken="forged", Output="{}")
    assert refused.value.get_error_code() == "InvalidArgument"
