"""Parameters: what a request of the service's own protocol says, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.api.depth import check_depth
from engine.errors import InvalidArgument, MissingRequiredParams

MOST_LISTED = 1000
LISTED = 60
FLAGS = {"true": True, "false": False, "": False}


class Parameters:
    """The query and form parameters of a request; an empty text counts as not given.

    All methods raise InvalidArgument for what cannot be used, MissingRequiredParams for what is
    needed and not there.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def required(self, name: str) -> str:
        """A text that must be there and not be empty."""
        if not (value := self._given.get(name)):
            raise MissingRequiredParams(f"{name} is required")
        return value

    def present(self, name: str) -> str:
        """A text that must be there; it may be empty."""
        if name not in self._given:
            raise MissingRequiredParams(f"{name} is required")
        return self._given[name]

    def text(self, name: str) -> str:
        """A text; "" if it was not given."""
        return self._given.get(name, "")

    def optional(self, name: str) -> str | None:
        """A text, None if it was not given; an empty one was."""
        return self._given.get(name)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        found = self.perhaps_number(name, low, high)
        return default if found is None else found

    def perhaps_number(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, None if it was not given."""
        if not (text := self.text(name)):
            return None
        try:
            value = int(text) if len(text) < 20 else high + 1
        except ValueError:
            raise InvalidArgument(f"{name} must be a whole number, not {text!r}") from None
        if not low <= value <= high:
            raise InvalidArgument(f"{name} must be from {low} to {high}, not {text}")
        return value

    def percentage(self, name: str) -> float | None:
        """A number from 0 to 100, None if it was not given."""
        if not (text := self.text(name)):
            return None
        try:
            value = float(text)
        except ValueError:
            raise InvalidArgument(f"{name} must be a number, not {text!r}") from None
        if not 0 <= value <= 100:
            raise InvalidArgument(f"{name} must be from 0 to 100, not {text}")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false if it was not given."""
        text = self.text(name)
        if text.lower() not in FLAGS:
            raise InvalidArgument(f"{name} must be true or false, not {text!r}")
        return FLAGS[text.lower()]

    def perhaps_flag(self, name: str) -> bool | None:
        """True or false, None if it was not given."""
        return self.flag(name) if self.text(name) else None

    def limit(self) -> int:
        """How many things a page has."""
        return self.number("Limit", LISTED, 1, MOST_LISTED)

    def json_object(self, name: str) -> dict[str, Any]:
        """A JSON object; {} if it was not given."""
        value = self._json(name, "{}")
        if not isinstance(value, dict):
            raise InvalidArgument(f"{name} must be the text of a JSON object")
        return value

    def json_list(self, name: str) -> list[Any] | None:
        """A JSON list, None if it was not given."""
        if not self.text(name):
            return None
        value = self._json(name, "[]")
        if not isinstance(value, list):
            raise InvalidArgument(f"{name} must be the text of a JSON list")
        return value

    def time(self, name: str) -> float | None:
        """A time as seconds since the epoch, None if it was not given."""
        return seconds_of(self.text(name), name) if self.text(name) else None

    def _json(self, name: str, default: str) -> Any:
        try:
            return check_depth(json.loads(self.text(name) or default))
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"{name} is no JSON to be used: {error}") from None


def seconds_of(text: str, name: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; without a zone it is UTC.

    Raises:
        InvalidArgument.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidArgument(f"{name} must be a time such as 2019-01-01T01:01:01Z") from None


def service_time(seconds: float | None) -> str:
    """A time as the service writes it; "" for none."""
    if seconds is None:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
