"""Logs: every line says which execution, step and attempt it is about, as text or as JSON."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

FIELDS = ("flow", "execution", "step", "frame", "attempt")
"""What a line is about; what does not apply is left out."""


class Place(Protocol):
    """What a line is about: a message's pointer, a task's context."""

    @property
    def flow(self) -> str:
        """Name of the flow."""

    @property
    def execution(self) -> str:
        """Name of the execution."""

    @property
    def step(self) -> str:
        """Name of the step, "" for none."""

    @property
    def frame(self) -> str:
        """Id of the frame, "" for the flow's own series."""

    @property
    def attempt(self) -> int:
        """Which attempt of a task it is, 0 for none."""


_place: ContextVar[Place | None] = ContextVar("place", default=None)

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName"),
    *("data", "color_message"),
}
"""What every record has, and what Celery and Uvicorn add for others to format."""


@contextmanager
def about(place: Place) -> Iterator[None]:
    """Within the block, lines of this thread are about that place, whoever logs them."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record is about, then what it says besides; nothing that is empty."""
    place = _message_of(record) or _here()
    own = {name: value for name, value in vars(record).items() if name not in _OWN}
    found = {name: own.pop(name, place.get(name)) for name in FIELDS}
    return {name: value for name, value in (found | own).items() if value not in (None, "", 0)}


class TextFormatter(logging.Formatter):
    """A line as `inner` writes it, and its fields behind it as `name=value`."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The line; what follows a first line, such as a traceback, stays behind it."""
        head, end, rest = self._inner.format(record).partition("\n")
        fields = "".join(f" {name}={_shown(value)}" for name, value in fields_of(record).items())
        return f"{head}{fields}{end}{rest}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, process, message, the fields, the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in one line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def use_format(logger: logging.Logger, form: str) -> None:
    """Has a logger's handlers write `text` or `json`; idempotent."""
    for handler in logger.handlers:
        if form == "json":
            handler.setFormatter(JsonFormatter())
        elif not isinstance(handler.formatter, TextFormatter):
            handler.setFormatter(TextFormatter(handler.formatter or logging.Formatter()))


def _here() -> dict[str, Any]:
    place = _place.get()
    return {} if place is None else {name: getattr(place, name) for name in FIELDS}


def _message_of(record: logging.LogRecord) -> dict[str, Any]:
    """What Celery's own line about a message of ours is about."""
    told = record.args
    if not isinstance(told, Mapping) or not isinstance(told.get("kwargs"), str):
        return {}
    try:
        pointer = ast.literal_eval(str(told["kwargs"]))
    except (SyntaxError, ValueError):
        return {}
    return {name: pointer.get(name) for name in FIELDS} if isinstance(pointer, dict) else {}


def _shown(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and not set(text) & set(" =\"'") else json.dumps(text)
