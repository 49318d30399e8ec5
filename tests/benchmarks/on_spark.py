"""Contenders on Spark, `local[2]`: the whole way from DynamoDB into the JVM, or back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_dynamo.source.datasource import DynamoDataSource
from tests.benchmarks.items import SCHEMA, batches
from tests.benchmarks.tuple_source import TupleSource
from tests.servers.replay import SCHEMA_DDL, TABLE

Work = Callable[[], int]


@contextmanager
def read(endpoint: str, items: int) -> Iterator[Work]:
    """Read the table by `dynamo-meta`, with its own defaults, and drop the rows in the JVM."""
    with _session() as spark:
        frame = spark.read.format("dynamo-meta").schema(SCHEMA).option("endpointUrl", endpoint).load(TABLE)
        yield _drop(frame, items)


@contextmanager
def read_tuples(endpoint: str, items: int) -> Iterator[Work]:
    """Read the table by boto3 in a data source that yields tuples."""
    with _session() as spark:
        spark.dataSource.register(TupleSource)
        yield _drop(spark.read.format("tuples").options(endpointUrl=endpoint, numPartitions=2).load(), items)


@contextmanager
def write(endpoint: str, items: int) -> Iterator[Work]:
    """Write the rows of two Parquet files, which take next to nothing to read, by `dynamo-meta`."""
    folder = Path.cwd() / "items"
    folder.mkdir()
    with _session() as spark:
        for number in range(2):
            _save(folder / f"{number}.parquet", items, number)
        frame = spark.read.schema(SCHEMA).parquet(str(folder))

        def work() -> int:
            frame.write.format("dynamo-meta").mode("append").option("endpointUrl", endpoint).save(TABLE)
            return items

        yield work


def _drop(frame: DataFrame, items: int) -> Work:
    found = frame.count()
    if found != items:
        raise RuntimeError(f"{found:,} of {items:,} items were read")

    def work() -> int:
        frame.write.format("noop").mode("overwrite").save()
        return items

    return work


def _save(path: Path, items: int, number: int) -> None:
    """Every second batch to one file."""
    with pq.ParquetWriter(path, next(batches(1)).schema) as file:
        for index, batch in enumerate(batches(items)):
            if index % 2 == number:
                file.write_batch(batch)


@contextmanager
def _session() -> Iterator[SparkSession]:
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    if StructType.fromDDL(SCHEMA_DDL) != SCHEMA:
        raise RuntimeError("items.SCHEMA is not what SCHEMA_DDL says")
    spark.dataSource.register(DynamoDataSource)
    try:
        yield spark
    finally:
        spark.stop()
