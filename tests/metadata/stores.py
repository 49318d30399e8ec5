"""Metadata tables for tests at a server, repositories on them, and the requests that these make."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from spark_dynamo.aws.tables import Index, KeyAttribute, create_table, wait_until_active
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.metadata.models import PipelineConfig
from spark_dynamo.metadata.repositories import (
    BaseDynamoRepository,
    PipelineConfigRepository,
    PipelineRunLogsRepository,
    TableConfigRepository,
)
from spark_dynamo.metadata.tables import METADATA_TABLES
from tests.conftest import Server
from tests.servers.faulty import FaultyServer, faulty_server


class Order(BaseModel):
    customer_id: str
    order_id: int
    total: Decimal | None = None
    note: str | None = None
    version: int | None = None


class OrderRepository(BaseDynamoRepository[Order]):
    table_name = "orders"
    model_class = Order
    primary_key = "customer_id"
    sort_key = "order_id"


class VersionedOrders(OrderRepository):
    version_attribute = "version"


def configured(endpoint: str, prefix: str, **fields: Any) -> DynamoDBConfig:
    return DynamoDBConfig(
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        table_prefix=prefix,
        **fields,
    )


@dataclass(frozen=True)
class Store:
    """The three metadata tables and one of orders, under a prefix of their own."""

    server: Server
    prefix: str

    def config(self, endpoint: str | None = None, **fields: Any) -> DynamoDBConfig:
        return configured(endpoint or self.server.endpoint, self.prefix, **fields)

    @property
    def pipelines(self) -> PipelineConfigRepository:
        return PipelineConfigRepository(self.config())

    @property
    def tables(self) -> TableConfigRepository:
        return TableConfigRepository(self.config())

    @property
    def runs(self) -> PipelineRunLogsRepository:
        return PipelineRunLogsRepository(self.config())

    @property
    def orders(self) -> OrderRepository:
        return OrderRepository(self.config())

    def name(self, table: str) -> str:
        return self.config().get_table_name(table)

    def item(self, table: str, **key: Any) -> dict[str, Any]:
        """An item as it is stored, {} where there is none."""
        answer = self.server.client.get_item(TableName=self.name(table), Key=key, ConsistentRead=True)
        found: dict[str, Any] = answer.get("Item", {})
        return found

    @contextmanager
    def watched(self) -> Iterator[FaultyServer]:
        """A proxy before the server, which logs the requests, and does to them what a test wants."""
        with faulty_server(self.server.endpoint) as proxy:
            yield proxy

    def scanned(self, proxy: FaultyServer) -> int:
        """How many items the Queries and Scans that the proxy has seen read, before any filter."""
        ask = {"Query": self.server.client.query, "Scan": self.server.client.scan}
        return sum(ask[op](**request)["ScannedCount"] for op, request, _ in proxy.log if op in ask)


def make_store(server: Server, *, indexes: bool = True, without_orders: bool = False) -> Store:
    """A new, empty store; without `indexes` the tables are as somebody else made them."""
    store = Store(server, f"t{uuid.uuid4().hex[:12]}")
    made = {name: (t.partition_key, None, t.indexes if indexes else ()) for name, t in METADATA_TABLES.items()}
    keys: tuple[KeyAttribute, KeyAttribute | None, tuple[Index, ...]]
    keys = (KeyAttribute("customer_id", "S"), KeyAttribute("order_id", "N"), ())
    for name, (partition, sort, secondary) in {**made, "orders": keys}.items():
        create_table(server.client, store.name(name), partition_key=partition, sort_key=sort, indexes=secondary)
        wait_until_active(server.client, store.name(name))
    return store


def pipeline(pipeline_id: str = "sales", **fields: Any) -> PipelineConfig:
    return PipelineConfig(
        **{
            "pipeline_id": pipeline_id,
            "pipeline_name": "Sales",
            "source_type": "s3",
            "destination_type": "delta",
            **fields,
        }
    )


TABLE = {
    "pipeline_id": "sales",
    "table_name": "orders",
    "table_type": "source",
    "data_format": "parquet",
    "location": "s3://lake/orders",
}
