"""The Stream Bridge: a run of streams, who takes part in it, and how it ends."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis

from streams.commands import Commands
from streams.edge import IDLE_S, PATIENCE_S, TTL_S, WINDOW_BYTES, Edge
from streams.errors import StreamCancelled
from streams.shared import MEMORY, remove_run
from streams.standing import SLICE_S, EdgeKeys
from streams.stop import Stop

CLAIM_WITHIN_S = 5.0
"""How soon after the plan a seat must be claimed, else it counts as lost."""
EPOCHS_OUTLIVE = 4
"""How much longer than a run the counter of epochs lives: it must not begin anew during one."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How a run stands.

    Attributes:
        state: "gathering", "running", "done", "failed", "cancelled", or "gone": it was never begun
            or its keys have been removed.
        error, cause, stage: why it failed, or, of a cancelled one, the reason as cause.
        outcomes: by seat, of those that have left.
        takeovers: by seat, how often another process has taken it over; seats without are left out.
        opened_ms: Redis time of the plan; 0 before.
        seats: how many the plan has; 0 before.
    """

    state: str
    error: str = ""
    cause: str = ""
    stage: str = ""
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    takeovers: dict[int, int] = field(default_factory=dict)
    opened_ms: int = 0
    seats: int = 0

    @property
    def is_over(self) -> bool:
        """True when nothing more will happen in it."""
        return self.state not in ("gathering", "running")


class StreamBridge:
    """One run. Every process that takes part has one; threads may share it.

    The lead begins the run, gathers helpers and opens it with a plan of seats. Seat 0 is the
    lead's; the helper with ticket n has seat n. A seat is held by a lease, under an epoch, and can
    be taken over when the lease has ended.

    `redis` returns bytes. `prefix` ends with the hash tag, e.g. `penstock:{s:4f2a}`; all runs under
    it share one counter of epochs. `ttl_s`: life of the keys when nobody uses them. `stop` ends
    waiting. `memory`: the folder of this host's shared memory.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        run: str,
        *,
        ttl_s: float = TTL_S,
        patience_s: float = PATIENCE_S,
        stop: Stop | None = None,
        memory: Path = MEMORY,
    ) -> None:
        self._redis = redis
        self._stop = stop or Stop()
        self._commands = Commands(redis, patience_s, self._stop)
        self._epochs = f"{prefix}:epoch"
        self._run = f"{prefix}:{run}"
        self._offers = f"{self._run}:offers"
        self._calls = f"{self._run}:calls"
        self._memory = memory
        self._memory_known = ""
        self._ttl_s = ttl_s
        self._lives = (int(ttl_s * 1000), int(EPOCHS_OUTLIVE * ttl_s * 1000))

    @property
    def run(self) -> str:
        """The run's name."""
        return self._run.rpartition(":")[2]

    @property
    def key(self) -> str:
        """The key of the run's hash; the keys of its edges begin with it."""
        return self._run

    def next_epoch(self) -> int:
        """A number higher than all before, under this prefix. Atomic. A lost answer skips one."""
        return int(self._commands.script("epoch", [self._epochs], self._lives[1]))

    def begin(self) -> bool:
        """Lead: begins the run, before anybody is asked to help. Atomic, Idempotent.

        True: it is a new one (or the answer of the first call was lost and nothing has happened
        since). False: it was there, on or over.
        """
        verdict = self._commands.script("begin", [self._run], self._lives[0], uuid.uuid4().hex)
        return bool(verdict == b"APPLIED")

    def offer(self, holder: str) -> int | None:
        """Helper: offers itself; its ticket from 1, the same for the same `holder`.

        None: too late, the plan is there, or there is no such run. Atomic, Idempotent.
        """
        keys = [self._run, self._offers]
        return int(self._commands.script("offer", keys, holder, self._lives[0])) or None

    def offers(self, wanted: int, timeout_s: float) -> int:
        """Lead: begins the run and waits for so many offers; how many there are. Blocking."""
        self.begin()

        def enough() -> int | None:
            count = self._count_offers()
            return count if count >= wanted else None

        return self._awaited(enough, self._offers, timeout_s) or self._count_offers()

    def offered(self) -> dict[int, str]:
        """Who has offered itself: the holder of each ticket. Cost: O(tickets)."""
        run = self._commands.call("HGETALL", self._run)
        names = {name.decode(): int(value) for name, value in run.items() if b"ticket:" in name}
        return {ticket: name.partition(":")[2] for name, ticket in names.items()}

    def open(
        self, plan: dict[str, Any], seats: int, *, claim_within_s: float = CLAIM_WITHIN_S
    ) -> dict[str, Any]:
        """Lead: publishes the plan for so many seats, its own included; the plan that holds.

        That is an earlier one, if there is one. Helpers whose ticket is no seat are dismissed. A
        seat that nobody claims for `claim_within_s` is lost. Atomic, Idempotent. Cost: O(seats).

        Raises:
            StreamCancelled: the run is over, or was never begun.
        """
        keys = [self._run, self._offers, self._calls]
        verdict, *values = self._commands.script(
            "open", keys, json.dumps(plan), seats, int(claim_within_s * 1000), self._lives[0]
        )
        if verdict == b"GONE":
            raise StreamCancelled(f"{self._run} is over: it cannot be opened")
        published: dict[str, Any] = json.loads(values[0])
        return published

    def plan(self) -> dict[str, Any] | None:
        """The plan; None: not yet, or the run is gone."""
        text = self._commands.call("HGET", self._run, "plan")
        return json.loads(text) if text else None

    def seat(self, ticket: int, timeout_s: float) -> int | None:
        """Helper: waits for the plan; its seat. None: dismissed, or none in time. Blocking."""

        def called() -> int | None:
            state, seats = self._commands.call("HMGET", self._run, "state", "seats")
            if state == b"gathering":
                return None
            return ticket if seats and ticket < int(seats) else -1

        seat = self._awaited(called, self._calls, timeout_s)
        return None if seat == -1 else seat

    def claim(self, seat: int, holder: str, lease_s: float) -> int | None:
        """Takes a seat; the epoch for its ends. The same `holder` gets the same again.

        None: somebody else's lease lives, the seat has finished, or the run is not on. A holder
        that begins anew needs another name, else it would share an epoch with its former self.
        Atomic, Idempotent while the lease lives.
        """
        lease_ms = int(lease_s * 1000)
        keys = [self._run, self._epochs]
        epoch = self._commands.script("claim", keys, seat, holder, lease_ms, self._lives[1])
        return int(epoch) or None

    def renew(self, seat: int, epoch: int, lease_s: float) -> bool:
        """Keeps a seat, and the keys of the run and its edges.

        False: somebody else has it, or the run is over. Atomic, Idempotent.
        """
        keys = [self._run, self._epochs]
        lease_ms = int(lease_s * 1000)
        return bool(self._commands.script("renew", keys, seat, epoch, lease_ms, *self._lives))

    def lost(self) -> list[int]:
        """Seats that have not finished and whose lease has ended, or that nobody came to."""
        return [int(seat) for seat in self._commands.script("lost", [self._run])]

    def leave(self, seat: int, epoch: int, outcome: dict[str, Any]) -> bool:
        """A seat has done its part; with the last one the run is done. Atomic, Idempotent.

        False: somebody else has the seat, or the run was over.
        """
        order = (seat, epoch, json.dumps(outcome))
        return bool(self._commands.script("leave", [self._run], *order))

    def agree(self, name: str, value: str) -> str:
        """Tells a fact about the run; what the first has told of it. Atomic, Idempotent.

        Raises:
            StreamCancelled: the run is over, or was never opened.
        """
        verdict, *values = self._commands.script("agree", [self._run], name, value)
        if verdict == b"GONE":
            raise StreamCancelled(f"{self._run} is over")
        return bytes(values[0]).decode()

    def fail(self, error: str, cause: str, stage: str) -> None:
        """The run has failed; the first failure holds. Edges stay, so that what was written, and
        the ERROR, is still read. Atomic, Idempotent.
        """
        self._commands.script("finish", [self._run], "failed", error, cause, stage)

    def cancel(self, reason: str) -> None:
        """The run is cancelled, unless it is over; its edges go in any case. Idempotent."""
        self._commands.script("finish", [self._run], "cancelled", "", reason, "")
        self._remove_edges()

    def status(self) -> RunStatus:
        """How it stands. Cost: O(seats)."""
        answer = self._commands.call("HGETALL", self._run)
        run = {name.decode(): value.decode() for name, value in answer.items()}
        outcomes = {seat: json.loads(text) for seat, text in _by_seat(run, "outcome").items()}
        takeovers = {seat: int(count) for seat, count in _by_seat(run, "takeovers").items()}
        return RunStatus(
            state=run.get("state", "gone"),
            error=run.get("error", ""),
            cause=run.get("cause", ""),
            stage=run.get("stage", ""),
            outcomes=outcomes,
            takeovers=takeovers,
            opened_ms=int(run.get("opened_ms", 0)),
            seats=int(run.get("seats", 0)),
        )

    def edge(
        self,
        n: int,
        lane: int | None = None,
        *,
        window_bytes: int = WINDOW_BYTES,
        idle_s: float = IDLE_S,
        patience_s: float = PATIENCE_S,
        shared: bool = False,
    ) -> Edge:
        """Edge number `n` of the run, or one lane of it. `create` makes it while the run is on."""
        if shared:
            self._memory_name()
        return Edge(
            self._redis,
            f"{self._run}:e{n}" if lane is None else f"{self._run}:e{n}.{lane}",
            window_bytes=window_bytes,
            ttl_s=self._ttl_s,
            idle_s=idle_s,
            patience_s=patience_s,
            shared=shared,
            memory=self._memory,
            run=self._run,
        )

    def close(self) -> None:
        """Removes all keys of the run, and its shared memory on this host. Idempotent.

        The counter of epochs stays for its life: it must not begin anew.
        """
        # Whoever comes late must find it over until it is gone: edges cannot be made then.
        self.cancel("closed")
        self._commands.call("UNLINK", self._run, self._offers, self._calls)

    def clean_host(self) -> None:
        """Removes the run's shared memory on this host, if the run is over. Idempotent.

        For hosts that `cancel` and `close` were not called on; by each bridge that has made shared
        edges there.
        """
        name = self._memory_name()
        if name and self.status().is_over:
            remove_run(name, self._memory)

    def _remove_edges(self) -> None:
        memory_name = self._memory_name()
        names = self._commands.call("HKEYS", self._run)
        edges = [name.decode().partition(":")[2] for name in names if name.startswith(b"edge:")]
        for key in edges:
            self._commands.call("UNLINK", *EdgeKeys(key).all())
        if memory_name:
            remove_run(memory_name, self._memory)

    def _memory_name(self) -> str:
        """What names the run's shared memory; it is known here even when the keys are gone."""
        if not self._memory_known:
            self._memory_known = (self._commands.call("HGET", self._run, "memory") or b"").decode()
        return self._memory_known

    def _count_offers(self) -> int:
        return int(self._commands.call("HGET", self._run, "tickets") or 0)

    def _awaited(
        self, look: Callable[[], Found | None], key: str, timeout_s: float
    ) -> Found | None:
        """What `look` finds; it is asked whenever something is in the list `key`."""
        deadline = time.monotonic() + timeout_s
        while (found := look()) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._stop.check()
            self._commands.pop(key, min(left_s, SLICE_S))
        return found


def _by_seat(run: dict[str, str], name: str) -> dict[int, str]:
    return {
        int(key.partition(":")[2]): value
        for key, value in run.items()
        if key.startswith(f"{name}:")
    }
