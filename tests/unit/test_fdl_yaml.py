"""YAML 1.2 core: values, tags, aliases, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.fdl.problems import Report
from engine.fdl.yaml_node import Node
from engine.fdl.yaml_source import read_yaml


def read(text: str) -> tuple[Node | None, list[str]]:
    report = Report("f.yml")
    node = read_yaml(text, report)
    return node, [str(problem) for problem in report.in_order()]


def value_of(text: str) -> Any:
    node, problems = read(text)
    assert node is not None and not problems
    return node.value


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_true_in_its_three_spellings_is_a_boolean(text: str) -> None:
    assert value_of(f"a: {text}") == {"a": True}


@pytest.mark.parametrize("text", ["false", "False", "FALSE"])
def test_false_in_its_three_spellings_is_a_boolean(text: str) -> None:
    assert value_of(f"a: {text}")["a"] is False


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "off",
        "Yes",
        "NO",
        "y",
        "n",
        "2026-11-20",
        "12:30:45",
        "1:30",
        "2026-11-20T10:00:00Z",
        "1_000",
        "0b11",
        "tRue",
        "=",
        "1.2.3",
        "+",
        ".",
        "-",
        "e5",
    ],
)
def test_what_other_yaml_versions_convert_stays_a_string(text: str) -> None:
    assert value_of(f"a: '{text}'") == {"a": text}
    if text != "-":
        assert value_of(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null_in_its_spellings(text: str) -> None:
    assert value_of(f"a: {text}") == {"a": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("+12", 12),
        ("007", 7),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1E-2", 0.01),
    ],
)
def test_numbers(text: str, value: float) -> None:
    found = value_of(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e999"])
def test_numbers_that_json_does_not_have_are_errors(text: str) -> None:
    assert "f.yml:1:4: error: NOT_JSON" in read(f"a: {text}")[1][0]
    assert value_of(f"a: '{text}'") == {"a": text}


def test_a_very_long_number_is_told_in_a_short_line() -> None:
    told = read(f"a: {'9' * 5000}")[1][0]
    assert "NOT_JSON" in told
    assert len(told) < 150


def test_quoted_scalars_are_strings() -> None:
    assert value_of("""{a: "1", b: 'true', c: "", d: "~"}""") == {
        "a": "1",
        "b": "true",
        "c": "",
        "d": "~",
    }


def test_keys_stay_as_they_are_written() -> None:
    text = "on: 1\nyes: 2\n12:30:45: 3\n2026-11-20: 4\n5: 5\ntrue: 6\n1.50: 7\n"
    assert value_of(text) == {
        "on": 1,
        "yes": 2,
        "12:30:45": 3,
        "2026-11-20": 4,
        "5": 5,
        "true": 6,
        "1.50": 7,
    }


def test_json_is_yaml() -> None:
    assert value_of('{"a": [1, {"b": null}], "c": "\\ud83d\\ude00"}') == {
        "a": [1, {"b": None}],
        "c": "😀",
    }


def test_json_may_be_indented_with_tabs() -> None:
    assert value_of('{\n\t"a":\t[1,\n\t\t"x"]\n}\n') == {"a": [1, "x"]}
    assert value_of('{"a":{"b":[1,2],"c":"\\t\\/"}}') == {"a": {"b": [1, 2], "c": "\t/"}}


def test_core_tags_are_known() -> None:
    assert value_of("a: !!str 1\nb: !!int '2'\nc: !!float 3\nd: ! 4\ne: !!map {}\n") == {
        "a": "1",
        "b": 2,
        "c": 3.0,
        "d": "4",
        "e": {},
    }


def test_ref_stands_for_a_function() -> None:
    assert value_of("a: !Ref svc/fn") == {"a": "acs:fc:::services/svc/functions/fn"}


def test_ref_without_a_service_stands_for_a_function_of_its_own() -> None:
    assert value_of("a: !Ref fn") == {"a": "acs:fc:::functions/fn"}


@pytest.mark.parametrize("text", ["a: !Ref", "a: !Ref svc/", "a: !Ref /fn"])
def test_a_ref_that_names_nothing_is_an_error(text: str) -> None:
    assert "f.yml:1:" in read(text)[1][0] and "BAD_REF" in read(text)[1][0]


@pytest.mark.parametrize("tag", ["!Sub", "!GetAtt", "!!timestamp", "!!binary", "!!python/name:os"])
@pytest.mark.parametrize("value", ["x", "[x]", "{x: 1}"])
def test_another_tag_is_an_error_that_names_it(tag: str, value: str) -> None:
    problems = read(f"b: 1\na: {tag} {value}")[1]
    assert len(problems) == 1
    assert "f.yml:2:" in problems[0] and "UNKNOWN_TAG" in problems[0] and tag in problems[0]


def test_duplicate_keys_are_errors_with_their_place() -> None:
    assert read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")[1] == [
        "f.yml:4:3: error: DUPLICATE_KEY the key 'c' is there twice, first in line 3",
        "f.yml:5:1: error: DUPLICATE_KEY the key 'a' is there twice, first in line 1",
    ]


def test_aliases_are_written_out() -> None:
    assert value_of("a: &x [1, {b: 2}]\nc: *x\nd: [*x]\n") == {
        "a": [1, {"b": 2}],
        "c": [1, {"b": 2}],
        "d": [[1, {"b": 2}]],
    }


def test_a_merge_key_adds_what_is_not_there_already() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 0}\n"
    assert value_of(text)["z"] == {"a": 0, "b": 2, "c": 4}


def test_a_merge_of_something_else_is_an_error() -> None:
    assert "BAD_MERGE" in read("a: &x [1]\nb: {<<: *x}")[1][0]


def test_aliases_of_aliases_cannot_grow_without_bound() -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    node, problems = read("\n".join(lines))
    assert node is None and "TOO_MANY_ALIASES" in problems[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "EMPTY_FILE"),
        ("# only a comment\n", "EMPTY_FILE"),
        ("---\n", "EMPTY_FILE"),
        ("a: 1\n---\nb: 2\n", "SEVERAL_DOCUMENTS"),
        ("&a [*a]", "RECURSIVE_ALIAS"),
        ("a: *nowhere", "UNKNOWN_ALIAS"),
        ("? [a]\n: 1\n", "BAD_KEY"),
        ("a: !!int x", "BAD_TAG"),
        ("\ta: 1", "BAD_YAML"),
        ("a: [", "BAD_YAML"),
        ("a: b: c", "BAD_YAML"),
        ("'abc", "BAD_YAML"),
        ("a: \x00", "BAD_YAML"),
        ("a: \ud800", "BAD_YAML"),
        ('a: "\\uD800"', "BAD_YAML"),
        ('a: "\\UFFFFFFFF"', "BAD_YAML"),
        ("%YAML 9.9\n---\na: 1", "BAD_YAML"),
        ("a:\n- b\n c: d", "BAD_YAML"),
        ("@a: 1", "BAD_YAML"),
        ("[" * 5000, "TOO_DEEP"),
        ("{a: " * 5000, "TOO_DEEP"),
        ("- " * 5000 + "a", "TOO_DEEP"),
    ],
)
def test_what_is_no_single_sound_document_is_a_problem(text: str, code: str) -> None:
    problems = read(text)[1]
    assert f" {code} " in problems[0]


def test_a_tab_in_the_indentation_is_named() -> None:
    assert read("a:\n\tb: 1\n")[1] == ["f.yml:2:1: error: BAD_YAML a tab stands here: use spaces"]


def test_nodes_know_their_line_and_column() -> None:
    node, _ = read("a:\n  - x\n  - b: 1\n")
    assert node is not None and node.entries is not None
    items = node.entries["a"].items
    assert items is not None
    assert [(item.mark.line, item.mark.column) for item in items] == [(2, 5), (3, 5)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1 = 2", 1, 6),
        ("a: '1 = 2'", 1, 7),
        ('a: "1 = 2"', 1, 7),
        ("a: '''1'' = 2'", 1, 11),
        ('a: "\\"1\\" = 2"', 1, 11),
        ("a: |\n  1\n  = 2", 3, 3),
        ("a: >-\n    1 = 2", 2, 7),
        ("a: 1\n  = 2", 2, 3),
        ("a: &x 1 = 2", 1, 9),
        ("a: !!str 1 = 2", 1, 12),
        ("é: '1 = 2'", 1, 7),
    ],
)
def test_a_place_inside_a_text_is_found_in_the_file(text: str, line: int, column: int) -> None:
    node, _ = read(text)
    assert node is not None and node.entries is not None
    part = next(iter(node.entries.values()))
    mark = part.mark_at(part.value.index("="))
    assert (mark.line, mark.column) == (line, column)
