"""Resources: the forms that resourceArn and action take, and timestamps."""

from __future__ import annotations

import pytest

from engine.fdl.model import TaskStep
from engine.fdl.resources import (
    ActionResource,
    CeleryResource,
    FlowResource,
    FunctionResource,
    NamedResource,
    QueueResource,
    Resource,
    ResourceInvalid,
    TopicResource,
    resource_of,
)
from engine.fdl.timestamps import seconds_of_timestamp


@pytest.mark.parametrize(
    ("arn", "resource", "display"),
    [
        ("acs:fc:::services/svc/functions/fn", FunctionResource(("svc/fn", "fn")), "svc/fn"),
        (
            "acs:fc:cn-x:123:services/svc.prod/functions/fn",
            FunctionResource(("svc/fn", "fn")),
            "svc/fn",
        ),
        (
            "acs:fc:::services/<serviceName>/functions/listArchiveFiles",
            FunctionResource(("<serviceName>/listArchiveFiles", "listArchiveFiles")),
            "<serviceName>/listArchiveFiles",
        ),
        (
            "acs:fc:${A::Region}:${A::Id}:services/${svc.Arn}/functions/fn",
            FunctionResource(("${svc.Arn}/fn", "fn")),
            "${svc.Arn}/fn",
        ),
        ("acs:fc:::functions/fn", FunctionResource(("fn",)), "fn"),
        ("acs:fc:cn-x:123:functions/fn/LATEST", FunctionResource(("fn",)), "fn"),
        ("acs:fnf:::flow/name", FlowResource("name"), "flow:name"),
        ("acs:fnf:cn-x:1:flow/<restoreFlow>", FlowResource("<restoreFlow>"), "flow:<restoreFlow>"),
        ("acs:mns:::/queues/q/messages", QueueResource("q"), "queue:q"),
        ("acs:mns:::/topics/<topic>/messages", TopicResource("<topic>"), "topic:<topic>"),
        ("celery:app.jobs.send", CeleryResource("app.jobs.send"), "app.jobs.send"),
        ("oss:restore", NamedResource("oss:restore"), "oss:restore"),
        ("resize", NamedResource("resize"), "resize"),
        ("<resource-arn>", NamedResource("<resource-arn>"), "<resource-arn>"),
    ],
)
def test_a_resource_arn_names(arn: str, resource: Resource, display: str) -> None:
    found = resource_of(TaskStep(name="s", resource_arn=arn))
    assert found == resource and found.display == display


def test_an_action_names_a_product_and_an_operation() -> None:
    found = resource_of(TaskStep(name="s", action="fnf:StartExecution"))
    assert found == ActionResource("fnf", "StartExecution")
    assert isinstance(found, ActionResource) and found.name == found.display == "fnf:StartExecution"


@pytest.mark.parametrize(
    "arn",
    [
        "",
        " ",
        "acs:",
        "acs:fc:::services/svc",
        "acs:fc:::services//functions/",
        "acs:fnf:::flow/",
        "acs:mns:::/queues/q",
        "acs:oss:::bucket/x",
        "celery:",
        "acs:fc:::functions/",
    ],
)
def test_another_form_is_refused_with_the_known_ones(arn: str) -> None:
    with pytest.raises(ResourceInvalid):
        resource_of(TaskStep(name="s", resource_arn=arn))


@pytest.mark.parametrize("action", ["Operation", "a:", ":b", "a:b:c", "a: b"])
def test_an_action_of_another_form_is_refused(action: str) -> None:
    with pytest.raises(ResourceInvalid):
        resource_of(TaskStep(name="s", action=action))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-02T00:00:00", 86400.0),
        ("1970-01-01T08:00:00+08:00", 0.0),
        ("1969-12-31T23:00:00-01:00", 0.0),
        ("1970-01-01t00:00:01.5z", 1.5),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("0001-01-01T00:00:00+23:59", -62135683140.0),
    ],
)
def test_a_timestamp_is_seconds_since_the_epoch(text: str, seconds: float) -> None:
    assert seconds_of_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-01",
        "2026-01-01T00:00Z",
        "2026-02-30T00:00:00Z",
        "20260101T000000Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+24:00",
        "0",
        "2026-01-01T00:00:00 Z",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        seconds_of_timestamp(text)
