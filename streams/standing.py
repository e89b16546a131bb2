"""The standing of one end at its edge over Redis: its epoch, its patience, the life of the keys."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from streams.commands import Commands
from streams.errors import StreamCancelled, StreamFenced, StreamIdle
from streams.shared import SharedFolder
from streams.stop import Stop

SLICE_S = 0.5
"""How long an end waits in Redis at most before it looks whether it is still wanted."""


@dataclass(frozen=True, slots=True)
class EdgeKeys:
    """The keys of one edge: the stream of its entries, what is known of its ends, tokens."""

    stream: str

    @property
    def control(self) -> str:
        """A hash: epochs of both ends, what was freed."""
        return f"{self.stream}:c"

    @property
    def tokens(self) -> str:
        """A list of at most one token, the weight freed so far: it wakes the writer."""
        return f"{self.stream}:t"

    def all(self) -> tuple[str, str, str]:
        """KEYS 1 to 3 of every script on an edge."""
        return (self.stream, self.control, self.tokens)


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What an edge allows: bytes outstanding, life of unused keys, idleness, absence of Redis."""

    window_bytes: int
    ttl_s: float
    idle_s: float
    patience_s: float

    @property
    def slice_s(self) -> float:
        """How long an end waits in Redis at once."""
        return min(SLICE_S, self.idle_s, self.ttl_s / 4)

    @property
    def slice_ms(self) -> int:
        """As Redis takes it, where 0 would be for ever."""
        return max(1, int(self.slice_s * 1000))

    @property
    def ttl_ms(self) -> int:
        """As Redis takes it."""
        return int(self.ttl_s * 1000)


_VERBS = {"writer": "write", "reader": "read"}


class Standing:
    """One end, which it takes from whoever has it. `role` is "writer" or "reader".

    `memory`: the folder of shared memory on this host; `sees`: the token of it that this end tells
    the other one, or "". `shared` is where its edge has its own part of it, `found` what the script
    says of the edge.

    Raises:
        StreamFenced: somebody with a newer epoch has it.
        StreamCancelled: the edge is gone.
    """

    def __init__(
        self,
        commands: Commands,
        keys: EdgeKeys,
        limits: EdgeLimits,
        role: str,
        epoch: int,
        stop: Stop,
        memory: Path,
        sees: str = "",
    ) -> None:
        self.commands = commands.stopped_by(stop)
        self.keys = keys
        self.limits = limits
        self.epoch = epoch
        self._role = role
        self._stop = stop
        self._moved_at = self._renewed_at = self._touched_at = time.monotonic()
        verdict, *self.found = self.commands.script(
            _VERBS[role], keys.all()[:2], epoch, limits.ttl_ms, sees
        )
        self.judge(verdict)
        self.shared = SharedFolder(self.found.pop(0).decode(), keys.stream, memory)

    def judge(self, verdict: bytes) -> None:
        """Raises StreamFenced or StreamCancelled if that is what a script's verdict means."""
        if verdict == b"GONE":
            raise StreamCancelled(f"{self.keys.stream} is gone: its run is over")
        if verdict == b"FENCED":
            raise StreamFenced(f"{self.keys.stream} has a newer {self._role} than {self.epoch}")

    def told(self) -> str:
        """The shared memory that the edge's newest reader has said it sees. Cost: O(1)."""
        return (self.commands.call("HGET", self.keys.control, "sees") or b"").decode()

    def moved(self) -> None:
        """Notes that something moves."""
        self._moved_at = time.monotonic()
        if self._moved_at - self._touched_at > self.limits.ttl_s / 4:
            self._touched_at = self._moved_at
            self.shared.touch()

    def check(self) -> None:
        """Raises StreamCancelled if the stop is set."""
        self._stop.check()

    def look(self) -> int:
        """Looks whether this end is still wanted, and keeps the keys. The weight freed so far.

        Raises:
            StreamCancelled, StreamFenced, StreamIdle: it is not.
        """
        self._stop.check()
        key, role = self.keys.control, self._role
        newest, freed = self.commands.call("HMGET", key, role, "freed")
        if newest is None or freed is None:
            self.judge(b"GONE")
        if int(newest) > self.epoch:
            self.judge(b"FENCED")
        idle_s = time.monotonic() - self._moved_at
        if idle_s > self.limits.idle_s:
            raise StreamIdle(f"{self.keys.stream}: its {role} has waited {idle_s:.0f} s in vain")
        self.keep_alive()
        return int(freed)

    def keep_alive(self) -> None:
        """Renews the life of the keys, now and then. Cost: none, else O(1)."""
        if time.monotonic() - self._renewed_at < self.limits.ttl_s / 4:
            return
        self._renewed_at = time.monotonic()
        for key in self.keys.all():
            self.commands.call("PEXPIRE", key, self.limits.ttl_ms)
        self.shared.touch()
