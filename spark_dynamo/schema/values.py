"""Models as a DataFrame, and a DataFrame as models: `to_dataframe`, `to_models`, `iter_models`.

Values travel by Arrow with the schema's own types, so that nothing is guessed from a first row, and no time zone, digit or null
is lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from pyspark.sql.types import StructType

from spark_dynamo.errors import SchemaError, SchemaMismatchError
from spark_dynamo.schema.annotations.places import Mode
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.drift.align import Extra, fitted
from spark_dynamo.schema.drift.compare import compare
from spark_dynamo.schema.extras import extra_by_struct
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SchemaPolicy
from spark_dynamo.schema.rows import ModelRows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

__all__ = ["iter_models", "to_dataframe", "to_models"]

ModelT = TypeVar("ModelT")

_MODELS_AT_ONCE = 10_000
_EXTRA: Mapping[str, Extra] = MappingProxyType({"allow": "keep", "ignore": "drop"})


def to_dataframe(
    spark: SparkSession,
    models: Iterable[ModelT],
    model: type[ModelT] | None = None,
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> DataFrame:
    """A DataFrame of models, one row each, whose schema is `struct_type(model, ...)`, metadata and nullability included.

    `model` is the class of the first one where it is None, and must be given where there may be none at all, and for dicts of a
    TypedDict. The driver holds all rows as Arrow, and 10,000 of them as Python values. A time without a zone counts as UTC.
    Works on Spark Connect.

    Raises SchemaError for a class that has no schema, and ValidationError, with the row and the field, for a value that its
    column can't hold, or that is no such model.

    >>> to_dataframe(spark, [Order(order_id="a", price="9.90")]).show()  # doctest: +SKIP
    """
    values = iter(models)
    first = list(islice(values, 1))
    model = model or (type(first[0]) if first else None)
    if model is None:
        raise SchemaError("", "there is no model among the values to tell the columns; give its class as `model`")
    rows = ModelRows(model, node_of(model, mode, by_alias, policy))
    batches: list[pa.RecordBatch] = []
    rest = chain(first, values)
    while some := list(islice(rest, _MODELS_AT_ONCE)):
        batches.append(rows.batch(some, start=len(batches) * _MODELS_AT_ONCE))
    batches = batches or [rows.batch([])]
    return spark.createDataFrame(pa.Table.from_batches(batches, rows.arrow_schema), rows.schema)


def to_models(
    df: DataFrame,
    model: type[ModelT],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> list[ModelT]:
    """All rows of a DataFrame as validated models, in one Spark job; the driver holds them all.

    Columns are found by name and cast as `sd.align` does, without loss. A column that is missing leaves its field the default.
    A column or field that its model doesn't have is an error, unless this very model says what becomes of it: `extra="allow"`
    or `"ignore"`, which hold for its own fields, not for those of the models in it.

    Raises SchemaMismatchError where a type doesn't fit, or a field has neither a column nor a default; ValidationError, with
    rows and fields, where the model refuses values: the first 20 rows of a batch that do. `iter_models` doesn't hold all rows.

    >>> to_models(spark.read.format("dynamo-meta").load("pipeline_config"), PipelineConfig)  # doctest: +SKIP
    """
    node = node_of(model, mode, by_alias, policy)
    return list(ModelRows(model, node).models(_batches(_messages(df, model, node).collect())))


def iter_models(
    df: DataFrame,
    model: type[ModelT],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> Iterator[ModelT]:
    """The models of the rows, one by one: the driver fetches partition after partition, and holds some batches of rows at most.

    What `to_models` raises of the schema is raised at once, what it raises of values when their batch comes.

    >>> for order in iter_models(df, Order):  # doctest: +SKIP
    ...     print(order.order_id)
    """
    node = node_of(model, mode, by_alias, policy)
    messages = _messages(df, model, node).toLocalIterator(prefetchPartitions=True)
    return ModelRows(model, node).models(_batches(messages))


def _fitting(df: DataFrame, model: type[Any], node: Node) -> DataFrame:
    """The frame's columns that the model takes, each with the model's type."""
    assert isinstance(node.data_type, StructType)
    found = df.schema
    known = {field.name: field for field in node.fields}
    extras = {path: _EXTRA[said] for path, said in extra_by_struct(node).items()}
    problems = {
        name: "missing, and its field has no default"
        for name, field in known.items()
        if name not in found.names and (field.info is None or field.info.is_required())
    }
    if "" not in extras:
        problems |= {name: "not in the model" for name in found.names if name not in known}
    if problems:
        raise SchemaMismatchError(
            model=model.__name__,
            differences=compare(df, node.data_type),
            problems=problems,
            advice="Select the model's columns, or let sd.align(df, model) make them",
        )
    wanted = StructType([field for field in node.data_type if field.name in found.names])
    return fitted(df, wanted, model, extras)


def _messages(df: DataFrame, model: type[Any], node: Node) -> DataFrame:
    """The frame's rows in Arrow's own form, a batch in each row: `toArrow()` can't bring nulls of structs with required fields."""
    return _fitting(df, model, node).mapInArrow(_as_messages, "message binary")


def _batches(messages: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """The batches of the messages, in UTC: two times of which one stands in an hour that comes twice are never equal to Python."""
    for row in messages:
        for batch in pa.ipc.open_stream(row.message):
            in_utc = pa.schema([field.with_type(_in_utc(field.type)) for field in batch.schema])
            yield pa.ipc.read_record_batch(batch.serialize(), in_utc)


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """An Arrow type with the zone UTC, which only changes how its instants are shown."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_utc(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_in_utc(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(
            kind.key_field.with_type(_in_utc(kind.key_type)), kind.item_field.with_type(_in_utc(kind.item_type))
        )
    return kind


def _as_messages(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["message"])
