"""A mailbox: what a flow sends to a queue or a topic of the broker, read back."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Any

from kombu import Connection, Consumer, Exchange, Queue

SUBSCRIBE_WITHIN_S = 0.2
TAKE_WITHIN_S = 5.0


class Mailbox:
    """Listens at a queue or topic (`kind`) from `with` on, so that nothing sent later is missed."""

    def __init__(self, redis_url: str, kind: str, name: str) -> None:
        self._connection = Connection(redis_url)
        self._place = Queue(name, Exchange(""), routing_key=name)
        if kind == "topic":
            self._place = Queue(f"{name}-mailbox", Exchange(name, type="fanout"))
        self._texts: list[str] = []

    def __enter__(self) -> Mailbox:
        channel = self._connection.channel()
        Consumer(channel, [self._place], callbacks=[self._keep]).consume()
        # A topic on Redis has no memory: the subscription must be made before anything is sent,
        # and that happens only in the first round of the event loop.
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=SUBSCRIBE_WITHIN_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.release()

    def take(self) -> str:
        """The text of the next message. Blocking; raises TimeoutError when none comes."""
        while not self._texts:
            self._connection.drain_events(timeout=TAKE_WITHIN_S)
        return self._texts.pop(0)

    def _keep(self, body: Any, message: Any) -> None:
        self._texts.append(str(body))
        message.ack()
