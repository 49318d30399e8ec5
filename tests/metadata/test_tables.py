"""The metadata tables on a server: created, described, repeated, refused."""

import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.config import Config

from spark_dynamo.aws.tables import (
    Index,
    KeyAttribute,
    TableDescription,
    create_table,
    describe_table,
    enable_ttl,
    ensure_table,
    wait_until_active,
)
from spark_dynamo.config import ENVIRONMENT_VARIABLES, DynamoDBConfig
from spark_dynamo.config.names import LOGICAL_TABLES
from spark_dynamo.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectionError,
    RequestFailedError,
    TableNotFoundError,
)
from spark_dynamo.metadata.models import PipelineRunLog
from spark_dynamo.metadata.tables import METADATA_TABLES, create_tables
from tests.servers.moto import moto_server

ID = KeyAttribute("id", "S")
DAY = KeyAttribute("day", "N")
_prefixes = (f"test{number}" for number in count())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*ENVIRONMENT_VARIABLES.values(), "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


def connect(endpoint: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )


@pytest.fixture
def client(endpoint: str) -> Iterator[Any]:
    client = connect(endpoint)
    yield client
    client.close()


@pytest.fixture
def config() -> DynamoDBConfig:
    return DynamoDBConfig(table_prefix=next(_prefixes))


@pytest.fixture
def name() -> str:
    return next(_prefixes)


def test_what_is_no_configuration_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="config is 'prod', str: give a DynamoDBConfig, as in DynamoDBConfig\\("
    ):
        create_tables("prod")  # type: ignore[arg-type]


def test_the_tables_are_data() -> None:
    assert list(METADATA_TABLES) == ["pipeline_config", "table_config", "pipeline_run_logs"]
    for logical_name, table in METADATA_TABLES.items():
        assert table.logical_name == logical_name
        keys = [table.partition_key, *(index.partition_key for index in table.indexes)]
        assert {key.name for key in keys} <= table.model.model_fields.keys()
    logs = METADATA_TABLES["pipeline_run_logs"]
    assert (logs.model, logs.partition_key, logs.sort_key) == (PipelineRunLog, KeyAttribute("run_id", "S"), None)
    assert [index.name for index in logs.indexes] == ["pipeline_id-start_time-index", "status-start_time-index"]


def test_the_data_source_knows_them_by_name_with_their_models() -> None:
    assert {name: f"{t.model.__module__}:{t.model.__name__}" for name, t in METADATA_TABLES.items()} == LOGICAL_TABLES


def test_create_tables(client: Any, config: DynamoDBConfig) -> None:
    names = create_tables(config, client=client)
    assert names == [config.get_table_name(name) for name in METADATA_TABLES]
    for physical, table in zip(names, METADATA_TABLES.values(), strict=True):
        found = describe_table(client, physical)
        assert found.status == "ACTIVE"
        assert (found.partition_key, found.sort_key) == (table.partition_key, None)
        assert found.indexes == table.indexes
        assert {index.projection for index in found.indexes} <= {"ALL"}
        assert (found.read_units, found.write_units, found.item_count) == (None, None, 0)
        ttl = client.describe_time_to_live(TableName=physical)["TimeToLiveDescription"]
        assert ttl.get("AttributeName") == table.ttl_attribute
        raw = client.describe_table(TableName=physical)["Table"]
        assert raw["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_create_tables_makes_its_own_client(endpoint: str, client: Any, config: DynamoDBConfig) -> None:
    own = DynamoDBConfig(
        table_prefix=config.table_prefix,
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    assert [describe_table(client, name).status for name in create_tables(own)] == ["ACTIVE"] * 3


def test_create_tables_can_be_repeated(client: Any, config: DynamoDBConfig, caplog: pytest.LogCaptureFixture) -> None:
    names = create_tables(config, client=client)
    client.put_item(TableName=names[0], Item={"pipeline_id": {"S": "p"}})
    with caplog.at_level(logging.WARNING):
        assert create_tables(config, client=client, wait=False) == names
    assert client.scan(TableName=names[0])["Count"] == 1
    assert not [record for record in caplog.records if record.name.startswith("spark_dynamo")]


def test_create_tables_completes_a_table_without_ttl_and_names_missing_indexes(
    client: Any, config: DynamoDBConfig, caplog: pytest.LogCaptureFixture
) -> None:
    logs = config.get_table_name("pipeline_run_logs")
    create_table(client, logs, partition_key=KeyAttribute("run_id", "S"))
    with caplog.at_level(logging.WARNING):
        create_tables(config, client=client)
    assert (
        f"Table '{logs}' exists without the indexes pipeline_id-start_time-index, status-start_time-index"
        in caplog.text
    )
    assert describe_table(client, logs).indexes == ()
    assert client.describe_time_to_live(TableName=logs)["TimeToLiveDescription"]["AttributeName"] == "expires_at"


@pytest.mark.parametrize(
    ("partition_key", "sort_key", "found"),
    [
        (KeyAttribute("table_id", "N"), None, r"partition key 'table_id' \(N\)"),
        (ID, None, r"partition key 'id' \(S\)"),
        (KeyAttribute("table_id", "S"), DAY, r"partition key 'table_id' \(S\) and sort key 'day' \(N\)"),
    ],
)
def test_a_table_with_other_keys_is_refused(
    client: Any, config: DynamoDBConfig, partition_key: KeyAttribute, sort_key: KeyAttribute | None, found: str
) -> None:
    table = config.get_table_name("table_config")
    create_table(client, table, partition_key=partition_key, sort_key=sort_key)
    message = rf"Table '{table}' exists with {found}, and partition key 'table_id' \(S\) is needed"
    with pytest.raises(ConfigurationError, match=message):
        create_tables(config, client=client)


def test_a_table_that_expires_by_another_attribute_is_refused(client: Any, config: DynamoDBConfig) -> None:
    logs = config.get_table_name("pipeline_run_logs")
    create_table(client, logs, partition_key=KeyAttribute("run_id", "S"))
    assert enable_ttl(client, logs, "other") is True
    with pytest.raises(ConfigurationError, match=f"Items of table '{logs}' expire by attribute 'other'"):
        create_tables(config, client=client)


def test_enable_ttl_says_whether_it_changed_something(client: Any, name: str) -> None:
    create_table(client, name, partition_key=ID)
    assert [enable_ttl(client, name, "expires_at") for _ in range(2)] == [True, False]


def test_describe_a_provisioned_table_with_every_kind_of_index(client: Any, name: str) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 3}
    client.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "day", "AttributeType": "N"},
            {"AttributeName": "photo", "AttributeType": "B"},
        ],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "day", "KeyType": "RANGE"}],
        ProvisionedThroughput=units,
        LocalSecondaryIndexes=[
            {
                "IndexName": "local-index",
                "KeySchema": [
                    {"AttributeName": "id", "KeyType": "HASH"},
                    {"AttributeName": "photo", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "global-index",
                "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b", "a"]},
                "ProvisionedThroughput": {"ReadCapacityUnits": 2, "WriteCapacityUnits": 1},
            }
        ],
    )
    client.put_item(TableName=name, Item={"id": {"S": "x"}, "day": {"N": "1"}})
    found = describe_table(client, name)
    photo = KeyAttribute("photo", "B")
    assert found == TableDescription(
        name=name,
        arn=found.arn,
        partition_key=ID,
        sort_key=DAY,
        item_count=1,
        size_bytes=found.size_bytes,
        status="ACTIVE",
        indexes=(
            Index("global-index", DAY, projection="INCLUDE", projected=("a", "b")),
            Index("local-index", ID, photo, kind="LSI", projection="KEYS_ONLY"),
        ),
        read_units=5,
        write_units=3,
        warm_read_units=5,
        warm_write_units=3,
    )
    assert found.arn.endswith(f":table/{name}")
    assert (found.indexes[0].read_units, found.indexes[0].write_units) == (2, 1)
    assert found.indexes[1].read_units is None


def test_every_kind_of_index_is_created(client: Any, name: str) -> None:
    indexes = (
        Index("global-index", DAY, projection="INCLUDE", projected=("a",)),
        Index("local-index", ID, KeyAttribute("photo", "B"), kind="LSI", projection="KEYS_ONLY"),
    )
    create_table(client, name, partition_key=ID, sort_key=DAY, indexes=indexes)
    assert describe_table(client, name).indexes == indexes


def test_a_missing_table_is_named(client: Any, name: str) -> None:
    with pytest.raises(TableNotFoundError, match=f"DynamoDB has no table '{name}'") as caught:
        describe_table(client, name)
    assert caught.value.context["region"] == "eu-west-1"
    with pytest.raises(TableNotFoundError):
        wait_until_active(client, name, timeout_seconds=0.1)


def test_a_second_creation_is_refused_by_its_code(client: Any, name: str) -> None:
    create_table(client, name, partition_key=ID)
    with pytest.raises(RequestFailedError, match=name) as caught:
        create_table(client, name, partition_key=ID)
    assert caught.value.code == "ResourceInUseException"
    assert ensure_table(client, name, partition_key=ID).status == "ACTIVE"


@contextmanager
def scripted_client(**answers: list[tuple[int, dict[str, Any]]]) -> Iterator[Any]:
    """A client of a server that gives each operation its answers in turn, the last one again and again."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            turns = answers[self.headers["X-Amz-Target"].rpartition(".")[2]]
            status, body = turns.pop(0) if len(turns) > 1 else turns[0]
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = connect(f"http://127.0.0.1:{server.server_port}")
        yield client
        client.close()
        server.shutdown()


def told(status: str, key: str = "id", **more: Any) -> tuple[int, dict[str, Any]]:
    table = {
        "TableName": "orders",
        "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/orders",
        "TableStatus": status,
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in (key, "a", "b")],
        **more,
    }
    return 200, {"Table": table, "TableDescription": table}


def refused(code: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "because"}


@pytest.mark.server
def test_waiting_ends_when_the_table_is_active() -> None:
    with scripted_client(DescribeTable=[told("CREATING"), told("CREATING"), told("ACTIVE")]) as client:
        wait_until_active(client, "orders", timeout_seconds=5)
        assert describe_table(client, "orders").status == "ACTIVE"


@pytest.mark.server
def test_waiting_ends_after_its_time() -> None:
    with (
        scripted_client(DescribeTable=[told("CREATING")]) as client,
        pytest.raises(RequestFailedError, match=r"Table 'orders' was not ACTIVE after 0\.6 seconds"),
    ):
        wait_until_active(client, "orders", timeout_seconds=0.6)


@pytest.mark.server
def test_waiting_ends_when_permission_is_missing() -> None:
    with (
        scripted_client(DescribeTable=[told("CREATING"), refused("AccessDeniedException")]) as client,
        pytest.raises(AccessDeniedError, match="orders"),
    ):
        wait_until_active(client, "orders", timeout_seconds=5)


@pytest.mark.server
def test_another_process_may_create_the_table_first() -> None:
    answers = [refused("ResourceNotFoundException"), told("CREATING")]
    with scripted_client(DescribeTable=answers, CreateTable=[refused("ResourceInUseException")]) as client:
        assert ensure_table(client, "orders", partition_key=ID).status == "CREATING"


@pytest.mark.server
def test_a_refused_creation_is_an_error() -> None:
    with (
        scripted_client(
            DescribeTable=[refused("ResourceNotFoundException")], CreateTable=[refused("AccessDeniedException")]
        ) as client,
        pytest.raises(AccessDeniedError, match="orders"),
    ):
        ensure_table(client, "orders", partition_key=ID)


@pytest.mark.server
def test_without_waiting_ttl_is_left_for_later(caplog: pytest.LogCaptureFixture) -> None:
    keys = [table.partition_key.name for table in METADATA_TABLES.values()]
    created = [told("CREATING", key) for key in keys]
    answers = {"DescribeTable": [refused("ResourceNotFoundException")], "CreateTable": created}
    with scripted_client(**answers) as client:
        names = create_tables(DynamoDBConfig(), client=client, wait=False)
    assert f"Table '{names[2]}' is not ACTIVE yet, so TTL is still off" in caplog.text


@pytest.mark.server
def test_indexes_with_several_key_attributes_are_listed_apart() -> None:
    projection = {"ProjectionType": "ALL"}
    indexes = [
        {
            "IndexName": "many-index",
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name in ("a", "b")],
            "Projection": projection,
        },
        {
            "IndexName": "one-index",
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
            "Projection": projection,
        },
    ]
    with scripted_client(DescribeTable=[told("ACTIVE", GlobalSecondaryIndexes=indexes)]) as client:
        found = describe_table(client, "orders")
    assert found.indexes == (Index("one-index", KeyAttribute("a", "S"), KeyAttribute("b", "S")),)
    assert found.multi_key_indexes == ("many-index",)
    assert (found.item_count, found.warm_read_units) == (0, None)


@pytest.mark.server
def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(ConnectionError, match="endpoint"):
            describe_table(client, "orders")
        client.close()


@pytest.mark.parametrize("module", ["spark_dynamo.aws.tables", "spark_dynamo.metadata.tables"])
def test_the_examples_run(python: Callable[..., Any], module: str) -> None:
    """In a process of their own: the tests' botocore knows nothing of `moto.mock_aws`."""
    finished = python(f"import doctest, {module} as module; print(doctest.testmod(module))")
    assert "TestResults(failed=0, attempted=" in finished.stdout, finished.stdout + finished.stderr
