"""The schema bridge through Spark Connect: values both ways, alignment, violations. One server for all, as it is slow to start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.servers.spark_connect import OWN_PORT

pytestmark = pytest.mark.jvm

_CODE = """
from decimal import Decimal
from typing import Annotated
from pydantic import BaseModel, Field
from pyspark.sql import SparkSession
from spark_dynamo.schema.checks.violations import violations
from spark_dynamo.schema.values import iter_models, to_dataframe, to_models
from tests.schema.examples import PARCELS, Parcel
from tests.schema.test_align import Customer, ORDERS, Order, align, compare, struct_type

spark = SparkSession.builder.remote("local[1]").getOrCreate()
assert "connect" in type(spark).__module__
spark.conf.set("spark.sql.session.timeZone", "Europe/Berlin")

parcels = to_dataframe(spark, PARCELS)
print(to_models(parcels, Parcel) == PARCELS, list(iter_models(parcels, Parcel)) == PARCELS)

aligned = align(spark.sql(ORDERS).drop("lines"), Order)
print(aligned.schema == struct_type(Order), compare(aligned, Order) == [], len(aligned.collect()))
told = align(spark.sql("SELECT 'n' name"), Customer, missing="default")
print(told.schema == struct_type(Customer), told.drop("since").collect()[0].score)
try:
    align(spark.sql("SELECT 1.5D amount, 'o' order_id"), Order).collect()
except Exception as error:
    print("Column 'amount': 1.5 is no BIGINT; correct the value" in str(error))

class Line(BaseModel):
    price: Decimal = Field(ge=0, multiple_of=Decimal("0.05"), max_digits=6, decimal_places=2)

class Coded(BaseModel):
    code: str = Field(pattern=r"^\\w+$")
    lines: list[Line]
    labels: dict[str, Annotated[float, Field(le=1)]]

frame = spark.sql(
    "SELECT 'a b' AS code, array(struct(CAST(0.07 AS DECIMAL(6,2)) AS price)) AS lines, map('x', 2D) AS labels"
)
print([tuple(violation) for row in violations(frame, Coded).collect() for violation in row.violations])
spark.stop()
"""


def test_the_bridge_works_through_connect(python: Callable[..., Any], pytestconfig: pytest.Config) -> None:
    finished = python(_CODE, PYTHONPATH=str(pytestconfig.rootpath), **OWN_PORT)
    assert finished.stdout.splitlines() == [
        "True True",
        "True True 2",
        "True 1.50",
        "True",
        r"[('code', 'pattern=^\\w+$', 'a b'), ('lines[0].price', 'multiple_of=0.05', '0.07'), ('labels{x}', 'le=1', '2.0')]",
    ], finished.stderr[-3000:]
