"""The kinds of values that the language's keys take: how each is read, and its JSON Schema.

One table for both, so the parser and the schema that editors use cannot drift apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.fdl.model import JsonObject
from engine.fdl.suggestions import did_you_mean
from engine.fdl.timestamps import seconds_of_timestamp
from engine.fdl.yaml_scalars import described

NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,127}"
_NUMERIC = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_PERCENT = r"[0-9]+(\.[0-9]+)?\s*%"


class ValueUnfit(ValueError):
    """A value does not fit its key; the message continues the key's name: `must be …`."""

    def __init__(self, text: str, code: str = "BAD_VALUE") -> None:
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: `read` turns a JSON value into the model's, or raises `ValueUnfit`."""

    read: Callable[[Any], Any]
    schema: JsonObject


def one_of(*words: str) -> Kind:
    """One of a few words."""

    def read(value: Any) -> str:
        if value in words and isinstance(value, str):
            return value
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        raise ValueUnfit(f"must be {' or '.join(words)}, not {described(value)}{hint}")

    return Kind(read, {"enum": list(words)})


def number(least: float = -math.inf, above: float = -math.inf) -> Kind:
    """A number, or a text that is one, `least` or more and more than `above`."""

    def read(value: Any) -> float:
        read_value = _finite(value)
        if read_value < least:
            raise ValueUnfit(f"must be {least:g} or more, not {read_value:g}")
        if read_value <= above:
            raise ValueUnfit(f"must be more than {above:g}, not {read_value:g}")
        return read_value

    limits = {"minimum": least} if least > -math.inf else {}
    limits |= {"exclusiveMinimum": above} if above > -math.inf else {}
    return Kind(read, _number_schema("number", limits))


def count(least: int, most: int | None = None) -> Kind:
    """A whole number, or a text that is one, `least` or more, and at most `most`."""
    range_text = f"{least} or more" if most is None else f"{least} to {most}"

    def read(value: Any) -> int:
        whole = _finite(value)
        if whole != int(whole) or whole < least or (most is not None and whole > most):
            raise ValueUnfit(f"must be a whole number, {range_text}, not {described(value)}")
        return int(whole)

    limits = {"minimum": least} | ({} if most is None else {"maximum": most})
    return Kind(read, _number_schema("integer", limits))


def read_text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str):
        raise ValueUnfit(f"must be a text, not {described(value)}", "BAD_TYPE")
    if not value.strip():
        raise ValueUnfit("must not be empty")
    return value


def read_name(value: Any) -> str:
    """A step's name."""
    name = read_text(value)
    if re.fullmatch(NAME_PATTERN, name, re.ASCII) is None:
        raise ValueUnfit(
            f"must be 1 to 128 letters, digits, '_' and '-', a letter or '_' first, not {name!r}",
            "BAD_NAME",
        )
    return name


def read_flag(value: Any) -> bool:
    """A boolean; the texts "true" and "false" are taken for one."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueUnfit(f"must be true or false, not {described(value)}", "BAD_TYPE")


def read_scalar_text(value: Any) -> str:
    """A text; numbers and booleans are taken as they would be written in JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    raise ValueUnfit(f"must be a text, not {described(value)}", "BAD_TYPE")


def read_object(value: Any) -> JsonObject:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ValueUnfit(f"must be an object, not {described(value)}", "BAD_TYPE")
    return value


def read_error_names(value: Any) -> tuple[str, ...]:
    """A list of error names, at least one."""
    if not isinstance(value, list):
        raise ValueUnfit(f"must be a list of error names, not {described(value)}", "BAD_TYPE")
    if not value:
        raise ValueUnfit("must name at least one error; FnF.ALL matches every error")
    for name in value:
        if not isinstance(name, str) or not name:
            raise ValueUnfit(f"must hold error names only, not {described(name)}", "BAD_TYPE")
    return tuple(value)


def read_duration(value: Any) -> float | str:
    """Seconds, as a number or a text that is one, or a text with a path."""
    if isinstance(value, str) and value.startswith("$"):
        return value
    if isinstance(value, str) and not _is_numeric(value):
        raise ValueUnfit(f"must be seconds or a path such as $.seconds, not {value!r}")
    return _finite(value)


def read_timestamp(value: Any) -> str:
    """RFC 3339, or a path."""
    text = read_text(value)
    if not text.startswith("$"):
        try:
            seconds_of_timestamp(text)
        except ValueError as error:
            raise ValueUnfit(
                f"must be RFC 3339 such as 2026-01-31T12:00:00Z, or a path, not {text!r}"
            ) from error
    return text


def read_tolerated(value: Any) -> int | str:
    """A count as int, or a percentage as its text without the sign."""
    if isinstance(value, str) and re.fullmatch(_PERCENT, value.strip()):
        percent = value.strip().removesuffix("%").strip()
        if float(percent) > 100:
            raise ValueUnfit(f"must be 100% at most, not {value!r}")
        return percent
    try:
        return int(COUNT.read(value))
    except ValueUnfit as error:
        raise ValueUnfit(
            f'must be a whole number, 0 or more, or a percentage such as "5%", '
            f"not {described(value)}"
        ) from error


def _is_numeric(text: str) -> bool:
    return re.fullmatch(_NUMERIC, text.strip(), re.ASCII) is not None


def _finite(value: Any) -> float:
    if isinstance(value, str) and _is_numeric(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueUnfit(f"must be a number, not {described(value)}", "BAD_TYPE")
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    if not finite:
        raise ValueUnfit("must be a finite number")
    return float(value)


def _number_schema(kind: str, limits: JsonObject) -> JsonObject:
    text = {"type": "string", "pattern": rf"^\s*{_NUMERIC}\s*$"}
    return {"anyOf": [{"type": kind, **limits}, text]}


ANYTHING = Kind(lambda value: value, {})
TEXT = Kind(read_text, {"type": "string", "minLength": 1})
SCALAR_TEXT = Kind(read_scalar_text, {"type": ["string", "number", "boolean"]})
NAME = Kind(read_name, {"type": "string", "pattern": f"^{NAME_PATTERN}$"})
FLAG = Kind(read_flag, {"enum": [True, False, "true", "false"]})
OBJECT = Kind(read_object, {"type": "object"})
COUNT = count(0)
POSITIVE_COUNT = count(1)
TURNS = count(1, 1000)
LANES = count(1, 64)
WINDOW = count(64 * 1024, 256 * 1024 * 1024)
SECONDS = number(least=0)
POSITIVE = number(above=0)
ERROR_NAMES = Kind(
    read_error_names,
    {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
)
DURATION = Kind(
    read_duration,
    {"anyOf": [*_number_schema("number", {})["anyOf"], {"type": "string", "pattern": r"^\$"}]},
)
TIMESTAMP = Kind(read_timestamp, {"type": "string", "minLength": 1})
TOLERATED = Kind(
    read_tolerated,
    {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9.]+ *%?$"}]},
)
CONDITION = Kind(read_scalar_text, {"type": ["string", "boolean"]})
