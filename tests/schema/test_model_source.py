"""The source of models: readable, as ruff formats it, and the same models that `model_type` makes."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from pyspark.sql import types
from pyspark.sql.types import StructField, StructType

from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.schema.generation.model_source import model_source
from tests.schema.structs import structs
from tests.schema.test_model_type import struct

ORDER = """
id STRING NOT NULL COMMENT 'The order''s "number"',
placed TIMESTAMP NOT NULL,
date DATE,
`ship to` STRUCT<street: STRING NOT NULL, `class`: STRUCT<a: INT>>,
prices MAP<STRING, DECIMAL(10,2)>,
items ARRAY<STRUCT<sku: STRING NOT NULL COMMENT 'Stock keeping unit', quantity: SMALLINT>>,
payload VARIANT,
more MAP<STRING, VARIANT>,
window INTERVAL DAY TO SECOND,
pause INTERVAL HOUR,
local TIMESTAMP_NTZ,
nothing VOID,
a_column_with_a_long_name_that_needs_a_line_of_its_own DOUBLE
COMMENT 'and with a comment that tells what it is and what it is for, at some length'
"""
SOURCE = """\
from datetime import date as date_
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime
from spark_dynamo import SparkType


class OrderShipToClass(BaseModel):
    a: Annotated[int, SparkType("INT")] | None = None


class OrderShipTo(BaseModel):
    model_config = ConfigDict(
        serialize_by_alias=True, validate_by_name=True, validate_by_alias=True
    )

    street: str
    class_: OrderShipToClass | None = Field(default=None, alias="class")


class OrderItems(BaseModel):
    sku: str = Field(description="Stock keeping unit")
    quantity: Annotated[int, SparkType("SMALLINT")] | None = None


class Order(BaseModel):
    model_config = ConfigDict(
        serialize_by_alias=True, validate_by_name=True, validate_by_alias=True
    )

    id: str = Field(description='The order\\'s "number"')
    placed: AwareDatetime
    date: date_ | None = None
    ship_to: OrderShipTo | None = Field(default=None, alias="ship to")
    prices: (
        dict[str, Annotated[Decimal, Field(max_digits=10, decimal_places=2)] | None]
        | None
    ) = None
    items: list[OrderItems | None] | None = None
    payload: Any = None
    more: dict[str, Annotated[Any, SparkType("VARIANT")]] | None = None
    window: timedelta | None = None
    pause: Annotated[timedelta, SparkType("INTERVAL HOUR")] | None = None
    local: NaiveDatetime | None = None
    nothing: Annotated[Any, SparkType("VOID")] = None
    a_column_with_a_long_name_that_needs_a_line_of_its_own: float | None = Field(
        default=None,
        description="and with a comment that tells what it is and what it is for, at some length",
    )
"""


def test_a_whole_source() -> None:
    assert model_source(struct(ORDER.strip()), "Order") == SOURCE


def test_it_is_a_module(python: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text(SOURCE)
    ran = python("import order, spark_dynamo as sd; print(sd.struct_type(order.Order).json())")
    assert ran.stdout.strip() == struct(ORDER.strip()).json(), ran.stderr


@pytest.mark.parametrize(
    ("kind", "required", "nullable"),
    [
        ("STRING", "str", None),
        ("BIGINT", "int", None),
        ("DOUBLE", "float", None),
        ("BOOLEAN", "bool", None),
        ("BINARY", "bytes", None),
        ("DATE", "date", None),
        ("TIMESTAMP", "AwareDatetime", None),
        ("TIMESTAMP_NTZ", "NaiveDatetime", None),
        ("INTERVAL DAY TO SECOND", "timedelta", None),
        ("TINYINT", 'Annotated[int, SparkType("TINYINT")]', None),
        ("FLOAT", 'Annotated[float, SparkType("FLOAT")]', None),
        pytest.param(
            "TIME(3)",
            'Annotated[time, SparkType("TIME(3)")]',
            None,
            marks=pytest.mark.skipif(not hasattr(types, "TimeType"), reason="Spark has TIME since 4.1"),
        ),
        ("INTERVAL YEAR TO MONTH", 'Annotated[int, SparkType("INTERVAL YEAR TO MONTH")]', None),
        ("VARCHAR(10)", 'Annotated[str, SparkType("VARCHAR(10)")]', None),
        ("STRING COLLATE de_CI_AI", 'Annotated[str, SparkType("STRING COLLATE de_CI_AI")]', None),
        ("VARIANT", 'Annotated[object, SparkType("VARIANT")]', "Any"),
        ("INTERVAL", 'Annotated[object, SparkType("INTERVAL")]', 'Annotated[Any, SparkType("INTERVAL")]'),
        ("ARRAY<VARIANT>", "list[Any]", None),
        ("MAP<DATE, STRING>", "dict[date, str | None]", None),
        ("MAP<STRING, VARIANT>", 'dict[str, Annotated[Any, SparkType("VARIANT")]]', None),
        ("MAP<INT, DATE>", 'dict[Annotated[int, SparkType("INT")], date | None]', None),
        ("ARRAY<MAP<STRING, DOUBLE>>", "list[dict[str, float | None] | None]", None),
        ("STRUCT<a: INT>", "ModelX", None),
    ],
)
def test_annotations(kind: str, required: str, nullable: str | None) -> None:
    lines = model_source(struct(f"x {kind} NOT NULL")).splitlines()
    assert lines[-1] == f"    x: {required}"
    lines = model_source(struct(f"x {kind}")).splitlines()
    assert lines[-1] == f"    x: {nullable or f'{required} | None'} = None"


def test_decimals_and_metadata() -> None:
    field = StructField("x", parse_ddl("decimal(5,2)"), True, {"comment": "c", "b": [1.5, None, True]})
    assert model_source(StructType([field])).splitlines()[-7:] == [
        "    x: Decimal | None = Field(",
        "        default=None,",
        "        max_digits=5,",
        "        decimal_places=2,",
        '        description="c",',
        '        json_schema_extra={"spark_metadata": {"b": [1.5, None, True]}},',
        "    )",
    ]


def test_classes_of_the_same_path_have_names_of_their_own() -> None:
    found = struct("a_b struct<c: int>, aB struct<c: int>, a struct<b: struct<c: int>>, ModelAB int")
    names = [line for line in model_source(found).splitlines() if line.startswith("class")]
    assert names == [
        "class ModelAB2(BaseModel):",
        "class ModelAB3(BaseModel):",
        "class ModelAB4(BaseModel):",
        "class ModelA(BaseModel):",
        "class Model(BaseModel):",
    ]


# ------------------------------------------------------------------------------------------------ as ruff has it


def ruff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "ruff"
    return subprocess.run([program, *arguments, "."], cwd=folder, capture_output=True, text=True, check=False)


def check_with_ruff(folder: Path) -> None:
    formatted = ruff(folder, "format", "--isolated", "--diff")
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr
    # a column may be called `l`
    checked = ruff(
        folder, "check", "--isolated", "--target-version=py311", "--select=E4,E7,E9,F,I,UP,RUF", "--ignore=E741,RUF001"
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_random_sources_are_formatted(tmp_path: Path) -> None:
    sources: set[str] = set()

    @settings(database=None)
    @given(structs)
    def write(found: StructType) -> None:
        sources.add(model_source(found))

    write()
    for number, source in enumerate(sources):
        (tmp_path / f"model_{number}.py").write_text(source)
    check_with_ruff(tmp_path)


@pytest.mark.parametrize("works", [False, True])
def test_without_a_formatter_each_field_has_a_line(
    works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one is found that does not work."""
    for name in ("ruff", "black"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755 if works else 0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    plain = model_source(struct(ORDER.strip()), "Order")
    assert ast.dump(ast.parse(plain)) == ast.dump(ast.parse(SOURCE))
    assert (
        "    prices: dict[str, Annotated[Decimal, Field(max_digits=10, decimal_places=2)] | None] | None = None\n"
        in plain
    )


def test_black_lays_out_where_ruff_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "black"
    program.write_text('#!/bin/sh\n/bin/echo "# $*"\n/bin/cat\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    laid_out = model_source(struct("id STRING"), "Order")
    assert laid_out.startswith("# --quiet --config /dev/null -\nfrom pydantic import BaseModel")
