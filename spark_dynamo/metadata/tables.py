"""The three metadata tables: their keys, indexes and TTL as data, and `create_tables`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel

from spark_dynamo.aws.tables import DynamoDBClient, Index, KeyAttribute, enable_ttl, ensure_table, wait_until_active
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import PipelineConfig, PipelineRunLog, TableConfig

__all__ = ["METADATA_TABLES", "MetadataTable", "create_tables"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """One metadata table: its logical name, the model of its items, its keys, indexes and TTL attribute.

    >>> METADATA_TABLES["table_config"].partition_key.name
    'table_id'
    """

    logical_name: str
    model: type[BaseModel]
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None = None
    indexes: tuple[Index, ...] = ()
    ttl_attribute: str | None = None


_PIPELINE_ID = KeyAttribute("pipeline_id", "S")
_START_TIME = KeyAttribute("start_time", "S")

METADATA_TABLES: Mapping[str, MetadataTable] = MappingProxyType(
    {
        table.logical_name: table
        for table in (
            MetadataTable("pipeline_config", PipelineConfig, _PIPELINE_ID),
            MetadataTable(
                "table_config",
                TableConfig,
                KeyAttribute("table_id", "S"),
                indexes=(Index("pipeline_id-index", _PIPELINE_ID),),
            ),
            MetadataTable(
                "pipeline_run_logs",
                PipelineRunLog,
                KeyAttribute("run_id", "S"),
                indexes=(
                    Index("pipeline_id-start_time-index", _PIPELINE_ID, _START_TIME),
                    Index("status-start_time-index", KeyAttribute("status", "S"), _START_TIME),
                ),
                ttl_attribute="expires_at",
            ),
        )
    }
)


def create_tables(
    config: DynamoDBConfig | None = None, *, wait: bool = True, client: DynamoDBClient | None = None
) -> list[str]:
    """Create the three metadata tables, with their indexes and TTL, and return their physical names.

    Safe to repeat: a table that exists with the same keys is left as it is, but for TTL, which is enabled where it is
    off. With `wait` the tables are ACTIVE on return (up to 300 seconds each). Without it, TTL needs a second call once
    they are, and a log warning says so. `config` is `DynamoDBConfig()` where it is None; `client`, a boto3 DynamoDB
    client, is made from it. Raises ConfigurationError where an existing table has other keys or another TTL attribute,
    and RequestFailedError, AccessDeniedError or ConnectionError where DynamoDB refuses or can't be reached.

    >>> import moto
    >>> with moto.mock_aws():
    ...     create_tables(DynamoDBConfig(table_prefix="myapp"))
    ['myapp_dev_pipeline_config', 'myapp_dev_table_config', 'myapp_dev_pipeline_run_logs']
    """
    config = DynamoDBConfig() if config is None else config
    if not isinstance(config, DynamoDBConfig):
        raise ConfigurationError(
            f"config is {shorten(repr(config))}, {type(config).__name__}: give a DynamoDBConfig, as in "
            "DynamoDBConfig(environment='prod')"
        )
    if client is None:
        from spark_dynamo.aws.client import Connection, dynamodb_client

        client = dynamodb_client(Connection.from_config(config))
    tables = {config.get_table_name(name): table for name, table in METADATA_TABLES.items()}
    found = {
        name: ensure_table(
            client, name, partition_key=table.partition_key, sort_key=table.sort_key, indexes=table.indexes
        )
        for name, table in tables.items()
    }
    for name, table in tables.items():
        active = found[name].status == "ACTIVE"
        if wait and not active:
            wait_until_active(client, name)
        if table.ttl_attribute and (wait or active):
            enable_ttl(client, name, table.ttl_attribute)
        elif table.ttl_attribute:
            logger.warning("Table '%s' is not ACTIVE yet, so TTL is still off: call create_tables again later", name)
    return list(tables)
