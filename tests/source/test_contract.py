"""Which model a write must obey, and what of a frame it looks at for each operation."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

from spark_dynamo.errors import OptionError, SchemaError, SchemaMismatchError
from spark_dynamo.metadata.models import PipelineConfig
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.source.contract import Contract, contract
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.write.row_checks import Required


class Line(BaseModel):
    price: Decimal
    note: str | None = None


class Order(BaseModel):
    order_id: str
    status: str
    lines: list[Line] = []
    by_name: dict[str, Line] = {}
    comment: str | None = None


class Outer:
    Inner = Order
    text = "x"


KEYS = ["order_id"]
LINE = StructType().add("price", "decimal(38,18)").add("note", "string")
FULL = (
    StructType()
    .add("order_id", "string")
    .add("status", "string")
    .add("lines", ArrayType(LINE), False)
    .add("by_name", MapType(StringType(), LINE), False)
)


def check(schema: StructType, operation: str = "put", nulls: str = "omit") -> list[str]:
    found = Contract(Order).check(schema, table="orders", keys=KEYS, operation=operation, nulls=nulls)
    assert pickle.loads(pickle.dumps(found)) == found
    return [required.path for required in found]


# ---------------------------------------------------------------------------------------------------- which model


def contract_of(**options: str) -> Contract | None:
    return contract(SourceOptions({"table": "orders", **options}))


def test_no_model() -> None:
    assert contract_of() is None
    assert contract_of(table="pipeline_config", itemFormat="json") is None


def test_a_metadata_table_has_its_own_model() -> None:
    assert contract_of(table="pipeline_config") == Contract(PipelineConfig)
    assert contract_of(table="pipeline_config", model=f"{__name__}:Order") == Contract(Order)


@pytest.mark.parametrize("text", [f"{__name__}:Order", f"{__name__}:Outer.Inner"])
def test_the_model_that_the_option_names(text: str) -> None:
    assert contract_of(model=text) == Contract(Order)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Order", "must be like package.module:Model, not 'Order'"),
        (":Order", "must be like package.module:Model"),
        (f"{__name__}:", "must be like package.module:Model"),
        ("__main__:Order", "can't name a model of a notebook or script; Spark imports it elsewhere, from a module"),
        (
            "no_such_package.models:Order",
            "names module 'no_such_package.models', which Spark's driver can't find; install it",
        ),
        ("tests.no_such_module:Order", "names module 'tests.no_such_module', which Spark's driver can't find"),
        (f"{__name__}:Oder", f"names 'Oder' in module '{__name__}', and there is none; did you mean 'Order'?"),
        (
            f"{__name__}:Outer.text",
            f"names '{__name__}:Outer.text', which is no class that derives from pydantic.BaseModel",
        ),
        (f"{__name__}:check", "which is no class that derives from pydantic.BaseModel"),
    ],
)
def test_models_that_cannot_be_had(text: str, sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        contract_of(model=text)
    assert str(caught.value).startswith("Option 'model' ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import no_such_package_at_all", "whose import fails: No module named 'no_such_package_at_all'"),
        ("1 / 0", "whose import fails: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str) -> None:
    (tmp_path / "failing_models.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionError, match=f"names module 'failing_models', {sentence}") as caught:
        contract_of(model="failing_models:Order")
    assert caught.value.__cause__ is not None
    assert "failing_models" not in sys.modules


def test_a_model_needs_columns() -> None:
    with pytest.raises(OptionError, match="Option 'model' needs columns, and itemFormat 'json' has none"):
        contract_of(model=f"{__name__}:Order", itemFormat="json")


# ---------------------------------------------------------------------------------------------------- what is looked at


def test_a_put_needs_all_that_is_required() -> None:
    assert check(FULL) == ["order_id", "status", "lines[]", "lines[].price", "by_name{}", "by_name{}.price"]
    for operation in ("put", "insert"):
        with pytest.raises(SchemaMismatchError) as caught:
            check(StructType().add("order_id", "string").add("lines", ArrayType(LINE)).add("more", "long"), operation)
        assert [(d.path, d.kind) for d in caught.value.differences if d.blocks_write] == [
            ("status", "missing"),
            ("by_name", "missing"),
            ("more", "extra"),
        ]
        assert caught.value.problems == {"status": "missing", "by_name": "missing", "more": "not in the model"}
        assert "The frame for table 'orders' is not what model Order asks for" in str(caught.value)
        assert "status: missing; by_name: missing; more: not in the model. Select, rename or cast" in str(caught.value)
        assert "breaking: nullability" in str(caught.value)


def test_an_update_may_be_partial() -> None:
    schema = StructType().add("order_id", "string").add("status", "string").add("lines", ArrayType(LINE, False))
    assert check(schema, "update", "omit") == ["lines[].price"]
    assert check(schema, "update", "remove") == ["order_id", "status", "lines", "lines[].price"]
    assert check(schema, "update", "write") == check(schema, "update", "remove")
    with pytest.raises(SchemaMismatchError, match=r"status: another type\. (?s:.)*status .*breaking: type"):
        check(StructType().add("order_id", "string").add("status", "long"), "update")
    with pytest.raises(
        SchemaMismatchError, match=r"lines\[\]\.price: missing\. (?s:.)*lines\[\]\.price .*breaking: missing"
    ):
        check(
            StructType().add("order_id", "string").add("lines", ArrayType(StructType().add("note", "string"))), "update"
        )


def test_a_delete_looks_at_keys_only() -> None:
    assert check(StructType().add("order_id", "string").add("anything", "long"), "delete") == []
    with pytest.raises(SchemaMismatchError, match="order_id: another type"):
        check(StructType().add("order_id", "binary"), "delete")


def test_what_fits_exactly_requires_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert check(struct_type(Order)) == []
    assert caplog.text == ""


def test_other_differences_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        check(FULL)
    assert "comment" in caplog.text
    assert "compatible: missing" in caplog.text


def test_comments_and_the_order_of_columns_do_not(caplog: pytest.LogCaptureFixture) -> None:
    fields = [
        StructField(f.name, f.dataType, f.nullable, {"comment": "x"}) for f in reversed(struct_type(Order).fields)
    ]
    with caplog.at_level(logging.INFO):
        assert check(StructType(fields)) == []
    assert caplog.text == ""


def test_the_places_lead_through_lists_and_maps() -> None:
    places = {required.path: required for required in Contract(Order).check(FULL, table="orders", keys=KEYS)}
    assert places["lines[].price"] == Required("lines[].price", ("lines", None, "price"))
    assert places["by_name{}"] == Required("by_name{}", ("by_name", None))


def test_a_model_without_a_schema() -> None:
    class Unclear(BaseModel):
        value: int | str

    with pytest.raises(SchemaError, match="value"):
        Contract(Unclear).check(FULL, table="orders", keys=KEYS)


def test_workers_do_without_pydantic(python: Callable[..., Any]) -> None:
    code = """
import pickle, sys
from spark_dynamo.source.write.row_checks import Checks, Required
from spark_dynamo.source.contract import Contract
from spark_dynamo.source.write.rejects import Destination
pickle.loads(pickle.dumps((Required("a[]", ("a", None)), Destination.parse("badItems", "s3://lake/x"))))
print([name for name in ("pydantic", "pandas", "moto", "rich", "sqlglot") if name in sys.modules])
"""
    finished = python(code)
    assert finished.stdout.strip() == "[]", finished.stderr
