"""What each annotation becomes in Spark, and which become an error with a path."""

import collections
import dataclasses
import enum
import ipaddress
import pathlib
import re
import subprocess
import sys
import typing
import zoneinfo
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union
from uuid import UUID

import pydantic
import pytest
import typing_extensions
from pydantic import BaseModel, Field, NaiveDatetime, Secret, create_model
from pyspark.sql.types import ArrayType, MapType, ShortType, StructType, VariantType

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.policy import SparkType
from spark_dynamo.schema.storage import StorageForm


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Empty(enum.Enum):
    pass


class Price(BaseModel):
    amount: Decimal = Field(max_digits=10, decimal_places=2, description="Amount before tax")
    currency: str | None = None


class Node(BaseModel):
    value: int
    children: "list[Node]"


class Nothing(BaseModel):
    pass


class Root(pydantic.RootModel[list[str]]):
    pass


T = TypeVar("T")
BoundT = TypeVar("BoundT", bound=Decimal)
Strings = typing_extensions.TypeAliasType("Strings", list[str])
Several = typing_extensions.TypeAliasType("Several", list[T], type_params=(T,))
Name = NewType("Name", str)
Bound = BoundT


class OwnUrl(pydantic.HttpUrl):
    pass


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Rate(enum.Enum):
    LOW = 0.5
    HIGH = 1.5


class Held(BaseModel, Generic[T]):
    value: T


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: Held[T] | None = None


@dataclasses.dataclass
class Point:
    x: float
    label: str | None = dataclasses.field(default=None, metadata={"description": "what to call it"})


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    others: list[T]


@dataclasses.dataclass
class IntBox(Box[int]):
    size: int


class Options(typing_extensions.TypedDict, total=False):
    depth: typing_extensions.Required[int]
    name: str


class Pair(NamedTuple):
    left: int
    right: str


class StrictName(str):
    pass


WithLength = Annotated[StrictName, Field(max_length=3)]


def column(annotation: Any, default: Any = ...) -> Any:
    config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    return struct_type(create_model("Model", __config__=config, x=(annotation, default)))["x"]


@pytest.mark.parametrize(
    ("annotation", "spark"),
    [
        (str, "string"),
        (int, "bigint"),
        (bool, "boolean"),
        (bytes, "binary"),
        (float, "double"),
        (Decimal, "decimal(38,18)"),
        (UUID, "string"),
        (date, "date"),
        (datetime, "timestamp"),
        (pydantic.AwareDatetime, "timestamp"),
        (NaiveDatetime, "timestamp_ntz"),
        (Colour, "string"),
        (Size, "bigint"),
        (Literal["a", "b"], "string"),
        (Literal[1, 2], "bigint"),
        (Literal[True], "boolean"),
        (Literal[Colour.RED, "green"], "string"),
        (pydantic.constr(max_length=3), "string"),
        (Annotated[int, Field(ge=0), "a note"], "bigint"),
        (list[str], "array<string>"),
        (list[list[int]], "array<array<bigint>>"),
        (set[str], "array<string>"),
        (frozenset[int], "array<bigint>"),
        (dict[str, int], "map<string,bigint>"),
        (dict[Colour, list[date]], "map<string,array<date>>"),
        (dict[str, Any], "variant"),
        (dict[str, Any | None], "variant"),
        (dict[str, dict[str, Any]], "map<string,variant>"),
        (list[Any], "array<variant>"),
        (list[dict[str, Any]], "array<variant>"),
        (time, "string"),
        (timedelta, "interval day to second"),
        (pydantic.HttpUrl, "string"),
        (pydantic.PostgresDsn, "string"),
        (OwnUrl, "string"),
        (ipaddress.IPv4Address, "string"),
        (pydantic.IPvAnyNetwork, "string"),
        (pathlib.Path, "string"),
        (pydantic.FilePath, "string"),
        (zoneinfo.ZoneInfo, "string"),
        (pydantic.SecretStr, "string"),
        (pydantic.SecretBytes, "binary"),
        (Secret[int], "bigint"),
        (pydantic.ByteSize, "bigint"),
        (pydantic.Json[int], "string"),
        (pydantic.Base64Bytes, "binary"),
        (pydantic.Base64Str, "string"),
        (pydantic.PastDate, "date"),
        (pydantic.FutureDatetime, "timestamp"),
        (pydantic.PositiveInt, "bigint"),
        (pydantic.StrictBool, "boolean"),
        (Access, "bigint"),
        (Rate, "double"),
        (Annotated[int, Field(le=2**63 - 1)], "bigint"),
        (Annotated[int, Field(lt=2**63)], "bigint"),
        (Annotated[int, Field(ge=-(2**63) - 1)], "decimal(38,0)"),
        (Annotated[int, Field(gt=0, le=2**64)], "decimal(38,0)"),
        (Literal[2**63], "decimal(38,0)"),
        (tuple[int, ...], "array<bigint>"),
        (tuple[int, int], "array<bigint>"),
        (tuple[int, str, set[str]], "struct<_1:bigint,_2:string,_3:array<string>>"),
        (tuple[int, int | None], "struct<_1:bigint,_2:bigint>"),
        (Sequence[int], "array<bigint>"),
        (collections.deque[int], "array<bigint>"),
        (AbstractSet[int], "array<bigint>"),
        (Mapping[str, int], "map<string,bigint>"),
        (collections.OrderedDict[str, int], "map<string,bigint>"),
        (collections.defaultdict[str, int], "map<string,bigint>"),
        (dict[int, str], "map<bigint,string>"),
        (dict[date, bool], "map<date,boolean>"),
        (dict[Size, str], "map<bigint,string>"),
        (dict[UUID, str], "map<string,string>"),
        (dict[Decimal, Price], "map<decimal(38,18),struct<amount:decimal(10,2),currency:string>>"),
        (dict[int, Any], "map<bigint,variant>"),
        (Mapping[str, Any], "variant"),
        (Root, "array<string>"),
        (list[Root], "array<array<string>>"),
        (Page[int], "struct<items:array<bigint>,next:struct<value:bigint>>"),
        (Strings, "array<string>"),
        (Several[int], "array<bigint>"),
        (Name, "string"),
        (Point, "struct<x:double,label:string>"),
        (Box[int], "struct<content:bigint,others:array<bigint>>"),
        (IntBox, "struct<content:bigint,others:array<bigint>,size:bigint>"),
        (Options, "struct<depth:bigint,name:string>"),
        (Pair, "struct<left:bigint,right:string>"),
        (Bound, "decimal(38,18)"),
        (Literal["a"] | Literal["b"], "string"),
        (pydantic.SkipValidation[int], "bigint"),
        (pydantic.InstanceOf[Price], "struct<amount:decimal(10,2),currency:string>"),
        (Annotated[int, SparkType("SMALLINT")], "smallint"),
        (Annotated[int, SparkType(ShortType())], "smallint"),
        (Annotated[int, SparkType("STRING")], "string"),
        (Annotated[int, SparkType("INTERVAL YEAR TO MONTH")], "interval year to month"),
        (Annotated[timedelta, SparkType("INTERVAL HOUR TO SECOND")], "interval hour to second"),
        (Annotated[time, SparkType("TIME")], "time(6)"),
        (Annotated[str, SparkType("VARCHAR(5)")], "varchar(5)"),
        (Annotated[float, SparkType("FLOAT")], "float"),
        (Annotated[Decimal, SparkType("DECIMAL(20,4)")], "decimal(20,4)"),
        (list[Annotated[int, SparkType("INT")]], "array<int>"),
        (dict[Annotated[int, SparkType("INT")], str], "map<int,string>"),
        (Annotated[Price, SparkType("VARIANT")], "variant"),
        (Annotated[object, SparkType("VOID")], "void"),
        (Annotated[object, SparkType("VARIANT")], "variant"),
        (Annotated[tuple[int, int, int], SparkType("INTERVAL")], "interval"),
        (Annotated[int | str, SparkType("VARIANT")], "variant"),
        (Annotated[int | str, SparkType("STRING")], "string"),
        (list, "array<variant>"),
        (collections.deque, "array<variant>"),
        (tuple, "array<variant>"),
        (dict, "variant"),
        *(
            (getattr(typing, name), "array<variant>")
            for name in ("List", "Deque", "Sequence", "MutableSequence", "Tuple")
        ),
        *((getattr(typing, name), "variant") for name in ("Dict", "Mapping", "OrderedDict")),
        (dict[Any, Any], "variant"),
        (dict[str, object], "variant"),
        (list[BaseModel], "array<variant>"),
        (list[Nothing], "array<variant>"),
        (tuple[int, int] | tuple[int, int, int], "array<bigint>"),
        (pydantic.FilePath | pydantic.DirectoryPath, "string"),
        (Annotated[Literal["a", "b"], SparkType("VARCHAR(3)")], "varchar(3)"),
        (Annotated[Literal["a", 1], SparkType("VARIANT")], "variant"),
        (Annotated[Mixed, SparkType("VARIANT")], "variant"),
        (Annotated[dict | list, SparkType("VARIANT")], "variant"),
        (Annotated[list[Node], SparkType("VARIANT")], "variant"),
        (Annotated[complex, SparkType("STRING")], "string"),
        (Annotated[re.Pattern[str], SparkType("STRING")], "string"),
        (Price, "struct<amount:decimal(10,2),currency:string>"),
        (dict[str, list[Price]], "map<string,array<struct<amount:decimal(10,2),currency:string>>>"),
    ],
)
def test_types(annotation: Any, spark: str) -> None:
    found = column(annotation)
    assert (found.dataType.simpleString(), found.nullable) == (spark, False)
    for optional in (Optional[annotation], Union[None, annotation], Annotated[annotation | None, "a note"]):  # noqa: UP007, UP045
        found = column(optional)
        assert (found.dataType.simpleString(), found.nullable) == (spark, True)


@pytest.mark.parametrize(
    "annotation",
    [Any, object, None, Literal[None], pydantic.JsonValue, Any | None, Annotated[Any, SparkType("VARIANT")]],
)
def test_any_admits_none(annotation: Any) -> None:
    found = column(annotation)
    assert (found.dataType, found.nullable) == (VariantType(), True)


@pytest.mark.parametrize(
    ("annotation", "default", "nullable"),
    [(int, 5, False), (int | None, 5, True), (int | None, ..., True), (Literal["a", None], "a", True)],
)
def test_only_the_annotation_makes_a_column_nullable(annotation: Any, default: Any, nullable: bool) -> None:
    assert column(annotation, default).nullable is nullable


def test_nullability_inside() -> None:
    assert column(list[int | None]).dataType == ArrayType(column(int).dataType, containsNull=True)
    assert column(list[int]).dataType == ArrayType(column(int).dataType, containsNull=False)
    assert column(list[Any]).dataType.containsNull is True
    assert column(list[dict[str, Any]]).dataType.containsNull is False
    key, value = column(str).dataType, column(int).dataType
    assert column(dict[str, int | None]).dataType == MapType(key, value, valueContainsNull=True)
    assert column(dict[str, int] | None).dataType == MapType(key, value, valueContainsNull=False)
    inner = column(list[Price | None]).dataType.elementType
    assert [field.nullable for field in inner] == [False, True]


@pytest.mark.parametrize(
    ("annotation", "spark"),
    [
        (Annotated[Decimal, Field(max_digits=5, decimal_places=1)], "decimal(5,1)"),
        (Annotated[Decimal, Field(max_digits=5, decimal_places=1)] | None, "decimal(5,1)"),
        (Annotated[Decimal | None, Field(max_digits=5, decimal_places=1)], "decimal(5,1)"),
        (list[Annotated[Decimal, Field(max_digits=5, decimal_places=1)]], "array<decimal(5,1)>"),
        (list[Annotated[Decimal | None, Field(max_digits=5, decimal_places=0)]], "array<decimal(5,0)>"),
        (dict[str, Annotated[Decimal, Field(max_digits=5, decimal_places=1)]], "map<string,decimal(5,1)>"),
        (set[Annotated[Decimal, Field(max_digits=38, decimal_places=38)]], "array<decimal(38,38)>"),
        (pydantic.condecimal(max_digits=7, decimal_places=3), "decimal(7,3)"),
        (Annotated[Annotated[Decimal, Field(max_digits=9)], Field(decimal_places=4)], "decimal(9,4)"),
        (Annotated[Decimal, Field(decimal_places=4)], "decimal(38,4)"),
        (Annotated[Decimal, Field(max_digits=18)], "decimal(38,18)"),
        (Annotated[Decimal, Field(gt=0)], "decimal(38,18)"),
    ],
)
def test_decimals(annotation: Any, spark: str) -> None:
    assert column(annotation).dataType.simpleString() == spark


def test_a_decimal_constraint_of_the_field_reaches_the_optional() -> None:
    model = create_model("Model", x=(Decimal | None, Field(None, max_digits=10, decimal_places=2)))
    assert struct_type(model)["x"].dataType.simpleString() == "decimal(10,2)"


@pytest.mark.parametrize(
    ("annotation", "form"),
    [
        (set[str], "SS"),
        (frozenset[UUID], "SS"),
        (set[Colour] | None, "SS"),
        (set[Literal["a", "b"]], "SS"),
        (set[int], "NS"),
        (set[Size], "NS"),
        (Annotated[set[Decimal], "a note"], "NS"),
        (set[bytes], "BS"),
        (Annotated[datetime, StorageForm("N")], "N"),
        (Annotated[datetime, StorageForm("N")] | None, "N"),
        (Annotated[datetime | None, StorageForm("N")], "N"),
        (Annotated[datetime, StorageForm("S")], "S"),
    ],
)
def test_storage_forms(annotation: Any, form: str) -> None:
    assert column(annotation).metadata == {"dynamodb": form}


def test_descriptions_are_comments() -> None:
    model = create_model(
        "Model",
        plain=(int, ...),
        described=(int, Field(description="How many")),
        annotated=(Annotated[set[str], Field(description="Labels")], ...),
        price=(Price, ...),
    )
    schema = struct_type(model)
    assert [field.metadata for field in schema] == [
        *({}, {"comment": "How many"}, {"comment": "Labels", "dynamodb": "SS"}, {})
    ]
    assert schema["price"].dataType["amount"].metadata == {"comment": "Amount before tax"}


def test_fields_keep_the_order_of_the_model() -> None:
    assert struct_type(Price).names == ["amount", "currency"]
    assert isinstance(struct_type(Price), StructType)


@pytest.mark.parametrize(
    ("annotation", "path", "problem"),
    [
        (complex, "x", "complex has no Spark type. Use one of str,"),
        *(
            (getattr(typing, name), "x", f"{name} has no Spark type. {hint}")
            for name, hint in {
                "Set": "Say what it holds, as in set[str]",
                "FrozenSet": "Say what it holds, as in frozenset[str]",
            }.items()
        ),
        (tuple[()], "x", "has no Spark type. Use tuple[X, ...], or a model"),
        (tuple[int, complex], "x._2", "complex has no Spark type"),
        (Callable[[int], int], "x", "has no Spark type"),
        (list[complex], "x[]", "complex has no Spark type"),
        (dict[str, list[complex]], "x{}[]", "complex has no Spark type"),
        (dict[tuple[int, ...], str], "x", "has keys of tuple[int, ...], and a map's key is one value, never None"),
        (dict[str | None, str], "x", "has keys of str | None, and a map's key is one value, never None"),
        (dict[Any, str], "x", "has keys of Any"),
        (dict[Price, str], "x", "has keys of Price"),
        (dict[int, complex], "x{}", "complex has no Spark type"),
        (dict[complex, int], "x{}", "complex has no Spark type"),
        (int | str, "x", "is one of int, str, and a Spark column has one type"),
        (list[int | str | None], "x[]", "is one of int, str"),
        (Mixed, "x", "has values of the types int, str"),
        (Empty, "x", "has values of the types none"),
        (Literal["a", 1], "x", "has values of the types int, str"),
        (Literal[True, 1], "x", "has values of the types bool, int"),
        (set[float], "x", "a DynamoDB set can't hold double"),
        (set[bool], "x", "a DynamoDB set can't hold boolean"),
        (set[datetime], "x", "a DynamoDB set can't hold timestamp"),
        (set[str | None], "x", "a DynamoDB set can't hold string or None"),
        (list[set[str]], "x[]", "DynamoDB type 'SS' can stand only on a field"),
        (dict[str, set[int]], "x{}", "DynamoDB type 'NS' can stand only on a field"),
        (list[Annotated[datetime, StorageForm("N")]], "x[]", "DynamoDB type 'N' can stand only on a field"),
        (Annotated[str, StorageForm("N")], "x", "str can't be stored as DynamoDB type 'N'"),
        (Annotated[datetime, StorageForm("B")], "x", "datetime can't be stored as DynamoDB type 'B'"),
        (Annotated[list[datetime], StorageForm("N")], "x", "a list can't be stored as DynamoDB type 'N'"),
        (Annotated[set[str], StorageForm("NS")], "x", "a set can't be stored as DynamoDB type 'NS'"),
        (Annotated[dict[str, Any], StorageForm("S")], "x", "a dict can't be stored as DynamoDB type 'S'"),
        (Annotated[Price, StorageForm("S")], "x", "a model can't be stored as DynamoDB type 'S'"),
        (Annotated[Decimal, Field(max_digits=20)], "x", "max_digits=20 alone leaves the scale open"),
        (Annotated[Decimal, Field(max_digits=39, decimal_places=2)], "x", "Keep decimal_places <= max_digits <= 38"),
        (Annotated[Decimal, Field(max_digits=2, decimal_places=3)], "x", "Keep decimal_places <= max_digits <= 38"),
        (Annotated[Decimal, Field(decimal_places=39)], "x", "Keep decimal_places"),
        (list[Node], "x[].children[]", "holds Node within itself"),
        (Secret[complex], "x", "complex has no Spark type"),
        (T, "x", "~T stands for no type yet. Give the class its type arguments, as in Page[Order]"),
        (re.Pattern, "x", "Pattern has no Spark type"),
        (type[int], "x", "type[int] has no Spark type"),
        (pydantic.ImportString, "x", "ImportString has no Spark type"),
        (Iterable[int], "x", "has no Spark type"),
        (Annotated[int, Field(ge=-(10**39))], "x", "its bounds need more than 38 digits"),
        (Annotated[int, SparkType("INTEGERS")], "x", "INTEGERS"),
        (Annotated[int, SparkType("ARRAY<INT>")], "x", "int is bigint, and can't be array<int>. Change the annotation"),
        (Annotated[list[int], SparkType("ARRAY<INT>")], "x", "list[Annotated[int, SparkType('INT')]]"),
        (Annotated[datetime, SparkType("DATE")], "x", "datetime is timestamp, and can't be date"),
        (Annotated[str, SparkType("INT")], "x", "str is string, and can't be int"),
        (Annotated[int | str, SparkType("INT")], "x", "is one of int, str"),
        (Price | Node, "x", "is one of Price, Node, and a Spark column has one type. Use Any, or a model, or a policy"),
        (WithLength, "x", "StrictName has no Spark type"),
    ],
)
def test_what_has_no_spark_type_is_named_with_its_path(annotation: Any, path: str, problem: str) -> None:
    model = create_model("Model", __config__=pydantic.ConfigDict(arbitrary_types_allowed=True), x=(annotation, ...))
    with pytest.raises(SchemaError) as caught:
        struct_type(model)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"Field '{path}': ")
    assert problem in str(caught.value)


def test_the_path_leads_through_models() -> None:
    order = create_model("Order", price=(complex | None, None), __config__={"arbitrary_types_allowed": True})
    with pytest.raises(SchemaError, match=r"Field 'orders\[\]\.price': complex has no Spark type"):
        struct_type(create_model("Customer", orders=(list[order], ...)))  # type: ignore[valid-type]


@pytest.mark.parametrize(
    "given", [pydantic.BaseModel, int, Price(amount=Decimal(1)), "Price", dict[str, Any], Nothing, Root, list[Price]]
)
def test_only_models_with_fields_have_a_schema(given: Any) -> None:
    with pytest.raises(SchemaError, match=r"is no Pydantic model|has no fields"):
        struct_type(given)


def test_neither_session_nor_boto3_is_needed() -> None:
    program = (
        "import sys; from spark_dynamo.schema.bridge import struct_type; "
        "from pydantic import create_model; struct_type(create_model('M', x=(int, ...))); "
        "from pyspark import SparkContext; assert SparkContext._active_spark_context is None; "
        "assert not {'boto3', 'botocore'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
