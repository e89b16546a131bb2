"""Exporting: one execution as a document, without its secrets, to be looked at elsewhere.

`penstock simulate --bundle` reads it (`engine.simulate.bundles`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from engine.errors import InvalidArgument
from engine.runtime.health import redis_errors
from engine.runtime.runtime import Runtime
from engine.runtime.tokens import Tokens
from engine.runtime.views import describe, history

FORM = 1
"""The form of the document; another number says that it has changed."""

REDACTED = "__redacted__"
"""What stands for a secret; plain text in YAML, too."""

SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?|pwd|secret|token|credential|authorization|api_?key|access_?key|"
    r"private_?key|signature|cookie",
    re.IGNORECASE,
)
"""Values under names like these are secrets."""

URL_PASSWORD = re.compile(r"(?<=://)([^\s/?#:@]*):(?!\{[^{}\s]*\}@)[^\s/?#]+(?=@)")
"""User and password of a URL; `{}` is a place that a format fills in."""

MOST_LEVELS = 50
"""How deeply nested JSON in a text may be to be looked at."""

LEAST_LETTERS = 8
"""A shorter secret is redacted where it is the whole of a text, not within other texts."""


@redis_errors()
def export_execution(runtime: Runtime, flow: str, name: str) -> dict[str, Any]:
    """An execution with its flow's definition and its history, redacted. Cost: O(history).

    Values under names such as `password` or `token` and callback tokens are replaced, wherever
    they stand, the definition included; so are those in texts that are JSON, and the passwords
    of URLs. What nobody could know to be a secret stays.

    Raises:
        ExecutionNotExists; FlowNotExists: its definition is gone.
    """
    execution = describe(runtime, flow, name)
    document = {
        "form": FORM,
        "flow": {
            "name": flow,
            "definition": runtime.definitions.text(execution.definition_id),
            "version": execution.version,
        },
        "execution": {
            "name": name,
            "status": execution.status,
            "input": execution.input,
            "output": execution.output,
            "error": execution.error,
            "cause": execution.cause,
            "started_time": execution.started_time,
            "stopped_time": execution.stopped_time,
            "dropped_turns": execution.dropped_turns,
        },
        "history": [asdict(event) for event in history(runtime, flow, name)],
    }
    return redacted(document, runtime.tokens)


def redacted(document: dict[str, Any], tokens: Tokens) -> dict[str, Any]:
    """A copy of a document without secrets and callback tokens."""
    # The definition may be JSON too, but what it has under such a name is where a secret goes.
    data = {name: value for name, value in document.items() if name != "flow"}
    found = {text for text in _secrets(data, tokens) if text}
    # The longest first: one may be a part of another.
    long = sorted((text for text in found if len(text) >= LEAST_LETTERS), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, long))) if long else None

    def clean(text: str) -> str:
        if text in found:
            return REDACTED
        shown = pattern.sub(REDACTED, text) if pattern else text
        return URL_PASSWORD.sub(rf"\1:{REDACTED}", shown)

    def clean_deeply(text: str) -> str:
        inner = _json_in(text)
        cleaned = _cleaned(inner, clean)
        return clean(text) if cleaned == inner else json.dumps(cleaned, ensure_ascii=False)

    copy: dict[str, Any] = _cleaned(data, clean_deeply)
    return copy | _cleaned({"flow": document["flow"]}, clean) if "flow" in document else copy


def _json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """What a text holds that is a JSON object or list; None: it is another one."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        found: dict[str, Any] | list[Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if _is_shallow(found) else None


def _is_shallow(value: Any) -> bool:
    """Whether it can be walked through by functions that call themselves."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inside = [part.values() if isinstance(part, dict) else part for part in level]
        level = [each for parts in inside for each in parts if isinstance(each, dict | list)]
        if not level:
            return True
    return False


def _secrets(value: Any, tokens: Tokens, in_texts: bool = True) -> Iterator[str]:
    """The secrets of a value; `in_texts`: those in texts that are JSON, too."""
    match value:
        case dict():
            for name, inner in value.items():
                if SECRET_NAME.search(name):
                    yield from _texts(inner)
                yield from _secrets(inner, tokens, in_texts)
        case list():
            for inner in value:
                yield from _secrets(inner, tokens, in_texts)
        case str() if _is_token(value, tokens):
            yield value
        case str() if in_texts:
            yield from _secrets(_json_in(value), tokens, in_texts=False)
        case _:
            return


def _texts(value: Any) -> Iterator[str]:
    """All texts of a value."""
    match value:
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
        case str():
            yield value
        case _:
            return


def _is_token(text: str, tokens: Tokens) -> bool:
    try:
        tokens.read(text)
    except InvalidArgument:
        return False
    return True


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    match value:
        case dict():
            return {
                clean(name): _hidden(inner) if SECRET_NAME.search(name) else _cleaned(inner, clean)
                for name, inner in value.items()
            }
        case list():
            return [_cleaned(inner, clean) for inner in value]
        case str():
            return clean(value)
        case _:
            return value


def _hidden(value: Any) -> Any:
    """A secret's place: lists and objects keep their shape."""
    match value:
        case dict():
            return {name: _hidden(inner) for name, inner in value.items()}
        case list():
            return [_hidden(inner) for inner in value]
        case None | bool():
            return value
        case _:
            return REDACTED
