"""Settings: what the environment says about one process (`PENSTOCK_*`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import InvalidArgument

REDIS_PORT = 6379
ENV_PREFIX = "PENSTOCK_"
DAY_S = 86_400.0
KIB = 1024
MIB = 1024 * KIB

Pool = Literal["prefork", "threads", "solo"]


class Settings(BaseSettings):
    """One frozen object; a field `x` is read from `PENSTOCK_X`, an empty variable counts as none.

    Durations are seconds, sizes bytes.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    redis_url: SecretStr | None = None
    """Redis of the broker and of the state, such as `redis://:password@host:6379/0`; none: the
    commands that can do so start an embedded one, the others refuse."""

    broker_url: SecretStr | None = None
    """Broker of the messages where it is not the Redis of the state, such as
    `amqp://user:password@host:5672/`; none: that Redis."""

    key_prefix: str = Field(default="penstock", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """First part of every Redis key; two installations on one Redis need two."""

    queue: str = Field(default="penstock", min_length=1)
    """Celery queue of the tasks that name none; with a key prefix set and no queue: that prefix."""

    inline_limit_bytes: int = Field(default=64 * KIB, ge=KIB)
    """A payload over it is kept apart and travels as a reference."""

    payload_limit_bytes: int = Field(default=16 * MIB, ge=KIB)
    """A payload over it fails its step with FnF.PayloadTooLarge."""

    retention_s: float = Field(default=7 * DAY_S, ge=1)
    """How long an execution can be read after its end."""

    max_wait_s: float = Field(default=365 * DAY_S, gt=0)
    """The longest wait step; a longer one fails with FnF.InvalidWait."""

    lease_s: float = Field(default=3.0, ge=1)
    """A running step that its worker has not renewed for so long counts as lost."""

    dispatch_grace_s: float = Field(default=3.0, ge=0.5)
    """A published step that nobody has claimed for so long is looked at again."""

    sweep_every_s: float = Field(default=0.5, gt=0)
    """Pause between two looks of a worker for what is due or lost."""

    resource_grace_s: float = Field(default=10.0, ge=0)
    """How long a step waits for a worker that has its task, before FC.FunctionNotFound."""

    max_losses: int = Field(default=3, ge=0)
    """How often a step whose worker died runs again, before FC.Unknown."""

    timer_horizon_s: float = Field(default=60.0, ge=0)
    """A wait that ends within it becomes a Celery ETA message; a longer one stays in Redis."""

    max_eta_messages: int = Field(default=1000, ge=1)
    """The most ETA messages that one worker holds in its memory."""

    visibility_timeout_s: float = Field(default=3600.0, ge=60)
    """When the broker hands an unacknowledged message to another worker. Not the way to recover
    from a kill: that is the lease."""

    stream_gather_s: float = Field(default=0.5, gt=0)
    """How long a stream step waits for free slots of other processes before it runs in its own."""

    stream_idle_s: float = Field(default=60.0, gt=0)
    """A stream whose reader has taken nothing for so long, or whose source has given nothing, ends
    with StreamIdle."""

    stream_spool: Path | None = None
    """Folder in which a stream's input is kept until it ends, so that another process can read it
    again; one that all workers share lets those of other hosts go on; none: a folder of this
    user's in the machine's temporary one."""

    stream_memory: Path = Path("/dev/shm")
    """Folder of shared memory, through which streams go between processes of one host, callers
    included, while all workers are on it; one that is not there: they go through Redis."""

    fleet_result_backend: SecretStr | None = None
    """Celery result backend of the workers that run `celery:` resources, such as
    `redis://host:6379/1`; none: a failure there has no name but FC.Unknown."""

    concurrency: int | None = Field(default=None, ge=1)
    """Slots of a worker; none: as many as the machine has CPUs."""

    shutdown_grace_s: float = Field(default=20.0, ge=0)
    """How long a worker that is told to end lets its tasks run on; what has not ended by then is
    handed to another worker."""

    kill_grace_s: float = Field(default=5.0, gt=0)
    """How long after its time limit a task may clean up before its process is killed (prefork)."""

    pool: Pool = "prefork"
    """How a worker runs its slots: `prefork`, `threads` or `solo`."""

    token_secret: SecretStr | None = None
    """Signs the tokens of callbacks; none: made once and kept in Redis."""

    api_keys: SecretStr | None = None
    """Access keys of the API beside those of `penstock keys`: `id:secret[:role],…`, roles `viewer`,
    `operator`, `approver`, `admin` (the default)."""

    operator: str | None = None
    """Who stops, pauses, redrives and skips, as the history says it; none: the user and host of
    the process."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written: `debug`, `info`, `warning` or `error`."""

    log_format: Literal["text", "json"] = "text"
    """How log lines are written: `text`, with fields as `name=value` at the end, or `json`."""

    trace_sample: float = Field(default=0.0, ge=0, le=1)
    """Which share of the executions is exported as OpenTelemetry traces, from 0 (none) to 1 (all);
    alike for every process. Workers need the extra `otel` for it."""

    @property
    def redis_shown(self) -> str:
        """The Redis URL as people and logs may see it: without its password; "" for none."""
        return without_password(self.redis_url.get_secret_value()) if self.redis_url else ""

    def other_broker(self, redis_url: str) -> str | None:
        """The broker of the messages, None if it is the state's own Redis at `redis_url`."""
        broker = self.broker_url.get_secret_value() if self.broker_url else redis_url
        return None if _place(broker) == _place(redis_url) else broker

    def at(self, redis_url: str) -> Settings:
        """These settings for that Redis: one that is not the configured one is its own broker."""
        if self.redis_url is not None and self.redis_url.get_secret_value() == redis_url:
            return self
        return self.model_copy(update={"broker_url": None})

    @model_validator(mode="before")
    @classmethod
    def _own_queue(cls, given: Any) -> Any:
        """A second installation must not take the first one's messages."""
        if isinstance(given, dict) and "key_prefix" in given:
            return {"queue": given["key_prefix"]} | given
        return given

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.payload_limit_bytes < self.inline_limit_bytes:
            raise ValueError("payload_limit_bytes must not be under inline_limit_bytes")
        if self.lease_s >= self.visibility_timeout_s:
            raise ValueError("lease_s must be under visibility_timeout_s")
        return self


def load_settings() -> Settings:
    """The settings of this process, from its environment.

    Raises:
        InvalidArgument: a variable cannot be used; the message names each of them, no value.
    """
    try:
        return Settings()
    except ValidationError as invalid:
        found = "; ".join(_complaint(error["loc"], error["msg"]) for error in invalid.errors())
        raise InvalidArgument(found) from None


def variable_of(field: str) -> str:
    """The environment variable of a field of the settings."""
    return ENV_PREFIX + field.upper()


def without_password(url: str) -> str:
    """The URL with `***` in the place of its password and of its options; any text may be given."""
    url, options, _ = url.partition("?")  # they may hold a password, too
    head, at, host = url.rpartition("@")
    scheme, slashes, login = head.partition("//")
    user, colon, _ = login.partition(":")
    # What stands there alone may be a password that was meant.
    shown = f"{scheme}{slashes}{user if colon else ''}{colon}***@{host}" if at else url
    return shown + ("?***" if options else "")


def _place(url: str) -> tuple[str, ...]:
    """What tells a server, and a database there, from all others."""
    try:
        found = urlsplit(url)
        port = str(found.port or REDIS_PORT)
    except ValueError:
        return (url,)
    if found.scheme not in ("redis", "rediss"):
        return (url,)
    database = (parse_qs(found.query).get("db") or [found.path.strip("/") or "0"])[0]
    return (found.hostname or "localhost", port, database)


def _complaint(location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return message.removeprefix("Value error, ")
    return f"{variable_of(str(location[0]))}: {message}"
