"""Real servers, one Spark session, a unique table for each test, and an environment without anybody's AWS settings."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import pytest

# before anything reads the environment, and before Spark's JVM inherits it
for _name in list(os.environ):
    if _name.startswith(("AWS_", "DYNAMODB_")) or _name == "ENVIRONMENT":
        del os.environ[_name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "PYSPARK_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
}

import botocore.handlers  # noqa: E402
import moto.core.models  # noqa: E402, F401
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql.types import StructType  # noqa: E402

from spark_dynamo.aws.client import Connection, dynamodb_client  # noqa: E402
from spark_dynamo.aws.tables import Index, KeyAttribute, create_table, wait_until_active  # noqa: E402
from spark_dynamo.errors import ConfigurationError  # noqa: E402
from spark_dynamo.java import check_java  # noqa: E402
from spark_dynamo.source.datasource import DynamoDataSource  # noqa: E402
from spark_dynamo.source.writer import ItemWriter  # noqa: E402
from tests.servers.dynamodb_local import dynamodb_local, require  # noqa: E402
from tests.servers.moto import moto_server as moto_server_process  # noqa: E402
from tests.servers.spark_classes import QUICK, java_options  # noqa: E402

os.environ |= {"SPARK_LAUNCHER_OPTS": QUICK, "SPARK_SUBMIT_OPTS": java_options()}

# moto looks at each request of a process that has imported it, for which requests take botocore's slower way
botocore.handlers.BUILTIN_HANDLERS[:] = [
    handler for handler in botocore.handlers.BUILTIN_HANDLERS if "moto" not in type(handler[1]).__module__
]


def pytest_sessionstart() -> None:
    try:
        check_java()
    except ConfigurationError as error:
        pytest.exit(str(error), returncode=1)


# what takes a minute or more in one file begins first, so that no test process waits for another at the end
_LONGEST = (
    "test_notebooks.py",
    "test_stopping.py",
    "test_cluster.py",
    "test_task_retries.py",
    "test_streaming.py",
    "test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


@dataclass(frozen=True)
class Server:
    """A DynamoDB server for tests: its address, a boto3 client, and the data source's options that lead to it."""

    name: str
    endpoint: str

    @property
    def connection(self) -> Connection:
        return Connection("us-east-1", self.endpoint, access_key_id="local", secret_access_key="local")

    @property
    def client(self) -> Any:
        return dynamodb_client(self.connection)

    @property
    def options(self) -> dict[str, str]:
        return {
            "endpointUrl": self.endpoint,
            "region": "us-east-1",
            "accessKeyId": "local",
            "secretAccessKey": "local",
        }

    def create(self, partition: str = "id:S", sort: str | None = None, indexes: Sequence[Index] = ()) -> str:
        """A new table with keys like `id:S`; its name."""
        name = f"test-{uuid.uuid4().hex}"
        keys = [KeyAttribute(*key.rsplit(":", 1)) if key else None for key in (partition, sort)]  # type: ignore[arg-type]
        create_table(self.client, name, partition_key=keys[0], sort_key=keys[1], indexes=indexes)  # type: ignore[arg-type]
        wait_until_active(self.client, name)
        return name

    def writer(self, table: str, schema: StructType, **options: str) -> ItemWriter:
        """The writer that Spark gets for a frame of that schema."""
        source = DynamoDataSource({**self.options, "table": table, **options})
        return cast(ItemWriter, source.writer(schema, False))

    def put(self, table: str, *items: dict[str, Any]) -> None:
        """Items in DynamoDB JSON, as boto3's client takes it."""
        for item in items:
            self.client.put_item(TableName=table, Item=item)

    def items(self, table: str) -> list[dict[str, Any]]:
        """All items of a table, in DynamoDB JSON."""
        pages = self.client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with moto_server_process() as endpoint:
        yield Server("moto", endpoint)


@pytest.fixture(scope="session")
def aws_server() -> Iterator[Server]:
    """AWS's DynamoDB Local."""
    with ExitStack() as stack:
        yield Server("dynamodb-local", require(lambda: stack.enter_context(dynamodb_local())))


@pytest.fixture(scope="session", params=["moto", "dynamodb-local"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two servers in turn."""
    fixture: Server = request.getfixturevalue("moto_server" if request.param == "moto" else "aws_server")
    return fixture


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = (
        SparkSession.builder.master("local[2]")
        .appName("spark_dynamo tests")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def python(tmp_path: Any) -> Callable[..., Any]:
    """Run Python code in a process of its own, with this environment and more variables; the finished process."""
    import subprocess

    def run(code: str, *arguments: str, timeout: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env={**os.environ, **variables},
        )

    return run
