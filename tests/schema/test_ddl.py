"""Types as SQL writes them: what is read, what is refused, and that Spark's own parser says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from pyspark.errors import ParseException
from pyspark.sql import SparkSession, types
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.ddl import leaf_ddl, parse_ddl
from tests.schema.structs import single

READ: dict[str, DataType] = {
    "BOOLEAN": BooleanType(),
    "tinyint": ByteType(),
    "byte": ByteType(),
    "SMALLINT": ShortType(),
    "short": ShortType(),
    "INT": IntegerType(),
    "Integer": IntegerType(),
    "BIGINT": LongType(),
    "long": LongType(),
    "FLOAT": FloatType(),
    "real": FloatType(),
    "DOUBLE": DoubleType(),
    "DECIMAL": DecimalType(10, 0),
    "dec(5)": DecimalType(5, 0),
    "NUMERIC( 38 , 18 )": DecimalType(38, 18),
    "DATE": DateType(),
    "TIMESTAMP": TimestampType(),
    "TIMESTAMP_LTZ": TimestampType(),
    "TIMESTAMP_NTZ": TimestampNTZType(),
    "timestamp without time zone": TimestampNTZType(),
    **(
        {"TIME": TimeType(6), "TIME(3)": TimeType(3), "time(0) without time zone": TimeType(0)}
        if (TimeType := getattr(types, "TimeType", None))  # since Spark 4.1
        else {}
    ),
    "STRING": StringType(),
    "STRING COLLATE UTF8_BINARY": StringType(),
    "string collate unicode_ci": StringType("UNICODE_CI"),
    "string collate `de_CI_AI`": StringType("de_CI_AI"),
    "string collate system.builtin.UNICODE": StringType("UNICODE"),
    "CHAR(3)": CharType(3),
    "character(4)": CharType(4),
    "VARCHAR(10)": VarcharType(10),
    "BINARY": BinaryType(),
    "VARIANT": VariantType(),
    "VOID": NullType(),
    "INTERVAL": CalendarIntervalType(),
    "INTERVAL DAY": DayTimeIntervalType(0, 0),
    "interval hour to second": DayTimeIntervalType(1, 3),
    "INTERVAL YEAR TO MONTH": YearMonthIntervalType(0, 1),
    "interval month": YearMonthIntervalType(1, 1),
    "array<int>": ArrayType(IntegerType()),
    " array < array<string>\n> ": ArrayType(ArrayType(StringType())),
    "map<string, array<date>>": MapType(StringType(), ArrayType(DateType())),
    "map<map<int,int>,void>": MapType(MapType(IntegerType(), IntegerType()), NullType()),
    "struct<>": StructType(),
    "struct<a: int, b string NOT NULL>": StructType().add("a", "integer").add("b", "string", False),
    "struct<a: struct<`b c`: struct<```d```:int>>>": StructType().add(
        "a", StructType().add("b c", StructType().add("`d`", "integer"))
    ),
    "struct<date: date, interval: int, 1a: int, array: array<int>>": StructType(
        [
            StructField("date", DateType()),
            StructField("interval", IntegerType()),
            StructField("1a", IntegerType()),
            StructField("array", ArrayType(IntegerType())),
        ]
    ),
    "a INT, b: STRING COMMENT 'x', c DATE NOT NULL": StructType(
        [
            StructField("a", IntegerType()),
            StructField("b", StringType(), True, {"comment": "x"}),
            StructField("c", DateType(), False),
        ]
    ),
    "int int": StructType().add("int", "integer"),
    "a int, a string": StructType().add("a", "integer").add("a", "string"),
    r"a int COMMENT 'it\'s ''so'' \n\t\\ \% \141 \u00e4 \U0001f600 \q'": StructType(
        [StructField("a", IntegerType(), True, {"comment": "it's 'so' \n\t\\ \\% a ä 😀 q"})]
    ),
    """a int COMMENT "say ""x"" " 'and more'""": StructType(
        [StructField("a", IntegerType(), True, {"comment": 'say "x" and more'})]
    ),
    "a int NOT NULL COMMENT ''": StructType([StructField("a", IntegerType(), False, {"comment": ""})]),
}

REFUSED = {
    " ": "it is empty",
    "foo": "a type is missing before 'foo' at character 1",
    "BIGNIT": "Did you mean BIGINT",
    "DATETIME": "a type is missing before 'DATETIME'",
    "array": "'<' is missing at its end",
    "array<foo>": "a type is missing before 'foo' at character 7",
    "array<int>>": "nothing can follow before '>' at character 11",
    "array<int not null>": "'>' is missing before 'not'",
    "map<int>": "',' is missing before '>'",
    "map<string,int,>": "'>' is missing before ',' at character 15",
    "struct<a int,>": "the name of a column is missing before '>'",
    "struct<1:int>": "Put other names into backquotes",
    "struct<1L:int>": "Put other names into backquotes",
    "struct<a-b:int>": "'-' at character 9 has no part in a type",
    "struct<`a:int>": "'`' at character 8 has no part in a type",
    "struct<a:int default 3>": "'>' is missing before 'default'",
    "struct<a:int null>": "'>' is missing before 'null'",
    "struct<a:int COMMENT 'c' NOT NULL>": "'>' is missing before 'NOT'",
    "struct<a:int COMMENT x>": "a text in quotes is missing before 'x'",
    "a b": "a type is missing before 'b' at character 3",
    "int; drop": "';' at character 4",
    "int NOT NULL": "nothing can follow before 'NOT'",
    "INT(3)": "nothing can follow before '('",
    "TIMESTAMP(3)": "nothing can follow before '('",
    "DECIMAL(39,2)": "scale <= precision <= 38",
    "DECIMAL(2,3)": "scale <= precision <= 38",
    "DECIMAL(5,2,1)": "')' is missing before ','",
    "DECIMAL(x)": "a number is missing before 'x'",
    "TIME(10)": "at most 9 digits",
    "VARCHAR": "a length such as (10) is missing",
    "interval second to day": "no unit is shorter",
    "interval day to month": "HOUR or MINUTE or SECOND is missing before 'month'",
    "GEOMETRY": "an SRID such as (4326)" if hasattr(types, "GeometryType") else "since version 4.1",
    "GEOMETRY(7)": "Spark knows no SRID 7" if hasattr(types, "GeometryType") else "since version 4.1",
    "a int, b": "a type is missing at its end",
}


@pytest.mark.parametrize("text", READ)
def test_read(text: str) -> None:
    assert parse_ddl(text) == READ[text]
    found = parse_ddl(text)
    assert found.json() == READ[text].json()  # metadata are no part of Spark's own comparison of types


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_ddl(text, "orders[].price")
    assert str(caught.value).startswith(f"Field 'orders[].price': {text!r} is no type of Spark's SQL: ")
    assert REFUSED[text] in str(caught.value)


def test_a_text_without_an_end() -> None:
    with pytest.raises(SchemaError, match="is nested too deep"):
        parse_ddl("array<" * 5000)


def test_spark_reads_the_same(spark: SparkSession) -> None:
    for text, kind in READ.items():
        assert DataType.fromDDL(text).json() == kind.json(), text
    for text in REFUSED.keys() - {" ", "TIME(10)"}:  # the first is a struct without columns there
        with pytest.raises(ParseException):
            DataType.fromDDL(text)


@given(single)
def test_the_text_of_a_type_reads_back(kind: DataType) -> None:
    assert parse_ddl(leaf_ddl(kind)) == kind
