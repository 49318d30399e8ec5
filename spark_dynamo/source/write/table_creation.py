"""Tables of one's own, created where there are none: for a write that asks for it, or by `create_table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pyspark.sql.types import StructType

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import (
    Index,
    KeyAttribute,
    KeyType,
    ProvisionedUnits,
    describe_table,
    enable_ttl,
    ensure_table,
    wait_until_active,
)
from spark_dynamo.errors import ConfigurationError, OptionError, SchemaError, nearest
from spark_dynamo.source.key_texts import key_schema
from spark_dynamo.source.location import Found, connection, model_of_table, physical_name
from spark_dynamo.source.options.index_specs import IndexSpec, parse_indexes
from spark_dynamo.source.options.source_options import SourceOptions, option_texts
from spark_dynamo.wire.types import ddl, is_leaf, leaf_of, storage_tag

_KEY_TYPES = ("S", "N", "B")


def create_table(
    table: str,
    partition_key: str,
    sort_key: str | None = None,
    *,
    types: Mapping[str, KeyType] | None = None,
    ttl: str | None = None,
    **options: Any,
) -> None:
    """Create a table of your own, unless it exists just so, and return when it can be read and written by all its indexes.

    `types` has the DynamoDB types, S, N or B, of the key attributes of table and indexes that are no texts; `ttl` is the attribute
    at whose epoch seconds items expire. `options` are the data source's, in its spelling: where DynamoDB is (`region`,
    `endpointUrl`, ...), `indexes="by_status(status, day)"`, and `billingMode="PROVISIONED"` with `readCapacityUnits` and
    `writeCapacityUnits`. Indexes project all attributes. Indexes of a table that exists which are not asked for do no harm.

    Raises OptionError for what no table can have and for the metadata tables (see `create_tables`); ConfigurationError where the
    table exists with other keys, indexes, throughput or TTL, or is being deleted; RequestFailedError where it is not there after
    300 seconds, and as other requests fail.

    >>> import spark_dynamo as sd
    >>> with sd.local_dynamodb():  # doctest: +SKIP
    ...     sd.create_table("orders", "customer", "day", types={"day": "N"}, indexes="by_status(status, day)", ttl="expires_at")
    """
    parsed = SourceOptions(
        {
            **option_texts({**options, "sortKey": sort_key}),
            "table": table,
            "createTable": "true",
            "partitionKey": partition_key,
        }
    )
    found = ensure_target(parsed, _schema_of_keys(parsed, types or {}))
    provisioned = _provisioned(parsed)
    wanted = (provisioned.read, provisioned.write) if provisioned else (None, None)
    have = found.table.read_units, found.table.write_units
    if have != wanted:
        raise ConfigurationError(
            f"Table '{found.name}' exists {_show_units(*have)}, and is wanted {_show_units(*wanted)}. Change it by UpdateTable, or "
            "ask for what it has"
        )
    client = dynamodb_client(found.connection)
    wait_until_active(client, found.name, indexes=[index.name for index in found.table.indexes])
    if ttl is not None:
        enable_ttl(client, found.name, ttl)


def _schema_of_keys(options: SourceOptions, tags: Mapping[str, KeyType]) -> StructType:
    """The columns that a frame would have for the keys of the table and its indexes."""
    specs = parse_indexes(options.indexes) if options.indexes else ()
    given = [options.partition_key, options.sort_key]
    given += [key for spec in specs for key in (spec.partition_key, spec.sort_key)]
    names = list(dict.fromkeys(filter(None, given)))
    for name, tag in tags.items():
        if name not in names:
            close = nearest(name, names)
            hint = f"; did you mean '{close}'?" if close else ""
            raise OptionError("types", f"names '{name}', which is no key of the table or of an index{hint}")
        if tag not in _KEY_TYPES:
            raise OptionError("types", f"gives '{name}' the type '{tag}'; keys are of type {', '.join(_KEY_TYPES)}")
    return key_schema(KeyAttribute(name, tags.get(name, "S")) for name in names)


def _show_units(read: int | None, write: int | None) -> str:
    return "on demand" if read is None else f"with {read} read and {write} write units per second"


def ensure_target(options: SourceOptions, schema: StructType) -> Found:
    """The table, which can be written; unless it exists it is created, with keys, billing mode and indexes, and waited for.

    Raises OptionError for keys that are no columns, for indexes that no table can have and for the metadata tables,
    SchemaError for a column that can be no key, ConfigurationError where the table exists with other keys or without one of
    the indexes, or is being deleted. The billing mode of a table that exists stays as it is.
    """
    if model_of_table(options) is not None:
        raise OptionError(
            "createTable", f"is not for '{options.table}'; sd.create_tables() creates it with its indexes"
        )
    if options.item_format != "columns":
        raise OptionError("createTable", f"needs columns, and itemFormat '{options.item_format}' has none")
    assert options.partition_key is not None
    partition_key = _key("partitionKey", options.partition_key, schema)
    sort_key = _key("sortKey", options.sort_key, schema) if options.sort_key else None
    specs = parse_indexes(options.indexes) if options.indexes else ()
    indexes = [_index(spec, partition_key, sort_key, schema) for spec in specs]
    place, name = connection(options), physical_name(options)
    requests = Requests(place, name, patience=options.retry_timeout)
    table = requests.call(
        "CreateTable",
        lambda client: ensure_table(
            client,
            name,
            partition_key=partition_key,
            sort_key=sort_key,
            indexes=indexes,
            provisioned=_provisioned(options),
            require_indexes=True,
        ),
    )
    if table.status == "CREATING":  # one that is updated, or has an index filled, can be written meanwhile
        wait_until_active(dynamodb_client(place), name, indexes=[index.name for index in indexes])
        table = requests.call("DescribeTable", lambda client: describe_table(client, name))
    return Found(place, name, table)


def _provisioned(options: SourceOptions) -> ProvisionedUnits | None:
    if (
        options.read_capacity_units is None or options.write_capacity_units is None
    ):  # both or none, the options are checked
        return None
    return ProvisionedUnits(options.read_capacity_units, options.write_capacity_units)


def _index(spec: IndexSpec, partition_key: KeyAttribute, sort_key: KeyAttribute | None, schema: StructType) -> Index:
    if spec.is_local and (sort_key is None or spec.partition_key != partition_key.name):
        problem = (
            f"its partition key must be the table's, '{partition_key.name}'"
            if sort_key
            else "option sortKey is missing"
        )
        raise OptionError(
            "indexes", f"has the local index '{spec.name}', which needs a table with a sort key, and {problem}"
        )
    return Index(
        spec.name,
        _key("indexes", spec.partition_key, schema),
        _key("indexes", spec.sort_key, schema) if spec.sort_key else None,
        kind="LSI" if spec.is_local else "GSI",
    )


def _key(option: str, name: str, schema: StructType) -> KeyAttribute:
    if name not in schema.names:
        close = nearest(name, schema.names)
        hint = f"; did you mean '{close}'?" if close else ""
        does = "names" if option == "indexes" else "is"
        raise OptionError(option, f"{does} '{name}', and the frame has no such column{hint}")
    field = schema[name]
    tag = leaf_of(field.dataType, storage_tag(field), name).tag if is_leaf(field.dataType) else ""
    if tag not in _KEY_TYPES:
        raise SchemaError(name, f"{ddl(field.dataType)} can be no key; DynamoDB takes texts, numbers and binaries")
    return KeyAttribute(name, cast("KeyType", tag))
