"""Inputs: what the options of commands mean, and what is wrong with them in one line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from engine.core.checks import load_flow
from engine.core.graph import Graph
from engine.errors import InvalidArgument
from engine.fdl.timestamps import seconds_of_timestamp
from tasks import shipped_flows

STDIN = "-"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_text(path: str, what: str) -> str:
    """The text of a file, of stdin for `-`, or of a shipped flow by its name alone.

    `what` names its purpose in errors.

    Raises:
        InvalidArgument: it cannot be read as UTF-8 text.
    """
    try:
        if path == STDIN:
            return sys.stdin.read()
        place = Path(path)
        if not place.exists():
            place = shipped_flows().get(path, place)
        return place.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InvalidArgument(f"{path}: no such {what}") from None
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read: {error.strerror}") from None


def read_input(text: str | None) -> dict[str, Any]:
    """The input that `--input` gives: a JSON object, `@file` or `@-` (stdin); None is `{}`.

    Raises:
        InvalidArgument: it is not a JSON object.
    """
    if text is None:
        return {}
    source, body = "--input", text
    if text.startswith("@"):
        source, body = text[1:], read_text(text[1:], "input file")
    try:
        value = json.loads(body, parse_constant=_no_json_number)
        # What can be read but not written again: 1e999, half a surrogate pair.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}"
        raise InvalidArgument(f"{source}: not JSON ({error.msg}, {at})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{source}: not JSON that can be used ({error})") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{source}: the input must be a JSON object, not {_kind(value)}")
    return value


def read_graph(path: str) -> Graph:
    """The checked flow of a file; its warnings go to stderr.

    Raises:
        InvalidArgument: the file cannot be read.
        FlowInvalid: the flow has errors.
    """
    graph, warnings = load_flow(read_text(path, "flow file"), path)
    for warning in warnings:
        typer.echo(str(warning), err=True)
    return graph


def read_flows(pairs: Iterable[str]) -> dict[str, Graph]:
    """The flows of the options `--flow NAME=FILE`.

    Raises:
        InvalidArgument: an option is none of that form, names a flow twice or no file.
        FlowInvalid: a flow has errors.
    """
    flows: dict[str, Graph] = {}
    for pair in pairs:
        name, path = named_file(pair)
        if name in flows:
            raise InvalidArgument(f"--flow {pair}: the flow '{name}' was given before")
        flows[name] = read_graph(path)
    return flows


def named_file(pair: str) -> tuple[str, str]:
    """The name and the file of an option `--flow NAME=FILE`; of a shipped flow the name will do.

    Raises:
        InvalidArgument: it is none of that form.
    """
    name, equals, file = pair.partition("=")
    if not equals and name in shipped_flows():
        file = name
    if not (name and file):
        raise InvalidArgument(f"--flow {pair}: write NAME=FILE")
    return name, file


def read_moment(option: str, text: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp. Raises InvalidArgument."""
    try:
        return seconds_of_timestamp(text)
    except ValueError as error:
        raise InvalidArgument(f"{option}: {error}") from None


def read_retention(pairs: Iterable[str]) -> dict[str, float] | None:
    """Seconds by status of the options `--retention STATUS=DURATION`; None: none is given.

    A duration is a number with s, m, h or d. `none` alone: the installation's own for all.

    Raises:
        InvalidArgument: an option is none of that form, or names a status twice.
    """
    given = list(pairs)
    if not given:
        return None
    kept: dict[str, float] = {}
    for pair in [] if given == ["none"] else given:
        status, _, duration = pair.partition("=")
        match = _DURATION.fullmatch(duration)
        if match is None or status in kept:
            raise InvalidArgument(f"--retention {pair}: write STATUS=DURATION, as in Succeeded=12h")
        kept[status] = float(match[1]) * _UNITS_S[match[2]]
    return kept


def retention_text(kept: Mapping[str, float]) -> str:
    """Seconds by status as the options have them."""
    return " ".join(f"{status}={_duration(seconds)}" for status, seconds in kept.items())


def flow_name(path: str) -> str:
    """The name that a flow has in `run` and `simulate`: its file's stem; "flow" for stdin."""
    return "flow" if path == STDIN else Path(path).stem


def _duration(seconds: float) -> str:
    whole = (unit for unit in reversed(_UNITS_S) if seconds % _UNITS_S[unit] == 0)
    unit = next(whole, "s")
    return f"{seconds / _UNITS_S[unit]:g}{unit}"


def _no_json_number(word: str) -> NoReturn:
    raise InvalidArgument(f"--input: {word} is no JSON number")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case list():
            return "a list"
        case str():
            return "a text"
        case _:
            return "a number"
