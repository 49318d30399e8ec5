"""Contenders on Spark, `local[2]`: the whole way from DynamoDB into the JVM, or back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_dynamo.source.datasource import DynamoDataSource
from tests.benchmarks.items import SCHEMA, batches
from tests.benchmarks.row_sink import RowSink
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
def write(endpoint: str, items: int, tasks: int = 2) -> Iterator[Work]:
    """Write that many items in that many tasks by `dynamo-meta`."""
    with _session() as spark, _frame(spark, items, tasks) as frame:

        def work() -> int:
            frame.write.format("dynamo-meta").mode("append").option("endpointUrl", endpoint).save(TABLE)
            return items

        yield work


@contextmanager
def write_rows(endpoint: str, items: int, batched: bool) -> Iterator[Work]:
    """Write that many items in two tasks by boto3 in a data source that gets row after row."""
    with _session() as spark, _frame(spark, items, 2) as frame:
        spark.dataSource.register(RowSink)
        sink = frame.write.format("rows").mode("append").options(endpointUrl=endpoint, batches=batched)

        def work() -> int:
            sink.save()
            return items

        yield work


@contextmanager
def _frame(spark: SparkSession, items: int, tasks: int) -> Iterator[DataFrame]:
    """The rows of as many Parquet files as tasks, which take next to nothing to read."""
    folder = Path.cwd() / "items"
    folder.mkdir()
    for number in range(tasks):
        _save(folder / f"{number}.parquet", items, number, tasks)
    frame = spark.read.schema(SCHEMA).parquet(str(folder))
    if frame.rdd.getNumPartitions() != tasks:
        raise RuntimeError(f"{frame.rdd.getNumPartitions()} tasks, not {tasks}")
    yield frame


def _drop(frame: DataFrame, items: int) -> Work:
    found = frame.count()
    if found != items:
        raise RuntimeError(f"{found:,} of {items:,} items were read")

    def work() -> int:
        frame.write.format("noop").mode("overwrite").save()
        return items

    return work


def _save(path: Path, items: int, number: int, files: int) -> None:
    """The part of one file, which takes turns with the others."""
    with pq.ParquetWriter(path, next(batches(1)).schema) as file:
        for index, batch in enumerate(batches(items)):
            if index % files == number:
                file.write_batch(batch)


@contextmanager
def _session() -> Iterator[SparkSession]:
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.files.maxPartitionBytes", "1t")  # a file is one task
        .config("spark.sql.files.openCostInBytes", "1t")
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
