"""The canvas: commands as genuine Celery signatures, and their messages as the broker has them."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from celery import Celery, chain, group
from celery import Signature as Signature
from kombu.serialization import dumps as kombu_dumps

from engine.runtime.documents import STATE_VERSION
from engine.runtime.pointer import Pointer

STATE_HEADER = "penstock_state"
"""The header in which every message of an execution tells the form that its state is kept in."""

POLICY_HEADER = "penstock_retry"
"""The header in which the message of a retry tells the policies that led to it."""

TAG = "@TAG@"
"""Stands in a stored message for the id that the script gives to each copy it sends."""

App: TypeAlias = Celery
"""A Celery app, for those who have no Celery."""

Form = Literal["flow", "task", "seat", "wait", "retry", "lane", "join", "resume", "due"]

HEADERS_OF: Mapping[Form, tuple[str, ...]] = {
    "flow": ("root_id", "penstock_state"),
    "task": ("root_id", "penstock_state", "parent_id", "timelimit"),
    "seat": ("root_id", "penstock_state", "parent_id"),
    "wait": ("root_id", "penstock_state", "parent_id", "eta"),
    "retry": (
        "root_id",
        "penstock_state",
        "parent_id",
        "eta",
        "retries",
        "penstock_retry",
        "timelimit",
    ),
    "lane": ("root_id", "penstock_state", "parent_id", "group"),
    "join": ("root_id", "penstock_state", "parent_id", "group"),
    "resume": ("root_id", "penstock_state"),
}
"""Which Celery headers each form sets beside those that every task has (docs/operations.md,
"Messages"); `timelimit` only where a task has a limit. `shadow` comes with them where the task is
one of the engine's own that stands for something else. Never set are `group_index`, since lanes are
alike and take their items when they are claimed, and `chord` and `chain`, since the script that
settles a step sends what follows it."""

NOT_OF_DUE = ("parent_id", "eta")
"""What `due`, the message that the sweeper sends for a timer, and again for a lost one, lacks of
the form it stands for: no other message has led to it, and what it was delayed for is over."""

BEGIN = "penstock.flow"
WAIT = "penstock.wait"
JOIN = "penstock.join"
LANE = "penstock.lane"
RESUME = "penstock.resume"
STEP = "penstock.step"
UNSERVED = "penstock.unserved"
STREAM = "penstock.stream"
ENGINE_TASKS = (BEGIN, WAIT, JOIN, LANE, RESUME, STEP, UNSERVED, STREAM)
"""Celery names of the engine's own messages."""

SEAT = "penstock.seat"
"""Celery name of the messages by which a stream asks for workers to help; they claim no frame."""


STATE_SHOWN = "(state,)"
"""What Flower shows of a state that plain Celery carries: it holds the users' data."""

LOST_WAIT_S = 0.5
"""How long a worker waits for the last word of a dead pool process before its step runs again."""

AMQP = ("amqp", "amqps", "pyamqp")
"""How URLs of RabbitMQ begin, and of other servers of its protocol."""

RESULTS_S = 86_400
"""How long Celery keeps results: there are some only where a flow runs as plain Celery."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message to be sent: a pointer and how Celery is to see it.

    `name`: the Celery task; `shown`: what Flower shows instead of it (None: the name). `delay_s`:
    an ETA. `retries`: as Celery counts them; `policies`: ours, of a task that is run again, and how
    often each was used. `group`: id of the group it is a part of. `limits_s`: when a pool of
    processes interrupts the task, and when it kills its process (None: never).
    """

    name: str
    pointer: Pointer
    queue: str
    message_id: str
    parent_id: str | None = None
    shown: str | None = None
    delay_s: float = 0.0
    retries: int = 0
    policies: tuple[Mapping[str, Any], ...] = ()
    group: str | None = None
    limits_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A signature of a flow in plain Celery: it takes the state of the one before, and returns one.

    `name`, `shown`: as in a Sending. `delay_s`: it is due that long after the one before it, or
    at `until_s`, seconds since the epoch (None: at once).
    """

    name: str
    pointer: Pointer
    queue: str
    shown: str | None = None
    delay_s: float = 0.0
    until_s: float | None = None


class Canvas:
    """Builds signatures and envelopes for one Celery app, which need not run anything.

    `now_s`: the time that ETAs are counted from.
    """

    def __init__(self, app: Celery, now_s: Callable[[], float] = time.time) -> None:
        self.app = app
        self._now_s = now_s

    def signature(self, sending: Sending) -> Signature:
        """The Celery signature of a message."""
        options: dict[str, Any] = {
            "task_id": sending.message_id,
            "queue": sending.queue,
            "root_id": sending.pointer.execution_id,
            "parent_id": sending.parent_id,
            "headers": {STATE_HEADER: STATE_VERSION},
        }
        if sending.shown:
            options["shadow"] = sending.shown
        if sending.group:
            options["group_id"] = sending.group
        if sending.limits_s:
            options["soft_time_limit"], options["time_limit"] = sending.limits_s
        if sending.retries:
            options["retries"] = sending.retries
        if sending.delay_s > 0:
            options["eta"] = datetime.fromtimestamp(self._now_s() + sending.delay_s, UTC)
        signature: Signature = self.app.signature(
            sending.name, kwargs=sending.pointer.kwargs(), options=options, immutable=True
        )
        return signature

    def link(self, link: Link, *state: dict[str, Any]) -> Signature:
        """The Celery signature of a link; a state is given to the first one only."""
        options: dict[str, Any] = {
            "queue": link.queue,
            # The next link needs the state, and whoever applies the canvas needs the output.
            "ignore_result": False,
            "argsrepr": STATE_SHOWN,
        }
        if link.shown:
            options["shadow"] = link.shown
        if link.until_s is not None:
            options["eta"] = datetime.fromtimestamp(link.until_s, UTC)
        elif link.delay_s > 0:
            options["countdown"] = link.delay_s
        signature: Signature = self.app.signature(
            link.name, args=state, kwargs=link.pointer.kwargs(), options=options
        )
        return signature

    def in_row(self, signatures: Sequence[Signature]) -> Signature:
        """A chain, in which a group and the signature after it are a chord."""
        row: Signature = chain(*signatures, app=self.app)
        return row

    def side_by_side(self, signatures: Sequence[Signature]) -> Signature:
        """A group: all get the same state, and what follows gets the list of theirs."""
        members: Signature = group(*signatures, app=self.app)
        return members

    def publish(self, sending: Sending) -> None:
        """Has Celery itself send a message, as it stands; the engine's scripts send `envelope`."""
        signature = self.signature(sending)
        with self.app.connection_for_write() as connection:
            producer = self.app.amqp.Producer(connection, auto_declare=False)
            signature.apply_async(producer=producer, ignore_result=True)
        # Celery declares a queue that it is given by name, and would have a worker consume it.
        self.app.amqp.queues.pop(sending.queue, None)

    def envelope(self, sending: Sending) -> str:
        """The message as Celery's Redis transport keeps it in the queue's list."""
        signature = self.signature(sending)
        options = dict(signature.options)
        queue = options.pop("queue")
        task_id = options.pop("task_id")
        message = self.app.amqp.as_task_v2(
            task_id,
            sending.name,
            args=(),
            kwargs=signature.kwargs,
            argsrepr="()",
            kwargsrepr=repr(signature.kwargs),
            ignore_result=True,
            **options,
        )
        headers = dict(message.headers) | options["headers"]
        if sending.policies:
            headers[POLICY_HEADER] = sending.policies
        content_type, encoding, body = kombu_dumps(message.body, "json")
        properties = dict(message.properties)
        return json.dumps(
            {
                "body": base64.b64encode(body.encode()).decode(),
                "content-encoding": encoding,
                "content-type": content_type,
                "headers": headers,
                "properties": properties
                | {
                    "delivery_mode": 2,
                    "delivery_info": {"exchange": "", "routing_key": queue},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": TAG if TAG in task_id else str(uuid.uuid4()),
                },
            }
        )


def make_app(
    redis_url: str,
    queue: str,
    visibility_timeout_s: float = 3600.0,
    broker_url: str | None = None,
) -> Celery:
    """A Celery app with the settings that the engine relies on (docs/operations.md, "Celery").

    `broker_url`: where messages go if not to the Redis of the state.
    """
    broker = broker_url or redis_url
    app = Celery("penstock", broker=broker, backend=redis_url, set_as_current=False)
    app.conf.update(
        result_expires=RESULTS_S,
        task_default_queue=queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_track_started=False,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=1,
        worker_lost_wait=LOST_WAIT_S,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # RabbitMQ closes the channel of a message that is not acknowledged within its
        # consumer_timeout: a long task must not end its worker by that.
        broker_channel_error_retry=_is_amqp(broker),
        broker_transport_options=_transport_options(broker, visibility_timeout_s),
        enable_utc=True,
        timezone="UTC",
    )
    return app


def _transport_options(broker_url: str, visibility_timeout_s: float) -> dict[str, Any]:
    if _is_amqp(broker_url):
        return {"confirm_publish": True}
    return {
        "visibility_timeout": visibility_timeout_s,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def _is_amqp(url: str) -> bool:
    return url.partition("://")[0] in AMQP
