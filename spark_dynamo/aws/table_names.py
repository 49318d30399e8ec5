"""What an account has in a region: the names of its tables, and what DescribeTable does not tell of one."""

from __future__ import annotations

from collections.abc import Iterator

from spark_dynamo.aws.tables import DynamoDBClient, named_errors

__all__ = ["list_tables", "table_identity", "ttl_attribute"]


def list_tables(client: DynamoDBClient) -> Iterator[str]:
    """The names of all tables, in order, by one request for each hundred. Errors as `describe_table` has them."""
    with named_errors(client, "*"):
        for page in client.get_paginator("list_tables").paginate():
            yield from page["TableNames"]


def ttl_attribute(client: DynamoDBClient, name: str) -> str | None:
    """The attribute by which a table's items expire, None where they don't. Errors as `describe_table` has them."""
    with named_errors(client, name):
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return str(ttl["AttributeName"]) if ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING") else None


def table_identity(client: DynamoDBClient, name: str) -> tuple[object, ...]:
    """What tells a table from all others, whatever name or address led to it: local servers give equal ARNs to their tables."""
    with named_errors(client, name):
        found = client.describe_table(TableName=name)["Table"]
    return found["TableArn"], found.get("TableId"), found.get("CreationDateTime")
