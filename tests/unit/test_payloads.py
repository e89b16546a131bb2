"""Payloads: large values are stored once and travel as references, and come back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from engine.config import Settings
from engine.errors import EntityTooLarge, InvalidArgument
from engine.runtime.payloads import PAGE_BYTES, REFERENCE, VALUE_LIMIT_BYTES, Packer, PayloadCache
from tasks import task
from tests.driving import Driver
from tests.properties.flows import TASKS
from workers.inputs import TaskInput
from workers.steps import StepRunner

ID = "flow:e-1"
LONG = "x" * (VALUE_LIMIT_BYTES + 1)


class Shelf:
    """Pages by execution and name, and how often somebody came for them."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], str] = {}
        self.written = 0
        self.read = 0

    def save(self, execution_id: str, field: str, page: str) -> None:
        self.written += 1
        self.pages[execution_id, field] = page

    def load(self, execution_id: str, fields: list[str]) -> list[str | None]:
        self.read += 1
        return [self.pages.get((execution_id, field)) for field in fields]

    def packer(self, inline_limit: int = 64 * 1024) -> Packer:
        return Packer(self.save, self.load, inline_limit)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from([LONG, REFERENCE, "é" * 5000]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", REFERENCE, "ключ", ""]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["a", "b", "c", REFERENCE, "ü"]), JSON, max_size=4))
def test_every_object_comes_back_as_it_was(value: dict[str, Any]) -> None:
    """Also one that looks like a reference, in whatever process it is read."""
    shelf = Shelf()
    text = shelf.packer().pack(ID, value)
    assert shelf.packer().unpack(ID, text) == value
    detail = shelf.packer().pack_detail(ID, {"input": value, "n": 1, "list": [value]})
    assert shelf.packer().unpack_detail(ID, detail) == {"input": value, "n": 1, "list": [value]}


def test_a_small_value_stays_where_it_is() -> None:
    shelf = Shelf()
    assert json.loads(shelf.packer().pack(ID, {"a": [1, 2]})) == {"a": [1, 2]}
    assert shelf.pages == {}


def test_a_large_value_leaves_a_reference_of_its_size() -> None:
    shelf = Shelf()
    text = shelf.packer().pack(ID, {"small": 1, "large": [LONG]})
    assert len(text) < 200
    assert json.loads(text)["small"] == 1


def test_an_object_of_many_small_values_is_stored_as_a_whole() -> None:
    shelf = Shelf()
    many = {f"key-{n}": "x" * 1000 for n in range(100)}
    assert len(shelf.packer().pack(ID, many)) < 200
    assert shelf.packer().unpack(ID, shelf.packer().pack(ID, many)) == many


def test_a_value_is_stored_once_however_often_it_is_packed() -> None:
    shelf = Shelf()
    packer = shelf.packer()
    large = [LONG]
    for n in range(5):
        packer.pack(ID, {"n": n, "large": large, "equal": [LONG]})
    assert shelf.written == 1


def test_a_value_is_stored_for_each_execution_that_has_it() -> None:
    shelf = Shelf()
    packer = shelf.packer()
    for execution in ("flow:a", "flow:b"):
        text = packer.pack(execution, {"large": LONG})
        assert shelf.packer().unpack(execution, text) == {"large": LONG}


def test_a_value_is_read_once_per_process() -> None:
    shelf = Shelf()
    text = shelf.packer().pack(ID, {"large": [LONG]})
    reader = shelf.packer()
    first = reader.unpack(ID, text)["large"]
    assert reader.unpack(ID, text)["large"] is first
    assert shelf.read == 1


def test_a_very_large_value_is_stored_in_pages() -> None:
    shelf = Shelf()
    large = {"large": ["é" * 1000] * 1000}
    text = shelf.packer().pack(ID, large)
    assert len(shelf.pages) == 4
    assert max(map(len, shelf.pages.values())) <= PAGE_BYTES
    assert shelf.packer().unpack(ID, text) == large


def test_a_missing_page_is_named() -> None:
    shelf = Shelf()
    text = shelf.packer().pack(ID, {"large": LONG})
    shelf.pages.clear()
    with pytest.raises(LookupError, match="flow:e-1: the stored value .* is not complete"):
        shelf.packer().unpack(ID, text)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Shelf().packer().pack(ID, {"n": number})


def test_the_cache_lets_the_least_used_go_and_keeps_one_that_is_too_large() -> None:
    cache = PayloadCache(100)
    values = [[n] for n in range(4)]
    for n, value in enumerate(values[:3]):
        cache.put(f"v{n}", value, 40)
        cache.get("v0")
    assert cache.get("v0") is values[0]
    assert cache.get("v1") is None
    assert cache.name_of(values[1]) is None
    cache.put("v3", values[3], 1000)
    assert cache.get("v3") is values[3]


def test_an_input_over_the_limit_is_refused_and_nothing_is_stored(any_redis: Redis) -> None:
    driver = Driver(any_redis, TASKS)
    driver.deploy('{"version": "v1", "type": "flow", "steps": [{"type": "pass", "name": "a"}]}')
    with pytest.raises(EntityTooLarge, match="PENSTOCK_PAYLOAD_LIMIT_BYTES"):
        driver.start({"large": "x" * 20_000_000})
    assert list(any_redis.scan_iter(match=f"*{ID}")) == []


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": {1, 2}}, {"a": "\ud800"}])
def test_an_input_that_is_no_json_is_refused(any_redis: Redis, value: dict[str, Any]) -> None:
    driver = Driver(any_redis, TASKS)
    driver.deploy('{"version": "v1", "type": "flow", "steps": [{"type": "pass", "name": "a"}]}')
    with pytest.raises(InvalidArgument, match="input is not JSON"):
        driver.start(value)


def test_a_name_that_was_free_again_finds_its_values_stored_again(any_redis: Redis) -> None:
    """One process starts an execution, which is forgotten, and another of the same name."""
    driver = Driver(any_redis, TASKS, settings=Settings(retention_s=100))
    task = '{"type": "task", "name": "a", "resourceArn": "ok"}'
    driver.deploy(f'{{"version": "v1", "type": "flow", "steps": [{task}]}}')
    for _ in range(2):
        driver.start({"large": LONG})
        assert driver.drive().status == "Succeeded"
        other = Driver(any_redis, TASKS)
        assert other.describe().input == {"large": LONG}
        any_redis.delete(*any_redis.scan_iter(match=f"*{ID}"))


def test_a_large_result_that_its_task_changes_later_is_not_taken_for_the_old_one(
    any_redis: Redis,
) -> None:
    """A task may return the same list again and again, each time with more in it."""
    grown: list[str] = [LONG]

    @task("test_payloads:grow")
    def grow(input: dict[str, Any]) -> dict[str, Any]:
        grown.append("more")
        return {"grown": grown}

    steps = [
        {"type": "task", "name": name, "resourceArn": "test_payloads:grow"} for name in ("a", "b")
    ]
    driver = Driver(any_redis, {"test_payloads:grow": grow})
    runner = StepRunner(driver.runtime, driver.runtime.canvas.app)
    driver.conductor.runner = runner
    driver.run(json.dumps({"version": "v1", "type": "flow", "steps": steps}))
    outputs = [
        event.detail["output"]["grown"]
        for event in Driver(any_redis, {}).history()
        if event.type == "TaskSucceeded"
    ]
    assert outputs == [[LONG, "more"], [LONG, "more", "more"]]


def test_a_task_has_its_input_for_itself() -> None:
    shared: dict[str, Any] = {"list": [1], "object": {"a": [1]}, "text": "x"}
    given = TaskInput(shared)
    given["list"].append(2)
    given.get("object")["a"].append(2)
    given["text"] = "y"
    del given["text"]
    assert shared == {"list": [1], "object": {"a": [1]}, "text": "x"}
    assert given == {"list": [1, 2], "object": {"a": [1, 2]}}


WAYS = {
    "subscript": lambda given: given["list"],
    "get": lambda given: given.get("list"),
    "pop": lambda given: given.pop("list"),
    "setdefault": lambda given: given.setdefault("list", None),
    "items": lambda given: dict(given.items())["list"],
    "values": lambda given: next(iter(given.values())),
    "copy": lambda given: given.copy()["list"],
    "dict": lambda given: dict(given)["list"],
    "spread": lambda given: {**given}["list"],
    "union": lambda given: (given | {})["list"],
    "popitem": lambda given: given.popitem()[1],
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_reading_an_input_leads_to_the_shared_value(way: str) -> None:
    shared = {"list": [1]}
    read = WAYS[way](TaskInput(shared))
    assert read == [1]
    read.append(2)
    assert shared == {"list": [1]}


def test_an_input_is_still_a_dict_for_json_and_comparison() -> None:
    given = TaskInput({"list": [1], "n": 1})
    assert json.dumps(given) == '{"list": [1], "n": 1}'
    assert given == {"list": [1], "n": 1}
    assert sorted(given) == ["list", "n"]
    assert given.get("other", 7) == 7
