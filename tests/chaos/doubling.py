"""Doubling: every message that is put into a queue is put there again, some time later."""

from __future__ import annotations

import codecs
import json
import re
import threading
import uuid
from random import Random
from types import TracebackType

from redis import Redis

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LATE_BY_S = 0.4
_LOOK_EVERY_S = 0.01


class Doubling:
    """Watches all that Redis is told, and sends a copy of each message to `queue`, in any order."""

    def __init__(self, url: str, queue: str, seed: int) -> None:
        self.sent = 0
        self._random = Random(seed)
        self._queue = queue
        self._client = Redis.from_url(url, decode_responses=True)
        self._watching = Redis.from_url(url, decode_responses=True).connection_pool.get_connection()
        self._held: list[str] = []
        self._own: set[str] = set()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._watch, self._send)
        ]

    def __enter__(self) -> Doubling:
        self._watching.send_command("MONITOR")  # type: ignore[no-untyped-call]  # as redis-py has it
        self._read()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._client.ping()  # one line more, for the watcher to see the end
        for thread in self._threads:
            thread.join(5)
        self._watching.disconnect()  # type: ignore[no-untyped-call]  # as redis-py has it

    def _watch(self) -> None:
        while not self._over.is_set():
            line = self._read().partition("] ")[2]
            words = [codecs.decode(word, "unicode_escape") for word in _WORD.findall(line)]
            if [word.lower() for word in words[:2]] == ["lpush", self._queue]:
                self._keep(words[2:])

    def _read(self) -> str:
        return str(self._watching.read_response())  # type: ignore[no-untyped-call]  # as above

    def _keep(self, texts: list[str]) -> None:
        with self._lock:
            self._held += [text for text in texts if _tag(text) not in self._own]

    def _send(self) -> None:
        while not self._over.wait(self._random.uniform(_LOOK_EVERY_S, _LATE_BY_S)):
            with self._lock:
                copies = [self._copy(text) for text in self._held]
                self._held.clear()
            self._random.shuffle(copies)
            if copies:
                self._client.lpush(self._queue, *copies)
                self.sent += len(copies)

    def _copy(self, text: str) -> str:
        """A message as whoever sends it a second time would send it."""
        message = json.loads(text)
        tag = str(uuid.uuid4())
        self._own.add(tag)
        message["properties"]["delivery_tag"] = tag
        return json.dumps(message)


def _tag(text: str) -> str:
    return str(json.loads(text)["properties"]["delivery_tag"])
