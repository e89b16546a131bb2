"""Settings of the API's process: where it listens, and what it lets in (`PENSTOCK_API_*`)."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.config import ENV_PREFIX, KIB, MIB
from engine.errors import InvalidArgument

API_PREFIX = f"{ENV_PREFIX}API_"


class ApiSettings(BaseSettings):
    """One frozen object; a field `x` is read from `PENSTOCK_API_X`, an empty variable is none."""

    model_config = SettingsConfigDict(
        env_prefix=API_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; one that is not loopback needs access keys."""

    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    public_url: str = Field(default="", pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$")
    """What links to this API begin with, such as `https://flows.example.com`; none: what the
    request that asks for a link was sent to."""

    flower_url: str = Field(default="", pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$")
    """Where people reach Flower, for links from the console to it; none: no links."""

    allow_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names by which an open API (on loopback, without keys) may be called, besides localhost;
    separated by commas."""

    allow_queues: Annotated[tuple[str, ...], NoDecode] = ()
    """Queues and topics that flows deployed through the API may send messages to, separated by
    commas; `*` stands for any characters. None: no queue at all."""

    allow_celery: Annotated[tuple[str, ...], NoDecode] = ()
    """Tasks of other Celery fleets that flows deployed through the API may name (`celery:`),
    separated by commas; `*` stands for any characters. None: no such task."""

    max_body_bytes: int = Field(default=17 * MIB, ge=KIB)
    """The largest request body, the source of a stream excepted."""

    max_header_bytes: int = Field(default=16 * KIB, ge=KIB, le=60 * KIB)
    """The most that a request's line and headers may have together."""

    rate_per_s: float = Field(default=2000.0, ge=0)
    """How many requests a second one caller may send in the long run, twice as many at once; 0: as
    many as it likes."""

    max_streams: int = Field(default=64, ge=1)
    """How many streamed executions one process serves at the same time."""

    max_followers: int = Field(default=1000, ge=1)
    """How many requests of one process may wait for an execution or follow its events."""

    clock_skew_s: float = Field(default=900.0, gt=0)
    """How far a signed request's time may be from ours."""

    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, separated
    by commas."""

    tls_certificate: str = ""
    """File of the certificate chain; with it the API speaks HTTPS."""

    tls_key: str = ""
    """File of that certificate's private key; none: it is in the certificate's file."""

    @field_validator(
        "allow_hosts", "allow_queues", "allow_celery", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def on_loopback(self) -> bool:
        """True if nobody outside of this machine can connect."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone, and for `localhost`."""
    name = host.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def load_api_settings(**options: Any) -> ApiSettings:
    """The settings of this process; options that are not None go before its environment.

    Raises:
        InvalidArgument: a variable cannot be used; the message names each of them, no value.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = ApiSettings(**given)
        _check_tls(settings)
        return settings
    except ValidationError as invalid:
        found = "; ".join(
            f"{API_PREFIX}{str(error['loc'][0]).upper()}: {error['msg']}"
            for error in invalid.errors()
        )
        raise InvalidArgument(found) from None


def _check_tls(settings: ApiSettings) -> None:
    if not settings.tls_certificate and not settings.tls_key:
        return
    if not settings.tls_certificate:
        raise InvalidArgument(f"{API_PREFIX}TLS_KEY needs {API_PREFIX}TLS_CERTIFICATE, too")
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    except OSError as error:  # also what cannot be read as a certificate or key
        raise InvalidArgument(
            f"{API_PREFIX}TLS_CERTIFICATE, {API_PREFIX}TLS_KEY: these files do not do: {error}"
        ) from None
