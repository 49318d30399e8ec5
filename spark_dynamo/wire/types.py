"""The one table of leaf types: which Spark type stands for which DynamoDB attribute type, and how each becomes the other.

Both directions read this table, and so does the reference in the README. Struct, map, list, set and VARIANT are no
leaves: `decode` and `encode` recurse into them.

A field's metadata `{"dynamodb": TAG}` chooses a storage form other than the first one of its Spark type: `N` on a
TIMESTAMP is epoch seconds, `N` on a STRING the number's own text, `SS`, `NS` or `BS` on an ARRAY a set. The metadata
`{"dynamodb_nulls": "write"}` says that a null there is a NULL attribute, and `"omit"`, or nothing, that it is none at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.wire import kernels, scalars
from spark_dynamo.wire.base64 import decode_base64, encode_base64

METADATA_KEY = "dynamodb"
NULLS_KEY = "dynamodb_nulls"
SET_TAGS: Mapping[str, str] = {"SS": "S", "NS": "N", "BS": "B"}
VARIANT = pa.struct(
    [
        pa.field("value", pa.binary(), nullable=False),
        pa.field("metadata", pa.binary(), nullable=False, metadata={b"variant": b"true"}),
    ]
)


Encode = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One row of the table.

    `decode` and `encode` are column kernels, `read` the same as `decode` for one value and with more patience.
    `quoted` says whether the JSON form is a string, as all are but BOOL.
    """

    spark: type[DataType]
    tag: str
    arrow: Callable[[Any], pa.DataType]
    decode: Callable[[pa.Array, pa.DataType], pa.Array]
    read: Callable[[Any, Any], object]
    encode: Encode
    note: str

    @property
    def quoted(self) -> bool:
        """Whether the JSON form is a string."""
        return self.tag != "BOOL"

    def canonical(self, text: pa.StringArray) -> pa.StringArray:
        """What `encode` gave, in texts that are equal exactly where DynamoDB's values are."""
        return kernels.canonical_numbers(text) if self.encode is kernels.encode_number_text else text


def _always(kind: pa.DataType) -> Callable[[DataType], pa.DataType]:
    return lambda _: kind


def _integer(spark: type[DataType], kind: pa.DataType) -> Leaf:
    bits: int = kind.bit_width
    return Leaf(
        spark,
        "N",
        _always(kind),
        kernels.decode_integers,
        lambda text, _: scalars.read_integer(text, bits),
        kernels.encode_integers,
        f"integers of {bits} bits; any other number is an error",
    )


def _float(spark: type[DataType], kind: pa.DataType) -> Leaf:
    bits: int = kind.bit_width
    return Leaf(
        spark,
        "N",
        _always(kind),
        kernels.decode_floats,
        lambda text, _: scalars.read_float(text, bits),
        kernels.encode_floats,
        "the nearest floating-point number; written as the shortest text that reads back the same; no NaN, no infinity",
    )


_UTC = pa.timestamp("us", tz="UTC")
_LOCAL = pa.timestamp("us")

# For each Spark type the first row is its default.
LEAVES: tuple[Leaf, ...] = (
    Leaf(
        StringType,
        "S",
        _always(pa.string()),
        kernels.decode_text,
        lambda text, _: text,
        kernels.encode_text,
        "text as it is",
    ),
    Leaf(
        StringType,
        "N",
        _always(pa.string()),
        kernels.decode_text,
        lambda text, _: text,
        kernels.encode_number_text,
        "the number's own text, all 38 digits",
    ),
    _integer(LongType, pa.int64()),
    _integer(IntegerType, pa.int32()),
    _integer(ShortType, pa.int16()),
    _integer(ByteType, pa.int8()),
    Leaf(
        DecimalType,
        "N",
        lambda kind: pa.decimal128(kind.precision, kind.scale),
        kernels.decode_decimals,
        scalars.read_decimal,
        kernels.encode_decimals,
        "exact; a number that needs more digits than the type has is an error",
    ),
    _float(DoubleType, pa.float64()),
    _float(FloatType, pa.float32()),
    Leaf(
        BooleanType,
        "BOOL",
        _always(pa.bool_()),
        kernels.decode_text,
        lambda flag, _: flag,
        kernels.encode_booleans,
        "",
    ),
    Leaf(
        BinaryType,
        "B",
        _always(pa.binary()),
        lambda column, _: decode_base64(column),
        lambda text, _: scalars.read_binary(text),
        encode_base64,
        "",
    ),
    Leaf(
        TimestampType,
        "S",
        _always(_UTC),
        kernels.decode_timestamps,
        lambda text, _: scalars.read_timestamp(text),
        kernels.encode_timestamps,
        "any ISO 8601 form, without a zone UTC; written as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`",
    ),
    Leaf(
        TimestampType,
        "N",
        _always(_UTC),
        kernels.decode_epoch_seconds,
        lambda text, _: scalars.read_epoch_seconds(text),
        kernels.encode_epoch_seconds,
        "epoch seconds, what DynamoDB's TTL wants",
    ),
    Leaf(
        TimestampNTZType,
        "S",
        _always(_LOCAL),
        kernels.decode_local_timestamps,
        lambda text, _: scalars.read_local_timestamp(text),
        kernels.encode_local_timestamps,
        "ISO 8601 without a zone",
    ),
    Leaf(
        DayTimeIntervalType,
        "N",
        _always(pa.duration("us")),
        kernels.decode_epoch_seconds,
        lambda text, _: scalars.read_epoch_seconds(text),
        kernels.encode_epoch_seconds,
        "the interval's length in seconds, up to 6 decimals",
    ),
    Leaf(
        DateType,
        "S",
        _always(pa.date32()),
        kernels.decode_dates,
        lambda text, _: scalars.read_date(text),
        kernels.encode_dates,
        "`YYYY-MM-DD`",
    ),
)

_BY_TYPE_AND_TAG = {(leaf.spark, leaf.tag): leaf for leaf in LEAVES}
_DEFAULT: dict[type[DataType], Leaf] = {}
for _leaf in LEAVES:
    _DEFAULT.setdefault(_leaf.spark, _leaf)


def storage_tag(field: StructField) -> str | None:
    """The storage form that a field's metadata asks for, or None for the default of its type."""
    tag = (field.metadata or {}).get(METADATA_KEY)
    return None if tag is None else str(tag)


def null_is_written(field: StructField, path: str) -> bool:
    """Whether a null of that field is a NULL attribute, as its metadata says; `SchemaError` where that is no known word."""
    form = (field.metadata or {}).get(NULLS_KEY, "omit")
    if form not in ("omit", "write"):
        raise SchemaError(path, f"its metadata has '{NULLS_KEY}': {form!r}, which must be 'write' or 'omit'")
    return bool(form == "write")


def leaf_of(kind: DataType, tag: str | None, path: str) -> Leaf:
    """The row of the table for a Spark type and a storage form; `SchemaError` where there is none."""
    found = _DEFAULT.get(type(kind)) if tag is None else _BY_TYPE_AND_TAG.get((type(kind), tag))
    if found is not None:
        return found
    forms = [leaf.tag for leaf in LEAVES if leaf.spark is type(kind)]
    if forms:
        raise SchemaError(
            path, f"{kind.simpleString()} can't be stored as '{tag}'; its storage forms are {', '.join(forms)}"
        )
    known = ", ".join(sorted({leaf.spark.typeName() for leaf in LEAVES} | {"array", "map", "struct", "variant"}))
    raise SchemaError(path, f"{kind.simpleString()} has no DynamoDB form; cast it to one of {known}")


def is_leaf(kind: DataType) -> bool:
    """Whether the type is no struct, map, array or VARIANT."""
    return type(kind) in _DEFAULT


def ddl(kind: DataType) -> str:
    """The type as people write it in SQL, `DECIMAL(10,2)` or `array<struct<price:decimal(10,2)>>`."""
    return kind.simpleString().upper() if is_leaf(kind) else kind.simpleString()


def element_tag(kind: ArrayType, tag: str | None, path: str) -> str | None:
    """The tag of the elements where the array is stored as a set, None where it is a list."""
    if tag is None or tag == "L":
        return None
    if tag not in SET_TAGS:
        raise SchemaError(
            path, f"{kind.simpleString()} can't be stored as '{tag}'; its storage forms are L, SS, NS, BS"
        )
    leaf_of(kind.elementType, SET_TAGS[tag], f"{path}[]")
    return SET_TAGS[tag]


def check_map_key(kind: MapType, path: str) -> None:
    """Raise `SchemaError` unless the keys are strings, as DynamoDB's are."""
    if type(kind.keyType) is not StringType:
        raise SchemaError(path, f"{kind.simpleString()} has keys that are no strings; cast them to STRING")


def arrow_type(kind: DataType, tag: str | None = None, path: str = "") -> pa.DataType:
    """The Arrow type by which Spark exchanges that type with Python; `SchemaError` where it has no DynamoDB form."""
    if isinstance(kind, StructType | MapType | VariantType) and tag not in (None, "M"):
        raise SchemaError(path, f"{kind.simpleString()} can't be stored as '{tag}'; leave out the metadata")
    if isinstance(kind, StructType):
        return pa.struct(arrow_fields(kind, f"{path}." if path else ""))
    if isinstance(kind, ArrayType):
        element = arrow_type(kind.elementType, element_tag(kind, tag, path), f"{path}[]")
        return pa.list_(pa.field("element", element, nullable=kind.containsNull))
    if isinstance(kind, MapType):
        check_map_key(kind, path)
        value = arrow_type(kind.valueType, None, f"{path}{{}}")
        return pa.map_(
            pa.field("key", pa.string(), nullable=False), pa.field("value", value, nullable=kind.valueContainsNull)
        )
    if isinstance(kind, VariantType):
        return VARIANT
    return leaf_of(kind, tag, path).arrow(kind)


def arrow_fields(struct: StructType, prefix: str = "") -> list[pa.Field]:
    """The Arrow fields of a struct, in order."""
    twice = [name for name, count in Counter(struct.names).items() if count > 1]
    if "" in struct.names:
        raise SchemaError(prefix, "DynamoDB takes no empty attribute name; rename the column")
    if twice:
        raise SchemaError(
            prefix + twice[0], "the name stands twice in the schema; a DynamoDB item holds each name once"
        )
    return [
        pa.field(
            field.name,
            arrow_type(field.dataType, storage_tag(field), prefix + field.name),
            nullable=field.nullable,
        )
        for field in struct.fields
    ]


def without_large_types(batch: pa.RecordBatch, schema: StructType) -> pa.RecordBatch:
    """A batch with plain strings and binaries: Spark sends large ones under `useLargeVarTypes`."""
    if "large_" not in str(batch.schema):
        return batch
    kinds = [arrow_type(field.dataType, storage_tag(field), field.name) for field in schema.fields]
    columns = [
        column.cast(kind) if "large_" in str(column.type) else column
        for column, kind in zip(batch.columns, kinds, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


def arrow_schema(schema: StructType) -> pa.Schema:
    """The Arrow schema that Spark expects of batches with this schema; all fields that have no DynamoDB form are errors.

    >>> from pyspark.sql.types import LongType, StructType
    >>> arrow_schema(StructType().add("id", "string", nullable=False).add("amount", "decimal(10,2)"))
    id: string not null
    amount: decimal128(10, 2)
    """
    return pa.schema(arrow_fields(schema))
