"""`spark-dynamo scan`: the items of a table, or those that a filter wants, without Spark."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from spark_dynamo.commands.options import (
    EndpointUrl,
    Environment,
    Format,
    Output,
    Place,
    Profile,
    Region,
    RoleArn,
    TableName,
    TablePrefix,
    take_raw,
)
from spark_dynamo.commands.output import Rows, show_record, to_json

if TYPE_CHECKING:
    from spark_dynamo.source.read.item_read import ItemRead

_ROWS_AT_ONCE = 1_000  # of a table for people; and what a CSV's header is made of

Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="SQL",
        help="A predicate in Spark's SQL, as option filter of the data source: keys in it make a GetItem or Query of the "
        "Scan. An attribute has the type of what it is compared with.",
    ),
]
MaxReadUnits = Annotated[
    float | None, typer.Option("--max-read-units", metavar="N", help="Read units per second; no limit by default.")
]
ConsistentRead = Annotated[
    bool, typer.Option("--consistent-read", help="Read strongly consistent, at twice the read units.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: spark-dynamo scan orders --filter \"customer = 'c-7' AND day >= 20\" --limit 10 -o json"
    )(scan)


def scan(
    table: TableName,
    filter: Filter = None,  # noqa: A002 - as the option is called
    columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="Attributes between commas; all where left out.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop at so many items; no more are asked for than needed.")
    ] = None,
    index: Annotated[str | None, typer.Option(metavar="NAME", help="Read this secondary index.")] = None,
    consistent_read: ConsistentRead = False,
    max_read_units: MaxReadUnits = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell how it would be read, and read nothing.")] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help='With --output json or jsonl: items in DynamoDB JSON, {"id":{"S":"a"}}, which tells sets and binaries. With '
            "csv: each text as it is, also what spreadsheets run as a formula.",
            callback=take_raw,
        ),
    ] = False,
    output: Output = "table",
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Print the items of a table, as they come; memory does not grow with the table.

    JSON has a number's every digit, binaries as base64 and sets as arrays; an attribute that an item lacks is not there.

    CSV and the table have one column for each attribute, empty where an item lacks it.
    """
    from spark_dynamo.source.read.item_read import plan_items

    if raw and output == "table":
        raise typer.BadParameter("needs --output json, jsonl or csv beside it", param_hint="--raw")
    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    more = {"filter": filter, "index": index, "consistentRead": consistent_read, "maxReadUnits": max_read_units}
    options = place.options(table, **more)
    chosen = _names(columns)
    with place.near_names():
        read = plan_items(options, columns=chosen, limit=limit)
    if explain:
        _explain(read, output)
        return
    started, seen = time.monotonic(), _Seen()
    with Rows(output) as rows, closing(read.texts()) as texts:
        pages = seen.of(page.to_pylist() for page in texts)
        is_json = output in ("json", "jsonl")
        if raw and is_json:
            for page in pages:
                rows.add_texts(page)
        elif is_json:
            for page in pages:
                rows.add_texts([to_json(row) for row in _rows(page, chosen)])
        else:
            _add_blocks(rows, _blocks(_rows(page, chosen) for page in pages), output, chosen, _first(read, table))
    if sys.stderr.isatty():
        counts, seconds = read.requests.counts, time.monotonic() - started
        typer.secho(f"{counts.items:,} items read, {counts.units:,g} read units, {seconds:.1f} s", err=True, dim=True)
    _check_names(read, seen, chosen or ())


class _Seen:
    """How many items pass by, and which attributes the first thousand of them have."""

    def __init__(self) -> None:
        self.count = 0
        self.names: set[str] = set()

    def of(self, pages: Iterable[list[str]]) -> Iterator[list[str]]:
        for page in pages:
            for text in page[: max(0, _ROWS_AT_ONCE - self.count)]:
                self.names |= orjson.loads(text).keys()
            self.count += len(page)
            yield page


def _check_names(read: ItemRead, seen: _Seen, columns: Sequence[str]) -> None:
    """Raise `OptionError` where nothing came for a name that no item has; say so where other columns came."""
    from spark_dynamo.errors import OptionError

    if not seen.count:
        read.check_filter()
    missing = read.missing(name for name in columns if name not in seen.names)
    problems = [OptionError("columns", f"names '{name}', and {found}") for name, found in missing.items()]
    if problems and (len(problems) == len(columns) or not seen.count):
        raise problems[0]
    for problem in problems:
        typer.secho(str(problem), err=True, fg="yellow")


def _names(columns: str | None) -> tuple[str, ...] | None:
    from spark_dynamo.source.options.values import names

    try:
        return None if columns is None else names(columns)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, not '{columns}'", param_hint="--columns") from None


def _first(read: ItemRead, table: str) -> list[str]:
    """The columns that come first: those of the model, or the keys."""
    from spark_dynamo.metadata.tables import METADATA_TABLES

    if table in METADATA_TABLES:
        return list(METADATA_TABLES[table].model.model_fields)
    return [key.name for key in read.found.table.keys]


def _rows(texts: Iterable[str], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    """The items as Python values; with `columns`, those alone and in that order."""
    from spark_dynamo.wire.python_values import to_values

    items = [orjson.loads(text) for text in texts]
    if columns is not None:
        items = [{name: item[name] for name in columns if name in item} for item in items]
    return [to_values(item) for item in items]


def _blocks(pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    waiting: list[dict[str, Any]] = []
    for page in pages:
        waiting += page
        if len(waiting) >= _ROWS_AT_ONCE:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _add_blocks(
    rows: Rows,
    blocks: Iterable[list[dict[str, Any]]],
    output: Format,
    chosen: Sequence[str] | None,
    first: Sequence[str],
) -> None:
    """Write blocks of rows; unless columns were chosen, a table gets those of its items anew, and a CSV all at once."""
    columns = list(chosen or first)
    is_open = chosen is None
    for block in blocks:
        if is_open:
            there = dict.fromkeys(name for row in block for name in row)
            columns = [*(name for name in columns if output == "csv" or name in there), *there]
            columns = list(dict.fromkeys(columns))
        elif output == "csv":
            _check_columns(block, columns)
        rows.begin(columns)
        rows.add(block)
        is_open = is_open and output == "table"
    if not rows.has_rows:
        rows.begin(columns)


def _check_columns(block: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Raise where a row has what the header lacks."""
    from spark_dynamo.errors import ConfigurationError

    known = set(columns)
    for row in block:
        for name in row:
            if name not in known:
                raise ConfigurationError(
                    f"An item has the attribute '{name}', which none of those before has, and a CSV's header can't grow. Name "
                    "the columns by --columns, or take --output json"
                )


def _explain(read: ItemRead, output: Format) -> None:
    plan = read.plan
    least, most = plan.read_units
    facts = {
        "table": plan.table,
        "access": plan.access if plan.requests else "none, as no item can match",
        "index": plan.index,
        "key_condition": plan.key_condition,
        "filter_expression": plan.filter_expression,
        "filtered_again_here": plan.filtered_in_spark,
        "projection": plan.projection,
        "segments" if plan.access == "Scan" else "requests": plan.requests,
        "limit": read.limit,
        "consistent_read": plan.consistent_read,
        "estimated_items": plan.estimated_items,
        "least_read_units": least,
        "most_read_units": most,
        "read_units_per_second": plan.units_per_second,
    }
    show_record(facts, output)
