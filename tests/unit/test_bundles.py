"""Bundles: an execution is exported without its secrets, and replayed with the same decisions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from redis import Redis

from engine.core.checks import load_flow
from engine.core.events import EventType
from engine.errors import InvalidArgument
from engine.runtime.exporting import export_execution
from engine.runtime.pausing import pause, resume
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.reports import report
from engine.simulate.bundles import Bundle, read_bundle, replay
from engine.simulate.simulator import Simulation
from tests.driving import Driver, Trouble
from tests.fundamentals.pairs import Pair, simulated_pairs
from tests.fundamentals.simulated import simulated
from tests.properties.flows import TASKS
from tests.unit.test_store_figures import ASKS, EACH, TASK, at_task, driver_of


def bundle_of(driver: Driver) -> Bundle:
    """The exported execution, read again."""
    return read_bundle(exported(driver), "bundle.json")


def exported(driver: Driver) -> str:
    return json.dumps(export_execution(driver.runtime, "flow", "e-1"))


def bundled(pair: Pair, run: Simulation) -> Bundle:
    """A simulated execution as if it had been exported."""
    return Bundle.model_validate(
        {
            "form": 1,
            "flow": {"name": run.flow_name, "definition": pair.text},
            "execution": {
                "name": run.execution_name,
                "status": run.status,
                "input": run.input,
                "output": run.output,
                "error": run.error,
                "cause": run.cause,
                "started_time": run.history[0].time,
                "stopped_time": run.history[-1].time,
            },
            "history": [asdict(event) for event in run.history],
        }
    )


REPEATABLE = [
    pair
    for pair in simulated_pairs()
    # A race, drawn jitter or turns that are not kept: nobody can repeat these.
    if pair.expect.race is None and not pair.expect.dropped and "jitter" not in pair.name
]


@pytest.mark.parametrize("pair", REPEATABLE, ids=lambda pair: pair.name)
def test_what_has_run_is_replayed_with_the_same_decisions(pair: Pair) -> None:
    run = simulated(pair, seed=1)
    assert replay(bundled(pair, run)).differences == ()


FLAKY = {
    "type": "task",
    "name": "busy",
    "resourceArn": "flaky",
    "retry": [{"errors": ["Test.Busy"], "intervalSeconds": 1, "maxAttempts": 3}],
}
CAUGHT = {
    "type": "task",
    "name": "breaks",
    "resourceArn": "broken",
    "catch": [{"errors": ["Test.Broken"], "goto": "weigh"}],
}


@pytest.mark.parametrize("steps", [[FLAKY, EACH], [CAUGHT, EACH | {"name": "them"}, TASK]])
def test_an_exported_execution_is_replayed_whatever_it_has_been_through(
    any_redis: Redis, steps: Any
) -> None:
    driver = driver_of(any_redis, *steps, max_losses=1000)
    driver.trouble = Trouble(twice=0.1, lost=0.05, death=0.05)
    driver.drive()
    assert driver.describe().status == "Succeeded"
    done = replay(bundle_of(driver))
    assert done.differences == ()
    assert done.simulation.output == driver.describe().output


def test_a_lost_worker_is_lost_again(any_redis: Redis) -> None:
    driver, message = at_task(any_redis)
    driver.store.claim(message.pointer, driver.holder_of(message))
    driver.hand.clear()
    driver.pass_time(driver.store.settings.lease_s + 1)
    driver.sweep()
    driver.drive()
    bundle = bundle_of(driver)
    assert [each.type for each in bundle.history].count(EventType.TASK_FAILED) == 1
    assert replay(bundle).differences == ()


def test_what_was_stopped_or_still_runs_is_replayed_as_far_as_it_came(any_redis: Redis) -> None:
    night = {"type": "wait", "name": "night", "duration": 86400}
    driver = driver_of(any_redis, EACH, TASK, night)
    for _ in range(200):
        driver.step()
    bundle = bundle_of(driver)
    assert bundle.execution.status == "Running"
    assert replay(bundle).differences == ()
    driver.stop()
    stopped = bundle_of(driver)
    assert (stopped.execution.status, stopped.execution.error) == ("Stopped", "Test.Stopped")
    assert replay(stopped).differences == ()


def test_a_pause_changes_nothing_of_a_replay(any_redis: Redis) -> None:
    driver = driver_of(any_redis, TASK, FLAKY)
    pause(driver.runtime, "flow", "e-1", False, {"by": "somebody"})
    resume(driver.runtime, "flow", "e-1", {"by": "somebody"})
    driver.drive()
    assert replay(bundle_of(driver)).differences == ()


def test_another_flow_or_another_answer_is_told_as_a_difference(any_redis: Redis) -> None:
    driver = driver_of(any_redis, FLAKY, TASK)
    driver.drive()
    bundle = bundle_of(driver)
    hasty = bundle.flow.definition.replace('"intervalSeconds": 1', '"intervalSeconds": 2')
    (line,) = replay(bundle, load_flow(hasty)[0]).differences
    assert line.startswith("the flow itself: there was ('TaskScheduled', 'busy'")
    shorter = json.dumps({"version": "v1", "type": "flow", "steps": [FLAKY]})
    lines = replay(bundle, load_flow(shorter)[0]).differences
    assert [line.partition(":")[0] for line in lines] == ["output", "the flow itself"]
    other = bundle.model_copy(update={"history": bundle.history[:-1]})
    (line,) = replay(other).differences
    assert "the replay goes on with ('ExecutionSucceeded'" in line


def test_secrets_are_redacted_wherever_they_stand(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    secret, short = "correct horse battery", "hi42"
    steps = [
        TASK
        | {
            "inputMappings": [
                {"target": "where", "source": "$input.address"},
                {"target": "api_key", "source": "a-literal-of-the-flow"},
                {"target": "said", "source": "$input.word"},
            ]
        }
    ]
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": steps}))
    driver.start(
        {
            "db": {"Password": secret, "retries": 3},
            "address": f"https://me:{secret}@host/",
            "pass_phrases": [short, {"n": 7}],
            "word": short,
            "weights": [1, 2],
        }
    )
    driver.drive()
    text = exported(driver)
    for hidden in (secret, "a-literal-of-the-flow", f'"{short}"'):
        assert hidden not in text
    given = json.loads(text)["execution"]["input"]
    assert given["db"] == {"Password": "__redacted__", "retries": 3}
    assert given["address"] == "https://me:__redacted__@host/"
    assert given["pass_phrases"] == ["__redacted__", {"n": "__redacted__"}]
    assert given["weights"] == [1, 2]
    assert replay(read_bundle(text, "bundle.json")).differences == ()


def test_secrets_in_urls_and_in_texts_that_are_json_are_redacted(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    literal = {"target": "store", "source": "postgres://app:in-the-flow@db:5432/x"}
    # In the definition such a name says where a secret goes: it is needed for a replay.
    mapping = {"target": "secret", "source": "$input.n"}
    steps = [TASK | {"inputMappings": [literal, mapping]}]
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": steps}))
    body = {"user": "me", "password": "in-a-body", "more": [{"token": "t1"}], "n": 1}
    given = {
        "n": 3,
        "url": "see redis://me:at@url@host/0 and redis://:no-user@host:6379",
        "plain": "http://host:8080/a@b?c=d:e@f",
        "pwd": "short",
        "body": json.dumps(body),
        "said": "in-a-body, it was",
        "list": "[1, 2",
        "deep": "[" * 90 + "]" * 90,
        "deeper": "[" * 90_000,
    }
    driver.start(given)
    driver.drive()
    text = exported(driver)
    for hidden in ("in-the-flow", "at@url", "no-user", '"short"', "in-a-body", "t1"):
        assert hidden not in text
    shown = json.loads(text)["execution"]["input"]
    hid = "__redacted__"
    assert shown["url"] == f"see redis://me:{hid}@host/0 and redis://:{hid}@host:6379"
    assert json.loads(shown["body"]) == body | {"password": hid, "more": [{"token": hid}]}
    same = ("plain", "list", "deep", "deeper")
    assert {name: shown[name] for name in same} == {name: given[name] for name in same}
    assert replay(read_bundle(text, "bundle.json")).differences == ()


def test_callback_tokens_are_no_part_of_an_export(any_redis: Redis) -> None:
    seen: list[str] = []

    def ask(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        seen.append(input["ticket"])
        return {}

    driver = Driver(any_redis, {"ask": ask})
    mapping = [{"target": "ticket", "source": "$context.task.token"}]
    asks = ASKS | {"inputMappings": mapping}
    driver.deploy(json.dumps({"version": "v1", "type": "flow", "steps": [asks]}))
    driver.start()
    while not seen:
        driver.step()
    told = {"answer": "yes", "link": f"https://host/?approve={seen[0]}", "again": seen[0]}
    report(driver.runtime, seen[0], {"kind": "reported", "output": told})
    driver.drive()
    text = exported(driver)
    assert seen[0] not in text and "__redacted__" in text
    assert replay(read_bundle(text, "bundle.json")).differences == ()


def test_what_people_have_decided_cannot_be_replayed(any_redis: Redis) -> None:
    fails = {"type": "fail", "name": "no", "error": "E"}
    driver = driver_of(any_redis, fails)
    driver.drive()
    assert replay(bundle_of(driver)).differences == ()
    redrive(driver.runtime, Redrive("flow", "e-1"))
    driver.drive()
    with pytest.raises(InvalidArgument, match="by hand"):
        bundle_of(driver)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a bundle"),
        ("[]", "not a bundle"),
        ('{"form": 2}', "form"),
        ('{"form": 1, "flow": {"name": "f"}}', "flow/definition"),
    ],
)
def test_what_is_no_bundle_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        read_bundle(text, "bundle.json")
