"""`spark-dynamo copy`: a table's items into another table, of another endpoint, region or account if need be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from spark_dynamo.commands.options import (
    EndpointUrl,
    Environment,
    Output,
    Place,
    Profile,
    Raw,
    Region,
    RoleArn,
    Stage,
    TablePrefix,
    complete_table,
)
from spark_dynamo.commands.output import show_record
from spark_dynamo.commands.scan import ConsistentRead, Filter, MaxReadUnits

if TYPE_CHECKING:
    from spark_dynamo.source.copying import CopyReport
    from spark_dynamo.source.read.item_read import ItemRead

_TO = "Where to; the source's where left out"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: spark-dynamo copy orders orders-2026 --create --filter \"day >= '2026-01-01'\"")(copy)


def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A table's name in DynamoDB, or a metadata table's logical name.",
            autocompletion=complete_table,
            show_default=False,
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The table to copy to.", show_default=False)],
    filter: Filter = None,  # noqa: A002 - as the option is called
    create: Annotated[
        bool, typer.Option("--create", help="Create the target with the source's keys and indexes, on demand.")
    ] = False,
    consistent_read: ConsistentRead = False,
    max_read_units: MaxReadUnits = None,
    max_write_units: Annotated[
        float | None, typer.Option(metavar="N", help="Write units per second; no limit by default.")
    ] = None,
    to_endpoint_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="AWS itself is https://dynamodb.REGION.amazonaws.com.", rich_help_panel=_TO),
    ] = None,
    to_region: Annotated[str | None, typer.Option(metavar="NAME", help="The AWS region.", rich_help_panel=_TO)] = None,
    to_profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="The AWS profile.", rich_help_panel=_TO)
    ] = None,
    to_role_arn: Annotated[
        str | None, typer.Option(metavar="ARN", help="The role to assume there.", rich_help_panel=_TO)
    ] = None,
    to_environment: Annotated[
        Stage | None, typer.Option(help="Part of the metadata tables' names.", rich_help_panel=_TO)
    ] = None,
    to_table_prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="First part of these names.", rich_help_panel=_TO)
    ] = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Copy a table's items into another one with the same keys, byte for byte; safe to stop and to repeat.

    Items are put: one of the target with the same key is replaced, all others stay.

    What is written to the source meanwhile may be copied or not. TTL is not switched on at a target that is created.
    """
    from spark_dynamo.source.copying import copy_items, copy_target
    from spark_dynamo.source.read.item_read import plan_items

    origin = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    place = Place(
        to_endpoint_url or endpoint_url,
        to_region or region,
        to_profile or profile,
        to_environment or environment,
        table_prefix if to_table_prefix is None else to_table_prefix,
        to_role_arn or role_arn,
    )
    more = {"filter": filter, "consistentRead": consistent_read, "maxReadUnits": max_read_units}
    if max_write_units is not None and not max_write_units > 0:
        raise typer.BadParameter("must be above 0", param_hint="--max-write-units")
    with origin.near_names():
        read = plan_items(origin.options(source, **more))
    found = copy_target(read.found, place.connection(), place.physical_name(target), create=create)
    if create and read.found.table.multi_key_indexes:
        names = ", ".join(read.found.table.multi_key_indexes)
        typer.secho(f"Not created are the indexes with keys of several attributes: {names}", fg="yellow", err=True)
    with _progress(read, filter is not None) as tell:
        done = copy_items(read, found, max_write_units=max_write_units, progress=tell)
    show_record({**asdict(done), "seconds": round(done.seconds, 3)}, output)
    if not done.copied:
        read.check_filter()


@contextmanager
def _progress(read: ItemRead, is_part: bool) -> Iterator[Callable[[CopyReport], None] | None]:
    """What shows a copy's progress on a terminal; None where standard error is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn())
    total = None if is_part else read.found.table.item_count or None  # as it was some hours ago
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("0 items", total=total, rate="")

        def tell(report: CopyReport) -> None:
            rate = report.copied / report.seconds if report.seconds else 0.0
            progress.update(
                task, completed=report.copied, description=f"{report.copied:,} items", rate=f"{rate:,.0f} items/s"
            )

        yield tell
