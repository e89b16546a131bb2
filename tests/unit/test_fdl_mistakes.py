"""The parser on flows with mistakes: every problem, at its place, with a way out."""

from __future__ import annotations

import pytest

from engine.errors import FlowInvalid
from engine.fdl.model import (
    ParallelStep,
)
from engine.fdl.parser import MAX_STEPS, MAX_TEXT_BYTES, parse_flow, parse_with_warnings
from tests.unit.flow_texts import HEAD, codes_of, problems_of, step_of, step_problems


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
        "(known types: task, stream, pass, wait, choice, parallel, foreach, succeed, fail)",
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
        ("type: stream", "MISSING_KEY"),
        ("type: stream, steps: []", "EMPTY_LIST"),
        ("type: stream, steps: {}", "BAD_TYPE"),
        ("type: stream, steps: [5]", "BAD_TYPE"),
        ("type: stream, steps: [{type: pass, name: p}]", "NOT_IN_STREAM"),
        ("type: stream, steps: [{type: task, name: t}]", "MISSING_KEY"),
        ("type: teleport", "UNKNOWN_TYPE"),
        ("type: 5", "UNKNOWN_TYPE"),
        ("steps: []", "MISSING_KEY"),
    ],
)
def test_a_step_that_is_not_right(text: str, code: str) -> None:
    assert codes_of(text) == [code]


@pytest.mark.parametrize(
    "part",
    [
        "iterationMapping: {collection: $.x}",
        "iterationMapping: {item: y}",
        "iterationMapping: {collection: [1], item: y}",
        "iterationMapping: {collection: x, item: y}",
        "iterationMapping: {collection: $local.x, item: y}",
        "iterationMapping: []",
        "iterationMapping: {collection: $.x, item: y, index: y}",
        "iterationMapping: {collection: $.x, item: y}, concurrency: 0",
        "iterationMapping: {collection: $.x, item: y}, batch: a",
        "iterationMapping: {collection: $.x, item: y}, toleratedFailures: 101%",
        "iterationMapping: {collection: $.x, item: y}, toleratedFailures: some",
    ],
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
    text = (
        HEAD
        + """\
steps:
  - {type: pass, name: a}
  - type: parallel
    name: p
    branches:
      - steps:
          - {type: pass, name: a}
  - {type: pass, name: a}
"""
    )
    assert problems_of(text) == [
        "f.yml:9:32: warning: REPEATED_NAME a: the step in line 4 has this name too: "
        "hard to tell apart",
        "f.yml:10:24: error: DUPLICATE_NAME a: two steps here have this name, the first in line 4",
    ]


def test_a_goto_reaches_siblings_of_the_choice_only() -> None:
    text = (
        HEAD
        + """\
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
    )
    assert problems_of(text) == [
        "f.yml:10:15: error: UNKNOWN_STEP c: goto 'inner' names no step here; the step of that "
        "name is inside or outside of this series, out of reach"
    ]


def test_a_goto_may_name_a_step_that_has_errors_of_its_own() -> None:
    text = f"{HEAD}steps: [{{type: choice, name: c, default: {{goto: d}}}}, {{type: x, name: d}}]"
    assert [line.split()[2] for line in problems_of(text)] == ["UNKNOWN_TYPE"]


@pytest.mark.parametrize(
    ("condition", "line", "column"),
    [
        ("$.a == = 1", 7, 27),
        ("'$.a == = 1'", 7, 28),
        ('"$.a == = 1"', 7, 28),
        ("|\n          $.a ==\n          = 1", 9, 11),
        (">-\n          $.a == = 1", 8, 18),
        ("$.a ==\n          = 1", 8, 11),
        ("$.a ==", 7, 26),
    ],
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
    lines = {
        "version": "version: v1",
        "type": "type: flow",
        "steps": "steps: [{type: pass, name: a}]",
    }
    del lines[keys]
    problems = problems_of("\n".join(lines.values()))
    assert len(problems) == 1 and f"MISSING_KEY the flow: {keys} is missing" in problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "[]",
        "a",
        "- a",
        "{",
        "steps: 5",
        "steps: {a: 1}",
        "steps: [5, [], null]",
        "steps: [{}]",
        "steps: [{name: [], type: {}}]",
        "a: &a [*a]",
        "\x00",
        "!x y",
    ],
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
    text = (
        HEAD
        + """\
steps:
  - type: parallel
    name: p
    branches:
      - &branch {steps: [{type: pass, name: a}]}
      - *branch
"""
    )
    step = parse_flow(text).steps[0]
    assert isinstance(step, ParallelStep) and step.branches[0] == step.branches[1]
    assert problems_of(text) == []


def steps_of(count: int) -> str:
    """A flow of so many steps: one with two branches, of which one is an alias of the other."""
    half = "x," * ((count - 1) // 2)
    more = "- x\n" * ((count - 1) % 2)
    branches = f"[&half {{steps: [{half}]}}, *half]"
    head = "version: v1\ntype: flow\nsteps:\n"
    return f"{head}- {{type: parallel, name: both, branches: {branches}}}\n{more}"


def test_a_flow_of_very_many_steps_is_refused_before_they_are_read() -> None:
    (found,) = problems_of(steps_of(MAX_STEPS + 1))
    assert "TOO_MANY_STEPS the flow has more than 10000 steps" in found
    assert not [each for each in problems_of(steps_of(MAX_STEPS)) if "TOO_MANY_STEPS" in each]


def test_a_very_long_text_is_refused_before_it_is_read() -> None:
    flow = "version: v1\ntype: flow\nsteps: [{type: pass, name: a}]\n# "
    longest = flow + "x" * (MAX_TEXT_BYTES - len(flow))
    assert problems_of(longest) == []
    (found,) = problems_of(longest[:-1] + "\N{SNOWMAN}")
    assert f"TOO_LARGE the text has {MAX_TEXT_BYTES + 2} bytes" in found
