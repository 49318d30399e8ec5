"""The data source `dynamo-meta`, as Spark sees it."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    DataSourceWriter,
)
from pyspark.sql.types import StructType

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.source.catalog import missing_table, options_in, options_of_creation, with_options, without_options
from spark_dynamo.source.options.source_options import SourceOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_dynamo.source.location import Found
    from spark_dynamo.source.write.plan import WritePlan

# What a read or write needs to know of the world is imported inside the methods: they run once, on the driver's side, but
# every worker of Spark that touches this class imports this module.


class DynamoDataSource(DataSource):
    """DynamoDB tables by `spark.read.format("dynamo-meta")` and `df.write.format("dynamo-meta")`."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        super().__init__(options)
        creation = options_of_creation(options)
        self._is_created = creation is not None  # by CREATE TABLE, which asks for a schema
        self._given = dict(options) if creation is None else creation
        # a table of Spark's catalog may come without options: its schema has them, or a sentence says what to do
        self._parsed = (
            SourceOptions(self._given) if {"table", "path"} & {name.lower() for name in self._given} else None
        )
        # Spark pickles the instance between its calls of schema() and reader(): what was found is not asked for again
        self._found: Found | None = None
        self._full_schema: StructType | None = None

    @classmethod
    def name(cls) -> str:
        """The name behind `format` and `USING`."""
        return "dynamo-meta"

    def schema(self) -> StructType:
        """The schema of a read that was given none: a metadata table's comes from its model, another is inferred."""
        from spark_dynamo.source.read.schemas import full_schema, projected_schema

        options = self._parsed = self._parsed or SourceOptions(self._given)
        self._full_schema = full_schema(options, self._find)
        schema = projected_schema(self._full_schema, options)
        return with_options(schema, self._given) if self._is_created else schema

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of the items that `filter` asks for, by GetItem, Query or a parallel Scan."""
        from spark_dynamo.source.read.planner import plan_read

        if self._parsed is None:
            kept = options_in(schema)
            if not kept:
                raise missing_table(
                    "create it without columns, or read it by SELECT ... FROM t WITH (table 'orders') or "
                    "spark.read.option('table', 'orders').table('t')"
                )
            self._parsed = SourceOptions({**kept, **self._given})
        return plan_read(self._parsed, self._find(), without_options(schema), self._full_schema)

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802 - Spark's name
        """Refused: a table is read as a batch, by `spark.read`."""
        table = "A table" if self._parsed is None else f"Table '{self._parsed.table}'"
        raise ConfigurationError(
            f"{table} can't be read as a stream: format 'dynamo-meta' has spark.read, df.write and "
            "df.writeStream. Read it with spark.read, again as often as is needed; for its changes, send DynamoDB Streams to "
            "Kinesis and read that"
        )

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        """A writer of frames of that schema; the table is created first where that is asked for."""
        from spark_dynamo.source.write.writer import ItemWriter

        return ItemWriter(self._plan_write(schema, overwrite))

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:  # noqa: N802 - Spark's name
        """A writer of epochs; `overwrite` is output mode `complete`, in which the table holds exactly the last result."""
        from spark_dynamo.source.write.stream_writer import ItemStreamWriter

        return ItemStreamWriter(self._plan_write(schema, overwrite))

    def _plan_write(self, schema: StructType, overwrite: bool) -> WritePlan:
        from spark_dynamo.source.write.planner import plan_write
        from spark_dynamo.source.write.table_creation import ensure_target

        options = self._parsed
        if options is None:
            raise missing_table(
                "write to it by INSERT INTO t WITH (table 'orders') ..., df.writeTo('t').option('table', 'orders').append(), or to "
                "a temporary view"
            )
        find = partial(ensure_target, options, schema) if options.create_table else self._find
        return plan_write(options, find, schema, overwrite)

    def _find(self) -> Found:
        from spark_dynamo.source.location import find

        if self._found is None:
            assert self._parsed is not None
            self._found = find(self._parsed)
        return self._found


def register(spark: SparkSession) -> None:
    """Make `dynamo-meta` known to that session, where Spark can't find it by itself (a server without the package).

    >>> register(spark)  # doctest: +SKIP
    >>> spark.read.format("dynamo-meta").load("orders")  # doctest: +SKIP
    """
    from pyspark.errors import AnalysisException

    try:
        spark.dataSource.register(DynamoDataSource)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):  # Spark 4.0 found it by itself and says so
            raise
