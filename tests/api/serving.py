"""Serving: the API as a process of a test, on a Redis of its own, perhaps with a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from engine.config import Settings
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.processes import WorkerProcess
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("api_tasks.py")
QUICK = {"PENSTOCK_LEASE_S": "2", "PENSTOCK_SWEEP_EVERY_S": "0.2"}
KEYS = "PENSTOCK_API_KEYS"
ROLES = ("viewer", "operator", "approver", "admin")
ALL_KEYS = ",".join(f"{role}-key:{role}-secret:{role}" for role in ROLES)
HEAD = "version: v1\ntype: flow\nsteps:\n"


class ApiProcess(WorkerProcess):
    """`penstock api` on its own, with its log in a file; it takes a free port."""

    def __init__(self, redis_url: str, *options: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__(redis_url, (), ["--port", "0", *options], env, module="engine.api")

    @property
    def url(self) -> str:
        """Where it listens."""
        found = re.search(r"listening on (\S+)", self.log)
        assert found, self.log
        return found[1]

    @property
    def address(self) -> str:
        """Its host and port."""
        return self.url.partition("://")[2]

    def _is_ready(self) -> bool:
        assert self.lives, f"the API ended: {self.log}"
        return "listening on" in self.log


@dataclass(frozen=True, slots=True)
class Stack:
    """A served engine. `client` calls it as the admin."""

    engine: Engine
    redis_url: str
    api: ApiProcess
    client: httpx.Client

    def as_role(self, role: str) -> httpx.Client:
        """A client with the key of a role, to be closed."""
        return client_of(self.api, (f"{role}-key", f"{role}-secret"))

    def deploy(self, name: str, steps: str) -> None:
        """A flow of these steps, once."""
        if name not in {flow.name for flow in self.engine.list_flows()}:
            self.engine.create_flow(name, HEAD + steps)

    def start(self, flow: str, input: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Starts an execution over REST."""
        answer = self.client.post(f"/v1/flows/{flow}/executions", json={"input": input or {}})
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def at(self, started: Mapping[str, Any]) -> str:
        """The path of an execution."""
        return f"/v1/flows/{started['flow_name']}/executions/{started['name']}"


def client_of(api: ApiProcess, auth: tuple[str, str] | None) -> httpx.Client:
    """A client of an API, with an access key or without."""
    return httpx.Client(base_url=api.url, auth=auth, timeout=30)


@contextmanager
def served(
    *,
    keys: str = ALL_KEYS,
    slots: int = 2,
    env: Mapping[str, str] | None = None,
    tasks: Path = TASKS,
) -> Iterator[Stack]:
    """An API with these access keys; `slots` of a worker, 0: none. `env` is for both."""
    given = {**QUICK, KEYS: keys} | dict(env or {})
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedRedis())
        api = stack.enter_context(ApiProcess(server.url, env=given))
        if slots:
            worker = WorkerProcess(server.url, [tasks], ["-c", str(slots)], given)
            stack.enter_context(worker)
        auth = ("admin-key", "admin-secret") if keys else None
        client = stack.enter_context(client_of(api, auth))
        engine = Engine(server.url, Settings())
        if slots:
            wait_until(lambda: engine.runtime.fleet.workers(fresh=True))
        yield Stack(engine, server.url, api, client)
