"""Stream steps as they are read: the model, what is left out, and mistakes."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from engine.fdl.model import (
    DEFAULT_WINDOW_BYTES,
    Catcher,
    Mapping,
    RetryPolicy,
    Stage,
    Step,
    StreamStep,
)
from engine.fdl.parser import parse_flow, parse_with_warnings
from engine.fdl.problems import Report
from engine.fdl.resources import FunctionResource, NamedResource, StreamResource, resource_of
from engine.fdl.schema import json_schema
from engine.fdl.yaml_source import read_yaml

HEAD = "version: v1\ntype: flow\nsteps:\n- "
STAGE = "{type: task, name: t, resourceArn: t}"


def step_of(text: str) -> Step:
    return parse_flow(f"{HEAD}{text}\n").steps[0]


def problems_of(text: str) -> list[str]:
    return [f"{p.code} {p.text}" for p in parse_with_warnings(f"{HEAD}{text}\n")[1]]


def test_every_key_of_a_stream_is_read() -> None:
    step = step_of(
        "{type: stream, name: s, source: $.uri, sink: 's3://b/k', windowBytes: '65536', fuse: true,"
        " timeoutSeconds: 3, retry: [{errors: [E]}], catch: [{errors: [F], goto: s}],"
        " errorMappings: [{target: a, source: 1}], inputMappings: [], outputMappings: [],"
        " end: true,"
        " steps: [{type: task, name: one, action: 'p:Op', concurrency: 4,"
        " inputMappings: [{target: b, source: $input.c}]}]}"
    )
    assert step == StreamStep(
        name="s",
        source="$.uri",
        sink="s3://b/k",
        window_bytes=65536,
        fuse=True,
        timeout_s=3.0,
        retry=(RetryPolicy(("E",)),),
        catch=(Catcher(("F",), "s"),),
        error_mappings=(Mapping("a", 1),),
        input_mappings=(),
        output_mappings=(),
        end=True,
        steps=(
            Stage(
                name="one",
                action="p:Op",
                concurrency=4,
                input_mappings=(Mapping("b", "$input.c"),),
            ),
        ),
    )


def test_what_is_left_out_has_its_default() -> None:
    step = step_of(f"{{type: stream, name: s, source: null, steps: [{STAGE}]}}")
    assert isinstance(step, StreamStep)
    assert (step.source, step.sink, step.fuse) == (None, None, None)
    assert step.window_bytes == DEFAULT_WINDOW_BYTES == 4_194_304
    assert step.steps == (Stage(name="t", resource_arn="t"),)


def test_the_resource_of_a_stream_is_that_of_its_stages() -> None:
    arn = "'acs:fc:::services/svc/functions/fn'"
    step = step_of(
        f"{{type: stream, name: s, steps: [{STAGE}, {{type: task, name: u, resourceArn: {arn}}}]}}"
    )
    assert isinstance(step, StreamStep)
    resource = resource_of(step)
    assert resource == StreamResource(
        (("t", NamedResource("t")), ("u", FunctionResource(("svc/fn", "fn"))))
    )
    assert resource.display == "stream:t+u"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("source: '$local.a'", "CONSTANT_WITH_DOLLAR s: source"),
        ("source: '$.a['", "BAD_PATH s: source"),
        ("sink: ''", "BAD_VALUE s: sink must not be empty"),
        ("sink: {a: 1}", "BAD_TYPE s: sink must be a text"),
        ("windowBytes: 268435457", "BAD_VALUE s: windowBytes"),
        ("windowBytes: 65536.5", "BAD_VALUE s: windowBytes"),
        ("catch: [{errors: [E], goto: t}]", "UNKNOWN_STEP s: goto 't' names no step here"),
        ("errorMappings: [{target: a}]", "NO_CATCH s: errorMappings"),
        ("serviceParams: {}", "UNKNOWN_KEY s: unknown key 'serviceParams'"),
    ],
)
def test_a_key_of_a_stream_that_is_not_right(keys: str, problem: str) -> None:
    found = problems_of(f"{{type: stream, name: s, steps: [{STAGE}], {keys}}}")
    assert len(found) == 1 and found[0].startswith(problem)


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [(1, 1, True), (1, 8, True), (8, 1, True), (8, 8, True), (2, 8, False), (8, 2, False)],
)
def test_neighbours_share_their_concurrency(first: int, second: int, right: bool) -> None:
    stages = [
        f"{{type: task, name: t{number}, resourceArn: t, concurrency: {lanes}}}"
        for number, lanes in enumerate((first, second))
    ]
    found = problems_of(f"{{type: stream, name: s, steps: [{', '.join(stages)}]}}")
    assert (found == []) is right


def test_stages_apart_from_each_other_have_their_own_concurrency() -> None:
    stages = [
        f"{{type: task, name: t{number}, resourceArn: t, concurrency: {lanes}}}"
        for number, lanes in enumerate((2, 1, 3))
    ]
    assert problems_of(f"{{type: stream, name: s, steps: [{', '.join(stages)}]}}") == []


def test_a_stage_may_not_be_a_goal_of_a_goto_outside() -> None:
    found = problems_of(
        f"{{type: stream, name: s, steps: [{STAGE}]}}\n"
        "- {type: choice, name: c, default: {goto: t}}"
    )
    assert found == [
        "UNKNOWN_STEP c: goto 't' names no step here; the step of that name is inside or outside"
        " of this series, out of reach"
    ]


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        (f"{{type: stream, name: s, steps: [{STAGE}]}}", True),
        (f"{{type: stream, name: s, fuse: 'true', steps: [{STAGE}]}}", True),
        ("{type: stream, name: s, steps: []}", False),
        ("{type: stream, name: s}", False),
        (f"{{type: stream, name: s, windowBytes: 1, steps: [{STAGE}]}}", False),
        ("{type: stream, name: s, steps: [{type: pass, name: p}]}", False),
        ("{type: stream, name: s, steps: [{type: task, name: p}]}", False),
        (
            "{type: stream, name: s, steps: [{type: task, name: p, resourceArn: a, end: true}]}",
            False,
        ),
        (f"{{type: stream, name: s, steps: [{STAGE[:-1]}, concurrency: 65}}]}}", False),
    ],
)
def test_parser_and_schema_agree_on_streams(step: str, fits: bool) -> None:
    node = read_yaml(f"{HEAD}{step}\n", Report("f.yml"))
    assert node is not None
    value = node.value
    assert (parse_with_warnings(f"{HEAD}{step}\n")[0] is not None) is fits
    assert Draft202012Validator(json_schema()).is_valid(value) is fits
