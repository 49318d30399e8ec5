"""Single attributes of a model's items: the values of some fields, checked as the model checks them, in DynamoDB JSON.

For what touches an item in part: keys, partial updates and conditions. An attribute is what `ModelItems` makes of the same
field of a whole model, by the same encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar, cast

import orjson
import pyarrow as pa
import pydantic
from pydantic import BaseModel
from pydantic_core import SchemaValidator
from pyspark.sql.types import StructType

from spark_dynamo.errors import ValidationError, nearest, shorten
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.nodes import FieldNode
from spark_dynamo.schema.rows import ModelRows
from spark_dynamo.wire.encode import ItemEncoder

__all__ = ["Attribute", "ModelAttributes", "fields_validator"]

ModelT = TypeVar("ModelT", bound=BaseModel)

Attribute: TypeAlias = dict[str, Any]  # DynamoDB JSON, as in {"S": "a"}


class ModelAttributes(Generic[ModelT]):
    """The attributes of one model in one table. Fields go by their own names; the names of their attributes do as well.

    >>> class Order(BaseModel):
    ...     order_id: str
    ...     price: float | None = None
    >>> attributes = ModelAttributes(Order, table="orders")
    >>> attributes.encode(attributes.validate({"price": "1.5"}))
    {'price': {'N': '1.5'}}
    >>> attributes.encode({"price": None})
    {'price': None}
    """

    def __init__(self, model: type[ModelT], *, table: str) -> None:
        node = node_of(model)
        self._model, self._table = model, table
        self._fields = {field.attribute: field for field in node.fields}
        self._of_column = {field.name: field for field in node.fields}
        rows: ModelRows[Any] = ModelRows(model, node)
        self._columns = rows.schema
        self._types = {field.name: field.type for field in rows.arrow_schema}

    @property
    def schema(self) -> StructType:
        """The columns of the model, as `struct_type` has them."""
        return self._columns

    def field(self, name: str) -> FieldNode:
        """The field of that name, or whose attribute has it; ValidationError, with the nearest one, where there is none."""
        found = self._fields.get(name) or self._of_column.get(name)
        if found is None:
            close = nearest(str(name), self._fields)
            hint = f"did you mean '{close}'?" if close else f"its fields are {', '.join(self._fields)}"
            raise ValidationError(f"{self._model.__name__} has no field {shorten(repr(name))}: {hint}")
        return found

    def validate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as the model takes them, by the names of their fields; ValidationError for those that it refuses.

        Each is checked by its field's own validators. Those of the whole model are not asked, as they need the whole model.
        """
        taken: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name, value in values.items():
            field = self.field(name)
            try:
                taken[field.attribute] = _validators(self._model)[field.attribute].validate_python(value)
            except pydantic.ValidationError as error:
                for problem in error.errors(include_url=False, include_context=False):
                    path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in problem["loc"])
                    problems[field.attribute + path] = f"{problem['msg']}, not {shorten(repr(problem['input']))}"
        if problems:
            count = "a value" if len(problems) == 1 else "values"
            raise ValidationError(f"{self._model.__name__} refuses {count} for table '{self._table}'", problems)
        return taken

    def encode(self, values: Mapping[str, Any]) -> dict[str, Attribute | None]:
        """The attributes, by their names, of validated values; None for one that a whole model would leave out.

        Raises InvalidItemError or ValidationError for a value that DynamoDB can't take.
        """
        fields = [self.field(name) for name in values]
        item = orjson.loads(self._texts(fields, [list(values.values())])[0].as_py())
        return {field.name: item.get(field.name) for field in fields}

    def texts(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.StringArray:
        """The JSON of those attributes in many items: one text a row of validated values, in the order of the names."""
        return self._texts([self.field(name) for name in names], rows)

    def values(self, model: ModelT, names: Iterable[str]) -> tuple[Any, ...]:
        """What the model holds in those fields."""
        return tuple(self.field(name).read(model) for name in names)

    def _texts(self, fields: Sequence[FieldNode], rows: Sequence[Sequence[Any]]) -> pa.StringArray:
        names = tuple(field.name for field in fields)
        columns = []
        for place, field in enumerate(fields):
            dump, kind = field.node.dump, self._types[field.name]
            held = [row[place] for row in rows]
            try:
                columns.append(pa.array([v if v is None or dump is None else dump(v) for v in held], kind))
            except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
                shown = held[0] if len(held) == 1 else held
                problem = f"{shorten(repr(shown))} is no {field.node.data_type.simpleString()}: {error}"
                message = f"{self._model.__name__} has a value that doesn't fit its column in table '{self._table}'"
                raise ValidationError(message, {field.name: problem}, error) from error
        batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema([(n, self._types[n]) for n in names]))
        return self._encoder(names).encode(batch)

    def _encoder(self, names: tuple[str, ...]) -> ItemEncoder:
        return _encoder_of(self._model, self._table, names)


@lru_cache(maxsize=1024)
def _encoder_of(model: type[Any], table: str, names: tuple[str, ...]) -> ItemEncoder:
    schema = node_of(model).data_type
    assert isinstance(schema, StructType)
    return ItemEncoder(StructType([schema[name] for name in names]), table=table)


@lru_cache(maxsize=256)
def _validators(model: type[Any]) -> dict[str, SchemaValidator]:
    """A validator of each field, as Pydantic has it in the model: with the validators that the class adds."""
    fields, config, whole = _fields_of(model)
    return {
        name: SchemaValidator(cast(Any, whole(field["schema"])), config) for name, field in fields["fields"].items()
    }


def fields_validator(model: type[Any], names: Iterable[str]) -> SchemaValidator:
    """The validator of some fields together: of a dict it makes a tuple, whose first is the dict of their values."""
    fields, config, whole = _fields_of(model)
    some = {**fields, "fields": {name: fields["fields"][name] for name in names}}
    return SchemaValidator(cast(Any, whole(some)), config)


def _fields_of(model: type[Any]) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Pydantic's own schema of the fields, its configuration, and what makes a part of that a schema by itself."""
    model.model_rebuild()
    definitions: list[Any] = []
    schema: Any = model.__pydantic_core_schema__
    config: Any = None
    while schema["type"] != "model-fields":
        config = schema.get("config", config)
        if schema["type"] == "definitions":
            definitions += schema["definitions"]
            schema = schema["schema"]
        elif schema["type"] == "definition-ref":
            schema = next(known for known in definitions if known["ref"] == schema["schema_ref"])
        else:
            schema = schema["schema"]

    def whole(part: Any) -> Any:
        return {"type": "definitions", "schema": part, "definitions": definitions} if definitions else part

    return schema, config, whole
