"""Pairs: a flow file and what it must do, read from `tests/flows`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fundamentals.answers import Answer

FLOWS = Path(__file__).resolve().parents[1] / "flows"
EXPECTATION = ".expect.yml"
DEFAULT_SEEDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop from outside, as soon as the execution waits.

    `flow` and `execution` name a child; None: the execution of the pair itself.
    """

    flow: str | None = None
    execution: str | None = None
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report of the callback token of one attempt of a step of the pair's own execution.

    Reports are made in the order written, each when that attempt waits (`early`: while its
    function runs). `token_of_attempt`: with an earlier attempt's token; `forged`: with a token
    that was changed. `refused`: the code of the error that the report must meet.
    """

    step: str
    attempt: int = 1
    succeeded: dict[str, Any] | None = None
    failed: dict[str, str] | None = None
    early: bool = False
    token_of_attempt: int | None = None
    forged: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What `NAME.expect.yml` says.

    `tasks` holds the script of each task by its registered name, `flows` the file of each
    sub-flow (relative to the folder of the pairs) by its name. `invalid` and `warnings` list
    problems as `line:column CODE part of the text`. `status` None: the flow must not load.
    `output` is compared when the execution succeeds; `error` and `cause` where they are given.
    `events` gives, per frame, the whole sequence of events: `Type step`, or `{Type: step,
    key: value}` with a part of the detail. `invariants` are names, or `{name: limit}`, of
    `tests.fundamentals.invariants`. `race` says why histories of two runs may differ.
    `children` gives statuses by `flow/execution`. `messages` says what must arrive at the
    broker (`queue` or `topic`: its name; `body`), `operations` name what else is done and checked
    on a real store (both there only).
    `dropped` counts, by type, the events that the history does not keep in the end.
    `now` is the simulator's clock at the start; `generate` makes lists of numbers of these
    lengths in the input. `simulate_only` says why no real worker can show this.
    """

    about: str
    rules: tuple[str, ...]
    input: dict[str, Any] = field(default_factory=dict)
    generate: dict[str, int] = field(default_factory=dict)
    name: str | None = None
    tasks: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    flows: Mapping[str, str] = field(default_factory=dict)
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    status: str | None = None
    output: dict[str, Any] | None = None
    error: str | None = None
    cause: str | None = None
    events: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    invariants: tuple[Any, ...] = ()
    race: str | None = None
    children: Mapping[str, str] = field(default_factory=dict)
    report: tuple[Mapping[str, Any], ...] = ()
    stop: Mapping[str, Any] | None = None
    operations: tuple[str, ...] = ()
    messages: Mapping[str, Any] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    seeds: int = DEFAULT_SEEDS
    now: str | None = None
    simulate_only: str | None = None
    worker_only: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A flow file with its expectation; `name` is the file's stem and the flow's name."""

    name: str
    path: Path
    text: str
    expect: Expectation

    @property
    def input(self) -> dict[str, Any]:
        """The execution's input."""
        made = {key: list(range(length)) for key, length in self.expect.generate.items()}
        return {**self.expect.input, **made}

    @property
    def scripts(self) -> dict[str, tuple[Answer, ...]]:
        """The answers of each task, by its registered name."""
        return {
            resource: tuple(Answer(**entry) for entry in entries)
            for resource, entries in self.expect.tasks.items()
        }

    @property
    def sub_flows(self) -> dict[str, str]:
        """The text of each sub-flow by its name."""
        return {name: (FLOWS / file).read_text() for name, file in self.expect.flows.items()}

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports to make, in this order."""
        return tuple(Report(**entry) for entry in self.expect.report)

    @property
    def stop(self) -> Stop | None:
        """The stop to make, if any."""
        return None if self.expect.stop is None else Stop(**self.expect.stop)


@cache
def all_pairs() -> tuple[Pair, ...]:
    """Every pair, by name."""
    return tuple(_read(path) for path in sorted(FLOWS.glob(f"*{EXPECTATION}")))


def valid_pairs() -> tuple[Pair, ...]:
    """The pairs whose flow loads and runs."""
    return tuple(pair for pair in all_pairs() if not pair.expect.invalid)


def invalid_pairs() -> tuple[Pair, ...]:
    """The pairs whose flow must be refused."""
    return tuple(pair for pair in all_pairs() if pair.expect.invalid)


def simulated_pairs() -> tuple[Pair, ...]:
    """The pairs that the simulator can show."""
    return tuple(pair for pair in valid_pairs() if pair.expect.worker_only is None)


def worker_pairs() -> tuple[Pair, ...]:
    """The pairs that a real worker can show."""
    return tuple(pair for pair in valid_pairs() if pair.expect.simulate_only is None)


def resources() -> tuple[str, ...]:
    """The registered name of every task that some pair scripts."""
    return tuple(sorted({resource for pair in all_pairs() for resource in pair.expect.tasks}))


def owner_of(flow: str, resource: str) -> Pair | None:
    """The pair whose script answers a call of `resource` by an execution of `flow`.

    `flow` is a pair's own name or that of one of its sub-flows.
    """
    return next((pair for pair in _users_of(flow) if resource in pair.expect.tasks), None)


def _users_of(flow: str) -> Iterator[Pair]:
    return (pair for pair in all_pairs() if flow == pair.name or flow in pair.expect.flows)


def _read(path: Path) -> Pair:
    name = path.name.removesuffix(EXPECTATION)
    flow = path.with_name(f"{name}.yml")
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    known = {item.name for item in dataclasses.fields(Expectation)}
    if unknown := values.keys() - known:
        raise ValueError(f"{path.name}: unknown keys {sorted(unknown)}")
    listed = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Pair(name, flow, flow.read_text(), Expectation(**(values | listed)))
