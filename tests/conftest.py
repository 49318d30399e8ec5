"""Real servers, one Spark session, a unique table for each test, and an environment without anybody's settings."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from tests.environment import prepare

prepare()  # before anything reads the environment, and before Spark's JVM inherits it

import botocore.handlers  # noqa: E402
import hypothesis  # noqa: E402
import moto.core.models  # noqa: E402, F401
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql.types import StructType  # noqa: E402

from spark_dynamo.aws.client import Connection, dynamodb_client  # noqa: E402
from spark_dynamo.aws.tables import Index, KeyAttribute, create_table, wait_until_active  # noqa: E402
from spark_dynamo.local.dynoxide_engine import cached_dynoxide  # noqa: E402
from spark_dynamo.source.datasource import DynamoDataSource  # noqa: E402
from spark_dynamo.source.write.writer import ItemWriter  # noqa: E402
from tests.servers.dynoxide import dynoxide_server as dynoxide_server_process  # noqa: E402
from tests.servers.moto import moto_server as moto_server_process  # noqa: E402
from tests.servers.spark_classes import QUICK, java_options  # noqa: E402

os.environ |= {"SPARK_LAUNCHER_OPTS": QUICK, "SPARK_SUBMIT_OPTS": java_options()}

# moto looks at each request of a process that has imported it, for which requests take botocore's slower way
botocore.handlers.BUILTIN_HANDLERS[:] = [
    handler for handler in botocore.handlers.BUILTIN_HANDLERS if "moto" not in type(handler[1]).__module__
]


pytest_plugins = ["tests.tiers"]

# The examples are the same each time, so that a suite that passed once passes on any day. CI takes HYPOTHESIS_PROFILE=ci, and
# `explore` looks for new ones. Properties that write to a server take an eighth of these.
_SAME = hypothesis.settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.register_profile("dev", _SAME, max_examples=20)
hypothesis.settings.register_profile("ci", _SAME, max_examples=80)
hypothesis.settings.register_profile("explore", _SAME, max_examples=1_000, derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


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
def dynoxide_server() -> Iterator[Server]:
    with dynoxide_server_process() as endpoint:
        yield Server("dynoxide", endpoint)


@pytest.fixture(scope="session")
def local_server(request: pytest.FixtureRequest) -> Server:
    """The faster of the two that is there, for what both do alike."""
    found: Server = request.getfixturevalue("dynoxide_server" if cached_dynoxide() else "moto_server")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`server` is each of the two servers in turn; with Spark only one, since both are proven below Spark."""
    if "server" in metafunc.fixturenames:
        names = ["local"] if "spark" in metafunc.fixturenames else ["moto", "dynoxide"]
        metafunc.parametrize("server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """The server of that name."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


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
