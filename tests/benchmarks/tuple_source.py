"""The data source that one would write first: each task scans one segment with boto3 and yields a tuple per item."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from tests.servers.replay import SCHEMA_DDL, TABLE


class TupleSource(DataSource):
    """Reads the replay table from the option `endpointUrl` in as many tasks as `numPartitions` says."""

    @classmethod
    def name(cls) -> str:
        return "tuples"

    def schema(self) -> str:
        return SCHEMA_DDL

    def reader(self, schema: StructType) -> DataSourceReader:
        return _TupleReader(self.options["endpointUrl"], int(self.options["numPartitions"]))


class _TupleReader(DataSourceReader):
    def __init__(self, endpoint: str, partitions: int) -> None:
        self._endpoint = endpoint
        self._partitions = partitions

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(segment) for segment in range(self._partitions)]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        import boto3

        from tests.benchmarks.peers import scan

        table = boto3.resource("dynamodb", endpoint_url=self._endpoint).Table(TABLE)
        for item in scan(table, Segment=partition.value, TotalSegments=self._partitions):
            address = item["address"]
            # boto3 gives every number as Decimal, which Spark takes for DECIMAL only
            yield (
                item["id"],
                item["customer"],
                item["status"],
                item["country"],
                datetime.fromisoformat(item["created_at"]),
                int(item["quantity"]),
                int(item["sequence"]),
                item["amount"],
                item["score"],
                item["is_active"],
                (address["city"], address["postcode"], int(address["floor"])),
                item["tags"],
                item["note"],
            )
