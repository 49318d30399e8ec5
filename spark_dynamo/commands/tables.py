"""`spark-dynamo tables`: create, list and describe tables."""

from __future__ import annotations

import re
from dataclasses import astuple
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

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
    TableName,
    TablePrefix,
    config_from,
)
from spark_dynamo.commands.output import show, show_record, write

if TYPE_CHECKING:
    from spark_dynamo.aws.tables import Index, KeyAttribute, TableDescription

KeyText: TypeAlias = Literal["S", "N", "B"]

app = typer.Typer(no_args_is_help=True, help="Create, list and describe tables.")

_INDEX_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_KEY = "a key is an attribute's name, and its type S, N or B behind a colon where that is not S, as in day:N"


@app.command(
    epilog="Example: spark-dynamo tables create orders --partition-key customer --sort-key day:N --index by_day=day:N,total:N"
)
def create(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE",
            help="The new table's name; the three metadata tables where left out.",
            show_default=False,
        ),
    ] = None,
    partition_key: Annotated[
        str | None, typer.Option(metavar="NAME[:TYPE]", help="Its partition key; TYPE is S, N or B, S where left out.")
    ] = None,
    sort_key: Annotated[str | None, typer.Option(metavar="NAME[:TYPE]", help="Its sort key.")] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PK[,SK]", help="A global secondary index with its keys; may be given several times."
        ),
    ] = None,
    local_index: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SK", help="A local secondary index with its sort key; likewise.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(metavar="NAME", help="The attribute at whose epoch seconds items expire.")
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
    """Create the metadata tables, or one table of your own, and wait until it is there; safe to repeat.

    A table that exists with these keys and indexes is left as it is; with others it is an error. New tables are on demand.
    """
    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    given = (partition_key, sort_key, index, local_index, ttl)
    if name is None:
        if any(one is not None and one != [] for one in given):
            raise typer.BadParameter("keys, indexes and TTL are for a table that is named", param_hint="TABLE")
        _create_metadata_tables(place, output)
        return
    if partition_key is None:
        raise typer.BadParameter("a new table needs one, as in --partition-key id", param_hint="--partition-key")
    if place.physical_name(name) != name:
        raise typer.BadParameter(
            f"'{name}' is a metadata table, whose keys are fixed; leave the name out to create it", param_hint="TABLE"
        )
    keys = {"partition_key": _key(partition_key, "--partition-key", {})}
    if sort_key is not None:
        keys["sort_key"] = _key(sort_key, "--sort-key", {})
    if ttl is not None and not ttl.strip():
        raise typer.BadParameter("must not be empty; give an attribute's name", param_hint="--ttl")
    known = {key.name: key for key in keys.values()}
    indexes = [_index(text, known) for text in index or ()]
    indexes += [_local_index(text, keys["partition_key"], known) for text in local_index or ()]
    _create_table(place, name, keys, indexes, ttl)
    _show_descriptions(place, [name], output)


@app.command("list", epilog="Example: spark-dynamo tables list --region eu-central-1 --output json")
def list_all(
    starts_with: Annotated[str, typer.Option(metavar="TEXT", help="Only tables whose names begin so.")] = "",
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """List the account's tables in the region; the metadata tables are marked with their logical names."""
    from spark_dynamo.aws.table_names import list_tables

    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    marks = place.metadata_names()
    names = [name for name in list_tables(place.client()) if name.startswith(starts_with)]
    show([{"table": name, "metadata": marks.get(name)} for name in names], ["table", "metadata"], output)


@app.command(epilog="Example: spark-dynamo tables describe orders --output json | jq '.[0].indexes[].name'")
def describe(
    table: TableName,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Describe a table: keys, indexes, status, items and bytes (some hours old), billing, TTL."""
    from spark_dynamo.aws.table_names import ttl_attribute
    from spark_dynamo.aws.tables import describe_table

    place = Place(endpoint_url, region, profile, environment, table_prefix, role_arn)
    client, name = place.client(), place.physical_name(table)
    with place.near_names():
        found = describe_table(client, name)
    facts = _facts(found, ttl_attribute(client, name))
    if output != "table":
        show_record(facts, output)
        return
    show_record({**facts, **_for_people(found)}, output)
    if found.indexes:
        write("\n")
        rows = [{**facts, "keys": _shown(index)} for facts, index in zip(facts["indexes"], found.indexes, strict=True)]
        show(rows, ["name", "kind", "keys", "projection", "status", "items", "bytes"], output, "Indexes")


def _create_metadata_tables(place: Place, output: Any) -> None:
    from spark_dynamo.metadata.tables import create_tables

    config = config_from(*astuple(place))
    names = create_tables(config, client=place.client())
    _show_descriptions(place, names, output)


def _create_table(
    place: Place, name: str, keys: dict[str, KeyAttribute], indexes: list[Index], ttl: str | None
) -> None:
    from spark_dynamo.aws.tables import enable_ttl, ensure_table, wait_until_active

    client = place.client()
    ensure_table(
        client,
        name,
        partition_key=keys["partition_key"],
        sort_key=keys.get("sort_key"),
        indexes=indexes,
        require_indexes=True,
    )
    wait_until_active(client, name, indexes=[index.name for index in indexes])
    if ttl:
        enable_ttl(client, name, ttl)


def _show_descriptions(place: Place, names: list[str], output: Any) -> None:
    from spark_dynamo.aws.tables import describe_table

    client, marks = place.client(), place.metadata_names()
    tables = [describe_table(client, name) for name in names]
    rows = [
        {
            "table": table.name,
            "metadata": marks.get(table.name),
            "keys": _shown(table),
            "indexes": ", ".join(index.name for index in table.indexes),
            "status": table.status,
        }
        for table in tables
    ]
    show(rows, ["table", "metadata", "keys", "indexes", "status"], output)


def _key(text: str, option: str, known: dict[str, KeyAttribute]) -> KeyAttribute:
    """The key attribute of a text; one that is known already may leave out its type."""
    from spark_dynamo.aws.tables import KeyAttribute

    name, colon, kind = text.strip().rpartition(":")
    if not text.strip():
        raise typer.BadParameter(f"'{text}': {_KEY}", param_hint=option)
    if not colon:
        return known.get(kind) or KeyAttribute(kind, "S")
    if kind not in ("S", "N", "B") or not name:
        raise typer.BadParameter(f"'{text}': {_KEY}", param_hint=option)
    if name in known and known[name].type != kind:
        raise typer.BadParameter(f"'{text}': '{name}' is of type {known[name].type} elsewhere", param_hint=option)
    return KeyAttribute(name, cast("KeyText", kind))


def _index(text: str, known: dict[str, KeyAttribute]) -> Index:
    from spark_dynamo.aws.tables import Index

    name, keys = _index_name(text, "--index")
    parts = [_key(part, "--index", known) for part in keys.split(",") if part.strip()]
    if not 1 <= len(parts) <= 2:
        raise typer.BadParameter(f"'{text}' is not like name=partition_key,sort_key", param_hint="--index")
    known.update({key.name: key for key in parts})
    return Index(name, parts[0], parts[1] if len(parts) > 1 else None)


def _local_index(text: str, partition_key: KeyAttribute, known: dict[str, KeyAttribute]) -> Index:
    from spark_dynamo.aws.tables import Index

    name, key = _index_name(text, "--local-index")
    if not key or "," in key:
        raise typer.BadParameter(f"'{text}' is not like name=sort_key", param_hint="--local-index")
    sort_key = _key(key, "--local-index", known)
    known[sort_key.name] = sort_key
    return Index(name, partition_key, sort_key, kind="LSI")


def _index_name(text: str, option: str) -> tuple[str, str]:
    """The index's name and what stands behind the equals sign."""
    name, _, keys = text.partition("=")
    if not _INDEX_NAME.fullmatch(name):
        raise typer.BadParameter(
            f"'{text}' does not begin with an index's name, 3 to 255 letters, digits, '_', '-' and '.', and '='",
            param_hint=option,
        )
    return name, keys


def _facts(table: TableDescription, ttl: str | None) -> dict[str, Any]:
    return {
        "table": table.name,
        "status": table.status,
        "keys": [{"name": key.name, "type": key.type} for key in table.keys],
        "items": table.item_count,
        "bytes": table.size_bytes,
        "billing": "PAY_PER_REQUEST" if table.read_units is None else "PROVISIONED",
        "read_units": table.read_units,
        "write_units": table.write_units,
        "ttl": ttl,
        "indexes": [
            {
                "name": index.name,
                "kind": index.kind,
                "keys": [{"name": key.name, "type": key.type} for key in _keys(index)],
                "projection": index.projection,
                "projected": list(index.projected),
                "status": index.status,
                "items": index.item_count,
                "bytes": index.size_bytes,
            }
            for index in table.indexes
        ],
        "arn": table.arn,
    }


def _for_people(table: TableDescription) -> dict[str, Any]:
    """Those of the facts that people read in another form."""
    return {
        "keys": _shown(table),
        "items": f"{table.item_count:,}",
        "bytes": f"{table.size_bytes:,}",
        "indexes": ", ".join([*(index.name for index in table.indexes), *table.multi_key_indexes]),
    }


def _keys(index: Index) -> list[KeyAttribute]:
    return [key for key in (index.partition_key, index.sort_key) if key]


def _shown(of: TableDescription | Index) -> str:
    return ", ".join(f"{key.name} ({key.type})" for key in (of.partition_key, of.sort_key) if key)
