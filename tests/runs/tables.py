"""Tables of run logs for tests, and what their rows say."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.tables import create_table, wait_until_active
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.metadata.models import PipelineRunLog
from spark_dynamo.metadata.tables import METADATA_TABLES
from spark_dynamo.run_logs.store import LEASE, OWNER, RunStore
from spark_dynamo.schema.items import ModelItems
from tests.conftest import Server

TABLE = METADATA_TABLES["pipeline_run_logs"]
ITEMS = ModelItems(PipelineRunLog, table="pipeline_run_logs", key_names=["run_id"])


@dataclass(frozen=True)
class RunTable:
    """A table of run logs, at a server or at a proxy before it."""

    server: Server
    prefix: str

    @property
    def name(self) -> str:
        return f"{self.prefix}_dev_pipeline_run_logs"

    def config(self, endpoint: str | None = None) -> DynamoDBConfig:
        return DynamoDBConfig(
            endpoint_url=endpoint or self.server.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            table_prefix=self.prefix,
        )

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """The variables that lead a process here."""
        return {
            "DYNAMODB_ENDPOINT_URL": endpoint or self.server.endpoint,
            "DYNAMODB_TABLE_PREFIX": self.prefix,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }

    def store(self, connection: Connection | None = None) -> RunStore:
        return RunStore(connection or self.server.connection, self.name)

    def item(self, run_id: str) -> dict[str, Any]:
        """The row's attributes, {} where there is none."""
        answer = self.server.client.get_item(TableName=self.name, Key={"run_id": {"S": run_id}}, ConsistentRead=True)
        found: dict[str, Any] = answer.get("Item", {})
        return found

    def log(self, run_id: str) -> PipelineRunLog:
        return self._model(self.item(run_id))

    def logs(self) -> dict[str, PipelineRunLog]:
        """All rows by pipeline."""
        models = map(self._model, self.server.items(self.name))
        return {model.pipeline_id: model for model in models}

    def _model(self, item: dict[str, Any]) -> PipelineRunLog:
        """The run log, but for the lease, of which a run itself knows nothing."""
        item = {name: value for name, value in item.items() if name not in (LEASE, OWNER)}
        return ITEMS.decode(orjson.dumps({"Items": [item]}))[0]


def run_table(server: Server, *, indexes: bool = True) -> RunTable:
    """A new, empty table of run logs."""
    table = RunTable(server, f"t{uuid.uuid4().hex[:12]}")
    create_table(
        server.client,
        table.name,
        partition_key=TABLE.partition_key,
        indexes=TABLE.indexes if indexes else (),
    )
    wait_until_active(server.client, table.name)
    return table


def until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it has not come true in time"
        pause.wait(0.02)
