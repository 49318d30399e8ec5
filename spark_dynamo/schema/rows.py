"""Models as record batches and back: `ModelRows`, the one way by which values of models go to a DataFrame or to items.

What a value becomes in its column, and what a column's value becomes in a model, stands in `schema.nodes`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pydantic
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from spark_dynamo.errors import ValidationError, shorten, show_key
from spark_dynamo.schema.nodes import Node

__all__ = ["ModelRows"]

ModelT = TypeVar("ModelT")

# AttributeError: Pydantic doesn't validate what is assigned to a field, nor what `model_construct` is given
_MISFITS = (ValueError, TypeError, AttributeError, ArithmeticError, pa.ArrowException)
_MOST_ROWS_SHOWN = 20


class ModelRows(Generic[ModelT]):
    """The rows of one model, whose columns are those of its `node`; `validate` makes a model where not Pydantic does.

    >>> from pydantic import BaseModel
    >>> from spark_dynamo.schema.bridge import node_of
    >>> class Order(BaseModel):
    ...     price: float
    >>> rows = ModelRows(Order, node_of(Order))
    >>> batch = rows.batch([Order(price=1.5)])
    >>> list(rows.models([batch]))
    [Order(price=1.5)]
    """

    def __init__(
        self,
        model: type[ModelT],
        node: Node,
        key_names: Sequence[str] = (),
        validate: Callable[[Any], ModelT] | None = None,
    ) -> None:
        assert isinstance(node.data_type, StructType)
        assert node.dump is not None
        assert node.load is not None
        self.schema = node.data_type
        self.arrow_schema = spark_arrow_schema(node.data_type)
        self._model, self._node, self._dump, self._load = model, node, node.dump, node.load
        self._key_names = key_names
        self._validate = validate or pydantic.TypeAdapter(model).validate_python

    def batch(self, models: Sequence[ModelT], start: int = 0) -> pa.RecordBatch:
        """The models as one batch; ValidationError, with the row (counted from `start`) and the field, where one doesn't fit."""
        for place, value in enumerate(models):
            if not _is_instance(value, self._model):
                found = f"{type(value).__name__} {shorten(repr(value))}"
                raise ValidationError(f"Row {start + place} is no {self._model.__name__}, but the {found}")
        try:
            rows = [self._dump(value) for value in models]
            columns = [pa.array([row[field.name] for row in rows], field.type) for field in self.arrow_schema]
        except _MISFITS as error:
            raise self._misfit(models, start, error) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.arrow_schema)

    def _misfit(self, models: Sequence[Any], start: int, cause: Exception) -> ValidationError:
        """The error of the first model that doesn't fit, field by field."""
        for place, value in enumerate(models):
            problems = self._problems_of(value)
            if problems:
                message = f"Row {start + place} is a {self._model.__name__} that doesn't fit its columns"
                return ValidationError(message, problems, cause)
        raise AssertionError("the rows fit one by one, but not together") from cause

    def _problems_of(self, value: Any) -> dict[str, str]:
        problems = {}
        for field, arrow in zip(self._node.fields, self.arrow_schema, strict=True):
            node = field.node
            try:
                held = field.read(value)
            except _MISFITS as error:
                problems[field.name] = f"it can't be read: {error}"
                continue
            try:
                pa.array([held if held is None or node.dump is None else node.dump(held)], arrow.type)
            except _MISFITS as error:
                # what its model never saw may be meant as a secret
                shown = f"a {type(held).__name__}" if isinstance(error, AttributeError) else shorten(repr(held))
                problems[field.name] = f"{shown} is no {node.data_type.simpleString()}: {error}"
        if problems:
            return problems
        try:
            self._dump(value)
        except _MISFITS as error:  # what speaks of the whole model
            return {self._model.__name__: str(error)}
        return {}

    def models(self, batches: Iterable[pa.RecordBatch]) -> Iterator[ModelT]:
        """The rows of batches as models; a column that is missing, or null against the schema, leaves its field the default.

        Raises ValidationError where the model refuses rows: the first 20 of a batch, each with its number, key and fields.
        """
        never_null = [field.name for field in self.schema if not field.nullable]
        start = 0
        for batch in batches:
            good: list[ModelT] = []
            problems: dict[str, str] = {}
            refused = 0
            for place, row in enumerate(self._rows_of(batch, start)):
                for name in never_null:
                    if row.get(name, ...) is None:
                        del row[name]
                try:
                    good.append(self._validate(self._load(row)))
                except pydantic.ValidationError as error:
                    refused += 1
                    if refused <= _MOST_ROWS_SHOWN:
                        problems.update(_problems(error, self._name(start + place, row)))
            if refused:
                raise ValidationError(
                    f"{refused} of {batch.num_rows} rows {'is' if refused == 1 else 'are'} no {self._model.__name__}",
                    problems,
                )
            yield from good
            start += batch.num_rows

    def _name(self, place: int, row: Mapping[str, Any]) -> str:
        key = {name: row.get(name) for name in self._key_names}
        return f"row {place} {show_key(key)}" if key else f"row {place}"

    def _rows_of(self, batch: pa.RecordBatch, start: int) -> list[dict[str, Any]]:
        """The rows as Python holds them; ValidationError for a value beyond that, as a time after the year 9999."""
        try:
            rows: list[dict[str, Any]] = batch.to_pylist()
        except _MISFITS as error:
            problems: dict[str, str] = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                for place, value in enumerate(column):
                    try:
                        value.as_py()
                    except _MISFITS as misfit:
                        problems[f"row {start + place}: {name}"] = f"a {column.type} that Python can't hold: {misfit}"
            message = f"{len(problems)} of the values can't become fields of {self._model.__name__}"
            raise ValidationError(message, dict(list(problems.items())[:_MOST_ROWS_SHOWN]), error) from error
        return rows


def spark_arrow_schema(schema: StructType) -> pa.Schema:
    """The Arrow schema by which Spark exchanges rows, also of types that DynamoDB has no form for."""
    if "timezone" in inspect.signature(to_arrow_schema).parameters:
        return to_arrow_schema(schema, timezone="UTC")
    return to_arrow_schema(schema)  # before Spark 4.2 it is UTC in any case


def _is_instance(value: Any, model: type[Any]) -> bool:
    return isinstance(value, dict if hasattr(model, "__total__") else model)  # a TypedDict's values are plain dicts


def _problems(error: pydantic.ValidationError, row: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a row: per path, as in `row 3: orders[0].price`, Pydantic's sentence and the value."""
    for problem in error.errors(include_url=False, include_context=False):
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"]).lstrip(".")
        given = "" if problem["type"] == "missing" else f", not {shorten(repr(problem['input']))}"
        yield f"{row}: {path}" if path else row, f"{problem['msg']}{given}"
