"""Tokens of the condition grammar, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

TokenKind = Literal["value", "reference", "operator", "end"]

_NAME = r"[A-Za-z_\u0080-\U0010FFFF](?:[\w\u0080-\U0010FFFF]|-(?=[A-Za-z_\u0080-\U0010FFFF]))*"
# A hyphen before a letter belongs to the key, one before a digit or a blank is a minus:
# `$.has-more` is one reference, `$.total-1` a subtraction.
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)
    | (?P<reference>\$(?:\.{_NAME}|\[\s*-?[0-9]+\s*\]|\['[^']*'\]|\["[^"]*"\])*)
    | (?P<operator>==|!=|>=|<=|&&|\|\||[><!()+\-*/])
    | (?P<word>{_NAME})""",
    re.VERBOSE | re.DOTALL,
)
_SEGMENT = re.compile(
    rf"""\.({_NAME})|\[\s*(-?[0-9]+)\s*\]|\['([^']*)'\]|\["([^"]*)"\]""", re.VERBOSE
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LITERALS: dict[str, Any] = {"true": True, "false": False, "null": None}
_HINTS = {
    "=": "write '=='",
    "&": "write '&&'",
    "|": "write '||'",
    '"': "the string has no end",
    "'": "the string has no end",
    "`": "the string has no end",
}
_WORD_HINTS = {"and": "write '&&'", "or": "write '||'", "not": "write '!'"}
MAX_NUMBER_DIGITS = 400


class ConditionInvalid(ValueError):
    """A condition does not fit the grammar; `offset` is where in its text, from 0."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is a literal's value, a reference's keys (str or int) or an operator's text."""

    kind: TokenKind
    value: Any
    offset: int


def tokens_of(text: str) -> list[Token]:
    """All tokens of a condition, an `end` token last.

    Raises:
        ConditionInvalid: something in it is no token.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionInvalid(_unexpected(text, at), at)
        if match.lastgroup != "space":
            tokens.append(_token(match))
        at = match.end()
    return [*tokens, Token("end", "", at)]


def _unexpected(text: str, at: int) -> str:
    hint = _HINTS.get(text[at])
    return f"unexpected {text[at]!r}" + (f": {hint}" if hint else "")


def _token(match: re.Match[str]) -> Token:
    text, at = match[0], match.start()
    match match.lastgroup:
        case "number":
            return Token("value", _number(text, at), at)
        case "string":
            return Token("value", _ESCAPE.sub(_unescape, text[1:-1]), at)
        case "reference":
            return Token("reference", _keys(match), at)
        case "operator":
            return Token("operator", text, at)
        case _:
            return _word(text, at)


def _number(text: str, at: int) -> int | float:
    if len(text) > MAX_NUMBER_DIGITS:
        raise ConditionInvalid("the number is too long", at)
    return int(text) if text.isdigit() else float(text)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    # An escape that JSON does not know stays as it is written, so "C:\dir" means what it says.
    return _ESCAPED.get(code) or (code if code in "\\/\"'`" else match[0])


def _keys(match: re.Match[str]) -> tuple[str | int, ...]:
    text, end = match.string, match.end()
    if text[end : end + 1] in (".", "["):
        raise ConditionInvalid("expected .key, [n] or ['key']", end)
    if re.match(r"\w", text[end : end + 1]):
        raise ConditionInvalid("a reference begins with '$.': the step's input", match.start())
    return tuple(_key(segment) for segment in _SEGMENT.finditer(text, match.start() + 1, end))


def _key(segment: re.Match[str]) -> str | int:
    name, index, single, double = segment.groups()
    if index is not None:
        return int(index[:MAX_NUMBER_DIGITS])
    return next(part for part in (name, single, double) if part is not None)


def _word(text: str, at: int) -> Token:
    if text in _LITERALS:
        return Token("value", _LITERALS[text], at)
    if text == "in":
        return Token("operator", "in", at)
    hint = _WORD_HINTS.get(text.lower(), f"write a text as \"{text}\", a reference as $.{text}")
    raise ConditionInvalid(f"unexpected '{text}': {hint}", at)
