"""Conditions: the grammar, the coercions, and where a syntax error is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.fdl.expressions import ConditionInvalid, compile_condition

INPUT: dict[str, Any] = {
    "one": 1,
    "two": 2,
    "half": 0.5,
    "zero": 0,
    "one_text": "1",
    "ten_text": "10",
    "nine_text": "9",
    "yes": True,
    "no": False,
    "true_text": "true",
    "false_text": "false",
    "name": "bob",
    "empty": "",
    "null": None,
    "list": [1, "a", True, {"k": 1}],
    "objects": [1],
    "object": {"k": [{"deep": 7}], "a-b": 3},
    "has-more": True,
    "n-1": "key",
    "n": 5,
    "ü": 4,
}


def holds(text: str) -> bool:
    return compile_condition(text).test(INPUT)


@pytest.mark.parametrize(
    "text",
    [
        "$.one == 1",
        "$.one != 2",
        "$.two > $.one",
        "$.two >= 2",
        "$.one < 2",
        "$.one <= 1",
        '$.name == "bob"',
        "$.name == 'bob'",
        "$.name == `bob`",
        "$.object.k[0].deep == 7",
        "$.list[-1].k == 1",
        "$['object']['k'][0]['deep'] == 7",
        '$["n-1"] == "key"',
        "$.ü == 4",
        "$.yes",
        "$.true_text",
        "$.one",
        "$.half",
        "!$.no",
        "!$.false_text",
        "!$.zero",
        "!$.name",
        "!$.missing",
        "!$.list",
        "!$.object",
        "!$.empty",
        "!!$.yes",
        "true",
        "!false",
        "!null",
        "$.has-more",
        "$.object.a-b == 3",
        "$.n-1 == 4",
        "$.n -1 == 4",
        "$.n - 1 == 4",
        "$.one==1&&$.two==2",
        "$.no || $.yes",
        "($.no || $.yes) && $.one",
        "$['name'] == \"b\\u006fb\"",
        r'"a\"b" == `a"b`',
        r'"C:\dir" == `C:\dir`',
        "1.5e1 == 15",
        ".5 == $.half",
        "-1 == 0 - 1",
        "--1 == 1",
        "- $.one == -1",
    ],
)
def test_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("10 - 4 - 3 == 3", True),
        ("12 / 2 / 3 == 2", True),
        ("1 + 1 > 1 && 2 > 1", True),
        ("false && false || true", True),
        ("true || false && false", True),
        ("!$.no == true", True),
        ("!($.one == 2)", True),
        ("1 in $.list == true", True),
        ("2 > 1 == true", True),
        ("-$.one + 2 == 1", True),
        ("7 / 2 == 3.5", True),
    ],
)
def test_precedence(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('$.yes == "true"', True),
        ('$.no == "false"', True),
        ('$.yes == "false"', False),
        ('$.yes != "true"', False),
        ('"true" == $.yes', True),
        ("$.true_text == true", True),
        ('$.yes == "True"', False),
        ("$.yes == 1", False),
        ("$.no == 0", False),
        ('$.yes == "1"', False),
        ("$.no == null", False),
        ("$.yes == true", True),
        ('"1" == 1', True),
        ('1 == "1.0"', True),
        ('"1" == "1.0"', False),
        ('"" == 0', False),
        ('" 1" == 1', False),
        ('"0x1" == 1', False),
        ("1 == 1.0", True),
        ('"1e2" == 100', True),
        ("$.missing == null", True),
        ("$.null == null", True),
        ("null == null", True),
        ("$.missing != 1", True),
        ('$.missing == ""', False),
        ("$.missing == 0", False),
        ("null == false", False),
        ('"null" == null', False),
        ("$.name.x == null", True),
        ("$.name[0] == null", True),
        ("$.list[9] == null", True),
        ("$.objects == $.objects", True),
        ("$.one == $.objects", False),
        ("$ == $", True),
        ("$.list.k == null", True),
        ("$.object[0] == null", True),
    ],
)
def test_equality(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_equality_of_values_inside_lists_does_not_coerce() -> None:
    condition = compile_condition("$.a == $.b")
    assert condition.test({"a": [1, {"x": 1.0}], "b": [1.0, {"x": 1}]})
    assert not condition.test({"a": [1], "b": [True]})
    assert not condition.test({"a": ["1"], "b": [1]})
    assert not condition.test({"a": {"x": 1}, "b": {"y": 1}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$.ten_text > $.nine_text", True),
        ("$.ten_text > 9", True),
        ('"b" > "a"', True),
        ('"10a" < "9a"', True),
        ('"a" < 1', False),
        ('"a" > 1', False),
        ('"Z" < "a"', True),
        ("null < 1", False),
        ("null > 1", False),
        ("null <= null", False),
        ("$.missing >= 0", False),
        ("0 >= $.missing", False),
        ("true > false", False),
        ("true >= true", False),
        ("true > 0", False),
        ("$.list < 1", False),
        ("$.list <= $.list", False),
        ('"" < "a"', True),
        ('"1" <= "1.0"', True),
    ],
)
def test_ordering(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 in $.list", True),
        ('"a" in $.list', True),
        ('"b" in $.list', False),
        ('"k" in $.object', True),
        ('"z" in $.object', False),
        ("1 in $.object", False),
        ('"ob" in $.name', True),
        ('"x" in $.name', False),
        ("1 in $.ten_text", False),
        ("null in $.name", False),
        ("1 in 1", False),
        ('"a" in null', False),
        ('"a" in $.missing', False),
        ("null in $.list", False),
        ("!(2 in $.list)", True),
    ],
)
def test_in(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        '"1" + 1',
        "1 + null",
        "null + null",
        "$.missing * 2",
        "true + 1",
        "$.list + $.list",
        '"a" - "b"',
        '"2" * "2"',
        "1 / 0",
        "1 / $.zero",
        "0 / 0",
        "-null",
        '-"1"',
        "-true",
        "1 - $.name",
        "$.missing + $.missing",
    ],
)
def test_arithmetic_that_makes_no_sense_is_null(text: str) -> None:
    assert holds(f"({text}) == null")


def test_plus_joins_strings() -> None:
    assert holds('$.name + "by" == "bobby"')
    assert holds('"1" + "1" == 11')


def test_numbers_beyond_floats_do_not_fail() -> None:
    condition = compile_condition("$.a * 1.5 == null || $.a / 3 == null")
    assert condition.test({"a": 10**400})
    assert compile_condition("1e999 > $.a").test({"a": 10**400})
    assert not compile_condition("$.a > 1").test({"a": "9" * 5000})


def test_an_operand_that_does_not_matter_is_not_evaluated() -> None:
    assert holds("$.yes || 1 / 0 > 1")
    assert not holds("$.no && $.yes")


@pytest.mark.parametrize(
    ("text", "offset", "part"),
    [
        ("", 0, "ends"),
        ("   ", 3, "ends"),
        ("$.a ==", 6, "ends"),
        ("$.a = 1", 4, "'=='"),
        ("$.a & $.b", 4, "'&&'"),
        ("$.a | $.b", 4, "'||'"),
        ("$.a == 'x", 7, "no end"),
        ("($.a", 4, "')'"),
        ("$.a)", 3, "')'"),
        ("$.a $.b", 4, "unexpected"),
        ("== 1", 0, "=="),
        ("$.a and $.b", 4, "'&&'"),
        ("not $.a", 0, "'!'"),
        ("a == 1", 0, "$.a"),
        ("$.a[*] == 1", 3, "[n]"),
        ("$..a == 1", 1, ".key"),
        ("$.a. == 1", 3, ".key"),
        ("$input.a == 1", 0, "'$.'"),
        ("$.a == [1]", 7, "'['"),
        ("$.a ^ 1", 4, "'^'"),
        ("$.a == 1 1", 9, "'1'"),
        ("$.a + * 1", 6, "'*'"),
        ("()", 1, "')'"),
        ("$.a === 1", 6, "'=='"),
        ("1" * 500 + " > 1", 0, "too long"),
        ("$.a == 1;", 8, "';'"),
        ("__import__('os')", 0, "__import__"),
        ("$.a in", 6, "ends"),
        ("! ", 2, "ends"),
    ],
)
def test_a_syntax_error_says_where(text: str, offset: int, part: str) -> None:
    with pytest.raises(ConditionInvalid) as caught:
        compile_condition(text)
    assert caught.value.offset == offset and part in str(caught.value)


def test_deep_nesting_is_refused_and_long_chains_are_not() -> None:
    assert holds("(" * 50 + "true" + ")" * 50)
    for deep in ("(" * 51 + "1" + ")" * 51, "!" * 100_000 + "1", "(" * 100_000, "-" * 90 + "1"):
        with pytest.raises(ConditionInvalid, match="50 deep"):
            compile_condition(deep)
    assert holds(" && ".join(["true"] * 20_000))
    assert holds("+".join(["1"] * 20_000) + " == 20000")


def test_the_same_text_is_compiled_once() -> None:
    assert compile_condition("$.a == 1") is compile_condition("$.a == 1")
