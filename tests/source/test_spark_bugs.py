"""Watches over Spark's bugs that shaped the design: each fails on the day that Spark is mended, so that we look again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession


@pytest.mark.slow
def test_push_filters_still_returns_wrong_rows(spark: SparkSession) -> None:
    """Why predicates come by an option: the JVM keeps one planned reader, with its filters, for all queries of a frame."""
    from pyspark.sql.datasource import DataSource, DataSourceReader, EqualTo, InputPartition

    class Reader(DataSourceReader):
        def __init__(self) -> None:
            self.wanted = list(range(10))

        def pushFilters(self, filters: list[Any]) -> Iterator[Any]:  # noqa: N802
            for each in filters:
                if isinstance(each, EqualTo):
                    self.wanted = [number for number in self.wanted if number == each.value]
                else:
                    yield each

        def partitions(self) -> list[InputPartition]:
            return [InputPartition(0)]

        def read(self, partition: InputPartition) -> Iterator[tuple[int]]:
            return iter([(number,) for number in self.wanted])

    class Source(DataSource):
        @classmethod
        def name(cls) -> str:
            return "pushing"

        def schema(self) -> str:
            return "a INT"

        def reader(self, schema: Any) -> Reader:
            return Reader()

    spark.dataSource.register(Source)
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    try:
        frame = spark.read.format("pushing").load()
        assert frame.where("a = 1").count() == 1
        assert frame.count() == 1, "Spark counts all 10 rows now: look at `pushFilters` again"
    finally:
        spark.conf.unset("spark.sql.python.filterPushdown.enabled")
