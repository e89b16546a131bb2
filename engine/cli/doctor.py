"""`penstock doctor`: is everything here that executions need?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import typer
from rich.text import Text

from engine.cli.exits import FAILED
from engine.cli.output import Format, FormatOption, figures, print_json, stdout_console
from engine.config import Settings, load_settings, variable_of, without_password
from engine.errors import EngineError, InvalidArgument, StoreUnavailable
from engine.runtime.broker import Broker
from engine.runtime.engine import Engine
from engine.runtime.health import OLDEST_VERSION, RedisHealth, read_health, waiting_messages

MAX_SKEW_S = 1.0
BROKEN_RELEASES = ("5.7.0",)
"""Celery and kombu whose workers end when their Redis restarts."""

Verdict = Literal["ok", "warning", "failed"]
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    text: str


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(doctor)


def doctor(format: FormatOption = Format.TEXT) -> None:
    """Check versions, settings, Redis and workers; exit 1 if something must be mended."""
    findings = [*_versions(), *_installation()]
    if format is Format.JSON:
        print_json([asdict(finding) for finding in findings])
    else:
        console = stdout_console()
        for finding in findings:
            mark = (f"{finding.verdict:<8}", _STYLES[finding.verdict])
            console.print(Text.assemble(mark, (f" {finding.what:<12} ", "bold"), finding.text))
    if any(finding.verdict == "failed" for finding in findings):
        raise typer.Exit(FAILED)


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", sys.version.split()[0])
    for package in ("celery", "kombu", "redis"):
        try:
            found = version(package)
        except PackageNotFoundError:
            yield Finding(package, "failed", "not installed; install penstock again")
            continue
        if package != "redis" and found in BROKEN_RELEASES:
            text = f"{found}: its worker ends when Redis restarts; pip install '{package}<5.7'"
            yield Finding(package, "failed", text)
        else:
            yield Finding(package, "ok", found)


def _installation() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except EngineError as error:
        yield Finding("settings", "failed", str(error))
        return
    yield Finding("settings", "ok", f"prefix {settings.key_prefix}, queue {settings.queue}")
    if settings.redis_url is None:
        yield Finding("redis url", "failed", f"set {variable_of('redis_url')}")
        return
    url = settings.redis_url.get_secret_value()
    try:
        engine = Engine(url, settings)
        health = read_health(engine.runtime.store.redis)
        yield from _server(health, without_password(url))
        yield from _fleet(engine, settings)
        yield Finding("figures", "ok", f"of all executions: {figures(engine.figures())}")
    except StoreUnavailable as error:
        yield Finding("server", "failed", str(error))
    except InvalidArgument as error:
        yield Finding("broker", "failed", str(error))


def _server(health: RedisHealth, url: str) -> Iterator[Finding]:
    new_enough = health.version_number >= OLDEST_VERSION
    oldest = ".".join(str(part) for part in OLDEST_VERSION)
    yield Finding(
        "server",
        "ok" if new_enough else "failed",
        f"Redis {health.version} at {url}, {health.round_trip_s * 1000:.1f} ms a question"
        + ("" if new_enough else f"; Penstock needs {oldest} or newer"),
    )
    if health.append_only:
        yield Finding("persistence", "ok", "appendonly yes")
    else:
        text = "appendonly no: a restart of Redis loses all executions; set appendonly yes"
        yield Finding("persistence", "warning", text)
    yield _memory(health)
    skewed = abs(health.skew_s) > MAX_SKEW_S
    text = f"{health.skew_s:+.3f} s from that of Redis" + ("; set both by NTP" if skewed else "")
    yield Finding("clock", "warning" if skewed else "ok", text)


def _memory(health: RedisHealth) -> Finding:
    used = f"{health.memory_bytes / 2**20:.0f} MiB used"
    limit = f" of {health.memory_limit_bytes / 2**20:.0f} MiB" if health.memory_limit_bytes else ""
    text = f"{used}{limit}, maxmemory-policy {health.policy or 'unknown'}"
    if health.policy in (None, "noeviction"):
        return Finding("memory", "ok", text)
    # Without a limit nothing is thrown away yet.
    verdict: Verdict = "failed" if health.memory_limit_bytes else "warning"
    return Finding("memory", verdict, f"{text}: may throw executions away; set it to noeviction")


def _fleet(engine: Engine, settings: Settings) -> Iterator[Finding]:
    workers = engine.runtime.fleet.workers(fresh=True)
    if workers:
        slots = sum(worker.slots for worker in workers)
        names = {name for worker in workers for name in worker.tasks}
        text = f"{len(workers)} alive, {slots} slots, {len(names)} tasks"
        yield Finding("workers", "ok", text)
    else:
        yield Finding("workers", "warning", "none alive; start one with 'penstock worker'")
    broker = engine.runtime.broker
    if broker is not None:
        yield from _broker(engine, broker, settings.queue, bool(workers))
        return
    waiting = waiting_messages(engine.runtime.store.redis, settings.queue)
    stuck = bool(waiting) and not workers
    text = f"{waiting} messages wait in the queue {settings.queue}"
    yield Finding("broker", "warning" if stuck else "ok", text)
    hours = settings.visibility_timeout_s / 3600
    yield Finding("visibility", "ok", f"an unacknowledged message is redelivered after {hours:g} h")


def _broker(engine: Engine, broker: Broker, queue: str, served: bool) -> Iterator[Finding]:
    """Findings on a broker that is not the Redis of the state."""
    waiting = broker.waiting(queue)
    if waiting is None:
        yield Finding("broker", "failed", f"{broker.shown} cannot be used: {broker.failure}")
    else:
        text = f"{broker.shown}: {waiting} messages wait in the queue {queue}"
        yield Finding("broker", "warning" if waiting and not served else "ok", text)
    left = waiting_messages(engine.runtime.store.redis, engine.runtime.store.keys.outbox)
    stuck = bool(left) and (waiting is None or not served)
    text = f"{left} messages wait for a worker to take them to the broker"
    yield Finding("outbox", "warning" if stuck else "ok", text)
    lost = waiting_messages(engine.runtime.store.redis, queue)
    if lost:
        text = (
            f"{lost} messages are in Redis, where no worker looks: of a process without"
            f" {variable_of('broker_url')}; they were sent again, delete the list {queue}"
        )
        yield Finding("strays", "warning", text)
