"""Foresight: what is known of a flow's data before it runs, from its input and mappings alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.core.walk import merged
from engine.fdl.mappings import Roots, apply_mappings, reference_path, source_path
from engine.fdl.model import AttemptedStep, Mapping, Mappings, PassStep, Step, WaitStep
from engine.fdl.paths import Path


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an object: these values, and that nobody can tell about these keys.

    `open`: there may be any other key as well. A key that is unknown may have a value all the same:
    what it likely is, unless a task returns something else under that key.
    """

    values: dict[str, Any] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    open: bool = False

    def tells(self, path: Path) -> bool:
        """True when what is at a path is known, also that nothing is there."""
        first = path.chain[0] if path.chain else None
        if isinstance(first, str):
            return first not in self.unknown and (first in self.values or not self.open)
        return not (self.open or self.unknown)

    def under(self, above: Known) -> Known:
        """Both objects in one, where `above` wins."""
        if above.open:
            hidden = (self.unknown | self.values.keys()) - above.values.keys()
            values = merged(self.values, above.values)
            return Known(values, above.unknown | hidden, open=True)
        below = {key: value for key, value in self.values.items() if key not in above.unknown}
        unknown = (self.unknown - above.values.keys()) | above.unknown
        return Known(merged(below, above.values), unknown, self.open)


ANYTHING = Known(open=True)
"""Nothing is known: a task's result."""


def foresee_input(step: Step, given: Known, local: Known) -> Known:
    """What is known of a step's input, from its scope's input and local."""
    if step.input_mappings is not None:
        return mapped(step.input_mappings, given, local)
    return given.under(local)


def foresee_output(step: Step, given: Known) -> Known:
    """What is known of a step's output, from its input."""
    match step:
        case AttemptedStep():
            local, plain = ANYTHING, ANYTHING
        case PassStep() | WaitStep():
            local, plain = Known(), Known()
        case _:
            # A fork's local is a list: it leaves nothing unless it is mapped.
            local, plain = ANYTHING, Known()
    return plain if step.output_mappings is None else mapped(step.output_mappings, given, local)


def foresee_reference(text: Any, given: Known) -> bool:
    """True when a constant, or what `$.key` refers to in a step's input, is known."""
    path = reference_path(text) if isinstance(text, str) else None
    return path is None or given.tells(path)


def mapped(mappings: Mappings, given: Known, local: Known) -> Known:
    """What is known of the object that mappings make."""
    known = [mapping for mapping in mappings if _is_known(mapping, given, local)]
    # Of two mappings to one target the later wins, unless it finds nothing: nobody can tell.
    unknown = _targets(mapping for mapping in mappings if mapping not in known)
    values = apply_mappings(tuple(known), Roots(given.values, local.values))
    return Known({k: v for k, v in values.items() if k not in unknown}, frozenset(unknown))


def _targets(mappings: Iterable[Mapping]) -> set[str]:
    return {mapping.target for mapping in mappings}


def _is_known(mapping: Mapping, given: Known, local: Known) -> bool:
    source = source_path(mapping.source) if isinstance(mapping.source, str) else None
    if source is None:
        return True
    root, path = source
    match root:
        case "input":
            return given.tells(path)
        case "local":
            return local.tells(path)
        case _:
            return False
