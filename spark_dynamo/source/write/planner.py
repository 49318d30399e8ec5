"""From options and a frame's schema to the plan of a write: all that can be checked before anything is sent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pyspark.sql.types import IntegralType, LongType, StringType, StructField, StructType

from spark_dynamo.aws.shared_budget import Ledger
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import OptionError, SchemaError, nearest
from spark_dynamo.predicates.condition import parse_condition
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.evolve import VERSION, declared_version
from spark_dynamo.source.contract import Contract, contract
from spark_dynamo.source.location import Found, connection, physical_name
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.schemas import check_names, unknown_column
from spark_dynamo.source.write.key_hashes import SEED_BYTES
from spark_dynamo.source.write.overwrite import check_confirmation, check_confirmed_name
from spark_dynamo.source.write.plan import OPERATIONS, WritePlan
from spark_dynamo.source.write.rejects import Destination
from spark_dynamo.source.write.row_checks import Required, check_index_types
from spark_dynamo.wire import types
from spark_dynamo.wire.actions import Condition
from spark_dynamo.wire.items import check_item_schema


def plan_write(options: SourceOptions, find: Callable[[], Found], schema: StructType, overwrite: bool) -> WritePlan:
    """The plan of a write of frames of that schema; `find` gives the table, and makes it where that is asked for.

    What can be checked without the table is checked before. Raises SchemaError (SchemaMismatchError where a model is set)
    for a frame that the table can't take, OptionError for options that can't be used with it.
    """
    name = physical_name(options)
    _check_reading(options)
    check_names(schema)
    if overwrite:
        _check_overwrite(options)
        check_confirmed_name(options.overwrite_confirm, name.rpartition(":table/")[2], name)
    if options.operation_column is not None:
        _check_operation_column(options.operation_column, schema)
    columns = StructType([column for column in schema if column.name != options.operation_column])
    _check_types(columns, options.item_format)
    model = contract(options)
    version = declared_version(model.model) if model else None
    if version is not None:
        _check_version_column(columns)
    stored = _stored_schema(model, columns, version)
    condition = _condition(options, stored, columns)
    modelled = columns if version is None else StructType([column for column in columns if column.name != VERSION])
    if model and options.model and options.create_table:
        _required(
            options, model, modelled, options.table, [key for key in (options.partition_key, options.sort_key) if key]
        )
    updates = options.operation == "update" or options.operation_column is not None
    lacking = model.lacks(modelled) if model and updates else ()
    failed = _destination("conditionFailed", options.condition_failed, options)
    bad = _destination("badItems", options.bad_items, options)
    found = find()
    table = found.table
    if options.item_format == "columns":
        _check_keys(columns, table)
    patched: Sequence[str] = ()
    if model and updates and not lacking and options.nulls in ("auto", "omit"):
        keys = {key.name for key in table.keys}
        patched = [name for name in model.may_lack(modelled) if name not in keys]
    guarded = options.operation == "update" and (version is not None or bool(lacking) or bool(patched))
    if not guarded:
        _check_condition_failed(options)
    units = units_per_second(
        "Write", options.max_write_units, options.write_ratio, table, table.write_units or table.warm_write_units
    )
    read_units = units_per_second(
        "Read", options.max_read_units, options.read_ratio, table, table.read_units or table.warm_read_units
    )
    confirmed = overwrite and check_confirmation(options.overwrite_confirm, table, found.name)
    return WritePlan(
        connection=found.connection,
        table=table,
        table_name=found.name,
        schema=schema,
        write_id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        seed=os.urandom(SEED_BYTES),
        operation=options.operation,
        operation_column=options.operation_column,
        item_format=options.item_format,
        nulls=options.nulls,
        duplicates=options.duplicates,
        condition=condition,
        version=version,
        update_condition=condition
        if version is None and not lacking
        else parse_condition(_update_condition(options, table, version, bool(lacking)), stored, columns),
        lacking=lacking,
        patched=patched,
        patch_condition=parse_condition(_update_condition(options, table, version, True), stored, columns)
        if patched
        else None,
        skips_failed=options.condition_failed == "skip",
        failed=failed,
        bad=bad,
        atomic=options.atomic,
        required=_required(options, model, modelled, table.name, [key.name for key in table.keys]) if model else {},
        patience=options.retry_timeout,
        units=units,
        read_units=read_units,
        ledger=Ledger.create() if units is not None and options.num_partitions is None else None,
        tasks=options.num_partitions,
        overwrite=overwrite,
        confirmed=confirmed,
    )


def _check_reading(options: SourceOptions) -> None:
    """Raise OptionError for an option of reads that would seem to choose what is written."""
    instead = {
        "filter": (
            options.filter,
            "filter the frame with where() instead, or give a condition on the stored items as 'condition'",
        ),
        "columns": (options.columns, "select the frame's columns instead"),
        "index": (options.index, "write to the table, and DynamoDB keeps its indexes"),
    }
    for name, (given, hint) in instead.items():
        if given:
            raise OptionError(name, f"is for reads, and this is a write; {hint}")


def _check_overwrite(options: SourceOptions) -> None:
    for name, given in (
        ("operation", options.operation != "put" and f"'{options.operation}'"),
        ("operationColumn", options.operation_column and "an operation for each row"),
        ("condition", options.condition and "a condition"),
        ("atomic", options.atomic and "a write by transactions"),
    ):
        if given:
            raise OptionError(
                name,
                f"can't be used with mode 'overwrite', which makes the table hold exactly the frame; {given} needs 'append'",
            )


def _check_condition_failed(options: SourceOptions) -> None:
    """Raise OptionError where rows are to be kept apart whose condition failed, and no row has one."""
    conditional = options.condition or options.operation == "insert" or options.operation_column
    if options.condition_failed != "error" and not conditional:
        raise OptionError(
            "conditionFailed",
            f"is '{options.condition_failed}', and no row of this write has a condition that could fail; give option "
            "'condition', or operation insert, or leave it out",
        )


def _check_operation_column(name: str, schema: StructType) -> None:
    if name not in schema.names:
        raise OptionError("operationColumn", unknown_column(name, schema.names))
    if schema.names.count(name) > 1:
        raise SchemaError(name, "it names operations, and two columns have that name; rename or drop one of them")
    if not isinstance(schema[name].dataType, StringType):
        raise SchemaError(name, f"it names operations, and so must be STRING, not {types.ddl(schema[name].dataType)}")


def _check_types(schema: StructType, item_format: str) -> None:
    """Raise `SchemaError` unless frames of that schema can be written to some table in that format."""
    if item_format == "columns":
        types.arrow_schema(schema)
    else:
        check_item_schema(schema, item_format)


def _check_keys(schema: StructType, table: TableDescription) -> None:
    """Raise `SchemaError` unless the columns suit the keys of the table and its indexes."""
    for key in table.keys:
        if key.name not in schema.names:
            close = nearest(key.name, schema.names)
            raise SchemaError(
                key.name,
                f"table '{table.name}' has it as a key attribute, but the frame has no such column"
                + (f"; did you mean '{close}'?" if close else f"; its columns are {', '.join(schema.names)}"),
            )
        column = schema[key.name]
        if not types.is_leaf(column.dataType):
            raise SchemaError(key.name, f"a key attribute can't be {column.dataType.simpleString()}")
        leaf = types.leaf_of(column.dataType, types.storage_tag(column), key.name)
        if leaf.tag != key.type:
            raise SchemaError(
                key.name,
                f"table '{table.name}' has it as a key of type {key.type}, but {column.dataType.simpleString()} is stored "
                f"as {leaf.tag}; cast the column",
            )
    check_index_types(schema, table)


def _check_version_column(columns: StructType) -> None:
    """Raise `SchemaError` for a column that could hold anything but the version of a model's items."""
    if VERSION in columns.names and not isinstance(columns[VERSION].dataType, IntegralType):
        found = types.ddl(columns[VERSION].dataType)
        raise SchemaError(VERSION, f"it is the version of the model's items, and so must be BIGINT or INT, not {found}")


def _stored_schema(model: Contract | None, columns: StructType, version: int | None) -> StructType:
    """What a condition knows of stored items: attributes have the types of the model or of the frame."""
    if model is None:
        return columns
    declared = struct_type(model.model)
    return declared if version is None else StructType([*declared, StructField(VERSION, LongType())])


def _condition(options: SourceOptions, stored: StructType, columns: StructType) -> Condition | None:
    if options.condition is None:
        return None
    if options.item_format != "columns":
        stored = columns = StructType()
    return parse_condition(options.condition, stored, columns)


def _update_condition(options: SourceOptions, table: TableDescription, version: int | None, must_exist: bool) -> str:
    """The condition of updates: the model must be able to read what they leave behind.

    An update makes items of that version, so those that exist must have it.
    """
    key = "`" + table.partition_key.name.replace("`", "``") + "`"
    parts = [] if options.condition is None else [f"({options.condition})"]
    if version is not None:
        absent = VERSION if version == 1 else key  # an item without a version is of the first
        parts.append(f"({absent} IS NULL OR {VERSION} = {version})")
    if must_exist:
        parts.append(f"{key} IS NOT NULL")
    return " AND ".join(parts)


def _required(
    options: SourceOptions, model: Contract, columns: StructType, table: str, keys: Sequence[str]
) -> Mapping[str, Sequence[Required]]:
    """Where rows may hold no null, by operation; raises where the frame does not fit its model."""
    operations = OPERATIONS if options.operation_column else (options.operation,)
    return {
        operation: model.check(columns, table=table, keys=keys, operation=operation, nulls=options.nulls)
        for operation in operations
    }


def _destination(option: str, text: str, options: SourceOptions) -> Destination | None:
    """Where an option sends rejected rows, None where it keeps none."""
    if text in ("error", "skip"):
        return None
    return Destination.parse(option, text).checked(connection(options), physical_name(options))


def units_per_second(
    kind: str, limit: float | None, ratio: float | None, table: TableDescription, throughput: int | None
) -> float | None:
    """The whole job's budget of read or write units."""
    limits = [] if limit is None else [limit]
    if ratio is not None:
        if throughput is None:
            raise OptionError(
                f"{kind.lower()}Ratio",
                f"needs the throughput of table '{table.name}', which the server doesn't tell; give max{kind}Units instead",
            )
        limits.append(ratio * throughput)
    return min(limits, default=None)
