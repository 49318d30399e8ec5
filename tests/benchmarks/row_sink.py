"""The data source that one would write first: each task puts row after row with boto3, one by one or by `batch_writer`."""

from collections.abc import Iterator
from typing import Any

from pyspark.sql import Row
from pyspark.sql.datasource import DataSource, DataSourceWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from tests.servers.replay import TABLE


class RowSink(DataSource):
    """Writes to the replay table at the option `endpointUrl`; with option `batches` true, by `batch_writer`."""

    @classmethod
    def name(cls) -> str:
        return "rows"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:
        return _RowWriter(self.options["endpointUrl"], self.options["batches"] == "true")


class _RowWriter(DataSourceWriter):
    def __init__(self, endpoint: str, batches: bool) -> None:
        self._endpoint = endpoint
        self._batches = batches

    def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
        import boto3

        table = boto3.resource("dynamodb", endpoint_url=self._endpoint).Table(TABLE)
        if not self._batches:
            for row in iterator:
                table.put_item(Item=_item(row))
            return WriterCommitMessage()
        with table.batch_writer() as writer:
            for row in iterator:
                writer.put_item(Item=_item(row))
        return WriterCommitMessage()


def _item(row: Row) -> dict[str, Any]:
    item = row.asDict(recursive=True)
    item["created_at"] = item["created_at"].isoformat()
    return {name: value for name, value in item.items() if value is not None}
