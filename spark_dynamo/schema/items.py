"""Models as DynamoDB items and back: `ModelItems`, by the very encoder and decoder of DataFrames, so that items are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import orjson
import pyarrow as pa
from pyspark.sql.types import LongType, StructField, StructType

from spark_dynamo.schema.annotations.places import Mode
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.evolve import VERSION, check_migrations, declared_version, upgrade_items
from spark_dynamo.schema.policy import SchemaPolicy
from spark_dynamo.schema.rows import ModelRows
from spark_dynamo.wire.decode import OtherVersionsError, PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.envelope import ENVELOPES, EnvelopeName

__all__ = ["ModelItems"]

ModelT = TypeVar("ModelT")


class ModelItems(Generic[ModelT]):
    """The items of one model in one table, as JSON texts and as answers of DynamoDB.

    An item is what a write of `to_dataframe(spark, [model])` with option `model` makes of the model, attribute by attribute, the
    version included. An attribute that an item lacks leaves its field the default; items of older versions are upgraded.
    Raises SchemaError for a model with a column that has no DynamoDB form, and MigrationError for one with a gap between its
    migrations.

    >>> from pydantic import BaseModel
    >>> class Order(BaseModel):
    ...     order_id: str
    ...     price: float | None = None
    >>> items = ModelItems(Order, table="orders", key_names=["order_id"])
    >>> items.encode([Order(order_id="a", price=1.5), Order(order_id="b")]).to_pylist()
    ['{"order_id":{"S":"a"},"price":{"N":"1.5"}}', '{"order_id":{"S":"b"}}']
    >>> items.decode(b'{"Items":[{"order_id":{"S":"b"}}]}')
    [Order(order_id='b', price=None)]
    """

    def __init__(
        self,
        model: type[ModelT],
        *,
        table: str,
        key_names: Sequence[str] = (),
        envelope: EnvelopeName = "Items",
        mode: Mode = "validation",
        by_alias: bool | None = None,
        policy: SchemaPolicy | None = None,
    ) -> None:
        self._model, self._table, self._key_names, self._envelope = model, table, key_names, envelope
        node = node_of(model, mode, by_alias, policy)
        self._rows = ModelRows(model, node, key_names)
        self._version = declared_version(model)  # type: ignore[arg-type]
        stored = self._rows.schema
        if self._version is not None:
            check_migrations(model)  # type: ignore[arg-type]
            stored = StructType([*stored.fields, StructField(VERSION, LongType(), False)])
        self._encoder = ItemEncoder(stored, table=table, key_names=key_names)

        # an attribute that is missing leaves its field the default
        defaults = {field.name for field in node.fields if field.info is not None and not field.info.is_required()}
        read = StructType(
            [StructField(f.name, f.dataType, f.nullable or f.name in defaults, f.metadata) for f in self._rows.schema]
        )

        def decoder(envelope: EnvelopeName) -> PageDecoder:
            return PageDecoder(read, table=table, key_names=key_names, envelope=envelope, version=self._version)

        self._decoder = decoder(envelope)
        self._upgraded = self._decoder if envelope == "Items" or self._version is None else decoder("Items")

    def encode(self, models: Sequence[ModelT]) -> pa.StringArray:
        """The text of one item a model; ValidationError or InvalidItemError for one that DynamoDB can't take."""
        batch = self._rows.batch(models)
        if self._version is not None:
            batch = batch.append_column(pa.field(VERSION, pa.int64(), False), pa.repeat(self._version, batch.num_rows))
        return self._encoder.encode(batch)

    def decode(self, body: bytes) -> list[ModelT]:
        """The models of an answer's items.

        Raises MalformedItemError or ValidationError for an item that is no such model, and MigrationError (NewerVersionError) for
        one that can't be brought to its version.
        """
        try:
            batch = self._decoder.decode(body)
        except OtherVersionsError:
            items = ENVELOPES[self._envelope].items(body, self._table)
            done = upgrade_items(items, self._model, table=self._table, key_names=self._key_names)  # type: ignore[arg-type]
            if done.failed:
                raise done.failed[0][1] from None
            batch = self._upgraded.decode(orjson.dumps({"Items": done.items}))
        return list(self._rows.models([batch]))
