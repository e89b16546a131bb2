"""A fleet under fire: Redis behind a proxy, workers on it, and an engine beside the proxy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from urllib.parse import urlsplit

from redis import Redis

from engine.config import Settings
from engine.errors import EngineError, StoreUnavailable
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.chaos.proxy import Proxy
from tests.processes import WorkerProcess

TASKS = Path(__file__).with_name("chaos_tasks.py")
FLOWS = Path(__file__).with_name("flows")
QUICK = {
    "PENSTOCK_LEASE_S": "1.5",
    "PENSTOCK_SWEEP_EVERY_S": "0.3",
    "PENSTOCK_DISPATCH_GRACE_S": "1",
    "PENSTOCK_MAX_LOSSES": "50",
}
REPORT_EVERY_S = 0.1


class Fleet:
    """`workers` worker processes; `url` leads to Redis directly, theirs leads through `proxy`.

    `place`: a folder that the tasks share.
    """

    def __init__(
        self, place: Path, workers: int = 3, env: Mapping[str, str] | None = None, slots: int = 2
    ) -> None:
        self.place = place
        self.redis = EmbeddedRedis().start()
        self.url = self.redis.url
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port
        self.proxy = Proxy((parts.hostname, parts.port))
        self.env = QUICK if env is None else env
        settings = {k.removeprefix("PENSTOCK_").lower(): v for k, v in self.env.items()}
        self.engine = Engine(self.url, Settings.model_validate(settings))
        self._url_of_workers = self.url.replace(f":{parts.port}/", f":{self.proxy.port}/")
        self._slots = slots
        self.workers = [self._worker() for _ in range(workers)]
        self._over = threading.Event()
        self._reporter = threading.Thread(target=self._report, daemon=True)
        self._reporter.start()

    def deploy(self) -> None:
        """Deploys the flows of the chaos runs."""
        for path in sorted(FLOWS.glob("*.yml")):
            self.engine.create_flow(path.stem, path.read_text())

    def client(self) -> Redis:
        """A client of the server, past the proxy."""
        return Redis.from_url(self.url, decode_responses=True)

    def children(self, worker: WorkerProcess) -> list[int]:
        """The processes of a worker's pool."""
        path = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def kill(self, worker: WorkerProcess) -> None:
        """Kills a whole worker at once, as a machine that loses its power."""
        with suppress(ProcessLookupError):  # none of its processes is left
            os.killpg(worker.pid, signal.SIGKILL)
        worker.stop()

    def replace(self, worker: WorkerProcess) -> None:
        """Puts a fresh worker into the place of one that was killed."""
        self.workers[self.workers.index(worker)] = self._worker()

    def mend(self) -> None:
        """Puts fresh workers into the places of those that have died of themselves."""
        for worker in [worker for worker in self.workers if not worker.lives]:
            self.kill(worker)
            self.replace(worker)

    def any(self, random: Random) -> WorkerProcess:
        """One of the workers."""
        return random.choice(self.workers)

    def restart_redis(self) -> None:
        """Kills Redis and starts it again on its append-only file."""
        os.kill(self.redis.pid, signal.SIGKILL)
        self.redis.start()

    def close(self) -> None:
        """Ends everything."""
        self._over.set()
        self._reporter.join()
        for worker in self.workers:
            os.killpg(worker.pid, signal.SIGCONT) if worker.lives else None
            worker.stop()
        self.proxy.close()
        self.redis.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _worker(self) -> WorkerProcess:
        options = ["-c", str(self._slots)]
        return WorkerProcess(self._url_of_workers, [TASKS], options, self.env).start()

    def _report(self) -> None:
        """Answers what the tasks ask, each token twice: the second report is one too many."""
        while not self._over.wait(REPORT_EVERY_S):
            for path in self._tokens():
                for _ in range(2):
                    if not self._answer(path.read_text()):
                        break
                else:
                    path.unlink()

    def _tokens(self) -> Iterator[Path]:
        yield from list(self.place.rglob("*.token"))

    def _answer(self, token: str) -> bool:
        try:
            self.engine.report_task_succeeded(token, {"answer": "yes"})
        except StoreUnavailable:
            return False
        except EngineError:
            return True
        return True
