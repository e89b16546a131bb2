"""The registry: which function does a task's work, by the task's name."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.context import TaskContext
from tasks.errors import INVALID_ARGUMENT, DuplicateTask, TaskError

TaskFunction = TypeVar("TaskFunction", bound=Callable[..., Any])
Stateless: TypeAlias = bool | Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class RegisteredTask:
    """A function and how it wants to be run.

    Attributes:
        name: What flows call it: `resize`, `oss:restore`, `service/function`.
        function: The function as its author wrote it.
        queue: Queue to run it on; None is the default one.
        timeout_s: Limit of one attempt, if the step sets none; None is no limit.
        stream: It reads or writes chunks while others run, by `ctx.read()` and `ctx.write()`.
        is_async: `call` returns a coroutine that the caller awaits.
        stateless: Running it twice is harmless, so that a repeated run needs no guard. Of a
            stream task it says more: what it writes for a chunk depends on that chunk and the
            input alone, and is written before the next chunk is read; so it can go on in the
            middle, and run several times side by side. A function of the input (the dict as the
            flow gives it, so it must bear any) tells it where that depends. Any other stream
            task is run again from its first chunk, and must then write the same chunks again.
        takes_context: It has a second parameter.
        input_model: The pydantic model of its first parameter; None hands it the dict as it is.
    """

    name: str
    function: Callable[..., Any]
    queue: str | None = None
    timeout_s: float | None = None
    stream: bool = False
    is_async: bool = False
    stateless: Stateless = False
    takes_context: bool = False
    input_model: type[BaseModel] | None = None

    def call(self, input: dict[str, Any], ctx: TaskContext | None = None) -> Any:
        """Runs the function; its result, or a coroutine of it when `is_async`.

        Raises:
            TaskError: `FC.InvalidArgument`, the input does not fit the function's model.
        """
        argument = self.argument(input)
        if self.takes_context:
            return self.function(argument, ctx if ctx is not None else TaskContext())
        return self.function(argument)

    def is_stateless(self, input: dict[str, Any]) -> bool:
        """Whether it is `stateless` with this input."""
        return self.stateless(input) if callable(self.stateless) else self.stateless

    def argument(self, input: dict[str, Any]) -> Any:
        """The first argument the function gets: the input itself, or its model made of it.

        Raises:
            TaskError: `FC.InvalidArgument`, the input does not fit the model; the cause names
                each key that is wrong.
        """
        if self.input_model is None:
            return input
        try:
            return self.input_model.model_validate(input)
        except ValidationError as error:
            raise TaskError(INVALID_ARGUMENT, f"{self.name}: {_problems(error)}") from error


def task(
    name: str,
    *,
    stream: bool = False,
    queue: str | None = None,
    timeout_s: float | None = None,
    stateless: Stateless = False,
) -> Callable[[TaskFunction], TaskFunction]:
    """Registers a function, plain or async, as the task `name`; the function stays as it is.

    It takes `(input)` or `(input, ctx)`, where `input` is a dict, or a pydantic model when its
    first parameter is annotated with one. Stacked decorators register it under several names.
    The rest of the parameters: see RegisteredTask.

    Raises:
        TypeError: Its parameters are others, or a stream task is async: `ctx.read()` and
            `ctx.write()` block.
        DuplicateTask: A different function has that name. The same function of a module that
            is loaded again takes its own place.
    """

    def register(function: TaskFunction) -> TaskFunction:
        if stream and _is_async(function):
            raise TypeError(f"task {name!r}: {_where(function)} is async; a stream task is not")
        _add(
            replace(
                described(name, function),
                queue=queue,
                timeout_s=timeout_s,
                stream=stream,
                stateless=stateless,
            )
        )
        return function

    return register


def described(name: str, function: Callable[..., Any]) -> RegisteredTask:
    """What its parameters tell of a function, under `name`; registers nothing.

    Raises:
        TypeError: It takes neither (input) nor (input, ctx).
    """
    return RegisteredTask(
        name=name,
        function=function,
        is_async=_is_async(function),
        takes_context=_takes_context(name, function),
        input_model=_input_model(function),
    )


def tasks() -> Mapping[str, RegisteredTask]:
    """All registered tasks by name: a live, read-only view."""
    return MappingProxyType(_registered)


def find(names: Iterable[str]) -> RegisteredTask | None:
    """The first of `names` that is registered, None if none is."""
    return next((_registered[name] for name in names if name in _registered), None)


_registered: dict[str, RegisteredTask] = {}


def _add(new: RegisteredTask) -> None:
    old = _registered.get(new.name)
    if old is not None and _home(old.function).isdisjoint(_home(new.function)):
        raise DuplicateTask(
            new.name,
            f"task {new.name!r} is registered twice: by {_where(old.function)} and by "
            f"{_where(new.function)}; give one of them another name",
        )
    _registered[new.name] = new


def _home(function: Callable[..., Any]) -> set[tuple[str, str]]:
    """What identifies a function across loads of its module, by module name and by file.

    The file is there because a script that runs as `__main__` may be loaded by path as well.
    """
    plain = inspect.unwrap(function)
    name = getattr(plain, "__qualname__", type(plain).__qualname__)
    module = getattr(plain, "__module__", type(plain).__module__)
    code = getattr(plain, "__code__", None)
    return {("module", f"{module}:{name}")} | (
        {("file", f"{code.co_filename}:{name}")} if code is not None else set()
    )


def _where(function: Callable[..., Any]) -> str:
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    name = getattr(plain, "__qualname__", repr(plain))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else str(name)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


def _takes_context(name: str, function: Callable[..., Any]) -> bool:
    """True for `(input, ctx)`, False for `(input)`; ctx may also be keyword-free variadic."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if not positional or len(required) > 2 or any(p.kind is p.KEYWORD_ONLY for p in required):
        raise TypeError(
            f"task {name!r}: {_where(function)} must take (input) or (input, ctx), "
            f"not {inspect.signature(function)}"
        )
    # A second parameter with a default is the author's own, unless it is called as the context is.
    second = positional[1] if len(positional) > 1 else None
    return second is not None and (second.default is second.empty or second.name == "ctx")


def _input_model(function: Callable[..., Any]) -> type[BaseModel] | None:
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None:
        return None
    annotation = first.annotation
    if isinstance(annotation, str):
        annotation = _resolved(function, first.name, annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _resolved(function: Callable[..., Any], name: str, annotation: str) -> Any:
    """The annotation as a type; its text if it cannot be resolved yet (a type-only import)."""
    try:
        return typing.get_type_hints(inspect.unwrap(function)).get(name, annotation)
    except (NameError, TypeError, AttributeError):
        scope = getattr(inspect.unwrap(function), "__globals__", {})
        return scope.get(annotation, annotation)


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'input'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )
