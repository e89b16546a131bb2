"""`penstock up`: a local stack of Redis, workers and Flower, without Docker."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console

from engine.cli.connection import engine_at
from engine.cli.ending import ending_in_order
from engine.cli.flower import USER, flower_process, has_flower
from engine.cli.local import own_worker, redis_for
from engine.cli.owned_process import OwnedProcess
from engine.config import Settings, load_settings, variable_of, without_password
from engine.errors import EngineError, InvalidArgument

FLOWER_PORT = 5555
LOOK_S = 0.5
PASSWORD_BYTES = 12

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
    flower_port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one.")
    ] = FLOWER_PORT,
    flower: Annotated[bool, typer.Option(help="Start Flower too.")] = True,
) -> None:
    """Start Redis (unless one is configured), workers and Flower; Ctrl-C stops them all."""
    settings = load_settings()
    console = Console(highlight=False, soft_wrap=True)
    with ending_in_order(), ExitStack() as stack:
        url = stack.enter_context(redis_for(settings))
        stack.enter_context(engine_at(url, warn=True))
        _tell_redis(console, url, settings)
        slots = ["-c", str(concurrency)] if concurrency else []
        processes = [own_worker(url, tasks or [], _sayer("worker"), slots) for _ in range(workers)]
        for number, worker in enumerate(processes, 1):
            stack.enter_context(worker)
            console.print(f"worker   {number} of {workers}, process {worker.pid}", markup=False)
        if flower:
            broker_url = settings.at(url).other_broker(url) or url
            processes += _start_flower(stack, console, broker_url, flower_port)
        console.print("ready    Ctrl-C stops it all", markup=False)
        _wait(processes)


def _tell_redis(console: Console, url: str, settings: Settings) -> None:
    if settings.redis_url is not None:
        console.print(f"redis    {settings.redis_shown}", markup=False)
        if broker_url := settings.other_broker(url):
            console.print(f"broker   {without_password(broker_url)}", markup=False)
        return
    # Its password is made for this stack and ends with it; other terminals need it.
    console.print("redis    embedded; in another terminal:", markup=False)
    console.print(f"         export {variable_of('redis_url')}={url}", markup=False)


def _start_flower(
    stack: ExitStack, console: Console, url: str, port: int
) -> Sequence[OwnedProcess]:
    if not has_flower():
        console.print("flower   not installed: pip install 'penstock[flower]'", markup=False)
        return []
    port, password = _free_port(port), secrets.token_urlsafe(PASSWORD_BYTES)
    process = stack.enter_context(flower_process(url, port, password, _sayer("flower")))
    console.print(f"flower   http://127.0.0.1:{port}  {USER} / {password}", markup=False)
    return [process]


def _free_port(port: int) -> int:
    """The port itself if nobody has it, a free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InvalidArgument(
                f"port {port} is taken; give another one with --flower-port (0: any)"
            ) from None
        free: int = probe.getsockname()[1]
    return free


def _sayer(name: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not line.startswith(_CHATTER):
            typer.echo(f"{name}: {line}", err=True)

    return say


def _wait(processes: Sequence[OwnedProcess]) -> None:
    """Until Ctrl-C, the way to end it; a process that ends by itself is an error."""
    never = threading.Event()
    try:
        while not never.wait(LOOK_S):
            for process in processes:
                if not process.alive:
                    raise EngineError(f"a process ended by itself: {process.name}")
    except KeyboardInterrupt:
        typer.echo("stopping", err=True)
