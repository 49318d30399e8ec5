"""The table that a write is to go to, created where there is none."""

from __future__ import annotations

from typing import cast

from pyspark.sql.types import StructType

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import (
    Index,
    KeyAttribute,
    KeyType,
    ProvisionedUnits,
    describe_table,
    ensure_table,
    wait_until_active,
)
from spark_dynamo.errors import OptionError, SchemaError, nearest
from spark_dynamo.source.index_specs import IndexSpec, parse_indexes
from spark_dynamo.source.location import Found, connection, metadata_table, physical_name
from spark_dynamo.source.options import SourceOptions
from spark_dynamo.wire import types

_KEY_TYPES = ("S", "N", "B")


def ensure_target(options: SourceOptions, schema: StructType) -> Found:
    """The table, which can be written; unless it exists it is created, with keys, billing mode and indexes, and waited for.

    Raises OptionError for keys that are no columns, for indexes that no table can have and for the metadata tables,
    SchemaError for a column that can be no key, ConfigurationError where the table exists with other keys or without one of
    the indexes, or is being deleted. The billing mode of a table that exists stays as it is.
    """
    if metadata_table(options) is not None:
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
    tag = types.leaf_of(field.dataType, types.storage_tag(field), name).tag if types.is_leaf(field.dataType) else ""
    if tag not in _KEY_TYPES:
        raise SchemaError(
            name, f"{types.ddl(field.dataType)} can be no key; DynamoDB takes texts, numbers and binaries"
        )
    return KeyAttribute(name, cast("KeyType", tag))
