"""The broker: what takes the messages where the Redis of the state does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from engine.config import without_password
from engine.errors import BrokerUnavailable, InvalidArgument
from engine.runtime.canvas import AMQP, App
from engine.runtime.outbox import Parcel

ANSWER_S = 5.0
"""How long an answer of the broker is waited for."""

QUICK_S = 1.5
"""The same, by those who have leases to renew meanwhile."""

SOON_S = 0.5
"""An error that comes within it says that the connection is gone, not that the broker is slow."""

DECLARE_EVERY_S = 30.0
"""When it is seen to again that a queue is there: an operator may have deleted it."""

COUNT_EVERY_S = 0.25
"""How old the count of a queue's messages may be."""

AWAY_S = 5.0
"""How long nothing is counted after a failure."""

_NOT_FOUND = "404"


class Broker:
    """A connection to the broker of a Celery app, made at first use and again after a failure.

    For one thread; a process that was forked needs its own. All methods block, for an answer each
    up to `answer_s`.

    Raises:
        InvalidArgument: there is no transport for its URL.
    """

    def __init__(self, app: App, answer_s: float = ANSWER_S) -> None:
        # Confirmations are waited for once a batch; the sockets' limits keep a broker that hangs
        # from hanging us. Others than AMQP have their own, and do not know these.
        limits = {"confirm_publish": False, "read_timeout": answer_s, "write_timeout": answer_s}
        self.shown = without_password(app.conf.broker_url)
        options = limits if app.conf.broker_url.partition("://")[0] in AMQP else {}
        try:
            self._connection: Any = app.connection_for_write(
                connect_timeout=answer_s, transport_options=options
            )
            kind = self._connection.transport
        except (KeyError, ValueError, ImportError):
            raise InvalidArgument(f"PENSTOCK_BROKER_URL: no transport for {self.shown}") from None
        self._errors: tuple[type[BaseException], ...] = (
            *kind.connection_errors,
            *kind.channel_errors,
            OSError,
        )
        self._channel: Any = None
        self._confirms: _Confirms | None = None
        self._declared: dict[str, float] = {}
        self._counts: dict[str, tuple[float, int]] = {}
        self._away_until = float("-inf")
        self.opened = False
        """Could it be reached before it failed the last time?"""
        self.failure = ""
        """Why it failed the last time, without its URL."""

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Hands messages over: the broker has them all when it returns. Cost: a round trip.

        A queue that is not there is made, as Celery would. After an error some may be there.

        Raises:
            BrokerUnavailable.
        """
        with self._failing():
            channel = self._open()
            for queue in {parcel.queue for parcel in parcels}:
                self._see_to(queue)
            producer = self._connection.Producer(channel, auto_declare=False)
            for parcel in parcels:
                if self._confirms is not None:
                    self._confirms.expect()
                _send(producer, parcel)
            if self._confirms is not None:
                self._confirms.wait(self._connection)

    def waiting(self, queue: str) -> int | None:
        """Messages in a queue that no worker has taken; None: the broker does not say."""
        now = time.monotonic()
        at, count = self._counts.get(queue, (float("-inf"), 0))
        if now - at < COUNT_EVERY_S:
            return count
        if now < self._away_until:
            return None
        try:
            count = self._again(self._count, queue) or 0
        except BrokerUnavailable:
            self._away_until = time.monotonic() + AWAY_S
            return None
        self._counts[queue] = (time.monotonic(), count)
        return count

    def declare(self, queue: str) -> None:
        """Sees to it that there is a queue of that name; one that is there stays as it is.

        Raises:
            BrokerUnavailable.
        """
        self._again(self._see_to, queue)

    def wait(self, say: Callable[[str], None]) -> None:
        """Waits until the broker can be used, without end; `say` is told why it cannot.

        Raises:
            BrokerUnavailable: it refuses us.
        """

        def failed(error: Exception, _: float) -> None:
            say(f"waiting for the broker at {self.shown}: {error}")

        with self._failing():
            self._connection.ensure_connection(failed, interval_start=1, interval_max=4)

    @contextmanager
    def scratch(self, queue: str) -> Iterator[Callable[[], Any]]:
        """A queue for the block alone, and how to take the next message from it (kombu's).

        Raises:
            BrokerUnavailable, also out of the block.
        """
        with self._failing(), self._scratch() as channel:
            channel.queue_declare(queue=queue, durable=True, auto_delete=False)
            # Celery makes an exchange of the name with each queue: that has to go, too.
            channel.exchange_declare(queue, type="direct", durable=True, auto_delete=False)
            channel.queue_bind(queue, queue, queue)
            try:
                yield lambda: channel.message_to_python(channel.basic_get(queue, no_ack=True))
            finally:
                channel.queue_delete(queue)
                channel.exchange_delete(queue)

    def close(self) -> None:
        """Ends the connection; the next call makes another."""
        self._drop()
        self._connection.release()

    def _again(self, ask: Callable[[str], int | None], queue: str) -> int | None:
        """Asks twice: a connection that was idle may be gone, which is seen when it is used."""
        begun = time.monotonic()
        try:
            with self._failing():
                return ask(queue)
        except BrokerUnavailable:
            if time.monotonic() - begun > SOON_S:
                raise
        with self._failing():
            return ask(queue)

    def _open(self) -> Any:
        """The channel that messages are sent through."""
        if self._channel is None:
            self._connect()
            self._channel = self._connection.channel()
            if hasattr(self._channel, "confirm_select"):
                self._confirms = _Confirms(self._channel)
        return self._channel

    def _connect(self) -> None:
        if not self._connection.connected:
            self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)

    def _see_to(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._declared.get(queue, float("-inf")) < DECLARE_EVERY_S:
            return
        if self._count(queue) is None:
            with self._scratch() as channel:
                channel.queue_declare(queue=queue, durable=True, auto_delete=False)
        self._declared[queue] = now

    def _count(self, queue: str) -> int | None:
        """Messages in a queue; None: there is no such queue."""
        with self._scratch() as channel:
            try:
                return int(channel.queue_declare(queue=queue, passive=True).message_count)
            except self._errors as error:
                if str(getattr(error, "reply_code", "")) != _NOT_FOUND:
                    raise
                return None

    @contextmanager
    def _scratch(self) -> Iterator[Any]:
        """A channel for what the broker may refuse: AMQP closes it then."""
        self._connect()
        channel = self._connection.channel()
        try:
            yield channel
        finally:
            self._connection.maybe_close_channel(channel)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Within the block an error of the broker's ends the connection and is ours."""
        failed = True
        try:
            yield
            failed = False
        except self._errors as error:
            self.failure = str(error) or type(error).__name__
            text = f"cannot use the broker at {self.shown}: {self.failure}"
            raise BrokerUnavailable(text) from None
        finally:
            if failed:
                self.opened = self._channel is not None
                self._drop()
                self._connection.collect()
                self._connection.maybe_switch_next()

    def _drop(self) -> None:
        self._channel = self._confirms = None
        self._declared.clear()


class _Confirms:
    """The confirmations of one channel of AMQP: its n-th message has the tag n."""

    def __init__(self, channel: Any) -> None:
        self._sent = 0
        self._open: set[int] = set()
        self._refused = False
        channel.events["basic_ack"].add(self._acked)
        channel.events["basic_nack"].add(self._nacked)
        channel.confirm_select()

    def expect(self) -> None:
        """A message is about to be sent."""
        self._sent += 1
        self._open.add(self._sent)

    def wait(self, connection: Any) -> None:
        """Until all are confirmed. Raises OSError: one is refused, or the broker is silent."""
        while self._open:
            connection.drain_events(timeout=ANSWER_S)
        if self._refused:
            raise OSError("it does not take the message")

    def _acked(self, tag: int, multiple: bool) -> None:
        self._open = {each for each in self._open if each > tag} if multiple else self._open - {tag}

    def _nacked(self, tag: int, multiple: bool) -> None:
        self._refused = True
        self._acked(tag, multiple)


def _send(producer: Any, parcel: Parcel) -> None:
    producer.publish(
        parcel.body,
        exchange="",
        routing_key=parcel.queue,
        content_type=parcel.content_type,
        content_encoding=parcel.content_encoding,
        headers=dict(parcel.headers),
        **parcel.properties,
    )
