"""The names of all Redis keys, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from engine.runtime.documents import STATE_VERSION

HELD_S = 86_400.0
"""How long it is known what a worker holds: longer than Redis may be away without losing leases."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix. Keys of executions share the shard tag `{p0}`.

    `queue` is the Celery queue of the engine's own messages. `execution(id)` gives the keys that
    every script on an execution takes. What is due is kept apart for each version of the state:
    sweepers never see what they could not act on.
    """

    prefix: str = "penstock"
    queue: str = "penstock"

    @property
    def shard(self) -> str:
        """Prefix of all keys of the shard."""
        return f"{self.prefix}:{{p0}}"

    def record(self, execution_id: str) -> str:
        """The hash of an execution's record."""
        return f"{self.shard}:x:{execution_id}"

    def frames(self, execution_id: str) -> str:
        """The hash of its open frames' documents."""
        return f"{self.shard}:f:{execution_id}"

    def states(self, execution_id: str) -> str:
        """The hash that says where each open frame and batch stands."""
        return f"{self.shard}:s:{execution_id}"

    def joins(self, execution_id: str) -> str:
        """The hash of its open joins."""
        return f"{self.shard}:j:{execution_id}"

    def results(self, execution_id: str) -> str:
        """The hash of the results of its open joins, an entry per child."""
        return f"{self.shard}:r:{execution_id}"

    def history(self, execution_id: str) -> str:
        """The stream of its history; an entry's id is the event's id."""
        return f"{self.shard}:h:{execution_id}"

    def payloads(self, execution_id: str) -> str:
        """The hash of its large values, by content."""
        return f"{self.shard}:p:{execution_id}"

    @property
    def dispatch(self) -> str:
        """Messages that were sent and not claimed yet, by deadline."""
        return f"{self.shard}:dispatch.{STATE_VERSION}"

    @property
    def lease(self) -> str:
        """Frames and batches at work, by the end of their lease."""
        return f"{self.shard}:lease.{STATE_VERSION}"

    @property
    def calm(self) -> str:
        """Until when no lease is taken; it is gone where nobody has looked for a while."""
        return f"{self.shard}:calm.{STATE_VERSION}"

    @property
    def timers(self) -> str:
        """Waits, time-outs, notifications, by due time."""
        return f"{self.shard}:timers.{STATE_VERSION}"

    @property
    def executions(self) -> str:
        """All executions by start time."""
        return f"{self.shard}:executions"

    def executions_of(self, flow: str) -> str:
        """The executions of a flow by start time."""
        return f"{self.shard}:executions:{flow}"

    @property
    def flows(self) -> str:
        """The hash of all flows: name to its record (JSON)."""
        return f"{self.prefix}:flows"

    @property
    def definitions(self) -> str:
        """The hash of all definitions ever deployed, by content: immutable."""
        return f"{self.prefix}:definitions"

    def versions(self, flow: str) -> str:
        """The hash of a flow's published versions: number to version (JSON)."""
        return f"{self.shard}:versions:{flow}"

    def aliases(self, flow: str) -> str:
        """The hash of a flow's aliases: name to alias (JSON)."""
        return f"{self.shard}:aliases:{flow}"

    @property
    def schedules(self) -> str:
        """The names of all schedules, `FLOW/SCHEDULE`, in their order."""
        return f"{self.shard}:schedules"

    def schedule(self, flow: str, name: str) -> str:
        """The hash of a schedule."""
        return f"{self.shard}:schedules:{flow}/{name}"

    @property
    def fires(self) -> str:
        """The schedules that are to fire, by their next fire time."""
        return f"{self.shard}:fires"

    @property
    def access_keys(self) -> str:
        """The hash of all access keys: id to key (JSON)."""
        return f"{self.prefix}:keys"

    @property
    def audit(self) -> str:
        """The stream of manual actions, trimmed."""
        return f"{self.prefix}:audit"

    @property
    def workers(self) -> str:
        """Live workers by the end of their announcement."""
        return f"{self.prefix}:workers"

    def worker(self, node: str) -> str:
        """What a worker announces: slots and resources (JSON, with a TTL)."""
        return f"{self.prefix}:worker:{node}"

    @property
    def secret(self) -> str:
        """The secret that signs callback tokens."""
        return f"{self.prefix}:secret"

    @property
    def figures(self) -> str:
        """Counters of all executions together, and how far each queue has been claimed."""
        return f"{self.shard}:figures"

    @property
    def outbox(self) -> str:
        """The list of messages that a relay is to hand to another broker than this Redis."""
        return f"{self.shard}:outbox"

    @property
    def traces(self) -> str:
        """Executions that have ended and whose traces nobody has exported, by when they ended."""
        return f"{self.shard}:traces"

    @property
    def seats(self) -> str:
        """Slots that work on parts of streams, by when they are free if nobody says more."""
        return f"{self.shard}:seats"

    @property
    def carried(self) -> str:
        """Prefix of what is known of how many bytes the edges of a stream step carry."""
        return f"{self.prefix}:carried"

    def held(self, node: str) -> str:
        """The hash of what a worker's slots are at: Celery task id to lease member."""
        return f"{self.shard}:held:{node}"

    def execution(self, execution_id: str, queue: str = "", node: str = "") -> tuple[str, ...]:
        """KEYS 1 to 15 of a script on an execution, as the prelude names them."""
        return (
            self.record(execution_id),
            self.frames(execution_id),
            self.states(execution_id),
            self.joins(execution_id),
            self.results(execution_id),
            self.history(execution_id),
            self.payloads(execution_id),
            self.dispatch,
            self.lease,
            self.timers,
            queue or self.queue,
            self.queue,
            self.held(node),
            self.figures,
            self.outbox,
        )
