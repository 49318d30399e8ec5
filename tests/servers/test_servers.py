"""The servers do what tests and benchmarks rely on."""

import http.client
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from . import dynoxide
from .replay import DISTINCT_PAGES, ITEM_SIZE, example_item, item_size, replay_server, segment_pages, skewed_segment
from .requirement import missing

pytestmark = pytest.mark.server

KEY = [{"AttributeName": "id", "KeyType": "HASH"}]
KEY_TYPE = [{"AttributeName": "id", "AttributeType": "S"}]


@contextmanager
def client(endpoint: str, connections: int = 10) -> Iterator[Any]:
    made = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=connections),
    )
    try:
        yield made
    finally:
        made.close()


def scan(dynamodb: Any, table: str, segment: int, segments: int) -> list[dict[str, Any]]:
    """All the pages of one segment."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, Segment=segment, TotalSegments=segments)
    return list(pages)


def answers(endpoint: str) -> bool:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def test_a_server_keeps_a_table(server: Any) -> None:
    items = [{"id": {"S": f"item-{number}"}, "number": {"N": str(number)}} for number in range(100)]
    with client(server.endpoint) as dynamodb:
        dynamodb.create_table(
            TableName="servers", KeySchema=KEY, AttributeDefinitions=KEY_TYPE, BillingMode="PAY_PER_REQUEST"
        )
        for start in range(0, len(items), 25):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            assert dynamodb.batch_write_item(RequestItems={"servers": puts})["UnprocessedItems"] == {}
        for segments in (1, 4):
            found = [
                item
                for segment in range(segments)
                for page in scan(dynamodb, "servers", segment, segments)
                for item in page["Items"]
            ]
            assert sorted(found, key=lambda item: int(item["number"]["N"])) == items
        dynamodb.delete_table(TableName="servers")
        with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
            dynamodb.describe_table(TableName="servers")


def test_dynoxide_ends_with_its_block() -> None:
    endpoint = ""
    with pytest.raises(LookupError), dynoxide.dynoxide_server() as started:
        endpoint = started
        assert answers(endpoint)
        raise LookupError
    assert not answers(endpoint)


def test_dynoxide_ends_with_a_process_that_is_killed(dynoxide_server: Any, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from spark_dynamo.local import LocalDynamoDB\n"
        "server = LocalDynamoDB(share=False, engine='dynoxide')\n"
        "print(server.endpoint_url, 'http://%s:%d' % server._engine.behind, flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        front, behind = process.stdout.readline().split()
        assert answers(front)
        assert answers(behind)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while answers(front) or answers(behind):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_missing_is_skipped_but_fails_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no dynoxide in .*: `make servers` compiles it"):
        dynoxide.dynoxide_server().__enter__()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="a failure, not a skip"):
        missing("there is no dynoxide")


def test_without_cargo_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dynoxide.install() == "there is no `cargo` on the PATH; install Rust"
    (tmp_path / "cargo").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cargo").chmod(0o755)
    assert str(dynoxide.install()).startswith("cargo could not compile it: ")


@pytest.mark.parametrize("segments", [1, 3, DISTINCT_PAGES + 5])
def test_replayed_segments_give_each_page_once(segments: int) -> None:
    with replay_server(DISTINCT_PAGES, items_per_page=10) as server, client(server.endpoint) as dynamodb:
        pages = [page for segment in range(segments) for page in scan(dynamodb, "replay", segment, segments)]
        ids = [item["id"]["S"] for page in pages for item in page["Items"]]
        assert len(ids) == len(set(ids)) == server.items
        # a segment without a page of its own answers an empty one
        assert len(pages) == max(segments, server.pages)
        assert all(page["Count"] == page["ScannedCount"] == len(page["Items"]) for page in pages)
        assert server.stats() == {"requests": {"Scan": len(pages)}, "items_written": 0}


def test_replayed_pages_repeat_beyond_the_distinct_ones() -> None:
    with replay_server(2 * DISTINCT_PAGES + 1, items_per_page=3) as server, client(server.endpoint) as dynamodb:
        (*most, last) = scan(dynamodb, "replay", 0, 1)
        assert [page["LastEvaluatedKey"]["id"]["S"] for page in most] == [f"page-{n}" for n in range(server.pages - 1)]
        assert "LastEvaluatedKey" not in last
        assert last["Items"] == most[0]["Items"]


def test_replay_describes_its_table_and_counts_writes() -> None:
    puts = [{"PutRequest": {"Item": {"id": {"S": f'"PutRequest" {number}'}}}} for number in range(25)]
    with replay_server(4, items_per_page=5) as server, client(server.endpoint) as dynamodb:
        table = dynamodb.describe_table(TableName="replay")["Table"]
        assert (table["TableStatus"], table["ItemCount"], table["TableSizeBytes"]) == ("ACTIVE", 20, 20 * ITEM_SIZE)
        answer = dynamodb.batch_write_item(RequestItems={"replay": puts}, ReturnConsumedCapacity="TOTAL")
        assert answer["UnprocessedItems"] == {}
        assert answer["ConsumedCapacity"] == [{"CapacityUnits": 25.0, "TableName": "replay"}]
        page = dynamodb.scan(TableName="replay", ReturnConsumedCapacity="TOTAL")
        assert page["ConsumedCapacity"] == {"CapacityUnits": 128.5, "TableName": "replay"}
        assert server.stats() == {
            "requests": {"DescribeTable": 1, "BatchWriteItem": 1, "Scan": 1},
            "items_written": 25,
        }


def test_replay_refuses_what_dynamodb_would() -> None:
    with replay_server(4, items_per_page=5) as server, client(server.endpoint) as dynamodb:
        with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
            dynamodb.describe_table(TableName="another")
        with pytest.raises(ClientError, match="not one of segment 1 of 2"):
            dynamodb.scan(TableName="replay", Segment=1, TotalSegments=2, ExclusiveStartKey={"id": {"S": "page-0"}})
        with pytest.raises(ClientError, match="does not know 'ListTables'"):
            dynamodb.list_tables()


@pytest.mark.parametrize("limit", [1, 7, 10, 25])
@pytest.mark.parametrize("skew", [0.0, 0.5])
def test_replay_cuts_pages_at_a_limit(limit: int, skew: float) -> None:
    with replay_server(DISTINCT_PAGES, items_per_page=10, skew=skew) as server, client(server.endpoint) as dynamodb:
        paginator = dynamodb.get_paginator("scan")
        ids = []
        for segment in range(3):
            wanted = {"TableName": "replay", "Segment": segment, "TotalSegments": 3, "Limit": limit}
            pages = list(paginator.paginate(**wanted, ReturnConsumedCapacity="TOTAL"))
            assert all(page["Count"] == page["ScannedCount"] == len(page["Items"]) for page in pages)
            assert all(page["Count"] == min(limit, 10) for page in pages[:-1])
            for page in pages:
                blocks = max(1, math.ceil(page["Count"] * ITEM_SIZE / 4096))
                assert page["ConsumedCapacity"]["CapacityUnits"] == blocks / 2
            ids += [item["id"]["S"] for page in pages for item in page["Items"]]
        assert len(ids) == len(set(ids)) == server.items
        page = dynamodb.scan(TableName="replay", Limit=10, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
        assert page["ConsumedCapacity"]["CapacityUnits"] == 2.0


@pytest.mark.parametrize("total", [1, 2, 5, 64])
def test_one_replayed_segment_is_heavy(total: int) -> None:
    pages = [segment_pages(segment, total, 100, 0.9) for segment in range(total)]
    assert sorted(page for segment in pages for page in segment) == list(range(100))
    assert len(pages[skewed_segment(total)]) == (90 if total > 1 else 100)


def test_replay_answers_queries_with_all_pages() -> None:
    with replay_server(3, items_per_page=10) as server, client(server.endpoint) as dynamodb:
        condition = {
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": "x"}},
        }
        pages = list(dynamodb.get_paginator("query").paginate(TableName="replay", **condition))
        assert [item for page in pages for item in page["Items"]] == [example_item(number) for number in range(30)]
        with pytest.raises(ClientError, match="KeyConditionExpression is missing"):
            dynamodb.query(TableName="replay")


def test_replay_gets_items_by_key() -> None:
    def key(number: int) -> dict[str, Any]:
        return {"id": {"S": f"item-{number:012d}"}}

    pages = 2 * DISTINCT_PAGES
    with replay_server(pages, items_per_page=10) as server, client(server.endpoint) as dynamodb:
        answer = dynamodb.get_item(TableName="replay", Key=key(42), ReturnConsumedCapacity="TOTAL")
        assert answer["Item"] == example_item(42)
        assert answer["ConsumedCapacity"]["CapacityUnits"] == 0.5
        assert "Item" not in dynamodb.get_item(TableName="replay", Key=key(10 * pages))

        numbers = [0, 9, 10, 79, 80, 159, 160, 7]  # from 80 on an item is another's, and from 160 on there is none
        asked = {"replay": {"Keys": [key(number) for number in numbers], "ConsistentRead": True}}
        answer = dynamodb.batch_get_item(RequestItems=asked, ReturnConsumedCapacity="TOTAL")
        there = [number for number in numbers if number < 160]
        expected = [{**example_item(number % 80), **key(number)} for number in there]
        assert answer["Responses"]["replay"] == expected
        assert answer["UnprocessedKeys"] == {}
        assert answer["ConsumedCapacity"] == [{"CapacityUnits": 8.0, "TableName": "replay"}]

        with pytest.raises(ClientError, match="duplicates"):
            dynamodb.batch_get_item(RequestItems={"replay": {"Keys": [key(1), key(1)]}})
        with pytest.raises(ClientError, match="Too many items"):
            dynamodb.batch_get_item(RequestItems={"replay": {"Keys": [key(number) for number in range(101)]}})
        with pytest.raises(ClientError, match="does not match the schema"):
            dynamodb.get_item(TableName="replay", Key={"other": {"S": "item-000000000001"}})


def test_replay_logs_what_it_served_and_may_be_silent_about_it() -> None:
    with (
        replay_server(2, items_per_page=10, capacity=False, latency=0.01) as server,
        client(server.endpoint) as dynamodb,
    ):
        before = time.monotonic()
        page = dynamodb.scan(TableName="replay", Segment=1, TotalSegments=2, ReturnConsumedCapacity="TOTAL")
        answer = dynamodb.get_item(TableName="replay", Key={"id": {"S": "item-1"}}, ReturnConsumedCapacity="TOTAL")
        assert "ConsumedCapacity" not in page
        assert "ConsumedCapacity" not in answer
        first, second = server.log()
        assert (first.operation, first.segment, first.units) == ("Scan", 1, 128.5)
        assert (second.operation, second.segment, second.units) == ("GetItem", None, 0.5)
        assert before < first.received <= first.answered - 0.01
        assert first.answered < second.received < second.answered < time.monotonic()


def test_latencies_of_connections_do_not_add_up() -> None:
    connections, latency = 64, 0.05
    with replay_server(1, items_per_page=1, latency=latency) as server:
        with client(server.endpoint, connections) as dynamodb, ThreadPoolExecutor(connections) as threads:
            list(threads.map(lambda _: dynamodb.scan(TableName="replay"), range(connections)))  # opens connections
            start = time.monotonic()
            list(threads.map(lambda _: dynamodb.scan(TableName="replay"), range(connections)))
            elapsed = time.monotonic() - start
        # one after the other would take 3.2 s
        assert latency <= elapsed < connections * latency / 4
        assert server.stats()["requests"] == {"Scan": 2 * connections}


def test_replay_server_ends_with_its_block() -> None:
    with replay_server(1, items_per_page=1) as server:
        connection = http.client.HTTPConnection(server.endpoint.removeprefix("http://"))
        connection.request("GET", "/health")
        assert json.load(connection.getresponse()) == {"status": "ok"}
        connection.close()
    assert not answers(server.endpoint)


def test_example_items_have_the_size_and_attributes_they_claim() -> None:
    for number in (0, 1, 99, 2_500, 19_999):
        item = example_item(number)
        assert item_size(item) == ITEM_SIZE
        assert len(item) == 13
