"""What a read would do, told before it does it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql.types import StructType

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.source.location import Found, find
from spark_dynamo.source.options.source_options import SourceOptions, option_texts
from spark_dynamo.source.read.planner import plan_read
from spark_dynamo.source.read.reader import TableReader
from spark_dynamo.source.read.schemas import full_schema, projected_schema
from spark_dynamo.source.read.targets import Target

_UNIT_BYTES = 4096
_LEAST_UNITS = 0.5  # of an eventually consistent request
_ALIAS = re.compile(r"[#:]\w+")


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How a read would get at its items.

    `requests` are the segments of a Scan, else the requests that it begins with: further pages are asked for as they come.
    `access` is GetItem, BatchGetItem, Query or Scan; `index` None for the table itself. Expressions are shown with names and
    values in place of aliases, None where there is none; `filtered_in_spark` says whether the predicate is evaluated on the
    batches as well. Estimates come from DescribeTable, which is some hours old: `estimated_items` are those that DynamoDB
    reads, `read_units` a pair of least and most; None where nobody knows. `versions` says what happens to items of other versions
    than the model's, None where it has none.

    >>> sd.explain_read("orders", schema, filter="order_id = 'o-1'").access  # doctest: +SKIP
    'GetItem'
    """

    table: str
    access: str
    index: str | None
    requests: int
    partitions: int
    key_condition: str | None
    filter_expression: str | None
    projection: str | None
    filtered_in_spark: bool
    consistent_read: bool
    estimated_items: int | None
    read_units: tuple[float, float | None]
    units_per_second: float | None
    versions: str | None = None

    def __str__(self) -> str:
        from tabulate import tabulate

        return str(tabulate(self._rows(), tablefmt="plain", disable_numparse=True))

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th><td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        return f"<table>{rows}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        least, most = self.read_units
        cost = f"{least:,.1f}" if least == most else f"{least:,.1f} to {'?' if most is None else f'{most:,.1f}'}"
        way = self.access if self.requests else "none: no item can match"
        rows = [
            ("table", self.table),
            ("access", f"{way}{'' if self.index is None else f' on index {self.index}'}"),
            ("key condition", self.key_condition),
            ("filter expression", self.filter_expression),
            ("filter in Spark", "the predicate, on each batch" if self.filtered_in_spark else None),
            ("projection", self.projection),
            ("versions", self.versions),
            ("segments" if self.access == "Scan" else "requests", f"{self.requests:,}"),
            ("partitions", f"{self.partitions:,}"),
            ("consistent read", "yes" if self.consistent_read else "no"),
            ("estimated items", "unknown" if self.estimated_items is None else f"{self.estimated_items:,}"),
            ("read units", cost),
            (
                "budget",
                None if self.units_per_second is None else f"{self.units_per_second:,.1f} read units per second",
            ),
        ]
        return [(name, value) for name, value in rows if value is not None]


def explain_read(table: str, schema: StructType | str | None = None, **options: object) -> ReadPlan:
    """How `spark.read.format("dynamo-meta").options(**options).load(table)` would get at its items, without reading any.

    `options` are the source's own, `filter="day = '2026-11-01'"` and `index="by-day"` among them. One DescribeTable is made
    and nothing is sampled: `schema` is what the read is given or would infer, as a StructType or as DDL; None is good for the
    metadata tables and with option `model`. Raises what the read itself would raise at its start: OptionError, SchemaError,
    MigrationError, TableNotFoundError, AccessDeniedError, ConnectionError.

    >>> print(explain_read("orders", "order_id STRING", filter="order_id = 'o-1'"))  # doctest: +SKIP
    table            orders
    access           GetItem
    ...
    """
    parsed = SourceOptions({"table": table, **option_texts(options)})
    found = find(parsed)
    full = None if schema is not None else full_schema(parsed, partial(_columns_of, parsed, found))
    given = projected_schema(full, parsed) if full is not None else _struct(schema)
    return plan_of(plan_read(parsed, found, given, full), found)


def plan_of(reader: TableReader, found: Found) -> ReadPlan:
    """What that reader of the table would do."""
    return _told(reader, _target(found, reader))


def _columns_of(options: SourceOptions, found: Found) -> Found:
    """What was found, where a model has the columns."""
    if options.model:
        return found
    raise SchemaError(
        "",
        f"the columns of table '{options.table}' are not known without reading it; give schema=..., such as that of its DataFrame",
    )


def _struct(schema: StructType | str | None) -> StructType:
    kind = parse_ddl(schema, "schema") if isinstance(schema, str) else schema
    if isinstance(kind, StructType):
        return kind
    raise SchemaError(
        "", f"schema is {shorten(repr(schema))}; give a StructType, or columns as in 'id STRING, n BIGINT'"
    )


def _target(found: Found, reader: TableReader) -> Target:
    index = next((index for index in found.table.indexes if index.name == reader.access.index), None)
    return Target(found.table, index)


def _told(reader: TableReader, target: Target) -> ReadPlan:
    access, parameters = reader.access, reader.access.parameters
    conditions = [_readable(own.get("KeyConditionExpression"), own) for own in access.own]
    more = f" and {len(conditions) - 1:,} more" if len(conditions) > 1 else ""
    items, units = _estimate(reader, target)
    return ReadPlan(
        table=reader.table,
        access=access.operation,
        index=access.index,
        requests=access.segments if access.operation == "Scan" else len(access.own),
        partitions=access.partitions,
        key_condition=f"{conditions[0]}{more}"
        if access.operation == "Query" and conditions
        else _shown_keys(access.own),
        filter_expression=_readable(parameters.get("FilterExpression"), parameters),
        projection=_readable(parameters.get("ProjectionExpression"), parameters),
        filtered_in_spark=reader.predicate is not None,
        consistent_read=reader.consistent_read,
        estimated_items=items,
        read_units=units,
        units_per_second=None if reader.units_per_second is None else reader.units_per_second * access.partitions,
        versions=reader.versions.told if reader.versions else None,
    )


def _estimate(reader: TableReader, target: Target) -> tuple[int | None, tuple[float, float | None]]:
    """Items that DynamoDB will read, and read units from least to most."""
    access = reader.access
    per_block = 2 * _LEAST_UNITS if reader.consistent_read else _LEAST_UNITS
    size, count = target.size_bytes, target.item_count
    whole = per_block * math.ceil(size / _UNIT_BYTES) if size else None
    least = per_block * len(access.own)
    if not access.own and access.operation != "Scan":
        return 0, (0.0, 0.0)
    if access.operation == "Scan":
        return count or None, (per_block * access.segments if whole is None else whole, whole)
    if access.operation == "Query":
        return None, (least, None if whole is None else max(whole, least))
    keys = sum(len(own.get("Keys", "1")) for own in access.own)
    each = per_block * (math.ceil(size / count / _UNIT_BYTES) if size and count else 1)
    return keys, (per_block * keys, each * keys if size and count else None)


def _shown_keys(own: Sequence[Mapping[str, Any]]) -> str | None:
    """The first of the primary keys, and how many more there are."""
    keys = [key for request in own for key in request.get("Keys", [request.get("Key")]) if key]
    if not keys:
        return None
    first = " AND ".join(f"{name} = {_shown_value(value)}" for name, value in keys[0].items())
    return f"{first}{f' and {len(keys) - 1:,} more' if len(keys) > 1 else ''}"


def _readable(expression: str | None, parameters: Mapping[str, Any]) -> str | None:
    """The expression with names and values in place of their aliases."""
    if expression is None:
        return None
    names = parameters.get("ExpressionAttributeNames", {})
    values = parameters.get("ExpressionAttributeValues", {})
    shown = {**names, **{alias: _shown_value(value) for alias, value in values.items()}}
    return _ALIAS.sub(lambda alias: shown.get(alias[0], alias[0]), expression)


def _shown_value(value: Mapping[str, Any]) -> str:
    ((tag, content),) = value.items()
    return f"'{shorten(content)}'" if tag == "S" else shorten(str(content))
