"""Models of which some fields alone were read: `ModelPart`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from pyspark.sql.types import StructField, StructType

from spark_dynamo.schema.attributes import fields_validator
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.evolve import declared_version
from spark_dynamo.schema.items import ModelItems
from spark_dynamo.schema.rows import ModelRows
from spark_dynamo.wire.decode import PageDecoder

__all__ = ["ModelPart"]

ModelT = TypeVar("ModelT", bound=BaseModel)


class ModelPart(Generic[ModelT]):
    """Some fields of a model's items in one table, by the names of their attributes.

    What is made of an item is an instance that has these fields and no others, not even as defaults: to read another one is an
    AttributeError, and to store the whole is refused. Each field is checked by its own validators; those of the whole model
    are not asked. Of a model with a `schema_version`, whole items are read, as their migrations need them.

    >>> class Order(BaseModel):
    ...     order_id: str
    ...     price: float
    ...     note: str = ""
    >>> part = ModelPart(Order, ["order_id", "note"], table="orders")
    >>> part.attributes, part.page(b'{"Items":[{"order_id":{"S":"b"}}]}')
    (('order_id', 'note'), [Order(order_id='b', note='')])
    """

    def __init__(self, model: type[ModelT], names: Sequence[str], *, table: str, key_names: Sequence[str] = ()) -> None:
        node = node_of(model)
        assert isinstance(node.data_type, StructType)
        fields = [field for field in node.fields if field.name in names]
        self._model = model
        self._names = tuple(field.attribute for field in fields)
        self.attributes: tuple[str, ...] = tuple(field.name for field in fields)  # what is read, none: all
        self._whole: ModelItems[ModelT] | None = None
        if declared_version(model) is not None:
            self.attributes, self._whole = (), ModelItems(model, table=table, key_names=key_names)
            return
        columns = StructType([node.data_type[name] for name in self.attributes])
        defaults = {field.name for field in fields if field.info is not None and not field.info.is_required()}
        read = StructType(
            [StructField(f.name, f.dataType, f.nullable or f.name in defaults, f.metadata) for f in columns]
        )
        self._decoder = PageDecoder(read, table=table, key_names=key_names)
        validate = fields_validator(model, self._names).validate_python
        part = replace(node, data_type=columns, fields=tuple(fields))
        self._rows = ModelRows(model, part, key_names, lambda values: self._made(validate(values)[0]))

    def page(self, body: bytes) -> list[ModelT]:
        """The instances of an answer to Query or Scan; raises what `ModelItems.decode` does."""
        if self._whole is not None:
            return [self._made(vars(model)) for model in self._whole.decode(body)]
        return list(self._rows.models([self._decoder.decode(body)]))

    def _made(self, values: Mapping[str, Any]) -> ModelT:
        instance = self._model.__new__(self._model)
        held = {name: values[name] for name in self._names}
        for name, content in (
            ("__dict__", held),
            ("__pydantic_fields_set__", set(held)),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(instance, name, content)
        return instance
