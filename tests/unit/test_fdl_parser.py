"""The parser: what a file becomes, and every problem of it at its place."""

from __future__ import annotations

from typing import Any

import pytest

from engine.fdl.model import (
    Catcher,
    ChoiceStep,
    FailStep,
    Flow,
    ForeachStep,
    Mapping,
    Mark,
    ParallelStep,
    PassStep,
    RetryPolicy,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.parser import parse_flow
from tests.unit.flow_texts import HEAD, step_of

EVERYTHING = """\
version: v1beta1
type: flow
name: everything
strict: true
timeoutSeconds: "90"
inputMappings:
  - target: a
    source: $input.a
outputMappings: []
steps:
  - type: task
    name: work
    resourceArn: !Ref svc/fn
    pattern: waitForCallback
    timeoutSeconds: 1.5
    serviceParams: {Input: $, Fixed: 1}
    inputMappings:
      - target: token
        source: $context.task.token
      - target: nothing
    errorMappings:
      - {target: e, source: $local.error}
    retry:
      - errors: [A, B.C]
        intervalSeconds: 2
        maxIntervalSeconds: 20
        maxAttempts: "5"
        multiplier: 1.5
        jitter: true
      - errors: [FnF.ALL]
    catch:
      - errors: [FnF.ALL]
        goto: end
  - type: wait
    name: pause
    duration: $.seconds
  - type: wait
    name: until
    timestamp: 2026-11-20T10:00:00+08:00
  - type: choice
    name: which
    choices:
      - condition: $.n > 1
        steps:
          - type: pass
            name: inner
            end: true
        goto: end
    default:
      goto: work
  - type: parallel
    name: both
    branches:
      - steps: [{type: pass, name: one}]
      - steps: [{type: pass, name: two}]
  - type: foreach
    name: each
    iterationMapping: {collection: $input.list, item: x, index: i}
    concurrency: 5
    batch: 2
    toleratedFailures: 2.5%
    steps: [{type: pass, name: visit}]
  - type: fail
    name: broken
    error: $.code
    cause: {why: [1]}
  - type: succeed
    name: end
"""


@pytest.fixture(scope="module")
def everything() -> Flow:
    return parse_flow(EVERYTHING)


def test_the_flow_itself(everything: Flow) -> None:
    assert everything.version == "v1beta1" and everything.name == "everything"
    assert everything.strict and everything.timeout_s == 90.0
    assert everything.input_mappings == (Mapping("a", "$input.a"),)
    assert everything.output_mappings == ()


def test_a_task(everything: Flow) -> None:
    assert everything.steps[0] == TaskStep(
        name="work",
        resource_arn="acs:fc:::services/svc/functions/fn",
        pattern="waitForCallback",
        timeout_s=1.5,
        service_params={"Input": "$", "Fixed": 1},
        input_mappings=(Mapping("token", "$context.task.token"), Mapping("nothing", None)),
        error_mappings=(Mapping("e", "$local.error"),),
        retry=(
            RetryPolicy(("A", "B.C"), 2.0, 20.0, 5, 1.5, True),
            RetryPolicy(("FnF.ALL",), 1.0, 86400.0, 3, 2.0, False),
        ),
        catch=(Catcher(("FnF.ALL",), "end"),),
    )


def test_steps_that_are_no_task(everything: Flow) -> None:
    pause, until, which, both, each, broken, end = everything.steps[1:]
    assert pause == WaitStep(name="pause", duration="$.seconds")
    assert until == WaitStep(name="until", timestamp="2026-11-20T10:00:00+08:00")
    assert isinstance(which, ChoiceStep) and which.default is not None
    assert which.choices[0].condition == "$.n > 1" and which.choices[0].goto == "end"
    assert which.choices[0].steps == (PassStep(name="inner", end=True),)
    assert (which.default.condition, which.default.goto) == (None, "work")
    assert isinstance(both, ParallelStep)
    assert both.branches == ((PassStep(name="one"),), (PassStep(name="two"),))
    assert each == ForeachStep(
        name="each",
        collection="$input.list",
        item="x",
        index="i",
        concurrency=5,
        batch=2,
        tolerated_percent=2.5,
        steps=(PassStep(name="visit"),),
    )
    assert broken == FailStep(name="broken", error="$.code", cause={"why": [1]})
    assert end == SucceedStep(name="end")


def test_steps_know_their_place(everything: Flow) -> None:
    assert everything.steps[0].mark == Mark(11, 5)
    assert everything.steps[1].mark == Mark(34, 5)


def test_defaults() -> None:
    flow = parse_flow(HEAD + "steps: [{type: task, name: a, action: 'p:Op'}]")
    step = flow.steps[0]
    assert (flow.timeout_s, flow.strict, flow.input_mappings, flow.output_mappings) == (
        None,
        False,
        None,
        None,
    )
    assert step == TaskStep(name="a", action="p:Op")
    assert step.input_mappings is None


def test_a_key_without_a_value_counts_as_not_there() -> None:
    step = step_of("type: pass, inputMappings: , end: ")
    assert step.input_mappings is None and step.end is False
    assert step_of("type: pass, inputMappings: []").input_mappings == ()


def test_numbers_may_be_written_as_texts() -> None:
    step = step_of(
        "type: task, resourceArn: f, timeoutSeconds: '60', retry: [{errors: [E], "
        "maxAttempts: '3', intervalSeconds: '0.5', multiplier: '1', maxIntervalSeconds: 1e1}]"
    )
    assert isinstance(step, TaskStep)
    assert step.timeout_s == 60.0
    assert step.retry == (RetryPolicy(("E",), 0.5, 10.0, 3, 1.0),)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("'7'", 7.0),
        ("-3", -3.0),
        ("0", 0.0),
        ("$.a.b", "$.a.b"),
        ("$input.a", "$input.a"),
        ("'$.a[0]'", "$.a[0]"),
        ("0x10", 16.0),
    ],
)
def test_durations(text: str, duration: Any) -> None:
    step = step_of(f"type: wait, duration: {text}")
    assert isinstance(step, WaitStep) and step.duration == duration


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T10:00:00Z",
        "2026-11-20t10:00:00z",
        "2026-11-20 10:00:00.123456789",
        "2026-11-20T10:00:00-05:30",
        "2016-12-31T23:59:60Z",
        "$.until",
    ],
)
def test_timestamps(text: str) -> None:
    step = step_of(f"type: wait, timestamp: '{text}'")
    assert isinstance(step, WaitStep) and step.timestamp == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", (3, None)),
        ("0", (0, None)),
        ("'4'", (4, None)),
        ("5%", (None, 5.0)),
        ("'12.5 %'", (None, 12.5)),
        ("100%", (None, 100.0)),
    ],
)
def test_tolerated_failures(text: str, expected: tuple[Any, Any]) -> None:
    step = step_of(
        "type: foreach, iterationMapping: {collection: $.x, item: y}, "
        f"steps: [{{type: pass, name: p}}], toleratedFailures: {text}"
    )
    assert isinstance(step, ForeachStep)
    assert (step.tolerated_failures, step.tolerated_percent) == expected


def test_names_that_look_like_other_types_stay_names() -> None:
    text = HEAD + "steps: [{type: pass, name: yes}, {type: pass, name: on}, {type: pass, name: n}]"
    assert [step.name for step in parse_flow(text).steps] == ["yes", "on", "n"]


def test_constants_keep_their_type() -> None:
    step = step_of(
        "type: pass, outputMappings: [{target: a, source: {}}, {target: b, source: -1}, "
        "{target: c, source: '1'}, {target: d, source: ''}, {target: e}, {target: f, source: yes}]"
    )
    assert [item.source for item in step.output_mappings or ()] == [{}, -1, "1", "", None, "yes"]


def test_a_fail_step_takes_any_constant() -> None:
    step = step_of("type: fail, error: 404, cause: [1]")
    assert step == FailStep(name="s", error="404", cause=[1])
    assert step_of("type: fail") == FailStep(name="s")
