"""What Spark says of predicates, many in one action."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import LongType, StructField, StructType

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.evaluate import evaluate
from spark_dynamo.predicates.parse import planned_predicate
from spark_dynamo.predicates.settings import Settings
from tests.predicates.generate import SCHEMA


def frame(spark: SparkSession, batch: pa.RecordBatch) -> DataFrame:
    """The batch as a DataFrame, its rows in order by `row`."""
    table = pa.Table.from_batches([batch]).append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    return spark.createDataFrame(table, StructType([*SCHEMA.fields, StructField("row", LongType())])).cache()


def outcomes(df: DataFrame, texts: Sequence[str]) -> list[list[bool | None]]:
    """For each predicate its outcomes, row by row."""
    rows = (
        df.coalesce(1)
        .orderBy("row")
        .select(*(F.expr(text).cast("boolean").alias(f"c{i}") for i, text in enumerate(texts)))
        .collect()
    )
    return [[row[i] for row in rows] for i in range(len(texts))]


def differences(
    df: DataFrame, batch: pa.RecordBatch, texts: Sequence[str], settings: Settings
) -> tuple[int, list[str]]:
    """How many predicates were compared, and those of which Spark and we think differently."""
    accepted, ours = [], []
    for text in texts:
        try:
            planned = planned_predicate(text, SCHEMA)
            settings.check(planned)
        except OptionError:
            continue
        accepted.append(text)
        outcome = evaluate(planned.node, batch, settings.zone, size_of_null=settings.size_of_null)
        ours.append(outcome.to_pylist())
    theirs = outcomes(df, accepted)
    return len(accepted), [
        f"{text}\n  ours   {mine}\n  Spark's {other}"
        for text, mine, other in zip(accepted, ours, theirs, strict=True)
        if mine != other
    ]
