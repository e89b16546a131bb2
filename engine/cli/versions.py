"""`penstock flow publish`, `flow alias` and the like: versions of a flow, and names for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from engine.cli.connection import configured_engine
from engine.cli.executions import FlowName
from engine.cli.output import Format, FormatOption, local_time, print_json, print_table
from engine.errors import FlowAliasNotExists, InvalidArgument
from engine.runtime.versions import WHOLE, FlowAlias, Route

AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="The alias's name.")]


def add(flow: typer.Typer) -> None:
    """Registers the commands, below `penstock flow`."""
    flow.command()(publish)
    flow.command("versions")(list_versions)
    flow.command("delete-version")(delete_version)
    flow.command()(alias)
    flow.command("aliases")(list_aliases)
    flow.command("delete-alias")(delete_alias)


def publish(
    name: FlowName,
    description: Annotated[str, typer.Option(help="What is new.")] = "",
) -> None:
    """Keep a flow as it is deployed now as its next version; prints the version's number."""
    with configured_engine() as engine:
        typer.echo(str(engine.versions.publish(name, description).version))


def list_versions(name: FlowName, format: FormatOption = Format.TEXT) -> None:
    """Print the versions of a flow, newest first."""
    with configured_engine() as engine:
        engine.describe_flow(name)
        found = engine.versions.list(name)
    if format is Format.JSON:
        print_json([asdict(each) for each in found])
        return
    rows = [
        (str(each.version), local_time(each.created_time), each.definition_id, each.description)
        for each in found
    ]
    print_table(("version", "published", "definition", "description"), rows)


def delete_version(
    name: FlowName, version: Annotated[int, typer.Argument(metavar="VERSION", min=1)]
) -> None:
    """Take a version away that no alias leads to; its executions go on."""
    with configured_engine() as engine:
        engine.versions.delete(name, version)
    typer.echo(f"{name} {version}: deleted")


def alias(
    name: FlowName,
    alias: AliasName,
    routes: Annotated[
        list[str],
        typer.Argument(metavar="VERSION[=PERCENT]…", help="One version, or two and their shares."),
    ],
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Have an alias lead to a version, or to two that share the starts; it is made if need be."""
    routing = [_route(text) for text in routes]
    with configured_engine() as engine:
        try:
            made = engine.versions.update_alias(name, alias, routing, description)
        except FlowAliasNotExists:
            made = engine.versions.create_alias(name, alias, routing, description or "")
    typer.echo(f"{name} {alias}: {_routing(made)}")


def list_aliases(name: FlowName, format: FormatOption = Format.TEXT) -> None:
    """Print the aliases of a flow."""
    with configured_engine() as engine:
        engine.describe_flow(name)
        found = engine.versions.list_aliases(name)
    if format is Format.JSON:
        print_json([asdict(each) for each in found])
        return
    print_table(("alias", "leads to", "modified", "description"), _rows(found))


def delete_alias(name: FlowName, alias: AliasName) -> None:
    """Take an alias away; the versions stay."""
    with configured_engine() as engine:
        engine.versions.delete_alias(name, alias)
    typer.echo(f"{name} {alias}: deleted")


def _rows(aliases: Iterable[FlowAlias]) -> list[tuple[str, ...]]:
    return [
        (each.name, _routing(each), local_time(each.last_modified_time), each.description)
        for each in aliases
    ]


def _route(text: str) -> Route:
    version, equals, weight = text.partition("=")
    weight = weight.removesuffix("%") if equals else str(WHOLE)
    if not (version.isdecimal() and weight.isdecimal()):
        raise InvalidArgument(f"{text}: write VERSION, or VERSION=PERCENT twice, as in 3=90 4=10")
    return Route(int(version), int(weight))


def _routing(alias: FlowAlias) -> str:
    return ", ".join(f"{route.version} ({route.weight} %)" for route in alias.routing)
