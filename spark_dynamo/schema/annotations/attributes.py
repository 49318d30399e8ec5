"""One value at a node <-> its attribute value in DynamoDB JSON, exactly as a write and a read of the column would have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructField

from spark_dynamo.errors import shorten
from spark_dynamo.schema.annotations.containers import dump_one, load_one
from spark_dynamo.schema.nodes import Node
from spark_dynamo.wire.encode import column_of_field
from spark_dynamo.wire.kernels import Unfit
from spark_dynamo.wire.types import arrow_type, leaf_of
from spark_dynamo.wire.value_reader import Misfit, attribute_reader

__all__ = ["AttributeForm"]


class AttributeForm:
    """Both directions for one node; SchemaError where its type has no DynamoDB form.

    Both raise ValueError, or what Arrow raises, for a value that doesn't fit.
    """

    def __init__(self, node: Node) -> None:
        metadata = {"dynamodb": node.stored} if node.stored else None
        field = StructField(node.path or "value", node.data_type, True, metadata)
        self._node = node
        self._arrow = arrow_type(node.data_type, node.stored, node.path)
        self._column = column_of_field(field, "auto")
        self._read = attribute_reader(node.data_type, node.stored, False)

    @property
    def tag(self) -> str:
        """The DynamoDB type of a leaf."""
        return leaf_of(self._node.data_type, self._node.stored, self._node.path).tag

    def write(self, value: Any) -> Mapping[str, Any]:
        """The attribute value of a value, which is not None."""
        array = pa.array([dump_one(self._node, value)], self._arrow)
        try:
            found: Mapping[str, Any] = json.loads(self._column.encode(array, "", "").to_pylist()[0])
        except Unfit as unfit:
            raise ValueError(f"{unfit.path} is {shorten(unfit.value)}: {unfit.problem}") from None
        return found

    def read(self, attribute: Mapping[str, Any]) -> Any:
        """The value of an attribute value."""
        try:
            held = self._read(dict(attribute))
        except Misfit as misfit:
            raise ValueError(f"{shorten(misfit.value)} does not fit {misfit.expected}") from None
        return load_one(self._node, pa.array([held], self._arrow).to_pylist()[0])
