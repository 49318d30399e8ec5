"""A short hash of what a schema is: `fingerprint`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_dynamo.schema.drift.given import schema_of
from spark_dynamo.wire import types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_dynamo.schema.annotations.places import Mode
    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["fingerprint"]


def fingerprint(
    schema: StructType | DataFrame | type[Any],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> str:
    """The first 16 hex digits of a SHA-256 of the schema, that of a DataFrame, or that of a model.

    Names, types, nullability and storage forms count. The order of fields doesn't, since an item has none, nor do comments
    and other metadata. The same in all versions of Python and Spark.

    >>> fingerprint(StructType().add("id", "string", False).add("n", "long"))
    'b3bdee7bed54f76f'
    """
    found = schema_of(schema, mode=mode, by_alias=by_alias, policy=policy)
    text = json.dumps(_canonical(found, None), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(kind: DataType, tag: str | None) -> Any:
    """The type as lists of texts; `tag` is its storage form."""
    if isinstance(kind, StructType):
        # a stable order also where two fields have one name
        return ["struct", *sorted((_field(field) for field in kind.fields), key=json.dumps)]
    if isinstance(kind, ArrayType):
        form = "L" if tag is None else tag
        return ["array", _canonical(kind.elementType, None), kind.containsNull, form]
    if isinstance(kind, MapType):
        key, value = _canonical(kind.keyType, None), _canonical(kind.valueType, None)
        return ["map", key, value, kind.valueContainsNull]
    default = types.leaf_of(kind, None, "").tag if types.is_leaf(kind) else None
    return [kind.simpleString(), tag or default]


def _field(field: StructField) -> list[Any]:
    nulls = (field.metadata or {}).get(types.NULLS_KEY, "omit")
    return [field.name, _canonical(field.dataType, types.storage_tag(field)), field.nullable, nulls]
