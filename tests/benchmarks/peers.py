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
    table, ready = _ready(endpoint, items)

    def work() -> int:
        with table.batch_writer() as writer:
            for item in ready:
                writer.put_item(Item=item)
        return len(ready)

    yield work


@contextmanager
def put_item(endpoint: str, items: int) -> Iterator[Work]:
    """boto3's `put_item`, given items that are Python objects already."""
    table, ready = _ready(endpoint, items)

    def work() -> int:
        for item in ready:
            table.put_item(Item=item)
        return len(ready)

    yield work


def _ready(endpoint: str, items: int) -> tuple[Any, list[dict[str, Any]]]:
    plain = TypeDeserializer().deserialize
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table(TABLE)
    return table, [plain({"M": example_item(number)}) for number in range(items)]


def scan(table: Any, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All items that a Scan of boto3's table resource gives."""
    while True:
        page = table.scan(**parameters)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]
