"""The table of annotations for the documentation: what each becomes in Spark and in DynamoDB, as the walk itself says."""

from __future__ import annotations

import ipaddress
import pathlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, VariantType

from spark_dynamo.schema.bridge import node_at
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SparkType
from spark_dynamo.schema.storage import StorageForm
from spark_dynamo.wire.types import leaf_of

__all__ = ["AnnotationType", "annotation_types"]


class AnnotationType(NamedTuple):
    """One row of the table: an annotation as people write it, its Spark type, its DynamoDB type, and what else there is to say."""

    annotation: str
    spark: str
    dynamodb: str
    note: str


class _Colour(Enum):
    RED = "red"


class _Size(IntEnum):
    LARGE = 2


class _Order(pydantic.BaseModel):
    price: float


class _Nothing(pydantic.BaseModel):
    pass


class _Country(str):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return handler(str)


_DIGITS = pydantic.Field(max_digits=10, decimal_places=2)
_CLEAR = "the secret itself, in clear"
_UTC = "without a zone it counts as UTC"

_ROWS: Sequence[tuple[str, Any, str]] = (
    ("str", str, "constrained ones too"),
    ("bool", bool, ""),
    ("bytes", bytes, ""),
    ("int", int, "TINYINT to INT where the bounds and the policy `integers='bounds'` say so"),
    ("Annotated[int, Field(le=10**30)]", Annotated[int, pydantic.Field(le=10**30)], "bounds beyond 64 bits"),
    ("float", float, ""),
    ("Decimal", Decimal, "or the policy's `decimal`"),
    ("Annotated[Decimal, Field(max_digits=10, decimal_places=2)]", Annotated[Decimal, _DIGITS], ""),
    ("datetime", datetime, _UTC),
    ("AwareDatetime", pydantic.AwareDatetime, ""),
    ("NaiveDatetime", pydantic.NaiveDatetime, ""),
    ("PastDatetime, FutureDatetime", pydantic.PastDatetime, _UTC),
    ("Annotated[datetime, StorageForm('N')]", Annotated[datetime, StorageForm("N")], "epoch seconds, for TTL"),
    ("date, PastDate, FutureDate", date, ""),
    ("time", time, "ISO text; TIME with the policy `time='time'`"),
    ("timedelta", timedelta, "seconds, up to 6 decimals"),
    ("UUID", UUID, ""),
    ("AnyUrl, HttpUrl, PostgresDsn and all others", pydantic.AnyUrl, ""),
    ("EmailStr, NameEmail", pydantic.EmailStr, ""),
    ("IPv4Address, IPv6Network, IPvAnyInterface and all others", ipaddress.IPv4Address, ""),
    ("Path, FilePath, DirectoryPath, PurePath", pathlib.Path, ""),
    ("ZoneInfo", ZoneInfo, ""),
    ("SecretStr", pydantic.SecretStr, _CLEAR),
    ("SecretBytes", pydantic.SecretBytes, _CLEAR),
    ("Secret[int]", pydantic.Secret[int], _CLEAR),
    ("ByteSize", pydantic.ByteSize, ""),
    ("Json[X]", pydantic.Json[int], "the JSON text; in serialization mode as X"),
    ("Base64Bytes", pydantic.Base64Bytes, "as encoded"),
    ("Base64Str", pydantic.Base64Str, "as encoded"),
    ("an Enum", _Colour, "by value: text, numbers, bytes, dates, UUIDs"),
    ("an IntEnum, a Flag", _Size, "by value"),
    ("Literal['a', 'b']", Literal["a", "b"], "by value; None makes it nullable"),
    ("list[X], Sequence[X], deque[X], tuple[X, ...]", list[str], "`list` alone is of VARIANT"),
    ("tuple[X, X]", tuple[int, int], "of one type; of several lengths in a union"),
    ("tuple[X, Y]", tuple[int, str], "of several types"),
    ("set[str], frozenset[UUID]", set[str], "a field only, not an element"),
    ("set[int], set[Decimal]", set[int], "a field only"),
    ("set[bytes]", set[bytes], "a field only"),
    ("dict[str, X], Mapping[str, X]", dict[str, int], ""),
    ("dict[int, X]", dict[int, str], "any scalar key; DynamoDB's keys are text, so cast it for a write"),
    ("dict[str, Any], dict", dict[str, Any], ""),
    ("a model, dataclass, TypedDict or NamedTuple", _Order, ""),
    ("a model without fields", _Nothing, "within another one"),
    ("a class with a core schema of its own", _Country, "as it is serialized, here as text"),
    ("Any, JsonValue", Any, "nullable"),
    ("object", object, "as Any"),
    ("None", None, "null always"),
    ("Annotated[int, SparkType('INT')]", Annotated[int, SparkType("INT")], "a type of one's own choice"),
)


def annotation_types() -> Iterator[AnnotationType]:
    """The rows of the table, in its order.

    >>> next(annotation_types())
    AnnotationType(annotation='str', spark='STRING', dynamodb='S', note='constrained ones too')
    """
    for shown, annotation, note in _ROWS:
        node = node_at("x", annotation)
        yield AnnotationType(shown, node.data_type.simpleString().upper(), _dynamodb(node), note)


def _dynamodb(node: Node) -> str:
    kind: DataType = node.data_type
    if node.stored:
        return node.stored
    if isinstance(kind, VariantType):
        return "any"
    if isinstance(kind, StructType | MapType):
        return "M" if node.key is None or node.key.data_type.typeName() == "string" else "-"
    return "L" if isinstance(kind, ArrayType) else leaf_of(kind, None, node.path).tag
