"""The store against its model: whatever is called in whatever order, they say and hold the same.

A machine of Hypothesis draws what clients, workers, sweepers and time do; every call that the
product thereby makes of the store is made of the model as well, and some are made twice. Workers
and clients die in between, and workers come back late with what they hold.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from engine.config import Settings
from engine.core.states import ExecutionStatus
from engine.errors import EngineError
from engine.runtime.claims import Claim
from engine.runtime.conductor import Conductor
from engine.runtime.ending import Ending
from engine.runtime.pausing import pause, resume
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.reports import report
from engine.runtime.skipping import Skip, skip
from engine.runtime.starting import Start, start
from tasks.errors import TaskError
from tests.driven import Message
from tests.driving import Died, Driver
from tests.properties.modelled_store import NO_HITCH, Hitch, Late, ModelledScripts
from tests.properties.store_model import Run, StoreModel
from tests.stores import life_s, without_ttl

FLOWS = {
    "line": """
- {type: task, name: first, resourceArn: work, timeoutSeconds: 60}
- {type: wait, name: night, duration: 3600}
- {type: wait, name: soon, duration: 30}
- type: task
  name: asks
  resourceArn: ask
  pattern: waitForCallback
  timeoutSeconds: 7200
  inputMappings: [{target: token, source: $context.task.token}]
- {type: task, name: last, resourceArn: work}
""",
    "fork": """
- type: parallel
  name: both
  branches:
  - steps: [{type: task, name: left, resourceArn: work, timeoutSeconds: 60}]
  - steps: [{type: wait, name: rest, duration: 3600}]
- {type: task, name: after, resourceArn: work}
""",
    "each": """
- type: foreach
  name: all
  concurrency: 2
  iterationMapping: {collection: $.items, item: item}
  steps:
  - {type: task, name: one, resourceArn: work}
  - {type: wait, name: night, duration: 3600}
- {type: task, name: after, resourceArn: work}
""",
}
STEPS = ("first", "soon", "asks", "both", "left", "rest", "all", "one", "night", "after")
INPUT = {"items": [1, 2, 3], "large": "x" * 2000}
GOOD = {"kind": "reported", "output": {}}
NOTE = {"by": "ann"}
LARGE = os.environ.get("PENSTOCK_TEST_MACHINE") == "large"
MACHINE = settings(
    max_examples=300 if LARGE else 40,
    stateful_step_count=80 if LARGE else 50,
    deadline=None,
    derandomize=not LARGE,
    suppress_health_check=list(HealthCheck),
)
AT = st.integers(0, 50)
SOMEBODY = ("works", "claims", "sweeps", "stops", "pauses", "resumes", "redrives", "skips")
HITCHES = st.builds(
    Hitch,
    twice=st.booleans(),
    what=st.sampled_from(["", "", "", "dies", "dies", "claims", "claims", *SOMEBODY]),
    look=st.integers(1, 8),
)


class StoreMachine(RuleBasedStateMachine):
    """Executions of three flows, in every trouble at once."""

    redis: Redis

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.model = StoreModel()
        self.tokens: list[str] = []
        self.fails = False
        functions = {"work": self._work, "ask": self._ask}
        limits = Settings(lease_s=10, dispatch_grace_s=10, max_losses=1000, inline_limit_bytes=1024)
        self.driver = Driver(self.redis, functions, batch=1, settings=limits)
        self.store, self.runtime = self.driver.store, self.driver.runtime
        self.scripts = ModelledScripts(self.redis, self.model, self._meanwhile)
        self.store.scripts = self.scripts
        for name, steps in FLOWS.items():
            self.driver.deploy(
                f"version: v1\ntype: flow\ntimeoutSeconds: 20000\nsteps:{steps}", name
            )
        self.claims: list[tuple[Message, Claim]] = []

    def _work(self, input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if self.fails:
            raise TaskError("Test.Broken", "as drawn")
        return {}

    def _ask(self, input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        self.tokens.append(input["token"])
        return self._work(input, ctx)

    def _do(self, what: Any, hitch: Hitch = NO_HITCH) -> None:
        """Does something as a process that may die of it, or be refused."""
        self.scripts.hitch, self.scripts.looks = hitch, 0
        try:
            with suppress(Died, EngineError):
                what()
        finally:
            self.scripts.hitch = NO_HITCH
        wrong, self.scripts.wrong = self.scripts.wrong, []
        assert not wrong, "\n".join(wrong)
        self.driver.collect()

    def _meanwhile(self, what: str, flow: str) -> None:
        """What somebody else does while a process is at an execution of a flow."""
        self.driver.collect()
        with suppress(EngineError):
            match what:
                case "works":
                    self._take(-1, keep=False, at_once=True)
                case "claims":
                    self._take(-1, keep=True)
                case "sweeps":
                    self._pass_time(30)
                    self.driver.sweeper.sweep()
                case "skips":
                    for step in STEPS:
                        self._skip(flow, step)
                case _:
                    self._operate(what, flow)

    def _operate(self, what: str, flow: str, freeze: bool = True) -> None:
        match what:
            case "stops":
                Ending(self.runtime).stop(flow, "e-1", ExecutionStatus.STOPPED, None, None)
            case "pauses":
                pause(self.runtime, flow, "e-1", freeze, NOTE)
            case "resumes":
                resume(self.runtime, flow, "e-1", NOTE)
            case _:
                redrive(self.runtime, Redrive(flow, "e-1", note=NOTE))

    def _skip(self, flow: str, step: str) -> None:
        with suppress(EngineError):
            skip(self.runtime, Skip(flow, "e-1", step, {}, None, NOTE))

    def _take(self, at: int, keep: bool, at_once: bool = False) -> None:
        """A worker takes a message; unless at once, what it has claimed is done later."""
        if not self.driver.hand:
            return
        message = self.driver.hand[at % len(self.driver.hand)]
        if not keep:
            self.driver.hand.remove(message)
        holder = self.driver.holder_of(message)
        if message.pointer.kind == "lane":
            self.driver.lanes.run(message.pointer, holder)
        elif at_once:
            self.driver.conductor.advance(message.pointer, holder)
        else:
            claim = self.store.claim(message.pointer, holder)
            if isinstance(claim, Claim):
                self.claims.append((message, claim))

    def _work_at(self, message: Message, claim: Claim) -> None:
        conductor = Conductor(self.runtime, self.driver.runner)
        conductor.store = Late(self.store, claim)  # type: ignore[assignment]  # all but its claim
        conductor.advance(message.pointer, claim.holder)

    @initialize(flow=st.sampled_from(sorted(FLOWS)), hitch=HITCHES)
    def begins(self, flow: str, hitch: Hitch) -> None:
        self.starts(flow, hitch)

    @rule(flow=st.sampled_from(sorted(FLOWS)), hitch=HITCHES)
    def starts(self, flow: str, hitch: Hitch) -> None:
        self._do(lambda: start(self.runtime, Start(flow, "e-1", INPUT)), hitch)

    @rule(at=AT, keep=st.booleans(), hitch=HITCHES)
    def gets_a_message(self, at: int, keep: bool, hitch: Hitch) -> None:
        """A worker claims what a message points to; `keep`: the message will come again."""
        self._do(lambda: self._take(at, keep), hitch)

    @rule(at=AT, hitch=HITCHES)
    def does_what_a_message_asks_for(self, at: int, hitch: Hitch) -> None:
        """A worker, without a pause between its claim and its end."""
        self._do(lambda: self._take(at, keep=False, at_once=True), hitch)

    @rule(at=AT, stays=st.booleans(), fails=st.sampled_from([False, False, True]), hitch=HITCHES)
    def ends_what_it_holds(self, at: int, stays: bool, fails: bool, hitch: Hitch) -> None:
        """A worker does what it has claimed, in time or not; `stays`: it does so again later."""
        if not self.claims:
            return
        message, claim = self.claims[at % len(self.claims)]
        if not stays:
            self.claims.remove((message, claim))
        self.fails = fails
        self._do(lambda: self._work_at(message, claim), hitch)
        self.fails = False

    @rule(at=AT, look=st.integers(1, 4), hitch=HITCHES)
    def is_overtaken(self, at: int, look: int, hitch: Hitch) -> None:
        """A worker stands still, or dies at a lane, until another has what it was at."""
        if not self.driver.hand:
            return
        lane = self.driver.hand[at % len(self.driver.hand)].pointer.kind == "lane"
        self._do(lambda: self._take(at, keep=False), Hitch(what="dies" if lane else "", look=look))
        self.time_passes(60, hitch)
        self._do(lambda: self._take(-1, keep=False))

    @rule(at=AT)
    def loses_a_message(self, at: int) -> None:
        if self.driver.hand:
            del self.driver.hand[at % len(self.driver.hand)]

    @rule(seconds=st.sampled_from([10, 30, 60, 3600, 7200]), hitch=HITCHES)
    def time_passes(self, seconds: int, hitch: Hitch) -> None:
        """And a sweeper looks for what is due."""
        self._pass_time(seconds)
        self._do(self.driver.sweeper.sweep, hitch)

    def _pass_time(self, seconds: int) -> None:
        self.driver.pass_time(seconds)
        self.model.now += seconds * 1000

    @rule(at=AT, fails=st.booleans(), hitch=HITCHES)
    def reports(self, at: int, fails: bool, hitch: Hitch) -> None:
        if not self.tokens:
            return
        token = self.tokens[at % len(self.tokens)]
        bad = {"kind": "raised", "error": "Test.No", "cause": ""}
        self._do(lambda: report(self.runtime, token, bad if fails else GOOD), hitch)

    @rule(
        what=st.sampled_from(["stops", "pauses", "resumes", "resumes", "redrives", "redrives"]),
        flow=st.sampled_from(sorted(FLOWS)),
        freeze=st.booleans(),
        hitch=HITCHES,
    )
    def operates(self, what: str, flow: str, freeze: bool, hitch: Hitch) -> None:
        self._do(lambda: self._operate(what, flow, freeze), hitch)

    @rule(flow=st.sampled_from(sorted(FLOWS)), step=st.sampled_from(STEPS), hitch=HITCHES)
    def skips(self, flow: str, step: str, hitch: Hitch) -> None:
        self._do(lambda: self._skip(flow, step), hitch)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        for identity, run in self.model.runs.items():
            record = self.store.record(identity)
            assert record["status"] == run.status
            names = ("duplicates", "refused", "handovers", "redispatches")
            assert {n: int(record.get(n, 0)) for n in names} == {n: run.counts[n] for n in names}
            events: Any = self.redis.xrange(self.store.keys.history(identity))
            assert [(e["y"], e["s"], e["f"]) for _, e in events] == run.history
            states = dict(self.driver._states(identity))
            standing = {name: (state["st"], state["fence"]) for name, state in states.items()}
            assert standing == {name: (at.st, at.fence) for name, at in run.frames.items()}
            assert badly_nested(run) == []

    @invariant()
    def reaches_every_open_frame(self) -> None:
        entries = {
            str(entry)
            for key in (self.store.keys.dispatch, self.store.keys.lease, self.store.keys.timers)
            for entry in self.redis.zrange(key, 0, -1)  # type: ignore[union-attr]
        }
        for identity, run in self.model.runs.items():
            if run.ending:
                assert f"ending|{identity}||" in entries
            elif not run.paused and f"resuming|{identity}||" not in entries:
                lost = unreachable(identity, run, entries)
                assert not lost, f"{lost} in {run}, with {entries}"
            lives = {life_s(self.redis, key) for key in self.store.keys.execution(identity)[:7]}
            assert -1 not in lives if run.ended else lives <= {-1, -2}

    def teardown(self) -> None:
        """Whatever was done to them, all executions can be brought to their end."""
        for flow in FLOWS:
            self._do(partial(resume, self.runtime, flow, "e-1", NOTE))
        for _ in range(100):
            for message in list(self.driver.hand):
                self._do(partial(self.driver.deliver, message))
            for token in self.tokens:
                self._do(partial(report, self.runtime, token, GOOD))
            if all(run.ended for run in self.model.runs.values()):
                break
            due_ms = min(self.driver._dues(), default=0)
            self._pass_time(max(10, 10 * math.ceil(due_ms / 10_000)))
            self._do(self.driver.sweeper.sweep)
        self.holds_what_the_model_holds()
        assert [name for name, run in self.model.runs.items() if not run.ended] == []
        self._pass_time(40_000)
        self._do(self.driver.sweeper.sweep)
        keys = self.store.keys
        left = [self.redis.zrange(key, 0, -1) for key in (keys.dispatch, keys.lease, keys.timers)]
        assert left == [[], [], []]
        assert [key for key in without_ttl(self.redis) if not key.endswith(keys.queue)] == []


def badly_nested(run: Run) -> list[str]:
    """What was entered twice or exited without; after the end also what is open still."""
    depth: Counter[str] = Counter()
    wrong = []
    for kind, step, frame in run.history:
        depth[f"{frame} {step}"] += kind.endswith("Entered") - kind.endswith("Exited")
        if depth[f"{frame} {step}"] not in (0, 1):
            wrong.append(f"{kind} {frame} {step}")
    return wrong + [where for where, left in depth.items() if left and run.ended]


def unreachable(identity: str, run: Run, entries: set[str]) -> list[str]:
    """Open frames and joins at which nothing will ever happen."""
    found = []
    for name, at in run.frames.items():
        own = f"{identity}|{name}|{at.fence}"
        below = any(join.parent == name and join.fence == at.fence for join in run.joins.values())
        waits = at.st == "WAITING" and below
        if not waits and not entries & {own, f"wake|{own}", f"timeout|{own}"}:
            found.append(own)
    for name, join in run.joins.items():
        active = [frame for frame in run.frames if frame.startswith((f"{name}.", f"{name}*"))]
        parent = run.frames.get(join.parent)
        waits = join.open and parent is not None and parent.fence == join.fence
        if waits and not active and f"{identity}|{name}|lane" not in entries:
            found.append(name)
    return found


def test_the_store_does_what_its_model_does(any_redis: Redis) -> None:
    class Machine(StoreMachine):
        redis = any_redis

    run_state_machine_as_test(Machine, settings=MACHINE)
