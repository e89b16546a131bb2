"""Edges of the tests: clients for bytes, clients whose answers get lost, ends that are killed."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fakeredis
import redis
from redis import Redis

from streams.connection import connect
from streams.edge import Edge
from streams.shared import run_folder
from streams.spool import Spool
from streams.stop import Stop

ROOT = Path(__file__).resolve().parents[1]
KEY = "test:{stream}:e0"
WINDOW = 256 * 1024


def binary(client: Redis, *, loses_answers: bool = False) -> Redis:
    """A client for bytes of the same Redis as another client of the tests."""
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    if "server" in options:
        fake = LossyFakeRedis if loses_answers else fakeredis.FakeStrictRedis
        made: Redis = fake(server=options["server"])
        return made
    real = LossyRedis if loses_answers else Redis
    place = {name: options[name] for name in ("host", "port", "password", "db")}
    return real(**place)


class LosesAnswers:
    """Does every command, and loses the answer to every other one."""

    lost = 0
    asked = 0

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """As Redis's."""
        answer = super().execute_command(*command, **options)  # type: ignore[misc]
        self.asked += 1
        if self.asked % 2:
            self.lost += 1
            raise redis.ConnectionError("the answer is lost")
        return answer


class HeldUpRedis(Redis):
    """A client of a real server: between an answer with entries and their use something happens.

    `meanwhile`: what does; it happens once.
    """

    meanwhile: Callable[[], None] | None = None

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """As Redis's."""
        answer: Any = super().execute_command(*command, **options)  # type: ignore[no-untyped-call]
        if command[0] == "XREAD" and answer and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return answer


class LossyRedis(LosesAnswers, Redis):
    """A client of a real server that loses answers."""


class LossyFakeRedis(LosesAnswers, fakeredis.FakeStrictRedis):
    """A client of fakeredis that loses answers."""


def payloads(count: int, seed: int = 0) -> Iterator[bytes]:
    """Chunks of all sizes up to 40,000 bytes, the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        yield chance.randbytes(chance.choice((0, 1, 100, 5_000, 40_000)))


def digest(chunks: Iterator[bytes]) -> str:
    """What proves that chunks are the same, sizes included."""
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(b"%d " % len(chunk) + chunk)
    return total.hexdigest()


def rings(client: Redis, key: str = f"{KEY}:c") -> Callable[[], int]:
    """What counts the files that an edge has in shared memory, also when its keys are gone.

    `key`: of the edge's control hash, or of a run for all of its edges.
    """
    name: Any = client.hget(key, "memory")
    folder = run_folder(name.decode())
    return lambda: sum(path.is_file() for path in folder.rglob("*"))


class EndProcess:
    """A process that is one end of the edge `KEY`: it can be killed."""

    def __init__(self, role: str, url: str, epoch: int, shared: bool, *more: object) -> None:
        command = [sys.executable, "-m", "tests.edges", role, url, str(epoch), str(int(shared))]
        self._process = subprocess.Popen(
            [*command, *map(str, more)], cwd=ROOT, stdout=subprocess.PIPE
        )

    def kill(self) -> None:
        """As the kernel does it, without a word."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def result(self, timeout_s: float) -> str:
        """What it has printed at its end."""
        said, _ = self._process.communicate(timeout=timeout_s)
        return said.decode().strip()


def _main(role: str, url: str, epoch: str, shared: str, count: str, folder: str = "") -> None:
    edge = Edge(connect(url), KEY, window_bytes=WINDOW, shared=shared == "1")
    if role == "write":
        writer = edge.writer(int(epoch), Stop(), resume_seq=None)
        for payload in payloads(int(count)):
            writer.write(payload)
        writer.end()
    else:
        print(digest(iter(edge.reader(int(epoch), Stop(), keep=Spool(folder, "input")))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
