"""The rows that a model refuses, and why: `violations`; and what no column expression can check: `unchecked`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import ArrayType, CharType, DataType, MapType, StringType, StructType, VarcharType, VariantType

from spark_dynamo.errors import SchemaError, SchemaMismatchError, shorten
from spark_dynamo.schema.annotations.places import Mode
from spark_dynamo.schema.annotations.variants import load_variant
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.checks.constraints import checks_of
from spark_dynamo.schema.checks.declared import Config
from spark_dynamo.schema.checks.findings import found_in
from spark_dynamo.schema.checks.validators import config_within, replaced_fields, validators_of
from spark_dynamo.schema.drift.compare import compare_schemas
from spark_dynamo.schema.nodes import Node
from spark_dynamo.wire import types

if TYPE_CHECKING:
    from pydantic import BaseModel

    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["Unchecked", "unchecked", "violations"]

logger = logging.getLogger(__name__)

_COLUMN = "violations"


class Unchecked(NamedTuple):
    """A constraint of a model that `violations` can't check: the path to its field, and what it is."""

    path: str
    what: str


def violations(
    df: DataFrame,
    model: type[BaseModel],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> DataFrame:
    """The rows that break a constraint of the model, with all their columns and one more, `violations`, that says which.

    It is an ARRAY<STRUCT<path STRING, constraint STRING, value STRING>>, never empty, with all violations of the row in the order
    of the fields: `orders[3].price`, `ge=0`, `-1.50`. The value of a map's entry has the path `labels{red}`. A null where none is
    allowed is `not null`; a list that is too long is shown by its size, a secret not at all.

    Lazy, one pass over the rows, in expressions of Spark alone, also with Connect. What only Python can check (validators,
    URLs, ...) isn't: one warning names it, and `unchecked` returns it. Dates are compared with the session's own day.

    Columns are found by name, and must have the model's types; one that is missing counts as null, and others are kept. Raises
    SchemaMismatchError, with all differences, where a type differs or a missing column may not be null: `sd.align` mends it.
    SchemaError for a model that has no schema, or where the frame has a column `violations` already.

    >>> refused = violations(spark.table("orders"), Order)  # doctest: +SKIP
    >>> refused.select("id", F.explode("violations")).show()  # doctest: +SKIP
    """
    node = node_of(model, mode=mode, by_alias=by_alias, policy=policy)
    schema = df.schema
    _check_columns(schema, node, model)
    left = _unchecked_of(node)
    if left:
        logger.warning(
            "violations of %s: not checked, as only Python can do it: %s",
            model.__name__,
            "; ".join(f"{path or 'the model'}: {what}" for path, what in left),
        )
    return df.withColumn(_COLUMN, found_in(schema, node)).where(F.size(F.col(_COLUMN)) > 0)


def unchecked(
    model: type[BaseModel],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> list[Unchecked]:
    """What `violations` can't check of a model: for each constraint the path to its field and what it is.

    A row with none of these in the way is refused by Pydantic exactly where `violations` has it. Needs no Spark session.

    >>> class Order(pydantic.BaseModel):  # doctest: +SKIP
    ...     page: pydantic.HttpUrl
    >>> unchecked(Order)  # doctest: +SKIP
    [Unchecked(path='page', what='HttpUrl: only Python knows its format')]
    """
    return _unchecked_of(node_of(model, mode=mode, by_alias=by_alias, policy=policy))


# ---------------------------------------------------------------------------------------------------- the columns' types


def _check_columns(schema: StructType, node: Node, model: type[BaseModel]) -> None:
    if _COLUMN in schema.names:
        raise SchemaError(_COLUMN, "is the column that the violations go to, and the frame has one. Rename it")
    problems = dict(_problems(schema, node, ""))
    if problems:
        assert isinstance(node.data_type, StructType)
        raise SchemaMismatchError(
            model=model.__name__,
            differences=compare_schemas(schema, node.data_type, expected=model.__name__),
            problems=problems,
            advice="Bring the frame to the model's schema with sd.align(df, model) first",
        )


def _problems(held: DataType, node: Node, path: str) -> Iterator[tuple[str, str]]:
    """The paths at which the checks could not be made, and why."""
    if isinstance(held, StructType) and isinstance(node.data_type, StructType):
        for child in node.fields:
            inner = f"{path}.{child.name}" if path else child.name
            if held.names.count(child.name) > 1:
                yield inner, "the name stands twice"
            elif child.name in held.names:
                yield from _problems(held[child.name].dataType, child.node, inner)
            elif not child.node.nullable:
                yield inner, "is missing, and may not be null"
    elif isinstance(held, ArrayType) and node.element is not None:
        yield from _problems(held.elementType, node.element, f"{path}[]")
    elif isinstance(held, MapType) and node.key is not None and node.value is not None:
        yield from _problems(held.keyType, node.key, f"{path}{{}}")
        yield from _problems(held.valueType, node.value, f"{path}{{}}")
    elif held != _as_column(node.data_type):
        yield path, f"is {shorten(types.ddl(held))}, not {shorten(types.ddl(node.data_type))}"


def _as_column(kind: DataType) -> DataType:
    """The type that a frame's column has: texts of limited length are texts."""
    return StringType() if isinstance(kind, CharType | VarcharType) else kind


# ---------------------------------------------------------------------------------------------------- what is left


def _unchecked_of(node: Node) -> list[Unchecked]:
    found = [Unchecked(path, what) for path, what in _left(node, {})]
    return list(dict.fromkeys(found))


def _left(node: Node, config: Config) -> Iterator[tuple[str, str]]:
    """What can't be checked at a node and below it; nothing below what Pydantic itself doesn't look at."""
    checks = checks_of(node, config)
    yield from ((node.path, what) for what in checks.unchecked)
    if checks.is_replaced:
        return
    yield from validators_of(node)
    kind = node.data_type
    if isinstance(kind, VariantType) and node.load is not load_variant:
        yield node.path, "what a VARIANT holds: only Python knows which types it may be"
        return
    if node.arms and not isinstance(kind, StructType):
        yield node.path, "a union in one column: only Python knows which of its types a value is"
        return
    inner, replaced = config_within(node, config), replaced_fields(node)
    for arm in node.arms:
        yield from _left(arm, inner)
    if not node.arms:
        for child in node.fields:
            if child.attribute not in replaced:
                yield from _left(child.node, inner)
    for held in (node.element, node.key, node.value):
        if held is not None:
            yield from _left(held, inner)
