"""`penstock up`: a local stack of Redis, workers, API with its console, and Flower."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console

from engine.cli.api import LOOPBACK, OwnedApi
from engine.cli.connection import engine_at
from engine.cli.ending import ending_in_order
from engine.cli.flower import LOGIN_VARIABLE, USER, flower_process, has_flower
from engine.cli.local import environment_at, own_worker, redis_for
from engine.cli.owned_process import OwnedProcess
from engine.config import Settings, load_settings, variable_of, without_password
from engine.errors import EngineError, InvalidArgument
from engine.runtime.engine import Engine

API_PORT = 8080
FLOWER_PORT = 5555
LOOK_S = 0.5
PASSWORD_BYTES = 12

FLOWER_URL = "PENSTOCK_API_FLOWER_URL"
"""What tells the API where Flower is, for the console's links."""

_CHATTER = ("[I ", "[D ", "    ")
"""How lines of Flower begin that nobody has to read."""


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(up)


def up(
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="Tasks to serve.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, help="Slots of each.")
    ] = None,
    api: Annotated[bool, typer.Option(help="Start the API and the console too.")] = True,
    api_port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="PENSTOCK_API_PORT", help="0: a free one.")
    ] = API_PORT,
    flower: Annotated[bool, typer.Option(help="Start Flower too.")] = True,
    flower_port: Annotated[
        int, typer.Option(min=0, max=65535, help="0: a free one.")
    ] = FLOWER_PORT,
) -> None:
    """Start Redis (unless one is configured), workers, API, console and Flower; Ctrl-C ends them.

    All of it listens on this machine alone. Flower shows and changes nothing; it asks for a
    password, that of FLOWER_BASIC_AUTH (user:password) or one that is made and printed.
    """
    settings = load_settings()
    api_port = _own_port(api_port, "--api-port") if api else 0
    flower_port = _own_port(flower_port, "--flower-port") if flower and has_flower() else 0
    slots = ["-c", str(concurrency)] if concurrency else []
    with ending_in_order(), ExitStack() as stack:
        url = stack.enter_context(redis_for(settings))
        engine = stack.enter_context(engine_at(url, warn=True))
        local = LocalStack(stack, engine, url)
        local.tell_redis(settings)
        local.start_workers(workers, tasks or [], slots)
        if api:
            local.start_api(api_port, flower_port)
        if flower:
            local.start_flower(settings.at(url).other_broker(url) or url, flower_port)
        local.say("ready    Ctrl-C stops it all")
        local.wait()


@dataclass(slots=True)
class LocalStack:
    """What has been started so far; `stack` ends it."""

    stack: ExitStack
    engine: Engine
    url: str
    api_url: str = ""
    _processes: list[OwnedProcess] = field(default_factory=list)
    _console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    def say(self, line: str) -> None:
        """A line for the user."""
        self._console.print(line, markup=False)

    def tell_redis(self, settings: Settings) -> None:
        """Says which Redis all of it runs on."""
        if settings.redis_url is not None:
            self.say(f"redis    {settings.redis_shown}")
            if broker_url := settings.other_broker(self.url):
                self.say(f"broker   {without_password(broker_url)}")
            return
        # Its password is made for this stack and ends with it; other terminals need it.
        self.say("redis    embedded; in another terminal:")
        self.say(f"         export {variable_of('redis_url')}={self.url}")

    def start_workers(self, count: int, tasks: Sequence[str], options: Sequence[str]) -> None:
        """Starts workers that serve these tasks."""
        for number in range(1, count + 1):
            worker = self._start(own_worker(self.url, tasks, _sayer("worker"), options))
            self.say(f"worker   {number} of {count}, process {worker.pid}")

    def start_api(self, port: int, flower_port: int) -> None:
        """Starts the API; `flower_port`: where Flower is going to be, 0: nowhere."""
        environment = environment_at(self.url)
        if flower_port:
            environment[FLOWER_URL] = os.environ.get(FLOWER_URL) or _at(flower_port)
        process = OwnedApi(environment, port, _sayer("api"))
        self._start(process)
        self.api_url = process.url
        access = "" if self.engine.keys.any() else "  no access keys: open to this machine"
        self.say(f"api      {self.api_url}{access}")
        self.say(f"console  {self.api_url}/console/")

    def start_flower(self, broker_url: str, port: int) -> None:
        """Starts Flower, if it is installed."""
        if not has_flower():
            self.say("flower   not installed: pip install 'penstock[flower]'")
            return
        login, shown = os.environ.get(LOGIN_VARIABLE, ""), f"login as {LOGIN_VARIABLE} says"
        if not login:
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            login, shown = f"{USER}:{password}", f"{USER} / {password}"
        self._start(flower_process(broker_url, port, login, _sayer("flower"), self.api_url))
        self.say(f"flower   {_at(port)}  {shown}")

    def wait(self) -> None:
        """Until Ctrl-C, the way to end it; a process that ends by itself is an error."""
        never = threading.Event()
        try:
            while not never.wait(LOOK_S):
                for process in self._processes:
                    if not process.alive:
                        raise EngineError(f"a process ended by itself: {process.name}")
        except KeyboardInterrupt:
            typer.echo("stopping", err=True)

    def _start(self, process: OwnedProcess) -> OwnedProcess:
        self._processes.append(self.stack.enter_context(process))
        return process


def _at(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _own_port(port: int, option: str) -> int:
    """The port itself if nobody has it, a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise InvalidArgument(
                f"port {port} is taken; give another one with {option} (0: any)"
            ) from None
        free: int = probe.getsockname()[1]
    return free


def _sayer(name: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not line.startswith(_CHATTER):
            typer.echo(f"{name}: {line}", err=True)

    return say
