"""The language under arbitrary input: nothing fails in another way than it says."""

from __future__ import annotations

import json
from typing import Any

import jsonpath_rfc9535
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fdl.expressions import ConditionInvalid, compile_condition
from engine.fdl.mappings import Roots, apply_mappings
from engine.fdl.model import Mapping
from engine.fdl.parser import parse_with_warnings
from engine.fdl.paths import MISSING, PathInvalid, compile_path
from engine.fdl.problems import Report
from engine.fdl.yaml_source import read_yaml

QUICK = settings(max_examples=150, deadline=None)

KEYS = st.sampled_from(["a", "b", "c-d", "ü", "has_more"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-2, 2)
    | st.sampled_from(["", "1", "true", "false", "x", "xy", "-0.5"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)

OPERANDS = st.sampled_from(
    ["$.a", "$.b", "$.c-d", "$.a.b[0]", "$", "1", "0.5", '"1"', "'x'", "`true`", "true", "null"]
)
OPERATORS = ["==", "!=", ">", ">=", "<", "<=", "in", "&&", "||", "+", "-", "*", "/"]
CONDITIONS = st.recursive(
    OPERANDS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner)
        | st.builds("{}({})".format, st.sampled_from(["!", "-"]), inner)
    ),
    max_leaves=8,
)

SEGMENTS = st.one_of(
    KEYS.map(".{}".format),
    KEYS.map("['{}']".format),
    st.integers(-3, 3).map("[{}]".format),
    st.sampled_from(["[*]", ".*", "..a", "[0:2]", "['a','b']", "[?@.a]", "[0,1]"]),
)
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda parts: "$" + "".join(parts))

WORDS = st.sampled_from(
    [
        "version: v1",
        "type: flow",
        "steps:",
        "- ",
        "  ",
        "    ",
        "\n",
        "type: pass",
        "name: a",
        "choices:",
        "condition: ",
        "$.a == ",
        "goto: a",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "&x ",
        "*x",
        "<<: ",
        "!Ref a/b",
        "!!int ",
        "'",
        '"',
        "|",
        ">",
        "\t",
        "#",
        "---",
        "? ",
        "type: task",
        "catch:",
        "errors:",
        "retry:",
        "branches:",
        "inputMappings:",
        "source: $input.a",
        "\\u0000",
    ]
)


@QUICK
@given(st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=80))
def test_any_text_gives_a_flow_or_problems_at_places(text: str) -> None:
    flow, problems = parse_with_warnings(text)
    assert flow is not None or any(problem.is_error for problem in problems)
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + 3
    for problem in problems:
        assert 1 <= problem.line <= lines + text.count("\u2028") + text.count("\u2029")
        assert problem.column >= 1 and problem.text


@QUICK
@given(VALUES)
def test_json_reads_as_itself(value: Any) -> None:
    report = Report("f")
    compact = read_yaml(json.dumps({"v": value}, separators=(",", ":")), report)
    indented = read_yaml(json.dumps({"v": value}, indent="\t"), report)
    assert compact is not None and indented is not None and not report.problems
    assert json.dumps(compact.value) == json.dumps(indented.value) == json.dumps({"v": value})


@QUICK
@given(OBJECTS)
def test_what_pyyaml_writes_reads_back(value: dict[str, Any]) -> None:
    report = Report("f")
    node = read_yaml(yaml.safe_dump({"v": value}, allow_unicode=True), report)
    assert node is not None and not report.problems
    assert node.value == {"v": value}


@QUICK
@given(CONDITIONS, OBJECTS)
def test_a_condition_never_fails_on_an_input(text: str, value: dict[str, Any]) -> None:
    condition = compile_condition(text)
    assert condition.test(value) in (True, False)
    assert condition.test(value) is condition.test(value)
    assert compile_condition(f"!({text})").test(value) is not condition.test(value)


@QUICK
@given(OPERANDS, OPERANDS, OBJECTS)
def test_comparisons_are_consistent(left: str, right: str, value: dict[str, Any]) -> None:
    def holds(operator: str) -> bool:
        return compile_condition(f"{left} {operator} {right}").test(value)

    assert holds("==") is not holds("!=")
    assert not (holds("<") and holds(">"))
    assert not holds("<") or holds("<=")
    assert not holds(">") or holds(">=")
    assert holds("==") is compile_condition(f"{right} == {left}").test(value)


@QUICK
@given(st.text(alphabet="$.ab[]()01\"'`&|!=<>+-*/ in", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_condition_or_is_refused_at_a_place(text: str) -> None:
    try:
        compile_condition(text).test({"a": 1, "b": [1]})
    except ConditionInvalid as error:
        assert 0 <= error.offset <= len(text)


@QUICK
@given(PATHS, VALUES)
def test_paths_find_what_the_standard_says(text: str, value: Any) -> None:
    standard = text.replace(".c-d", "['c-d']").replace("[-0]", "[0]")
    path = compile_path(text.replace("[-0]", "[0]"))
    expected = jsonpath_rfc9535.find(standard, value).values()
    found = path.find(value)
    if path.many:
        assert found == expected
    else:
        assert ([] if found is MISSING else [found]) == expected


@QUICK
@given(st.text(alphabet="$.a-b[]*?@'\"0:,() ", max_size=15).map("$".__add__))
def test_any_path_text_is_a_path_or_is_refused_at_a_place(text: str) -> None:
    try:
        compile_path(text).find({"a": [{"b": 1}]})
    except PathInvalid as error:
        assert 0 <= error.offset <= len(text)


@QUICK
@given(st.lists(PATHS, max_size=3), OBJECTS)
def test_mapping_changes_neither_input_nor_keys(paths: list[str], value: dict[str, Any]) -> None:
    before = json.dumps(value)
    mappings = tuple(
        Mapping(f"t{position}", path.replace("$", "$input", 1))
        for position, path in enumerate(paths)
    )
    mapped = apply_mappings(mappings, Roots(value))
    assert json.dumps(value) == before
    assert set(mapped) <= {item.target for item in mappings}
