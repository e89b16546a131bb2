"""What the operators of a condition mean: the language's coercions on JSON values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Number = int | float

_NUMERIC = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_DIGITS = 400


def is_true(value: Any) -> bool:
    """A value as a condition: `true`, `"true"` and numbers other than 0 are true."""
    if isinstance(value, bool | str):
        return value is True or value == "true"
    return isinstance(value, int | float) and value != 0


def equal(left: Any, right: Any) -> bool:
    """Equality with coercion: `"1"` equals 1, `"true"` equals true; true does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return _as_bool(left) is not None and _as_bool(left) == _as_bool(right)
    if isinstance(left, str) != isinstance(right, str):
        numbers = _numbers(left, right)
        return numbers is not None and numbers[0] == numbers[1]
    return same(left, right)


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values, without coercion: `[1]` is not `[true]`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def contains(item: Any, container: Any) -> bool:
    """`in`: an element of a list, a key of an object, a part of a string; else false."""
    if isinstance(container, list):
        return any(equal(item, element) for element in container)
    if isinstance(container, dict | str):
        return isinstance(item, str) and item in container
    return False


def _less(left: Any, right: Any) -> bool:
    return bool(left < right)


def _less_or_equal(left: Any, right: Any) -> bool:
    return bool(left <= right)


def ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """An ordering: of numbers and numeric strings as numbers, of strings as strings, else false."""
    numbers = _numbers(left, right)
    if numbers is not None:
        return compare(*numbers)
    if isinstance(left, str) and isinstance(right, str):
        return compare(left, right)
    return False


def add(left: Any, right: Any) -> Any:
    """`+`: the sum of numbers, two strings joined, else null."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return arithmetic(lambda a, b: a + b, left, right)


def arithmetic(operate: Callable[[Any, Any], Number], left: Any, right: Any) -> Number | None:
    """An operation on two numbers; null on anything else, on a zero divisor and on overflow."""
    if not _is_number(left) or not _is_number(right):
        return None
    try:
        return operate(left, right)
    except (ZeroDivisionError, OverflowError):
        return None


def negate(value: Any) -> Number | None:
    """Prefix minus: of a number; null of anything else."""
    return -value if _is_number(value) else None


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": lambda left, right: ordered(_less, left, right),
    "<=": lambda left, right: ordered(_less_or_equal, left, right),
    ">": lambda left, right: ordered(_less, right, left),
    ">=": lambda left, right: ordered(_less_or_equal, right, left),
    "in": contains,
    "+": add,
    "-": lambda left, right: arithmetic(lambda a, b: a - b, left, right),
    "*": lambda left, right: arithmetic(lambda a, b: a * b, left, right),
    "/": lambda left, right: arithmetic(lambda a, b: a / b, left, right),
}
"""What each operator but `&&` and `||`, which stop early, does with its two values."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _numbers(left: Any, right: Any) -> tuple[Number, Number] | None:
    one, other = _as_number(left), _as_number(right)
    return None if one is None or other is None else (one, other)


def _as_number(value: Any) -> Number | None:
    if _is_number(value):
        return value  # type: ignore[no-any-return]  # _is_number narrows, in words mypy misses
    if not isinstance(value, str) or len(value) > _MAX_DIGITS or not _NUMERIC.fullmatch(value):
        return None
    return int(value) if value.lstrip("-").isdigit() else float(value)
