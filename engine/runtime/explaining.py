"""An explanation: what a flow becomes in Celery and Redis, worked out from its graph alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from engine.core.graph import Graph, Node
from engine.core.policies import delay_before
from engine.core.streaming import edges_of
from engine.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    ParallelStep,
    PassStep,
    RetryPolicy,
    StreamStep,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.resources import FlowResource, Resource, StreamResource
from engine.runtime.canvas import (
    BEGIN,
    HEADERS_OF,
    JOIN,
    LANE,
    NOT_OF_DUE,
    RESUME,
    SEAT,
    STEP,
    STREAM,
    WAIT,
    Form,
)
from engine.runtime.fleet import Served
from engine.runtime.keys import Keys
from engine.runtime.pointer import execution_id
from engine.runtime.sending import served_names

Primitive = Literal["link", "group", "decided"]
"""A link of its chain; a group of lanes with a join as the body of its chord; or nothing: a step
that is decided on where the step before it ends."""

DELAYS_SHOWN = 20
"""The most delays of a retry policy that are listed."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """One kind of message that a step is sent as.

    `task` is its Celery name, `shown` what Flower shows instead (None: the name). `headers`: those
    it sets beside what every task has. `delay_s`: what its ETA is from now; None: it has none, or
    it is not known before the flow runs.
    """

    form: Form
    task: str
    queue: str
    headers: tuple[str, ...]
    shown: str | None = None
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class RetryForm:
    """A retry policy: the delays before its retries, in seconds (the first DELAYS_SHOWN)."""

    errors: tuple[str, ...]
    max_attempts: int
    delays_s: tuple[float, ...]
    jitter: bool


@dataclass(frozen=True, slots=True)
class StageForm:
    """A stage of a stream: its task, whose workers can run it, and how many of it run at once."""

    name: str
    task: str
    queue: str
    concurrency: int


@dataclass(frozen=True, slots=True)
class EdgeForm:
    """What joins two stages, or the outer ends of a stream; `holds`: bytes under way at most."""

    writer: str
    reader: str
    holds: int


@dataclass(frozen=True, slots=True)
class StepForm:
    """What a step becomes. `series` has the steps inside it, by their series' path.

    `lanes`: the most lanes of a fork at once (None: no fork, or as many as there are slots).
    `stages`, `edges`: those of a stream, in order.
    """

    path: str
    name: str
    type: str
    primitive: Primitive
    messages: tuple[MessageForm, ...] = ()
    retry: tuple[RetryForm, ...] = ()
    timeout_s: float | None = None
    lanes: int | None = None
    stages: tuple[StageForm, ...] = ()
    edges: tuple[EdgeForm, ...] = ()
    series: Mapping[str, tuple[StepForm, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a flow becomes: its first message, its steps, and the Redis keys of an execution."""

    flow: str
    start: MessageForm
    steps: tuple[StepForm, ...]
    keys: Mapping[str, str]
    shared_keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What an explanation takes for granted: settings, and the tasks that workers serve.

    A task that is not in `tasks` is taken to be served under its first name, on `queue`.
    """

    queue: str = "penstock"
    key_prefix: str = "penstock"
    timer_horizon_s: float = 60.0
    tasks: Mapping[str, Served] = field(default_factory=dict)


def explain(graph: Graph, flow: str, given: Assumptions) -> Explanation:
    """What a flow becomes under the name `flow`."""
    explainer = Explainer(graph, given)
    keys = Keys(given.key_prefix, given.queue)
    identity = execution_id(flow, "EXECUTION")
    names = ("record", "frames", "states", "joins", "results", "history", "payloads")
    own = dict(zip(names, keys.execution(identity), strict=False))
    shared = {
        "dispatch": keys.dispatch,
        "lease": keys.lease,
        "timers": keys.timers,
        "executions": keys.executions,
        "executions_of_flow": keys.executions_of(flow),
        "queue": given.queue,
    }
    if any(isinstance(node.step, StreamStep) for node in graph.nodes.values()):
        own["streams"] = f"{given.key_prefix}:{{s:DIGEST OF {identity}}}:RUN:eN"
    start = explainer.message("flow", BEGIN, f"flow:{flow}")
    return Explanation(flow, start, explainer.series(""), own, shared)


class Explainer:
    """Explains the steps of one graph."""

    def __init__(self, graph: Graph, given: Assumptions) -> None:
        self.graph = graph
        self.given = given

    def series(self, path: str) -> tuple[StepForm, ...]:
        """The steps of a series, in the order of the text."""
        return tuple(self._step(n) for n in self.graph.nodes.values() if n.series == path)

    def message(
        self,
        form: Form,
        task: str,
        shown: str | None = None,
        queue: str | None = None,
        delay_s: float | None = None,
        limited: bool = False,
    ) -> MessageForm:
        """A message form; `queue` None: the engine's own. `limited`: its task has a time limit."""
        late = delay_s is None or delay_s > 0
        wanting = {"eta": not late, "timelimit": not limited}
        headers = [name for name in HEADERS_OF[form] if not wanting.get(name)]
        headers += ["shadow"] if shown else []
        return MessageForm(form, task, queue or self.given.queue, tuple(headers), shown, delay_s)

    def _due(self, message: MessageForm) -> MessageForm:
        """The message of a timer, in the place of one with an ETA."""
        headers = tuple(name for name in message.headers if name not in NOT_OF_DUE)
        return replace(message, form="due", headers=headers, delay_s=None)

    def _step(self, node: Node) -> StepForm:
        step = node.step
        kind = type(step).__name__.removesuffix("Step").lower()
        match step:
            case TaskStep():
                return StepForm(
                    node.path,
                    step.name,
                    kind,
                    "link",
                    self._task(node, step),
                    tuple(_retry(policy) for policy in step.retry),
                    step.timeout_s,
                )
            case StreamStep():
                return self._stream(node, step)
            case WaitStep():
                return StepForm(node.path, step.name, kind, "link", self._wait(step))
            case ParallelStep() | ForeachStep():
                limit = step.concurrency if isinstance(step, ForeachStep) else len(step.branches)
                forms = self._fork(node, step)
                inner = self._inner(node)
                return StepForm(
                    node.path, step.name, kind, "group", forms, lanes=limit, series=inner
                )
            case ChoiceStep() | PassStep() | SucceedStep() | FailStep():
                inner = self._inner(node)
                return StepForm(node.path, step.name, kind, "decided", series=inner)
            case _:
                assert_never(step)

    def _inner(self, node: Node) -> dict[str, tuple[StepForm, ...]]:
        paths = [series.path for series in self.graph.series.values() if series.owner == node.path]
        return {path: self.series(path) for path in paths}

    def _task(self, node: Node, step: TaskStep) -> tuple[MessageForm, ...]:
        served = self._served(node)
        name, queue = (served.name, served.queue) if served else (STEP, self.given.queue)
        assert node.resource is not None
        shown = None if served else node.resource.display
        limited = served is not None and (step.timeout_s or served.timeout_s) is not None
        forms = [self.message("task", name, shown, queue, limited=limited)]
        if step.retry:
            forms += self._delayed("retry", name, _delays(step.retry), shown, queue, limited)
        waits = step.pattern == "waitForCallback" or not served
        if waits or (step.pattern == "sync" and isinstance(node.resource, FlowResource)):
            forms.append(self.message("resume", RESUME))
        return tuple(forms)

    def _stream(self, node: Node, step: StreamStep) -> StepForm:
        assert isinstance(node.resource, StreamResource)
        served = [self._serving(called) or Served(STEP, "") for _, called in node.resource.stages]
        queue, shown = served[0].queue, node.resource.display
        limited = step.timeout_s is not None or any(one.timeout_s for one in served)
        forms = [self.message("task", STREAM, shown, queue, limited=limited)]
        if step.retry:
            forms += self._delayed("retry", STREAM, _delays(step.retry), shown, queue, limited)
        if step.fuse is not True and len(served) > 1:
            queues = dict.fromkeys(one.queue for one in served[1:])
            forms += [self.message("seat", SEAT, shown, queue) for queue in queues]
        stages = tuple(
            StageForm(stage.name, one.name, one.queue, stage.concurrency)
            for stage, one in zip(step.steps, served, strict=True)
        )
        names = [stage.name for stage in step.steps]
        return StepForm(
            node.path,
            step.name,
            "stream",
            "link",
            tuple(forms),
            tuple(_retry(policy) for policy in step.retry),
            step.timeout_s,
            stages=stages,
            edges=tuple(EdgeForm(*ends, step.window_bytes) for ends in edges_of(names, True)),
        )

    def _served(self, node: Node) -> Served | None:
        """The task that is run; None: the engine's own work (a sub-flow, a message, a call)."""
        assert node.resource is not None
        return self._serving(node.resource)

    def _serving(self, resource: Resource) -> Served | None:
        names = served_names(resource)
        known = [self.given.tasks[name] for name in names if name in self.given.tasks]
        if known:
            return known[0]
        return Served(names[0], self.given.queue) if names else None

    def _wait(self, step: WaitStep) -> tuple[MessageForm, ...]:
        if not isinstance(step.duration, int | float):
            return self._delayed("wait", WAIT, ())
        return self._delayed("wait", WAIT, (step.duration,)) if step.duration > 0 else ()

    def _delayed(
        self,
        form: Form,
        task: str,
        delays_s: Sequence[float],
        shown: str | None = None,
        queue: str | None = None,
        limited: bool = False,
    ) -> tuple[MessageForm, ...]:
        """A message with an ETA, and the one of a timer for delays beyond the horizon.

        `delays_s` empty: how long it will be is not known.
        """
        soon = [delay for delay in delays_s if delay <= self.given.timer_horizon_s]
        forms = []
        if soon or not delays_s:
            first = soon[0] if soon else None
            forms.append(self.message(form, task, shown, queue, first, limited))
        if len(soon) < len(delays_s) or not delays_s:
            forms.append(self._due(self.message(form, task, shown, queue, limited=limited)))
        return tuple(forms)

    def _fork(self, node: Node, step: ParallelStep | ForeachStep) -> tuple[MessageForm, ...]:
        first = self.graph.first(f"{node.path}/steps") if isinstance(step, ForeachStep) else None
        served = self._inline(self.graph.node(first)) if first is not None else None
        lane = self.message("lane", LANE, f"lane:{step.name}")
        if served is not None:
            lane = self.message("lane", served.name, None, served.queue)
        return lane, self.message("join", JOIN)

    def _inline(self, first: Node) -> Served | None:
        """The task that a lane runs item by item: as `inline_task` of the runtime has it."""
        step = first.step
        if not isinstance(step, TaskStep) or step.pattern != "requestResponse" or step.timeout_s:
            return None
        served = self._served(first)
        return served if served is not None and served.timeout_s is None else None


def as_json(value: Any) -> Any:
    """An explanation as JSON: objects with the fields' names, lists for tuples."""
    match value:
        case tuple() | list():
            return [as_json(item) for item in value]
        case Mapping():
            return {str(key): as_json(item) for key, item in value.items()}
        case None | str() | int() | float():
            return value
        case _:
            return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}


def _retry(policy: RetryPolicy) -> RetryForm:
    shown = range(1, min(policy.max_attempts, DELAYS_SHOWN) + 1)
    delays = tuple(delay_before(policy, number) for number in shown)
    return RetryForm(policy.errors, policy.max_attempts, delays, policy.jitter)


def _delays(policies: tuple[RetryPolicy, ...]) -> list[float]:
    """The first and the last delay of each policy."""
    numbers = ((policy, number) for policy in policies for number in (1, policy.max_attempts))
    return [delay_before(policy, number) for policy, number in numbers]
