"""Mappings, references and paths."""

from __future__ import annotations

from typing import Any

import pytest

from engine.fdl.mappings import (
    InvalidPath,
    Roots,
    apply_mappings,
    resolve_reference,
    service_params,
)
from engine.fdl.model import Mapping
from engine.fdl.paths import MISSING, PathInvalid, compile_path

ROOTS = Roots(
    input={"a": {"b": [10, 20, {"c": 30}]}, "x-y": {"z-1": 1}, "n": None, "text": "abc", "ü": 5},
    local=[{"parts": [1, 2], "v": 1}, {"parts": [3], "v": None}, {"parts": []}],
    context={"flow": {"name": "f"}, "step": {"eventId": 7}},
)


def mapped(source: Any, strict: bool = False) -> dict[str, Any]:
    return apply_mappings((Mapping("t", source),), ROOTS, strict)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$input.a.b[0]", 10),
        ("$input.a.b[-1].c", 30),
        ("$input['a']['b'][1]", 20),
        ('$input["a"].b[0]', 10),
        ("$input.x-y.z-1", 1),
        ("$input['x-y']['z-1']", 1),
        ("$input.n", None),
        ("$input.ü", 5),
        ("$context.flow.name", "f"),
        ("$context.step.eventId", 7),
        ("$local[0].v", 1),
        ("$local[*].v", [1, None]),
        ("$local[*].parts[*]", [1, 2, 3]),
        ("$local[*]['parts'][*]", [1, 2, 3]),
        ("$local[*].parts", [[1, 2], [3], []]),
        ("$local[0:2].v", [1, None]),
        ("$local[0,1].v", [1, None]),
        ("$local..v", [1, None]),
        ("$input..c", [30]),
        ("$local[?@.v == 1].parts[0]", [1]),
        ("$input.a.*", [[10, 20, {"c": 30}]]),
        ("$input.missing[*]", []),
        ("$input.missing.x[*].y", []),
        ("$input.text[*]", []),
        ("$input..x-y..z-1", [1]),
        ("$input[?@.z-1 == 1]", [{"z-1": 1}]),
        ("$input[?@['z-1'] == 1]", [{"z-1": 1}]),
    ],
)
def test_a_path_finds(source: str, value: Any) -> None:
    assert mapped(source) == {"t": value}


@pytest.mark.parametrize(
    "constant",
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "1",
        "text",
        [],
        {},
        {"a": "$input.a"},
        ["$input"],
        "$",
        "$.a",
        "$inputX",
        "$input-x",
        "$localhost",
        "$contextual.a",
        "$foo",
        "a$input",
        " $input",
        "$INPUT",
    ],
)
def test_anything_else_is_a_constant_and_keeps_its_type(constant: Any) -> None:
    value = mapped(constant)["t"]
    assert value == constant and type(value) is type(constant)


@pytest.mark.parametrize(
    "source",
    [
        "$input.missing",
        "$input.a.b[9]",
        "$input.a.b[-9]",
        "$input.a.b.c",
        "$input.a[0]",
        "$input.text[0]",
        "$input.text.length",
        "$input.n.x",
        "$local.v",
        "$context.task.token",
    ],
)
def test_a_path_that_is_not_there_leaves_its_target_out(source: str) -> None:
    assert mapped(source) == {}
    with pytest.raises(InvalidPath) as caught:
        mapped(source, strict=True)
    assert caught.value.path == source and caught.value.code == "FnF.InvalidPath"


def test_a_path_to_many_is_never_missing_even_when_strict() -> None:
    assert mapped("$input.missing[*].x", strict=True) == {"t": []}


def test_a_root_alone_is_the_whole_value() -> None:
    assert mapped("$input")["t"] is ROOTS.input
    assert mapped("$local")["t"] is ROOTS.local


def test_values_are_shared_not_copied() -> None:
    assert mapped("$input.a.b")["t"] is ROOTS.input["a"]["b"]
    assert mapped("$local[*].parts")["t"][0] is ROOTS.local[0]["parts"]


def test_no_items_make_an_empty_object() -> None:
    assert apply_mappings((), ROOTS) == {}


def test_a_later_target_wins_and_a_dotted_target_is_one_key() -> None:
    items = (Mapping("a.b", 1), Mapping("c", 2), Mapping("c", 3))
    assert apply_mappings(items, ROOTS) == {"a.b": 1, "c": 3}


def test_a_later_item_that_is_left_out_does_not_unset_an_earlier_one() -> None:
    assert apply_mappings((Mapping("a", 1), Mapping("a", "$input.none")), ROOTS) == {"a": 1}


def test_error_mappings_are_mappings_over_the_error() -> None:
    error = Roots({"id": 1}, {"error": "E", "code": "E", "cause": "why"})
    items = tuple(
        Mapping(key, source)
        for key, source in {"e": "$local.error", "c": "$local.code", "i": "$input.id"}.items()
    )
    assert apply_mappings(items, error) == {"e": "E", "c": "E", "i": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$", {"k": [1]}),
        ("$.k", [1]),
        ("$.k[0]", 1),
        ("$input.k", [1]),
        ("$input", {"k": [1]}),
        ("$['k']", [1]),
        ("$.none", None),
        ("plain", "plain"),
        (5, 5),
        (None, None),
        ("$inputs.k", "$inputs.k"),
        ("$local.k", "$local.k"),
        ("$.k[*]", [1]),
    ],
)
def test_a_reference_reaches_into_the_input(text: Any, value: Any) -> None:
    assert resolve_reference(text, {"k": [1]}) == value


def test_a_reference_that_is_not_there_fails_a_strict_flow() -> None:
    with pytest.raises(InvalidPath):
        resolve_reference("$.none", {}, strict=True)


def test_service_params_are_constants_references_and_context() -> None:
    params = {
        "Input": "$",
        "A": "$.a.b",
        "B": "$input.a",
        "C": 1,
        "D": "x",
        "E": {"n": "$.a"},
        "T": "$context.task.token",
        "None": "$.none",
        "Null": None,
        "F": "$local.a",
    }
    given = {"a": {"b": 2}}
    assert service_params(params, given, {"task": {"token": "tok"}}) == {
        "Input": given,
        "A": 2,
        "B": {"b": 2},
        "C": 1,
        "D": "x",
        "E": {"n": "$.a"},
        "T": "tok",
        "Null": None,
        "F": "$local.a",
    }


def test_service_params_of_a_strict_flow_must_be_there() -> None:
    for text in ("$.none", "$context.task.token"):
        with pytest.raises(InvalidPath):
            service_params({"A": text}, {}, strict=True)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("$.a[", 4),
        ("$.a.", 4),
        ("$.", 2),
        ("$.a[b]", 4),
        ("$.a b", 3),
        ("$[01]", 1),
        ("$a", 1),
        ("$.1a", 1),
        ("$.a[?]", 5),
        ("x", 0),
    ],
)
def test_a_malformed_path_says_where(text: str, offset: int) -> None:
    with pytest.raises(PathInvalid) as caught:
        compile_path(text)
    assert abs(caught.value.offset - offset) <= 1


@pytest.mark.parametrize(
    "text", ["$" + "[?(" * 2000, "$[" + "9" * 400 + "]", "$[?@." + "(" * 5000, "$['\\u12']"]
)
def test_an_absurd_path_is_refused(text: str) -> None:
    with pytest.raises(PathInvalid):
        compile_path(text)


def test_a_descent_into_a_value_without_end_is_a_missing_path() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(InvalidPath):
        resolve_reference("$..a", deep)


def test_missing_is_told_from_null() -> None:
    assert compile_path("$.a").find({"a": None}) is None
    assert compile_path("$.a").find({}) is MISSING
