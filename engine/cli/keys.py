"""`penstock keys …`: who may call the API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.cli.connection import configured_engine
from engine.cli.output import (
    Format,
    FormatOption,
    local_time,
    print_fields,
    print_json,
    print_table,
)
from engine.runtime.access_keys import AccessKey, Role


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    keys = typer.Typer(help="Make, list and delete the access keys of the API.")
    keys.command()(create)
    keys.command("list")(list_keys)
    keys.command()(delete)
    app.add_typer(keys, name="keys", no_args_is_help=True)


def create(
    role: Annotated[Role, typer.Option(help="What it may do; each also what those before it may.")],
    name: Annotated[str, typer.Option(help="Whose it is, or what it is for.")] = "",
    format: FormatOption = Format.TEXT,
) -> None:
    """Make a key. Its secret is printed now and never again."""
    with configured_engine() as engine:
        key = engine.keys.create(role, name)
    if format is Format.JSON:
        print_json(asdict(key))
        return
    print_fields([("id", key.id), ("secret", key.secret), ("role", key.role), ("name", key.name)])


def list_keys(format: FormatOption = Format.TEXT) -> None:
    """Print all keys without their secrets."""
    with configured_engine() as engine:
        keys = engine.keys.list()
    if format is Format.JSON:
        print_json([_told(key) for key in keys])
        return
    rows = [(key.id, key.role, local_time(key.created_time), key.name) for key in keys]
    print_table(("id", "role", "created", "name"), rows)


def delete(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
) -> None:
    """Take a key away: the API refuses it from now on."""
    with configured_engine() as engine:
        engine.keys.delete(key_id)
    typer.echo(f"{key_id}: deleted")


def _told(key: AccessKey) -> dict[str, Any]:
    told = asdict(key)
    del told["secret"]
    return told
