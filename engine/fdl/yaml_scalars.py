"""Scalars of YAML 1.2's core schema: which JSON value a plain text stands for."""

from __future__ import annotations

import re

from engine.fdl.model import Json

Scalar = None | bool | int | float | str

TAG_PREFIX = "tag:yaml.org,2002:"

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]{1,400}", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,400}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITY = re.compile(r"(?P<sign>[-+]?)\.(?:inf|Inf|INF)", re.ASCII)
_NOT_A_NUMBER = frozenset({".nan", ".NaN", ".NAN"})


def plain_value(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar.

    Only `true` and `false` are booleans; `yes`, `on`, dates and `12:30:45` are strings.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    return text if (number := _number(text)) is None else number


def tagged_value(tag: str, text: str) -> Scalar:
    """The value of a scalar with a core tag such as `!!str`.

    Raises:
        ValueError: the text is no value of that type.
        KeyError: the tag is none of the core schema.
    """
    kind = tag.removeprefix(TAG_PREFIX)
    if kind == "str":
        return text
    if kind not in _TYPES:
        raise KeyError(tag)
    value = plain_value(text)
    if kind == "float" and type(value) is int:
        value = float(value)
    if not isinstance(value, _TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
        raise ValueError(f"'{text}' is no !!{kind}")
    return value


_TYPES: dict[str, type] = {"null": type(None), "bool": bool, "int": int, "float": float}


def described(value: Json) -> str:
    """A value for a message: `the number 5`, `a list`, `the text 'x'`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {shortened(value)!r}"
        case list():
            return "a list"
        case _:
            return "an object"


def shortened(text: str, limit: int = 40) -> str:
    """A text for a message, cut after `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITY.fullmatch(text):
        return float(f"{match['sign']}inf")
    return float("nan") if text in _NOT_A_NUMBER else None
