"""`penstock flow …`: the deployed flows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from engine.cli import versions
from engine.cli.connection import configured_engine
from engine.cli.executions import FlowName
from engine.cli.inputs import read_retention, read_text, retention_text
from engine.cli.output import (
    Format,
    FormatOption,
    local_time,
    print_fields,
    print_json,
    print_table,
)
from engine.core.checks import load_flow
from engine.errors import InvalidArgument
from engine.runtime.definitions import FlowRecord

RetentionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--retention",
        metavar="STATUS=DURATION",
        help="How long executions are kept that end so, as in Succeeded=12h; none: as elsewhere.",
    ),
]
FlowFileName = Annotated[str, typer.Argument(metavar="FLOW.yml", help="`-` is stdin.")]


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    flow = typer.Typer(help="Deploy flows, look at them, take them away.", no_args_is_help=True)
    for command in (create, update, describe, delete):
        flow.command()(command)
    flow.command("list")(list_flows)
    versions.add(flow)
    app.add_typer(flow, name="flow")


def create(
    name: FlowName,
    file: FlowFileName,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    retention: RetentionOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Deploy a new flow."""
    text, kept = _checked(file), read_retention(retention or [])
    with configured_engine() as engine:
        _show(engine.create_flow(name, text, description, retention=kept), format)


def update(
    name: FlowName,
    file: Annotated[str | None, typer.Argument(metavar="[FLOW.yml]", help="`-` is stdin.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    retention: RetentionOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Change what is given of a flow; what runs keeps its definition and retention."""
    kept = read_retention(retention or [])
    if file is None and description is None and kept is None:
        raise InvalidArgument(f"update {name}: give a file, a --description or a --retention")
    text = None if file is None else _checked(file)
    with configured_engine() as engine:
        _show(engine.update_flow(name, text, description, retention=kept), format)


def describe(
    name: FlowName,
    definition: Annotated[
        bool, typer.Option("--definition", help="Print its text and nothing else.")
    ] = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Print a flow."""
    with configured_engine() as engine:
        record = engine.describe_flow(name)
    if definition:
        typer.echo(record.definition, nl=not record.definition.endswith("\n"))
    else:
        _show(record, format)


def delete(name: FlowName) -> None:
    """Take a flow away; its running executions go on."""
    with configured_engine() as engine:
        engine.delete_flow(name)
    typer.echo(f"{name}: deleted")


def list_flows(format: FormatOption = Format.TEXT) -> None:
    """Print all deployed flows."""
    with configured_engine() as engine:
        records = engine.list_flows()
    if format is Format.JSON:
        print_json([asdict(record) for record in records])
        return
    print_table(
        ("name", "version", "modified", "description"),
        [
            (each.name, str(each.version), local_time(each.last_modified_time), each.description)
            for each in records
        ],
    )


def _checked(file: str) -> str:
    """The text of a flow file without errors; its problems name the file as it was given."""
    text = read_text(file, "flow file")
    _, warnings = load_flow(text, file)
    for warning in warnings:
        typer.echo(str(warning), err=True)
    return text


def _show(record: FlowRecord, format: Format) -> None:
    if format is Format.JSON:
        print_json(asdict(record))
        return
    print_fields(
        [
            ("name", record.name),
            ("version", str(record.version)),
            ("definition", record.definition_id),
            ("description", record.description),
            ("created", local_time(record.created_time)),
            ("modified", local_time(record.last_modified_time)),
            ("retention", retention_text(record.retention)),
        ]
    )
