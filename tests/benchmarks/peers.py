"""Contenders: what people use today, in one process. Nothing of this package is imported here, nor of Spark."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer

from tests.servers.replay import TABLE, example_item

Work = Callable[[], int]


@contextmanager
def table_scan(endpoint: str) -> Iterator[Work]:
    """boto3's `Table.scan`, page by page."""
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table(TABLE)
    yield lambda: sum(1 for _ in scan(table))


@contextmanager
def read_items(endpoint: str) -> Iterator[Work]:
    """awswrangler's `read_items` to a pandas frame, with its own defaults."""
    import awswrangler

    awswrangler.config.dynamodb_endpoint_url = endpoint
    yield lambda: len(awswrangler.dynamodb.read_items(table_name=TABLE, allow_full_scan=True))


@contextmanager
def batch_writer(endpoint: str, items: int) -> Iterator[Work]:
    """boto3's `batch_writer`, given items that are Python objects already."""
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table(TABLE)
    plain = TypeDeserializer().deserialize
    ready = [plain({"M": example_item(number)}) for number in range(items)]

    def work() -> int:
        with table.batch_writer() as writer:
            for item in ready:
                writer.put_item(Item=item)
        return len(ready)

    yield work


def scan(table: Any, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All items that a Scan of boto3's table resource gives."""
    while True:
        page = table.scan(**parameters)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]
