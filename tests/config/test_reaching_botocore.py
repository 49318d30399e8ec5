"""Pool, retries and timeouts arrive where they count, in the client of boto3; a slow server and a broken one show it."""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from spark_dynamo.aws.client import Connection, dynamodb_client, raw_client
from spark_dynamo.config import ENVIRONMENT_VARIABLES, DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.timezones import get_timezone_manager, set_global_timezone
from tests.servers.scripted import Reply, refusal, scripted_server


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ENVIRONMENT_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def local(endpoint: str, **arguments: Any) -> Connection:
    return Connection.from_config(DynamoDBConfig.for_local_development(endpoint_url=endpoint, **arguments))


@pytest.mark.parametrize(
    ("config", "pool", "attempts", "seconds"),
    [
        (DynamoDBConfig.for_local_development(), 50, 4, 30.0),
        (DynamoDBConfig.for_pyspark(endpoint_url="http://localhost:1"), 100, 6, 60.0),
        (DynamoDBConfig(max_pool_connections=7, retries=0, timeout_seconds=0.5, endpoint_url="http://x"), 7, 1, 0.5),
    ],
    ids=["local", "pyspark", "own"],
)
def test_pool_retries_and_timeouts_reach_the_client(
    config: DynamoDBConfig, pool: int, attempts: int, seconds: float
) -> None:
    connection = Connection.from_config(config)
    for client in (dynamodb_client(connection), raw_client(connection)):
        settings = client.meta.config
        assert (settings.max_pool_connections, settings.connect_timeout, settings.read_timeout) == (
            pool,
            seconds,
            seconds,
        )
        assert settings.retries["mode"] == "standard"
        session = client._endpoint.http_session
        assert session._max_pool_connections == pool
        assert (session._timeout.connect_timeout, session._timeout.read_timeout) == (seconds, seconds)
    assert dynamodb_client(connection).meta.config.retries["total_max_attempts"] == attempts
    assert connection.max_attempts == attempts  # what raw requests are repeated by is `aws.requests`
    assert dynamodb_client(connection).meta.region_name == config.region_name
    assert dynamodb_client(connection).meta.endpoint_url == config.endpoint_url


@pytest.mark.server
@pytest.mark.parametrize("retries", [0, 2])
def test_a_broken_server_is_asked_as_often_as_said(retries: int) -> None:
    with scripted_server(lambda operation, request: refusal("InternalServerError", status=500)) as server:
        client = dynamodb_client(local(server.endpoint, retries=retries))
        with pytest.raises(ClientError) as failed:
            client.list_tables()
    assert len(server.requests) == retries + 1
    assert failed.value.response["ResponseMetadata"]["RetryAttempts"] == retries


@pytest.mark.server
def test_a_slow_server_is_left_after_the_timeout() -> None:
    with scripted_server(lambda operation, request: Reply({"TableNames": []}, delay=30.0)) as server:
        client = dynamodb_client(local(server.endpoint, retries=0, timeout_seconds=0.2))
        started = perf_counter()
        with pytest.raises(ReadTimeoutError):
            client.list_tables()
        assert 0.2 <= perf_counter() - started < 20.0
    assert len(server.requests) == 1


@pytest.mark.server
def test_a_server_within_the_timeout_is_waited_for() -> None:
    with scripted_server(lambda operation, request: Reply({"TableNames": ["t"]}, delay=0.3)) as server:
        client = dynamodb_client(local(server.endpoint, retries=0, timeout_seconds=20.0))
        assert client.list_tables()["TableNames"] == ["t"]


def test_debug_logging_begins_with_the_first_connection_and_adds_no_handler(caplog: pytest.LogCaptureFixture) -> None:
    package, root = logging.getLogger("spark_dynamo"), logging.getLogger()
    package.setLevel(logging.NOTSET)
    handlers, level = list(root.handlers), root.level
    Connection.from_config(DynamoDBConfig.for_local_development(enable_debug_logging=False))
    assert package.level == logging.NOTSET
    Connection.from_config(DynamoDBConfig.for_local_development())
    assert package.level == logging.DEBUG
    assert package.handlers == []
    assert (root.handlers, root.level) == (handlers, level)


def test_times_can_be_stored_in_utc_only() -> None:
    assert DynamoDBConfig(store_timestamps_in_utc=True).store_timestamps_in_utc is True
    with pytest.raises(ConfigurationError, match="store_timestamps_in_utc can't be False: .*set user_timezone"):
        DynamoDBConfig(store_timestamps_in_utc=False)


def test_the_timezone_manager_is_made_once_and_leaves_the_process_alone() -> None:
    before = get_timezone_manager()
    config = DynamoDBConfig(default_timezone="Europe/London", user_timezone="Asia/Tokyo")
    manager = config.get_timezone_manager()
    assert (manager.default_timezone, manager.user_timezone) == ("Europe/London", "Asia/Tokyo")
    assert config.get_timezone_manager() is manager
    assert config.model_copy(update={"user_timezone": None}).get_timezone_manager().user_timezone == "Europe/London"
    assert get_timezone_manager() is before


def test_the_timezone_manager_follows_the_variable_and_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DYNAMODB_TIMEZONE=Asia/Tokyo\n")
    assert DynamoDBConfig().get_timezone_manager().default_timezone == "Asia/Tokyo"
    monkeypatch.setenv("DYNAMODB_TIMEZONE", "Europe/Paris")
    set_global_timezone("Asia/Kolkata")
    try:
        assert DynamoDBConfig().get_timezone_manager().default_timezone == "Europe/Paris"
    finally:
        set_global_timezone(None)
