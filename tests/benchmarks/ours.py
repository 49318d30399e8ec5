"""Contenders: this package in one process, as a Spark worker would run it, and its stages one by one."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, cast

import pyarrow as pa

from spark_dynamo.aws.batch_write import request_bodies
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.pages import Chain, fetch_pages, next_key
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import KeyAttribute
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.key_texts import key_texts
from spark_dynamo.source.location import find
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.access import Access
from spark_dynamo.source.read.inference import infer_schema
from spark_dynamo.source.read.planner import plan_read
from spark_dynamo.source.read.reader import TableReader, assemble
from spark_dynamo.source.write.duplicates import SeenKeys
from spark_dynamo.source.write.key_hashes import Fingerprints
from spark_dynamo.source.write.rows import OperationRows
from spark_dynamo.source.write.task import slices
from spark_dynamo.source.write.writer import ItemWriter
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from tests.benchmarks.items import KEYS, SCHEMA, batches
from tests.servers.replay import TABLE

Work = Callable[[], int]

_STAGE_PAGES = 8  # held in memory
_STAGE_ITEMS = 50_000


@contextmanager
def fetch(endpoint: str, items_per_page: int, concurrency: int) -> Iterator[Work]:
    """Fetch the pages and look at nothing."""
    connection = Connection(endpoint_url=endpoint)

    def work() -> int:
        pages = fetch_pages(Requests(connection, TABLE), _segments(concurrency), concurrency=concurrency)
        return sum(len(body) > 1_000 for body in pages) * items_per_page

    yield work


@contextmanager
def read(endpoint: str, one_segment: bool = False) -> Iterator[Work]:
    """Read the table to Arrow in one task, with the segments that the reader chooses, or with one."""
    segments = {"segments": "1"} if one_segment else {}
    options = SourceOptions({"table": TABLE, "endpointUrl": endpoint, "numPartitions": "1", **segments})
    reader = plan_read(options, find(options), SCHEMA)
    (partition,) = reader.partitions()
    yield lambda: sum(batch.num_rows for batch in reader.read(partition))


@contextmanager
def read_by(endpoint: str, operation: Literal["Query", "BatchGetItem"], items: int) -> Iterator[Work]:
    """Read to Arrow in one task by 16 Queries of all pages each, or by that many keys in batches of 100."""
    connection = Connection(endpoint_url=endpoint)
    if operation == "Query":
        names = {"#partition": "id"}
        own: list[dict[str, Any]] = [
            {
                "KeyConditionExpression": "#partition = :partition",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": {":partition": {"S": f"item-{number:012d}"}},
            }
            for number in range(16)
        ]
    else:
        keys = [{"id": {"S": f"item-{number:012d}"}} for number in range(items)]
        own = [{"Keys": keys[start : start + 100]} for start in range(0, items, 100)]
    access = Access(operation, 1, {}, tuple(own))
    reader = TableReader(connection, TABLE, tuple(KEYS), SCHEMA, access, SCHEMA)
    (partition,) = reader.partitions()
    yield lambda: sum(batch.num_rows for batch in reader.read(partition))


@contextmanager
def infer(endpoint: str, items: int) -> Iterator[Work]:
    """Infer the schema from a sample of that many items, DescribeTable included."""
    yield lambda: infer_schema(TABLE, endpointUrl=endpoint, samplingSize=items).items


@contextmanager
def read_in_turn(endpoint: str) -> Iterator[Work]:
    """Read the table to Arrow as the simplest loop would: ask for a page, wait, decode it, ask for the next."""
    connection = Connection(endpoint_url=endpoint)

    def pages() -> Iterator[bytes]:
        requests = Requests(connection, TABLE)
        request: dict[str, Any] = {"TableName": TABLE}
        while True:
            body = requests.send("Scan", json.dumps(request).encode())
            yield body
            key = next_key(body)
            if key is None:
                return
            request["ExclusiveStartKey"] = key

    def work() -> int:
        decoder = PageDecoder(SCHEMA, table=TABLE, key_names=KEYS)
        return sum(batch.num_rows for batch in map(decoder.decode, pages()))

    yield work


@contextmanager
def stage_parse(endpoint: str) -> Iterator[Work]:
    """Parse pages that are in memory already."""
    bodies = _bodies(endpoint)
    decoder = PageDecoder(SCHEMA, table=TABLE, key_names=KEYS)
    unpack = decoder._envelope.unpack  # what is parsed is one answer for each page; its items count
    yield lambda: sum(len(unpack(decoder._parse([body], False))) for _ in range(5) for body in bodies)


@contextmanager
def stage_decode(endpoint: str) -> Iterator[Work]:
    """Parse pages that are in memory already, and cast their columns."""
    bodies = _bodies(endpoint)
    decoder = PageDecoder(SCHEMA, table=TABLE, key_names=KEYS)
    yield lambda: sum(decoder.decode(body).num_rows for _ in range(5) for body in bodies)


@contextmanager
def stage_assemble(endpoint: str) -> Iterator[Work]:
    """Join the batches of pages to larger ones."""
    decoder = PageDecoder(SCHEMA, table=TABLE, key_names=KEYS)
    pages = [decoder.decode(body) for body in _bodies(endpoint)]
    yield lambda: sum(batch.num_rows for batch in assemble(iter(pages * 50), decoder.arrow_schema))


@contextmanager
def write(endpoint: str, items: int, lazily: bool = False, operation: str = "put") -> Iterator[Work]:
    """Write that many items in one task, from batches made before or one by one."""
    writer = _writer(endpoint, operation)
    ready = None if lazily else list(batches(items))
    yield lambda: writer.write(batches(items) if ready is None else iter(ready)).items


@contextmanager
def send(endpoint: str, items: int, concurrency: int = 16) -> Iterator[Work]:
    """Send requests that are ready, and look at nothing."""
    connection = Connection(endpoint_url=endpoint)
    ready = [body for texts in _texts(items) for body in request_bodies(TABLE, texts)]

    def work() -> int:
        requests = Requests(connection, TABLE)
        with ThreadPoolExecutor(concurrency) as pool:
            list(pool.map(lambda body: requests.send("BatchWriteItem", body[0]), ready))
        return sum(count for _, count in ready)

    yield work


@contextmanager
def stage_encode(endpoint: str, items: int = _STAGE_ITEMS) -> Iterator[Work]:
    """Check the rows of batches and turn them into the JSON text of items."""
    rows = OperationRows(_writer(endpoint).plan, "put")
    ready = [part for batch in batches(items) for _, part in slices(batch)]
    yield lambda: sum(len(rows.prepare(part).texts) for part in ready)


@contextmanager
def stage_bodies(items: int = _STAGE_ITEMS) -> Iterator[Work]:
    """Join the texts of items to the bodies of requests."""
    ready = _texts(items)
    yield lambda: sum(count for texts in ready for _, count in request_bodies(TABLE, texts))


@contextmanager
def stage_keys(items: int = 10 * _STAGE_ITEMS) -> Iterator[Work]:
    """Look for equal keys."""
    ready = [batch.select(KEYS) for batch in batches(items)]
    attributes = [KeyAttribute(key, "S") for key in KEYS]

    def work() -> int:
        seen = SeenKeys(Fingerprints.drawn())
        return sum(len(seen.add(key_texts(keys, attributes, SCHEMA)).first) for keys in ready)

    yield work


def _writer(endpoint: str, operation: str = "put") -> ItemWriter:
    options = {"table": TABLE, "endpointUrl": endpoint, "operation": operation}
    return cast(ItemWriter, DynamoDataSource(options).writer(SCHEMA, False))


def _segments(total: int) -> list[Chain]:
    return [Chain("Scan", {"Segment": index, "TotalSegments": total}, f"segment {index}") for index in range(total)]


def _bodies(endpoint: str) -> list[bytes]:
    """The server's first pages."""
    requests = Requests(Connection(endpoint_url=endpoint), TABLE)
    pages = fetch_pages(requests, _segments(1), concurrency=1)
    return [body for body, _ in zip(pages, range(_STAGE_PAGES), strict=False)]


def _texts(items: int) -> list[pa.StringArray]:
    encoder = ItemEncoder(SCHEMA, table=TABLE, key_names=KEYS)
    return [encoder.encode(part) for batch in batches(items) for _, part in slices(batch)]
