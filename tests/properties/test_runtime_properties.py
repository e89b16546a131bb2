"""What holds of every execution in the store, whatever becomes of its messages and workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.config import Settings
from engine.core.checks import load_flow
from engine.core.events import Event, EventType
from engine.core.graph import Graph
from engine.core.history import normalise
from engine.runtime.embedded import EmbeddedRedis
from engine.simulate.simulator import Simulation, simulate
from tasks import TaskError
from tests.driving import Driver, Trouble
from tests.fundamentals.invariants import broken
from tests.properties.flows import TASKS, Document, documents, text_of
from tests.stores import without_ttl

INPUT: dict[str, Any] = {"x": 2, "y": 0, "n": True}
DISORDER = Trouble(twice=0.3, early=0.02, between=0.1)
LOSSES = Trouble(twice=0.2, lost=0.15, between=0.05)
DEATHS = Trouble(twice=0.1, lost=0.05, between=0.15, death=0.05, stall=0.02)

# Drawing a whole flow is slow for Hypothesis' taste, and the server is shared on purpose: every
# example empties it. The same examples each time, and a failing one is not made smaller: what
# happens depends on the clock a little, so that a smaller one would be another mistake.
driven = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


def _busy_once(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
    """Fails on its first try, and does not tell how many it took."""
    if ctx.attempt == 1:
        raise TaskError("Test.Busy", "come again")
    return {"tried": True}


STEADY = {**TASKS, "flaky": _busy_once}
"""Tasks whose results are the same when attempts were lost."""


def driver_on(server: EmbeddedRedis, functions: Any, seed: int, trouble: Trouble) -> Driver:
    """A driver in an emptied store."""
    client = redis.Redis.from_url(server.url, decode_responses=True)
    client.flushall()
    return Driver(
        client,
        functions,
        seed=seed,
        slots=seed % 4 + 1,
        batch=seed % 6 + 1,
        trouble=trouble,
        settings=Settings(max_losses=1000),
    )


def graph_of(document: Document) -> Graph:
    return load_flow(text_of(document))[0]


def simulated(document: Document, functions: Any = TASKS) -> Simulation:
    graph = graph_of(document)
    return simulate(graph, INPUT, tasks=functions, now=0.0, flow_name="flow", execution_name="e-1")


def caused_wrongly(history: list[Event]) -> list[str]:
    """Events whose cause is not in their frame; the first of a child has its fork's for a cause."""
    by_id = {event.event_id: event for event in history}
    found = []
    for event in history[1:]:
        cause = by_id[event.schedule_event_id]
        opens = event.type in (EventType.BRANCH_ENTERED, EventType.ITERATION_ENTERED)
        parent = event.frame.rpartition("/")[0] if opens else event.frame
        if cause.frame != parent:
            found.append(f"{event.event_id} {event.type} in {event.frame!r}: {cause}")
    return found


@driven
@given(documents(), st.integers(0, 10**6))
def test_disorder_and_repetition_change_neither_output_nor_history(
    redis_server: EmbeddedRedis, document: Document, seed: int
) -> None:
    expected = simulated(document)
    driver = driver_on(redis_server, TASKS, seed, DISORDER)
    ended = driver.run(text_of(document), INPUT)
    assert (ended.status, ended.output) == (expected.status, expected.output)
    assert normalise(driver.history()) == normalise(expected.history)
    assert caused_wrongly(driver.history()) == []
    assert max(driver.runner.ran.values(), default=0) <= 2, "only attempts repeat a task"


@driven
@given(documents(), st.integers(0, 10**6))
def test_lost_messages_change_neither_output_nor_history(
    redis_server: EmbeddedRedis, document: Document, seed: int
) -> None:
    expected = simulated(document)
    driver = driver_on(redis_server, TASKS, seed, LOSSES)
    ended = driver.run(text_of(document), INPUT)
    assert (ended.status, ended.output) == (expected.status, expected.output)
    assert normalise(driver.history()) == normalise(expected.history)
    assert without_ttl(driver.redis) == []


@driven
@given(documents(), st.integers(0, 10**6))
def test_the_death_of_workers_changes_no_output(
    redis_server: EmbeddedRedis, document: Document, seed: int
) -> None:
    expected = simulated(document, STEADY)
    driver = driver_on(redis_server, STEADY, seed, DEATHS)
    ended = driver.run(text_of(document), INPUT)
    assert (ended.status, ended.output) == (expected.status, expected.output)
    assert broken(driver.history()) == []
    assert caused_wrongly(driver.history()) == []
    assert without_ttl(driver.redis) == []


@driven
@given(documents(failing=True), st.integers(0, 10**6))
def test_every_entered_has_one_exited_however_the_flow_ends_and_whoever_dies(
    redis_server: EmbeddedRedis, document: Document, seed: int
) -> None:
    driver = driver_on(redis_server, STEADY, seed, DEATHS)
    ended = driver.run(text_of(document), INPUT)
    assert ended.status.ended
    assert broken(driver.history()) == []
    assert caused_wrongly(driver.history()) == []


@driven
@given(documents(failing=True), st.integers(0, 10**6))
def test_a_join_fires_once(redis_server: EmbeddedRedis, document: Document, seed: int) -> None:
    driver = driver_on(redis_server, TASKS, seed, DISORDER)
    driver.run(text_of(document), INPUT)
    forks = {
        node.step.name
        for node in graph_of(document).nodes.values()
        if type(node.step).__name__ in ("ParallelStep", "ForeachStep")
    }
    left: Counter[tuple[str, str]] = Counter()
    for event in driver.history():
        if event.step_name in forks:
            left[event.frame, event.step_name] += (event.type is EventType.STEP_ENTERED) - (
                event.type is EventType.STEP_EXITED
            )
            assert left[event.frame, event.step_name] in (0, 1)
    assert set(left.values()) <= {0}


@driven
@given(documents(failing=True), st.integers(0, 10**6), st.integers(0, 60))
def test_a_stop_at_any_time_ends_the_execution_once(
    redis_server: EmbeddedRedis, document: Document, seed: int, after: int
) -> None:
    driver = driver_on(redis_server, STEADY, seed, DEATHS)
    driver.deploy(text_of(document))
    driver.start(INPUT)
    for _ in range(after):
        if not driver.step():
            break
    if not driver.describe().status.ended:
        driver.stop()
        assert driver.describe().status == "Stopped"
    driver.drive()
    assert broken(driver.history()) == []
    assert without_ttl(driver.redis) == []
