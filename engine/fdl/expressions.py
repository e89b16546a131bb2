"""A condition: the expression of a choice's option, compiled once and tested against an input.

    condition  = and { "||" and }
    and        = comparison { "&&" comparison }
    comparison = sum { ("==" | "!=" | ">" | ">=" | "<" | "<=" | "in") sum }
    sum        = product { ("+" | "-") product }
    product    = prefix { ("*" | "/") prefix }
    prefix     = [ "!" | "-" ] prefix | "(" condition ")" | literal | reference
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.fdl.expression_tokens import ConditionInvalid, Token, tokens_of
from engine.fdl.expression_values import BINARY, is_true, negate
from engine.fdl.paths import MISSING, walk

__all__ = ["Condition", "ConditionInvalid", "compile_condition"]

CACHED_CONDITIONS = 1024
MAX_DEPTH = 50
"""Parentheses and prefixes inside each other; more is taken for an attack on the stack."""

Evaluate = Callable[[Any], Any]
LEVELS = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!=", ">", ">=", "<", "<=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/"}),
)
"""The binary operators, those that bind least first."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `evaluate` gives its JSON value for an input."""

    text: str
    evaluate: Evaluate

    def test(self, input: dict[str, Any]) -> bool:
        """True when the condition holds for a choice's input; it never fails."""
        return is_true(self.evaluate(input))


@lru_cache(maxsize=CACHED_CONDITIONS)
def compile_condition(text: str) -> Condition:
    """Compiles the text of a condition.

    Raises:
        ConditionInvalid: it does not fit the grammar; says where.
    """
    parser = _Parser(tokens_of(text))
    evaluate = parser.chain(0)
    if parser.now.kind != "end":
        raise ConditionInvalid(f"unexpected '{parser.show()}'", parser.now.offset)
    return Condition(text, evaluate)


class _Parser:
    """Walks the tokens once; every method returns the function that evaluates what it read."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        return self._tokens[self._at]

    def show(self) -> str:
        token = self.now
        return "$" if token.kind == "reference" else str(token.value)

    def take(self) -> Token:
        token = self.now
        self._at += 1
        return token

    def chain(self, level: int) -> Evaluate:
        """Operands joined by the operators of one level, from left to right."""
        if level == len(LEVELS):
            return self.prefix()
        first = self.chain(level + 1)
        rest: list[tuple[str, Evaluate]] = []
        while self.now.kind == "operator" and self.now.value in LEVELS[level]:
            operator = self.take().value
            rest.append((operator, self.chain(level + 1)))
        return _joined(level, first, rest) if rest else first

    def prefix(self) -> Evaluate:
        """A prefix operator and its operand, parentheses, or a single value."""
        token = self.take()
        if token.kind == "value":
            return _constant(token.value)
        if token.kind == "reference":
            return _reference(token.value)
        if token.value in ("!", "-", "("):
            return self.nested(token)
        self._at -= 1
        raise ConditionInvalid(self._expected(), token.offset)

    def nested(self, token: Token) -> Evaluate:
        """What follows a prefix operator or an opening parenthesis."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionInvalid(f"nested more than {MAX_DEPTH} deep", token.offset)
        inner = self._group(token) if token.value == "(" else _prefixed(token.value, self.prefix())
        self._depth -= 1
        return inner

    def _group(self, opening: Token) -> Evaluate:
        inner = self.chain(0)
        if self.now.value != ")" or self.now.kind != "operator":
            what = "the condition ends" if self.now.kind == "end" else f"'{self.show()}' comes"
            raise ConditionInvalid(
                f"{what} before the ')' of the '(' at {opening.offset + 1}", self.now.offset
            )
        self.take()
        return inner

    def _expected(self) -> str:
        if self.now.kind == "end":
            return "the condition ends where a value is expected"
        return f"unexpected '{self.show()}' where a value is expected"


def _constant(value: Any) -> Evaluate:
    return lambda _: value


def _reference(keys: tuple[str | int, ...]) -> Evaluate:
    def look_up(input: Any) -> Any:
        value = walk(input, keys)
        return None if value is MISSING else value

    return look_up


def _prefixed(operator: str, operand: Evaluate) -> Evaluate:
    if operator == "!":
        return lambda input: not is_true(operand(input))
    return lambda input: negate(operand(input))


def _joined(level: int, first: Evaluate, rest: list[tuple[str, Evaluate]]) -> Evaluate:
    if level < 2:
        operands = [first, *(operand for _, operand in rest)]
        decides = any if level == 0 else all
        return lambda input: decides(is_true(operand(input)) for operand in operands)
    steps = [(BINARY[operator], operand) for operator, operand in rest]

    def fold(input: Any) -> Any:
        value = first(input)
        for operate, operand in steps:
            value = operate(value, operand(input))
        return value

    return fold
