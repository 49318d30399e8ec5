"""The table that a write is to go to, created where there is none."""

from __future__ import annotations

from typing import cast

from pyspark.sql.types import StructType

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.tables import KeyAttribute, KeyType, ensure_table, wait_until_active
from spark_dynamo.errors import OptionError, SchemaError, nearest
from spark_dynamo.source.location import Found, connection, metadata_table, physical_name
from spark_dynamo.source.options import SourceOptions
from spark_dynamo.wire import types

_KEY_TYPES = ("S", "N", "B")


def ensure_target(options: SourceOptions, schema: StructType) -> Found:
    """The table, ACTIVE; it is created on demand, with the keys that the options name, unless it exists.

    Raises OptionError for keys that are no columns and for the metadata tables, SchemaError for a column that can be no key,
    ConfigurationError where the table exists with other keys.
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
    place, name = connection(options), physical_name(options)
    client = dynamodb_client(place)
    table = ensure_table(client, name, partition_key=partition_key, sort_key=sort_key)
    if table.status != "ACTIVE":
        wait_until_active(client, name)
    return Found(place, name, table)


def _key(option: str, name: str, schema: StructType) -> KeyAttribute:
    if name not in schema.names:
        close = nearest(name, schema.names)
        hint = f"; did you mean '{close}'?" if close else ""
        raise OptionError(option, f"is '{name}', and the frame has no such column{hint}")
    field = schema[name]
    tag = types.leaf_of(field.dataType, types.storage_tag(field), name).tag if types.is_leaf(field.dataType) else ""
    if tag not in _KEY_TYPES:
        raise SchemaError(
            name, f"{types.ddl(field.dataType)} can be no key; DynamoDB takes texts, numbers and binaries"
        )
    return KeyAttribute(name, cast("KeyType", tag))
