"""`penstock fake-oss`: the OSS server for tests and trials."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.errors import InvalidArgument
from tasks.oss.fake_server import serve


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("fake-oss")(fake_oss)


def fake_oss(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9000,
    bucket: Annotated[list[str] | None, typer.Option(help="A bucket to make.")] = None,
    objects: Annotated[int, typer.Option(min=0, help="Archived objects in each bucket.")] = 0,
    storage_class: Annotated[str, typer.Option(help="Their storage class.")] = "Archive",
    thaw_s: Annotated[float, typer.Option(min=0, help="Seconds that a restore takes.")] = 1.0,
    throttle_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that are throttled.")
    ] = 0.0,
    error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of requests that fail with 5xx.")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Makes the faults the same each time.")] = None,
) -> None:
    """Run a small OSS server for tests, until Ctrl-C. Signatures are not checked."""
    try:
        serve(
            host, port, thaw_s=thaw_s, throttle_rate=throttle_rate, error_rate=error_rate,
            seed=seed, buckets=bucket or [], objects=objects, storage_class=storage_class,
        )  # fmt: skip
    except OSError as error:
        raise InvalidArgument(f"fake-oss: cannot listen on {host}:{port}: {error}") from None
