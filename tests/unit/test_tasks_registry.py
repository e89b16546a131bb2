"""What `@task` takes, and how a registered function is called."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, Field

import tasks
from tasks import registry
from tasks.context import TaskContext
from tasks.errors import DuplicateTask, TaskError


class Size(BaseModel):
    width: int = Field(ge=1)
    height: int = 10


def _find(name: str) -> registry.RegisteredTask:
    found = registry.find([name])
    assert found is not None
    return found


def test_the_decorator_leaves_the_function_as_it_is() -> None:
    def double(input: dict[str, Any]) -> dict[str, Any]:
        return {"n": input["n"] * 2}

    assert tasks.task("registry:double")(double) is double
    assert _find("registry:double").call({"n": 4}) == {"n": 8}


def test_a_task_may_take_the_context() -> None:
    @tasks.task("registry:attempt")
    def attempt(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
        return {"attempt": ctx.attempt}

    assert _find("registry:attempt").call({}, TaskContext(attempt=3)) == {"attempt": 3}
    assert _find("registry:attempt").call({}) == {"attempt": 1}


def test_a_second_parameter_with_a_default_belongs_to_the_author_unless_it_is_ctx() -> None:
    @tasks.task("registry:own-default")
    def own(input: dict[str, Any], factor: int = 2) -> dict[str, Any]:
        return {"n": factor}

    @tasks.task("registry:ctx-default")
    def optional(input: dict[str, Any], ctx: TaskContext | None = None) -> dict[str, Any]:
        return {"given": ctx is not None}

    assert _find("registry:own-default").call({}, TaskContext()) == {"n": 2}
    assert _find("registry:ctx-default").call({}, TaskContext()) == {"given": True}


def test_an_async_task_gives_a_coroutine() -> None:
    @tasks.task("registry:async")
    async def later(input: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"ok": True}

    found = _find("registry:async")
    assert found.is_async
    assert asyncio.run(found.call({})) == {"ok": True}


def test_an_object_with_an_async_call_is_async() -> None:
    class Later:
        async def __call__(self, input: dict[str, Any]) -> dict[str, Any]:
            return input

    tasks.task("registry:async-object")(Later())
    assert _find("registry:async-object").is_async


def test_a_model_of_the_first_parameter_checks_the_input() -> None:
    @tasks.task("registry:model")
    def resize(size: Size) -> dict[str, Any]:
        return {"area": size.width * size.height}

    assert _find("registry:model").call({"width": "3", "other": 1}) == {"area": 30}
    with pytest.raises(TaskError) as caught:
        _find("registry:model").call({"width": 0, "height": "x"})
    assert caught.value.code == "FC.InvalidArgument"
    assert "width: " in caught.value.cause
    assert "height: " in caught.value.cause


def test_stacked_decorators_give_one_function_two_names_and_options() -> None:
    @tasks.task("registry:first", queue="gpu", timeout_s=30, stream=True, stateless=True)
    @tasks.task("registry:second")
    def work(input: dict[str, Any]) -> dict[str, Any]:
        return {}

    first, second = _find("registry:first"), _find("registry:second")
    assert (first.queue, first.timeout_s, first.stream, first.stateless) == ("gpu", 30, True, True)
    assert (second.queue, second.timeout_s, second.stream, second.stateless) == (
        None,
        None,
        False,
        False,
    )
    assert first.function is second.function is work


def test_find_takes_the_first_name_that_is_registered() -> None:
    @tasks.task("registry:resolved")
    def work(input: dict[str, Any]) -> dict[str, Any]:
        return {}

    found = registry.find(["service/registry:resolved", "registry:resolved"])
    assert found is not None
    assert found.name == "registry:resolved"
    assert registry.find(["registry:nobody"]) is None


def test_two_functions_of_one_name_are_an_error_that_names_both() -> None:
    @tasks.task("registry:twice")
    def one(input: dict[str, Any]) -> dict[str, Any]:
        return {}

    def other(input: dict[str, Any]) -> dict[str, Any]:
        return {}

    with pytest.raises(DuplicateTask, match=r"'registry:twice'.*one.*other") as caught:
        tasks.task("registry:twice")(other)
    assert caught.value.name == "registry:twice"
    assert _find("registry:twice").function is one


def test_the_same_function_defined_again_takes_its_own_place() -> None:
    def define() -> Any:
        @tasks.task("registry:reloaded")
        def work(input: dict[str, Any]) -> dict[str, Any]:
            return {}

        return work

    define()
    again = define()
    assert _find("registry:reloaded").function is again


def test_a_function_of_another_shape_is_refused() -> None:
    def none() -> None: ...

    def three(input: dict[str, Any], ctx: TaskContext, more: int) -> None: ...

    for function in (none, three):
        with pytest.raises(TypeError, match=r"must take \(input\) or \(input, ctx\)"):
            tasks.task("registry:shape")(function)


def test_the_view_of_all_tasks_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        registry.tasks()["x"] = None  # type: ignore[index]  # that it fails is the point


def test_a_plain_context_logs_who_it_is() -> None:
    ctx = TaskContext(execution="e", flow="f", step="s", frame="s.0", attempt=2)
    ctx.heartbeat()
    assert not ctx.cancelled
    assert ctx.log.extra == {
        "execution": "e",
        "flow": "f",
        "step": "s",
        "frame": "s.0",
        "attempt": 2,
    }
