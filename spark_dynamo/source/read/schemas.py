"""The schema of a read: from a model or by inference, then narrowed to what the options ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from spark_dynamo.errors import OptionError, SchemaError, nearest, shorten
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.source.contract import contract
from spark_dynamo.source.location import Found
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.inference import infer
from spark_dynamo.wire.items import check_item_schema, item_schema


def full_schema(options: SourceOptions, find: Callable[[], Found]) -> StructType:
    """All columns of the table, as its model or a sample of its items has them.

    `find` is only called for a sample, and in mode PERMISSIVE with option `model`: then all columns but the keys may be null,
    so that an item that doesn't fit can be a row.
    """
    found = contract(options)
    if options.item_format != "columns":
        return item_schema(options.item_format)
    if found is not None:
        schema = struct_type(found.model)
        return _lenient(schema, find()) if options.model and options.mode == "PERMISSIVE" else schema
    inferred = infer(options, find())
    inferred.log_warnings()
    return inferred.schema


def _lenient(schema: StructType, found: Found) -> StructType:
    keys = {key.name for key in found.table.keys}
    return StructType(
        [
            StructField(field.name, field.dataType, field.nullable or field.name not in keys, field.metadata)
            for field in schema
        ]
    )


def projected_schema(full: StructType, options: SourceOptions) -> StructType:
    """The columns that option `columns` names, in its order, and in mode PERMISSIVE the corrupt-record column."""
    columns = options.columns or tuple(full.names)
    fields = [full[name] for name in columns if name in full.names]
    unknown = [name for name in columns if name not in full.names]
    if unknown:
        raise OptionError("columns", unknown_column(unknown[0], full.names))
    corrupt = options.column_name_of_corrupt_record
    if options.mode == "PERMISSIVE" and options.item_format == "columns" and corrupt not in columns:
        fields.append(StructField(corrupt, StringType()))
    return StructType(fields)


def corrupt_column(schema: StructType, options: SourceOptions) -> str | None:
    """The column of the schema that gets items which don't fit, None where there is none, as in Spark's own readers."""
    name = options.column_name_of_corrupt_record
    wanted = options.mode == "PERMISSIVE" and options.item_format == "columns" and name in schema.names
    return name if wanted else None


def unknown_column(name: str, known: Iterable[str]) -> str:
    """The problem with a name that no column has, as a part of a sentence."""
    names = list(known)
    close = nearest(name, names)
    hint = f"; did you mean '{close}'?" if close else "."
    return f"names '{name}', and there is no such column{hint} The columns are {shorten(', '.join(names))}"


def check_names(kind: DataType, prefix: str = "") -> None:
    """Raise SchemaError for a name with a NUL character, under which Spark hands over no values to Python, and none back."""
    if isinstance(kind, StructType):
        for field in kind.fields:
            path = prefix + field.name
            if "\0" in field.name:
                raise SchemaError(
                    path.replace("\0", "\\0"), "Spark loses values under a name with a NUL; rename the column"
                )
            check_names(field.dataType, f"{path}.")
    elif isinstance(kind, ArrayType):
        check_names(kind.elementType, prefix.removesuffix(".") + "[].")
    elif isinstance(kind, MapType):
        check_names(kind.valueType, prefix.removesuffix(".") + "{}.")


def check_read_schema(schema: StructType, options: SourceOptions) -> None:
    """Raise where a schema of the user's own and the options contradict each other."""
    check_names(schema)
    if options.item_format != "columns":
        check_item_schema(schema, options.item_format)
    corrupt = options.column_name_of_corrupt_record
    if options.columns is not None and set(schema.names) - {corrupt} != set(options.columns) - {corrupt}:
        raise OptionError(
            "columns",
            f"names other columns than the schema, {shorten(', '.join(schema.names))}; leave out one of the two",
        )
    if corrupt_column(schema, options):
        field = schema[corrupt]
        if field.dataType != StringType() or not field.nullable:
            raise SchemaError(corrupt, "the column for corrupt records must be STRING and nullable")
