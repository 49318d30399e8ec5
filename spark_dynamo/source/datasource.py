"""The data source `dynamo-meta`, as Spark sees it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceWriter
from pyspark.sql.types import StructType

from spark_dynamo.source.options import SourceOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_dynamo.aws.client import Connection
    from spark_dynamo.aws.tables import TableDescription

# What a read or write needs to know of the world is imported inside the methods: they run once, on the driver's side, but
# every worker of Spark that touches this class imports this module.


_TYPICAL_ITEM = 500  # bytes


class DynamoDataSource(DataSource):
    """DynamoDB tables by `spark.read.format("dynamo-meta")` and `df.write.format("dynamo-meta")`."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        super().__init__(options)
        self._parsed = SourceOptions(options)

    @classmethod
    def name(cls) -> str:
        """The name behind `format` and `USING`."""
        return "dynamo-meta"

    def schema(self) -> StructType:
        """The schema of a read that was given none: a metadata table's comes from its model."""
        from spark_dynamo.errors import SchemaError
        from spark_dynamo.schema.bridge import struct_type
        from spark_dynamo.source.location import metadata_table

        table = metadata_table(self._parsed)
        if table is None:
            raise SchemaError(
                self._parsed.table,
                "the table needs a schema: give one by .schema('id STRING, amount DECIMAL(10,2)') or "
                ".schema(sd.struct_type(Model))",
            )
        return struct_type(table.model)

    def reader(self, schema: StructType) -> DataSourceReader:
        """A parallel scan of the table."""
        from spark_dynamo.source.reader import ScanReader
        from spark_dynamo.wire.types import arrow_schema

        arrow_schema(schema)  # a column without a DynamoDB form is an error here, not in every task
        options = self._parsed
        place, name, table = self._find()
        return ScanReader(
            connection=place,
            table=name,
            key_names=tuple(key.name for key in table.keys),
            schema=schema,
            # a local server may know its items but not their size
            size_bytes=table.size_bytes or table.item_count * _TYPICAL_ITEM,
            consistent_read=options.consistent_read,
            num_partitions=options.num_partitions,
            segments=options.segments,
        )

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        """A writer that puts each row as an item."""
        from spark_dynamo.errors import OptionError
        from spark_dynamo.source.writer import PutWriter, check_keys

        if overwrite:
            raise OptionError(
                "mode", "'overwrite' is not supported; use mode('append'), which replaces items with the same keys"
            )
        options = self._parsed
        place, name, table = self._find()
        check_keys(schema, table)
        return PutWriter(
            connection=place,
            table=table,
            table_name=name,
            schema=schema,
            nulls=options.nulls,
            duplicates=options.duplicates,
        )

    def _find(self) -> tuple[Connection, str, TableDescription]:
        """The connection, the table's name as it is asked for, and what DynamoDB tells about it."""
        from spark_dynamo.aws.client import dynamodb_client
        from spark_dynamo.aws.tables import describe_table
        from spark_dynamo.source.location import connection, physical_name

        place, name = connection(self._parsed), physical_name(self._parsed)
        return place, name, describe_table(dynamodb_client(place), name)


def register(spark: SparkSession) -> None:
    """Make `dynamo-meta` known to that session, where Spark can't find it by itself (a server without the package)."""
    from pyspark.errors import AnalysisException

    try:
        spark.dataSource.register(DynamoDataSource)
    except AnalysisException as error:
        if "DATA_SOURCE_ALREADY_EXISTS" not in str(error):  # Spark 4.0 found it by itself and says so
            raise
