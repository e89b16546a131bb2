"""The parser: what a file becomes, and every problem of it at its place."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import FlowInvalid
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
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.parser import parse_flow, parse_with_warnings

HEAD = "version: v1\ntype: flow\n"


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in parse_with_warnings(text, "f.yml")[1]]


def step_of(text: str) -> Step:
    """The only step of a flow; `text` is its keys, in flow style."""
    return parse_flow(f"{HEAD}steps:\n  - {{name: s, {text}}}\n").steps[0]


def step_problems(text: str) -> list[str]:
    """The problems of a flow with a step of that text, without their places."""
    lines = problems_of(f"{HEAD}steps:\n  - {{name: s, {text}}}\n  - {{type: pass, name: next}}\n")
    return [line.split(": ", 1)[1] for line in lines]


def codes_of(text: str) -> list[str]:
    return [problem.split()[1] for problem in step_problems(text)]


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
        name="each", collection="$input.list", item="x", index="i", concurrency=5, batch=2,
        tolerated_percent=2.5, steps=(PassStep(name="visit"),),
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
        None, False, None, None,
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
    [("5", 5.0), ("0.5", 0.5), ("'7'", 7.0), ("-3", -3.0), ("0", 0.0), ("$.a.b", "$.a.b"),
     ("$input.a", "$input.a"), ("'$.a[0]'", "$.a[0]"), ("0x10", 16.0)],
)
def test_durations(text: str, duration: Any) -> None:
    step = step_of(f"type: wait, duration: {text}")
    assert isinstance(step, WaitStep) and step.duration == duration


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T10:00:00Z", "2026-11-20t10:00:00z", "2026-11-20 10:00:00.123456789",
     "2026-11-20T10:00:00-05:30", "2016-12-31T23:59:60Z", "$.until"],
)
def test_timestamps(text: str) -> None:
    step = step_of(f"type: wait, timestamp: '{text}'")
    assert isinstance(step, WaitStep) and step.timestamp == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", (3, None)), ("0", (0, None)), ("'4'", (4, None)), ("5%", (None, 5.0)),
     ("'12.5 %'", (None, 12.5)), ("100%", (None, 100.0))],
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


def test_all_problems_of_a_file_come_together_in_order() -> None:
    text = """\
version: v3
type: flow
stepz: []
steps:
  - type: tusk
    name: a
  - type: task
    name: orders
    resourceARN: x
    timeoutSeconds: 0
    catch:
      - errors: [FnF.ALL]
        goto: refnd
  - type: pass
    name: refund
    outputMappings:
      - {target: x, source: $inputX}
"""
    assert problems_of(text) == [
        "f.yml:1:10: error: BAD_VALUE the flow: version must be v1 or v1beta1, not the text 'v3'",
        "f.yml:3:1: error: UNKNOWN_KEY the flow: unknown key 'stepz'; did you mean 'steps'?",
        "f.yml:5:11: error: UNKNOWN_TYPE a: unknown type 'tusk'; did you mean 'task'? "
        "(known types: task, pass, wait, choice, parallel, foreach, succeed, fail)",
        "f.yml:7:5: error: MISSING_KEY orders: resourceArn or action is missing",
        "f.yml:9:5: error: UNKNOWN_KEY orders: unknown key 'resourceARN'; "
        "did you mean 'resourceArn'?",
        "f.yml:10:21: error: BAD_VALUE orders: timeoutSeconds must be more than 0, not 0",
        "f.yml:13:15: error: UNKNOWN_STEP orders: goto 'refnd' names no step here; "
        "did you mean 'refund'?",
        "f.yml:17:29: warning: CONSTANT_WITH_DOLLAR refund: outputMappings: x: '$inputX' "
        "is a constant: a path begins with $input, $local or $context",
    ]


def test_a_problem_is_one_line_whatever_it_quotes() -> None:
    text = HEAD + 'steps: [{type: "a\\n\\eb", name: s}]'
    assert problems_of(text)[0].startswith("f.yml:3:16: error: UNKNOWN_TYPE s: unknown type 'a")
    assert problems_of(text)[0].isprintable()


def test_parse_flow_raises_all_problems() -> None:
    with pytest.raises(FlowInvalid) as caught:
        parse_flow("version: v1\ntype: flw\nsteps: []\n", "g.yml")
    assert [problem.code for problem in caught.value.problems] == ["BAD_VALUE", "EMPTY_LIST"]
    assert str(caught.value).startswith("g.yml:2:7: error: BAD_VALUE the flow: type must be flow")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("type: task", "MISSING_KEY"),
        ("type: task, resourceArn: a, action: 'b:C'", "CONFLICTING_KEYS"),
        ("type: task, resourceArn: 5", "BAD_TYPE"),
        ("type: task, resourceArn: ''", "BAD_VALUE"),
        ("type: task, resourceArn: 'acs:oss:::x'", "BAD_RESOURCE"),
        ("type: task, action: Operation", "BAD_RESOURCE"),
        ("type: task, resourceArn: 'celery:a.b'", "MISSING_KEY"),
        ("type: task, resourceArn: f, pattern: async", "BAD_VALUE"),
        ("type: task, resourceArn: f, timeoutSeconds: -1", "BAD_VALUE"),
        ("type: task, resourceArn: f, timeoutSeconds: .inf", "NOT_JSON"),
        ("type: task, resourceArn: f, timeoutSeconds: true", "BAD_TYPE"),
        ("type: task, resourceArn: f, timeoutSeconds: $.x", "BAD_TYPE"),
        ("type: task, resourceArn: f, serviceParams: []", "BAD_TYPE"),
        ("type: task, resourceArn: f, retry: {errors: [E]}", "BAD_TYPE"),
        ("type: task, resourceArn: f, retry: [{maxAttempts: 1}]", "MISSING_KEY"),
        ("type: task, resourceArn: f, retry: [{errors: []}]", "BAD_VALUE"),
        ("type: task, resourceArn: f, retry: [{errors: E}]", "BAD_TYPE"),
        ("type: task, resourceArn: f, retry: [{errors: [1]}]", "BAD_TYPE"),
        ("type: task, resourceArn: f, retry: [{errors: [E], maxAttempts: -1}]", "BAD_VALUE"),
        ("type: task, resourceArn: f, retry: [{errors: [E], maxAttempts: 1.5}]", "BAD_VALUE"),
        ("type: task, resourceArn: f, retry: [{errors: [E], multiplier: 0}]", "BAD_VALUE"),
        ("type: task, resourceArn: f, retry: [{errors: [E], attempts: 1}]", "UNKNOWN_KEY"),
        ("type: task, resourceArn: f, catch: [{errors: [E]}]", "MISSING_KEY"),
        ("type: task, resourceArn: f, catch: [{errors: [E], goto: nowhere}]", "UNKNOWN_STEP"),
        ("type: task, resourceArn: f, catch: [E]", "BAD_TYPE"),
        ("type: pass, retry: [{errors: [E]}]", "UNKNOWN_KEY"),
        ("type: pass, end: maybe", "BAD_TYPE"),
        ("type: pass, outputMappings: {a: b}", "BAD_TYPE"),
        ("type: pass, outputMappings: [{source: 1}]", "MISSING_KEY"),
        ("type: pass, outputMappings: [{target: 5, source: 1}]", "BAD_TYPE"),
        ("type: pass, outputMappings: [{target: a, source: '$input.b['}]", "BAD_PATH"),
        ("type: pass, outputMappings: [{target: a, source: '$local b'}]", "BAD_PATH"),
        ("type: wait", "MISSING_KEY"),
        ("type: wait, duration: 1, timestamp: '2026-01-01T00:00:00Z'", "CONFLICTING_KEYS"),
        ("type: wait, duration: soon", "BAD_VALUE"),
        ("type: wait, duration: $local.x", "BAD_PATH"),
        ("type: wait, duration: '$.x['", "BAD_PATH"),
        ("type: wait, duration: [1]", "BAD_TYPE"),
        ("type: wait, timestamp: 2026-01-01", "BAD_VALUE"),
        ("type: wait, timestamp: '2026-13-01T00:00:00Z'", "BAD_VALUE"),
        ("type: wait, timestamp: 1700000000", "BAD_TYPE"),
        ("type: choice, choices: [{steps: []}]", "MISSING_KEY"),
        ("type: choice, choices: [{condition: '$.a =', goto: next}]", "BAD_CONDITION"),
        ("type: choice, choices: [{condition: $.a, goto: nowhere}]", "UNKNOWN_STEP"),
        ("type: choice, default: {goto: nowhere}", "UNKNOWN_STEP"),
        ("type: choice, default: {condition: $.a}", "UNKNOWN_KEY"),
        ("type: choice, default: []", "BAD_TYPE"),
        ("type: choice, choices: {}", "BAD_TYPE"),
        ("type: parallel", "MISSING_KEY"),
        ("type: parallel, branches: []", "EMPTY_LIST"),
        ("type: parallel, branches: [{}]", "MISSING_KEY"),
        ("type: parallel, branches: [{steps: []}]", "EMPTY_LIST"),
        ("type: foreach, steps: [{type: pass, name: p}]", "MISSING_KEY"),
        ("type: foreach, iterationMapping: {collection: $.x, item: y}", "MISSING_KEY"),
        ("type: succeed, end: true", "END_NOT_ALLOWED"),
        ("type: fail, end: true", "END_NOT_ALLOWED"),
        ("type: fail, error: '$.a['", "BAD_PATH"),
        ("type: stream", "UNKNOWN_TYPE"),
        ("type: 5", "UNKNOWN_TYPE"),
        ("steps: []", "MISSING_KEY"),
    ],
)
def test_a_step_that_is_not_right(text: str, code: str) -> None:
    assert codes_of(text) == [code]


@pytest.mark.parametrize(
    "part",
    ["iterationMapping: {collection: $.x}", "iterationMapping: {item: y}",
     "iterationMapping: {collection: [1], item: y}", "iterationMapping: {collection: x, item: y}",
     "iterationMapping: {collection: $local.x, item: y}", "iterationMapping: []",
     "iterationMapping: {collection: $.x, item: y, index: y}",
     "iterationMapping: {collection: $.x, item: y}, concurrency: 0",
     "iterationMapping: {collection: $.x, item: y}, batch: a",
     "iterationMapping: {collection: $.x, item: y}, toleratedFailures: 101%",
     "iterationMapping: {collection: $.x, item: y}, toleratedFailures: some"],
)
def test_a_foreach_that_is_not_right(part: str) -> None:
    assert len(codes_of(f"type: foreach, steps: [{{type: pass, name: p}}], {part}")) == 1


@pytest.mark.parametrize("name", ["1a", "a b", "a.b", "a/b", "-a", "é", "a" * 129, "''", "12"])
def test_a_name_that_is_none(name: str) -> None:
    lines = problems_of(f"{HEAD}steps:\n  - type: pass\n    name: {name}\n")
    assert len(lines) == 1 and lines[0].startswith("f.yml:5:11: error: BAD_")


def test_a_name_may_have_128_characters() -> None:
    name = "_" * 128
    assert parse_flow(f"{HEAD}steps: [{{type: pass, name: {name}}}]").steps[0].name == name


def test_siblings_share_no_name_and_others_had_better_not() -> None:
    text = HEAD + """\
steps:
  - {type: pass, name: a}
  - type: parallel
    name: p
    branches:
      - steps:
          - {type: pass, name: a}
  - {type: pass, name: a}
"""
    assert problems_of(text) == [
        "f.yml:9:32: warning: REPEATED_NAME a: the step in line 4 has this name too: "
        "hard to tell apart",
        "f.yml:10:24: error: DUPLICATE_NAME a: two steps here have this name, "
        "the first in line 4",
    ]


def test_a_goto_reaches_siblings_of_the_choice_only() -> None:
    text = HEAD + """\
steps:
  - type: choice
    name: c
    choices:
      - condition: $.a
        steps:
          - {type: pass, name: inner}
        goto: inner
  - {type: pass, name: after}
"""
    assert problems_of(text) == [
        "f.yml:10:15: error: UNKNOWN_STEP c: goto 'inner' names no step here; the step of that "
        "name is inside or outside of this series, out of reach"
    ]


def test_a_goto_may_name_a_step_that_has_errors_of_its_own() -> None:
    text = f"{HEAD}steps: [{{type: choice, name: c, default: {{goto: d}}}}, {{type: x, name: d}}]"
    assert [line.split()[2] for line in problems_of(text)] == ["UNKNOWN_TYPE"]


@pytest.mark.parametrize(
    ("condition", "line", "column"),
    [("$.a == = 1", 7, 27), ("'$.a == = 1'", 7, 28), ('"$.a == = 1"', 7, 28),
     ("|\n          $.a ==\n          = 1", 9, 11), (">-\n          $.a == = 1", 8, 18),
     ("$.a ==\n          = 1", 8, 11), ("$.a ==", 7, 26)],
)
def test_a_bad_condition_is_found_at_its_place_in_the_file(
    condition: str, line: int, column: int
) -> None:
    text = f"""\
{HEAD}steps:
  - type: choice
    name: c
    choices:
      - condition: {condition}
        goto: c
"""
    expected = f"f.yml:{line}:{column}: error: BAD_CONDITION c: choice 1: condition "
    assert problems_of(text)[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("type: pass, outputMappings: [{target: a, source: $foo}]", "CONSTANT_WITH_DOLLAR"),
        ("type: pass, outputMappings: [{target: a, source: $.a}]", "CONSTANT_WITH_DOLLAR"),
        ("type: pass, outputMappings: [{target: a, source: $}]", "CONSTANT_WITH_DOLLAR"),
        ("type: pass, outputMappings: [{target: a}, {target: a}]", "REPEATED_TARGET"),
        ("type: pass, outputMappings: [{target: a, source: $context.x}]", "UNKNOWN_CONTEXT"),
        ("type: task, resourceArn: f, serviceParams: {A: $local.x}", "CONSTANT_WITH_DOLLAR"),
        ("type: task, resourceArn: f, serviceParams: {A: $context.task.id}", "UNKNOWN_CONTEXT"),
        ("type: task, resourceArn: f, errorMappings: [{target: a, source: 1}]", "NO_CATCH"),
        ("type: fail, cause: $1.50", "CONSTANT_WITH_DOLLAR"),
    ],
)
def test_what_looks_wrong_is_a_warning(text: str, code: str) -> None:
    assert step_of(text)
    problems = step_problems(text)
    assert [problem.split()[:2] for problem in problems] == [["warning:", code]]


@pytest.mark.parametrize("keys", ["version", "type", "steps"])
def test_the_flow_needs_its_three_keys(keys: str) -> None:
    lines = {"version": "version: v1", "type": "type: flow",
             "steps": "steps: [{type: pass, name: a}]"}
    del lines[keys]
    problems = problems_of("\n".join(lines.values()))
    assert len(problems) == 1 and f"MISSING_KEY the flow: {keys} is missing" in problems[0]


@pytest.mark.parametrize(
    "text", ["", "5", "[]", "a", "- a", "{", "steps: 5", "steps: {a: 1}", "steps: [5, [], null]",
             "steps: [{}]", "steps: [{name: [], type: {}}]", "a: &a [*a]", "\x00", "!x y"],
)
def test_whatever_the_text_is_problems_come_back(text: str) -> None:
    flow, problems = parse_with_warnings(text)
    assert flow is None and problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


def test_a_choice_may_nest_deeply_and_no_deeper() -> None:
    def nested(levels: int) -> str:
        step = "{type: pass, name: innermost}"
        for level in range(levels):
            step = f"{{type: choice, name: c{level}, default: {{steps: [{step}]}}}}"
        return f"{HEAD}steps: [{step}]"

    assert parse_flow(nested(60)).steps
    assert " TOO_DEEP " in problems_of(nested(100))[0]


def test_an_aliased_step_is_read_at_each_of_its_places() -> None:
    text = HEAD + """\
steps:
  - type: parallel
    name: p
    branches:
      - &branch {steps: [{type: pass, name: a}]}
      - *branch
"""
    step = parse_flow(text).steps[0]
    assert isinstance(step, ParallelStep) and step.branches[0] == step.branches[1]
    assert problems_of(text) == []
