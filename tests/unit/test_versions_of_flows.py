"""Versions of flows: what was published stays, and aliases share the starts among versions."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from redis import Redis

from engine.errors import (
    ConcurrentUpdateError,
    FlowAliasAlreadyExists,
    FlowAliasNotExists,
    FlowNotExists,
    FlowVersionInUse,
    FlowVersionNotExists,
    InvalidArgument,
)
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.searching import Search, search
from engine.runtime.starting import Start, start
from engine.runtime.versions import LATEST, FlowAlias, Route, Versions, route
from tests.driving import Driver


def flow_of(output: str) -> str:
    """A flow whose output says which one it is."""
    mapped = {"target": "is", "source": output}
    step = {"type": "pass", "name": "only", "outputMappings": [mapped]}
    own = [{"target": "is", "source": "$local.is"}]
    head = {"version": "v1", "type": "flow", "steps": [step], "outputMappings": own}
    return json.dumps(head)


def published(redis: Redis) -> tuple[Driver, Versions]:
    """A flow with two versions that is by now a third one."""
    driver = Driver(redis, {})
    versions = Versions(driver.runtime)
    driver.deploy(flow_of("one"))
    versions.publish("flow", "the first")
    driver.runtime.definitions.update("flow", flow_of("two"))
    versions.publish("flow")
    driver.runtime.definitions.update("flow", flow_of("three"))
    return driver, versions


def output_of(driver: Driver, qualifier: str | None, name: str = "e-1") -> str:
    start(driver.runtime, Start("flow", name, {}, qualifier=qualifier))
    execution = driver.drive(name)
    assert execution.output is not None
    return str(execution.output["is"])


def test_versions_count_from_one_and_hold_what_was_deployed_then(any_redis: Redis) -> None:
    _, versions = published(any_redis)
    found = versions.list("flow")
    assert [(each.version, each.description) for each in found] == [(2, ""), (1, "the first")]
    assert versions.describe("flow", 1).definition == flow_of("one")


def test_a_number_is_not_given_again_after_its_version_was_deleted(any_redis: Redis) -> None:
    _, versions = published(any_redis)
    versions.delete("flow", 2)
    assert versions.publish("flow").version == 3
    with pytest.raises(FlowVersionNotExists):
        versions.describe("flow", 2)


def test_a_publication_whose_reply_was_lost_is_one_version(any_redis: Redis) -> None:
    driver, versions = published(any_redis)
    assert driver.scripts.again("publish").values == ("2",)
    assert len(versions.list("flow")) == 2


@pytest.mark.parametrize("qualifier", ["0", "9" * 12, "9" * 5000])
def test_a_number_that_is_no_versions_is_refused(any_redis: Redis, qualifier: str) -> None:
    driver, _ = published(any_redis)
    with pytest.raises((FlowVersionNotExists, FlowAliasNotExists)):
        output_of(driver, qualifier)


@pytest.mark.parametrize(
    ("qualifier", "expected"), [("1", "one"), ("2", "two"), (None, "three"), (LATEST, "three")]
)
def test_a_qualifier_says_which_version_is_started(
    any_redis: Redis, qualifier: str | None, expected: str
) -> None:
    driver, _ = published(any_redis)
    assert output_of(driver, qualifier) == expected


def test_an_execution_tells_its_version_and_how_it_was_asked_for(any_redis: Redis) -> None:
    driver, versions = published(any_redis)
    versions.create_alias("flow", "live", [Route(2, 100)])
    assert output_of(driver, "live") == "two"
    output_of(driver, None, "e-2")
    assert (driver.describe().version, driver.describe().qualifier) == (2, "live")
    assert driver.describe("e-2").version is None
    for qualifier in ("live", "2"):
        page = search(driver.runtime, Search("flow", qualifier=qualifier))
        assert [execution.name for execution in page.executions] == ["e-1"]


def test_weights_share_the_starts_and_a_name_always_goes_the_same_way() -> None:
    alias = FlowAlias("flow", "live", "", (Route(1, 90), Route(2, 10)), 0, 0)
    names = [f"2026-11-{number}" for number in range(4000)]
    shares = Counter(route(alias, name) for name in names)
    assert 0.87 < shares[1] / len(names) < 0.93
    assert [route(alias, name) for name in names[:50]] == [route(alias, n) for n in names[:50]]
    whole = FlowAlias("flow", "live", "", (Route(1, 0), Route(2, 100)), 0, 0)
    assert {route(whole, name) for name in names} == {2}


def test_an_alias_that_is_updated_leads_elsewhere_at_once(any_redis: Redis) -> None:
    driver, versions = published(any_redis)
    made = versions.create_alias("flow", "live", [Route(1, 100)], "what customers get")
    versions.update_alias("flow", "live", [Route(2, 100)])
    assert output_of(driver, "live") == "two"
    found = versions.describe_alias("flow", "live")
    assert (found.description, found.created_time) == (made.description, made.created_time)
    assert versions.list_aliases("flow") == [found]


def test_a_version_stays_while_an_alias_leads_to_it(any_redis: Redis) -> None:
    _, versions = published(any_redis)
    versions.create_alias("flow", "live", [Route(1, 50), Route(2, 50)])
    with pytest.raises(FlowVersionInUse, match="alias 'live'"):
        versions.delete("flow", 2)
    versions.update_alias("flow", "live", [Route(1, 100)])
    versions.delete("flow", 2)
    versions.delete_alias("flow", "live")
    versions.delete("flow", 1)
    assert not versions.list("flow") and not versions.list_aliases("flow")


def test_an_alias_cannot_lead_to_a_version_that_is_not_there(any_redis: Redis) -> None:
    _, versions = published(any_redis)
    with pytest.raises(FlowVersionNotExists, match="no version 7"):
        versions.create_alias("flow", "live", [Route(7, 100)])
    assert versions.list_aliases("flow") == []


@pytest.mark.parametrize(
    "routing",
    [
        [],
        [Route(1, 99)],
        [Route(1, 50), Route(1, 50)],
        [Route(1, 150), Route(2, -50)],
        [Route(1, 40), Route(2, 40), Route(3, 20)],
    ],
)
def test_routings_that_are_none_are_refused(any_redis: Redis, routing: list[Route]) -> None:
    _, versions = published(any_redis)
    with pytest.raises(InvalidArgument, match="routing"):
        versions.create_alias("flow", "live", routing)


@pytest.mark.parametrize("name", ["7", "", "a b", "LATEST", "x" * 129])
def test_names_that_would_be_numbers_or_worse_are_refused(any_redis: Redis, name: str) -> None:
    _, versions = published(any_redis)
    with pytest.raises(InvalidArgument, match="alias name"):
        versions.create_alias("flow", name, [Route(1, 100)])


def test_what_is_not_there_is_told_by_its_name(any_redis: Redis) -> None:
    driver, versions = published(any_redis)
    versions.create_alias("flow", "live", [Route(1, 100)])
    with pytest.raises(FlowAliasAlreadyExists):
        versions.create_alias("flow", "live", [Route(2, 100)])
    with pytest.raises(FlowAliasNotExists):
        versions.update_alias("flow", "beta")
    with pytest.raises(FlowAliasNotExists):
        output_of(driver, "beta")
    with pytest.raises(FlowVersionNotExists):
        output_of(driver, "9")
    with pytest.raises(FlowNotExists):
        versions.publish("other")


def test_an_update_of_what_somebody_else_has_changed_is_refused(any_redis: Redis) -> None:
    driver, versions = published(any_redis)
    versions.create_alias("flow", "live", [Route(1, 100)])
    order = {"alias": "{}", "from": "what it was an hour ago"}
    assert driver.scripts.again("alias", **order).verdict == "MOVED"
    assert versions.describe_alias("flow", "live").routing == (Route(1, 100),)


def test_a_redrive_with_the_latest_definition_leaves_its_version(any_redis: Redis) -> None:
    driver = Driver(any_redis, {})
    text = "version: v1\ntype: flow\nsteps: [{type: fail, name: no, error: E}]"
    driver.deploy(text)
    Versions(driver.runtime).publish("flow")
    start(driver.runtime, Start("flow", "e-1", {}, qualifier="1"))
    driver.drive()
    driver.runtime.definitions.update("flow", text.replace("error: E", "error: F"))
    redrive(driver.runtime, Redrive("flow", "e-1", definition="latest"))
    assert (driver.drive().error, driver.describe().version) == ("F", None)


def test_two_who_change_an_alias_at_once_do_not_overwrite_each_other(any_redis: Redis) -> None:
    _, versions = published(any_redis)
    versions.create_alias("flow", "live", [Route(1, 100)])
    old, text = versions._alias("flow", "live")
    versions.update_alias("flow", "live", description="changed")
    with pytest.raises(ConcurrentUpdateError):
        versions._put(old, text)
