"""The chaos run: faults strike while executions run, and everything ends as it would have.

python -m tests.chaos.run [--faults 200] [--executions 50] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists
from tests.chaos import checks
from tests.chaos.faults import FAULTS, drawn, strike
from tests.chaos.fleet import Fleet
from tests.chaos.operations import Operations, undone
from tests.waiting import wait_until

END_WITHIN_S = 180.0
MOST_AT_ONCE = 12
PAUSE_S = 0.4
"""Between two faults, so that something has gone on since the last."""

INPUTS: dict[str, dict[str, Any]] = {
    "restore": {"objects": 24, "page": 9},
    "nested": {"rows": [[1, 2, 3], [4, 5, 6, 7], [], [9, 10, 11]]},
    "parent": {"items": [1, 2, 3]},
    "approval": {"items": [1, 2, 3, 4]},
}
"""The flows of the run with their inputs; each execution also gets a folder of its own."""


@dataclass
class Outcome:
    """What a run came to. `wrong`: what should not be; `struck`: faults, and whom they met."""

    wrong: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    touched: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    executions: int = 0
    children: int = 0
    seconds: float = 0.0


class ChaosRun:
    """One run on a fleet of its own."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.random = Random(seed)
        self.faults = drawn(self.random)
        self.kills: dict[tuple[str, str], int] = {}
        self.operations = Operations(fleet.engine, Random(seed))
        self.running: list[tuple[str, str]] = []
        self.begun: list[tuple[str, str]] = []
        self.outcome = Outcome()
        self.expected: dict[str, tuple[Any, checks.Story]] = {}

    def rehearse(self) -> None:
        """Runs each flow undisturbed: how it must end, and its story."""
        for flow in INPUTS:
            name = self._start(flow, "undisturbed")
            ended = self.fleet.engine.wait(flow, name, END_WITHIN_S)
            assert ended.status is ExecutionStatus.SUCCEEDED, (flow, ended.error, ended.cause)
            place = str(self.fleet.place)
            story = checks.story_of(self.fleet.engine, flow, name, place)
            self.expected[flow] = (ended.output, story)

    def strike_all(self, faults: int, executions: int) -> None:
        """Lets faults strike, with executions running all the time, until there were enough."""
        number = 0
        while sum(self.outcome.struck.values()) < faults or number < executions:
            self._forget_ended()
            while len(self.running) < MOST_AT_ONCE:
                flow = list(INPUTS)[number % len(INPUTS)]
                self.running.append((flow, self._start(flow, f"e-{number}")))
                self.begun.append(self.running[-1])
                number += 1
            name = next(self.faults)
            strike(name, self.fleet, self.random)
            self.outcome.struck[name] += 1
            self.outcome.touched[name] += len(self.running)
            self.operations.act(self.running)
            time.sleep(PAUSE_S)
        self.outcome.executions = number

    def judge(self) -> None:
        """Takes back what was done by hand, waits for all ends and checks them."""
        self.running = [at for at in self.begun if self._goes_on(at)]
        wait_until(self._all_taken_back, END_WITHIN_S)
        self.outcome.operations += self.operations.done
        for flow, name in self.begun:
            try:
                ended = self.fleet.engine.wait(flow, name, END_WITHIN_S)
            except TimeoutError as late:
                self.outcome.wrong.append(f"{flow}/{name}: {late}; {self._standing(flow, name)}")
                continue
            output, story = self.expected[flow]
            if ended.status is not ExecutionStatus.SUCCEEDED or ended.output != output:
                what = (ended.status, ended.error, ended.cause, ended.output)
                self.outcome.wrong.append(f"{flow}/{name} ended otherwise: {what}")
            self._compare(flow, name, story)
        self._judge_children()
        with self.fleet.client() as client:
            keys = self.fleet.engine.runtime.store.keys
            self.outcome.wrong += checks.left_over(client, keys)
        self.outcome.figures = checks.counted(self.fleet.engine, self.begun)

    def _compare(self, flow: str, name: str, story: checks.Story) -> None:
        engine = self.fleet.engine
        self.outcome.wrong += [
            f"{flow}/{name}: {text}" for text in checks.wrong(engine, flow, name)
        ]
        seen = checks.story_of(engine, flow, name, str(self.fleet.place))
        seen = {frame: undone(events) for frame, events in seen.items()}
        frames = [frame for frame in {*seen, *story} if seen.get(frame) != story.get(frame)]
        for frame in sorted(frames)[:2]:
            told = f"{seen.get(frame)} instead of {story.get(frame)}"
            self.outcome.wrong.append(f"{flow}/{name} {frame!r}: {told}")

    def _judge_children(self) -> None:
        """Sub-flows have ended with their parents, as often as they were called."""
        calls = 1 + sum(flow == "parent" for flow, _ in self.begun)
        wanted = {"child": ("Succeeded", 3 * calls), "failing": ("Failed", calls)}
        for flow, (status, count) in wanted.items():
            found = self.fleet.engine.list_executions(flow)
            self.outcome.children += len(found)
            statuses = Counter(str(one.status) for one in found)
            if statuses != {status: count}:
                self.outcome.wrong.append(f"{flow}: {dict(statuses)}, not {count} {status}")
            for one in found:
                history = checks.wrong(self.fleet.engine, flow, one.name)
                self.outcome.wrong += [f"{flow}/{one.name}: {text}" for text in history]

    def _all_taken_back(self) -> bool:
        self.operations.settle()
        return self.operations.settled

    def _start(self, flow: str, name: str) -> str:
        place = self.fleet.place / flow / name
        place.mkdir(parents=True, exist_ok=True)
        self.kills[flow, name] = self._redis_kills
        given = INPUTS[flow] | {"place": str(place)}
        return self.fleet.engine.start_execution(flow, given, name=name).name

    def _forget_ended(self) -> None:
        self.running = [at for at in self.running if self._goes_on(at)]

    def _goes_on(self, at: tuple[str, str]) -> bool:
        """Whether an execution has not ended. One that Redis has forgotten is started again.

        A Redis that is killed may lose its last second or two, also what it has answered.
        """
        try:
            return not self.fleet.engine.describe_execution(*at).status.ended
        except ExecutionNotExists:
            if self.kills[at] == self._redis_kills:
                self.outcome.wrong.append(f"{at} is gone, and Redis was not killed since its start")
        self.outcome.operations["started again, lost by Redis"] += 1
        self._start(*at)
        return True

    @property
    def _redis_kills(self) -> int:
        return self.outcome.struck["Redis killed"]

    def _standing(self, flow: str, name: str) -> dict[str, str]:
        states: Any = self.fleet.engine.runtime.store.redis.hgetall(
            self.fleet.engine.runtime.store.keys.states(f"{flow}:{name}")
        )
        return dict(states)


def chaos(faults: int, executions: int, seed: int, workers: int = 3) -> Outcome:
    """A whole run."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place, Fleet(Path(place), workers) as fleet:
        fleet.deploy()
        run = ChaosRun(fleet, seed)
        run.rehearse()
        run.strike_all(faults, executions)
        run.judge()
    run.outcome.seconds = time.monotonic() - begun
    return run.outcome


def table(outcome: Outcome) -> str:
    """The outcome for people."""
    lines = [f"{'fault':26}{'times':>7}{'executions met':>16}"]
    lines += [f"{name:26}{outcome.struck[name]:>7}{outcome.touched[name]:>16}" for name in FAULTS]
    lines.append(f"{'together':26}{outcome.struck.total():>7}{outcome.touched.total():>16}")
    lines += [f"{name:26}{count:>7}" for name, count in sorted(outcome.operations.items())]
    figures = ", ".join(f"{name} {count}" for name, count in sorted(outcome.figures.items()))
    lines.append(
        f"{outcome.executions} executions and {outcome.children} sub-flows in "
        f"{outcome.seconds:.0f} s: {figures}"
    )
    lines += [f"WRONG {text}" for text in outcome.wrong] or ["all as undisturbed"]
    return "\n".join(lines)


def main() -> int:
    """Runs and prints; the exit code is 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--executions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = chaos(options.faults, options.executions, options.seed)
    print(table(outcome))
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    sys.exit(main())
