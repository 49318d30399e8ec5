"""A schema in rows to be read: one for each column, and for each field of the structs in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from spark_dynamo.schema.ddl import leaf_ddl
from spark_dynamo.schema.drift.comparison import one_line
from spark_dynamo.wire.types import METADATA_KEY

__all__ = ["OutlineRow", "outline"]


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """A field: its path, as in `orders[].price`, its type without the fields below it, the storage form and the comment.

    The last two are empty where the metadata says nothing. All are on one line, without what a terminal would obey.
    """

    path: str
    type: str
    stored: str
    comment: str


def outline(struct: StructType, prefix: str = "") -> Iterator[OutlineRow]:
    """The rows of a schema, in its order.

    >>> for row in outline(StructType().add("id", "string", False).add("tags", ArrayType(StructType().add("n", "long")))):
    ...     print(row.path, row.type)
    id STRING NOT NULL
    tags ARRAY<STRUCT>
    tags[].n BIGINT
    """
    for field in struct.fields:
        text, inner, suffix = _type(field.dataType)
        metadata = field.metadata or {}
        said = [str(metadata.get(key, "")) for key in (METADATA_KEY, "comment")]
        path = f"{prefix}{field.name}"
        yield OutlineRow(*map(one_line, (path, f"{text}{_not_null(field.nullable)}", *said)))
        if inner is not None:
            yield from outline(inner, f"{path}{suffix}.")


def _type(kind: DataType) -> tuple[str, StructType | None, str]:
    """A type's text, the struct in it and the path to that from the field; a key's struct is left out."""
    match kind:
        case StructType():
            return "STRUCT", kind, ""
        case ArrayType():
            text, inner, suffix = _type(kind.elementType)
            return f"ARRAY<{text}{_not_null(kind.containsNull)}>", inner, f"[]{suffix}"
        case MapType():
            text, inner, suffix = _type(kind.valueType)
            key = _type(kind.keyType)[0]
            return f"MAP<{key}, {text}{_not_null(kind.valueContainsNull)}>", inner, f"{{}}{suffix}"
    return leaf_ddl(kind), None, ""


def _not_null(nullable: bool) -> str:
    return "" if nullable else " NOT NULL"
