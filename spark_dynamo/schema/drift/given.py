"""What a user may give where a schema is wanted: a StructType, a DataFrame or a Pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from spark_dynamo.schema.bridge import node_of, struct_type
from spark_dynamo.schema.extras import open_structs
from spark_dynamo.schema.nodes import FieldNode

__all__ = ["fields_of", "name_of", "open_paths_of", "schema_of"]


def schema_of(given: Any, **choices: Any) -> StructType:
    """The schema; `choices` are those of `struct_type`, for a model."""
    if isinstance(given, StructType):
        return given
    return given.schema if isinstance(given, DataFrame) else struct_type(given, **choices)


def open_paths_of(given: Any, **choices: Any) -> frozenset[str]:
    """The paths to the structs in which a model takes extra fields; a schema takes none."""
    return open_structs(given, **choices) if isinstance(given, type) else frozenset()


def name_of(given: Any) -> str:
    """What a table's head calls it: the model's name, else `expected`."""
    return given.__name__ if isinstance(given, type) else "expected"


def fields_of(model: type[Any], **choices: Any) -> Mapping[str, FieldNode]:
    """The fields of a model at all levels, by their paths."""
    return {child.node.path: child for node in node_of(model, **choices).below() for child in node.fields}
