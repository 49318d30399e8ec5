"""From options to the place they mean: a connection and a physical table name.

An option is nearest and wins, then come DynamoDBConfig's environment variables and `.env`, then AWS's own chain; where none
of them names a place, an embedded local server of this process or of one that started it is taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from spark_dynamo.aws.client import CONNECT_TIMEOUT, Connection
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import TableDescription, describe_table
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.config.names import LOGICAL_TABLES
from spark_dynamo.source.options.source_options import SourceOptions


@dataclass(frozen=True, slots=True)
class Found:
    """The connection, the table's name as it is asked for, and what DynamoDB tells about the table."""

    connection: Connection
    name: str
    table: TableDescription


def find(options: SourceOptions) -> Found:
    """The table that the options mean, by one DescribeTable, repeated as all requests are; errors as `describe_table` has them."""
    place, name = connection(options), physical_name(options)
    requests = Requests(place, name, patience=options.retry_timeout)
    return Found(place, name, requests.call("DescribeTable", lambda client: describe_table(client, name)))


def model_of_table(options: SourceOptions) -> str | None:
    """The model of the metadata table that the options name by its logical name, as option `model` names one; None for others."""
    return LOGICAL_TABLES.get(options.table)


def physical_name(options: SourceOptions) -> str:
    """The table's name in DynamoDB: a logical name gets prefix and environment, any other stays as it is."""
    if model_of_table(options) is None:
        return options.table
    return _config(options).get_table_name(options.table)


def connection(options: SourceOptions) -> Connection:
    """The connection that options, environment and embedded server give together."""
    config = _config(options)
    # keys of the environment stay there: each process of Spark finds its own by AWS's chain, fresh and unshipped
    from_file = not os.environ.get("AWS_ACCESS_KEY_ID") and not options.profile and config.aws_access_key_id is not None
    named = Connection.from_config(config) if from_file else Connection()
    return Connection(
        region=config.region_name if config.names_region else None,
        endpoint_url=config.endpoint_url,
        profile=options.profile,
        access_key_id=options.access_key_id or named.access_key_id,
        secret_access_key=options.secret_access_key or named.secret_access_key,
        session_token=options.session_token if options.access_key_id else named.session_token,
        role_arn=options.role_arn,
        external_id=options.external_id,
        role_session_name=options.role_session_name,
        connect_timeout=min(CONNECT_TIMEOUT, options.retry_timeout),
        read_timeout=min(options.request_timeout, options.retry_timeout),
    ).located()


def _config(options: SourceOptions) -> DynamoDBConfig:
    """The environment's configuration, in which these options win."""
    return DynamoDBConfig.from_env(
        region_name=options.region,
        endpoint_url=options.endpoint_url,
        environment=options.environment,
        table_prefix=options.table_prefix,
    )
