"""Models as DynamoDB items and back: `ModelItems`, by the very encoder and decoder of DataFrames, so that items are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import pyarrow as pa

from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.places import Mode
from spark_dynamo.schema.policy import SchemaPolicy
from spark_dynamo.schema.rows import ModelRows
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.envelope import EnvelopeName

__all__ = ["ModelItems"]

ModelT = TypeVar("ModelT")


class ModelItems(Generic[ModelT]):
    """The items of one model in one table, as JSON texts and as answers of DynamoDB.

    An item is what a write of `to_dataframe(spark, [model])` makes of the model, attribute by attribute. Raises SchemaError for
    a model with a column that has no DynamoDB form.

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
        self._rows = ModelRows(model, node_of(model, mode, by_alias, policy))
        self._encoder = ItemEncoder(self._rows.schema, table=table, key_names=key_names)
        self._decoder = PageDecoder(self._rows.schema, table=table, key_names=key_names, envelope=envelope)

    def encode(self, models: Sequence[ModelT]) -> pa.StringArray:
        """The text of one item a model; ValidationError or InvalidItemError for one that DynamoDB can't take."""
        return self._encoder.encode(self._rows.batch(models))

    def decode(self, body: bytes) -> list[ModelT]:
        """The models of an answer's items; MalformedItemError or ValidationError for an item that is no such model."""
        return list(self._rows.models([self._decoder.decode(body)]))
