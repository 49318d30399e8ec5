"""DynamoDB tables as such: describe, create, wait, expire. Every function takes a ready boto3 DynamoDB client.

>>> import boto3, moto
>>> with moto.mock_aws():
...     client = boto3.client("dynamodb", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
...     created = ensure_table(client, "orders", partition_key=KeyAttribute("order_id", "S"))
...     wait_until_active(client, "orders")
...     enable_ttl(client, "orders", "expires_at"), describe_table(client, "orders").status
(True, 'ACTIVE')
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from spark_dynamo.aws.failures import explain
from spark_dynamo.errors import ConfigurationError, InvalidResponseError, RequestFailedError, TableNotFoundError

__all__ = [
    "DynamoDBClient",
    "Index",
    "KeyAttribute",
    "ProvisionedUnits",
    "TableDescription",
    "create_table",
    "describe_table",
    "enable_ttl",
    "ensure_table",
    "named_errors",
    "wait_until_active",
]

logger = logging.getLogger(__name__)

# boto3 builds its clients' methods at run time, so that there is no class to name
DynamoDBClient: TypeAlias = Any

KeyType: TypeAlias = Literal["S", "N", "B"]

_WAIT_SECONDS = 300.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """An attribute of a key; `type` is S, N or B.

    >>> KeyAttribute("order_id", "S")
    KeyAttribute(name='order_id', type='S')
    """

    name: str
    type: KeyType


@dataclass(frozen=True, slots=True)
class ProvisionedUnits:
    """The capacity of a table, and of each of its global indexes, in units per second."""

    read: int
    write: int


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: its definition and, where it was described, its state.

    `projected` names the attributes of projection INCLUDE. `status`, `item_count` and `size_bytes` are None on an index
    that was not described, `status` also on a local one, which is there with its table; `read_units` and `write_units` are
    None also where it has no provisioned throughput of its own.
    Two indexes are equal where their definitions are.

    >>> status = KeyAttribute("status", "S")
    >>> Index("status-index", status, item_count=7) == Index("status-index", status)
    True
    """

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None = None
    kind: Literal["GSI", "LSI"] = "GSI"
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"] = "ALL"
    projected: tuple[str, ...] = ()
    status: str | None = field(default=None, compare=False)
    item_count: int | None = field(default=None, compare=False)
    size_bytes: int | None = field(default=None, compare=False)
    read_units: int | None = field(default=None, compare=False)
    write_units: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What DynamoDB tells about a table.

    `item_count` and `size_bytes` lag by some six hours and are 0 on a new table. `read_units` and `write_units` are
    provisioned units per second, None on demand; the warm units are what an idle table can take at once, None where the
    server doesn't say. `multi_key_indexes` names indexes with several partition or sort attributes, which are not among
    `indexes`.
    """

    name: str
    arn: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    item_count: int
    size_bytes: int
    status: str
    indexes: tuple[Index, ...] = ()
    multi_key_indexes: tuple[str, ...] = ()
    read_units: int | None = None
    write_units: int | None = None
    warm_read_units: int | None = None
    warm_write_units: int | None = None

    @property
    def keys(self) -> tuple[KeyAttribute, ...]:
        """The partition key and, where there is one, the sort key."""
        return tuple(key for key in (self.partition_key, self.sort_key) if key)


def describe_table(client: DynamoDBClient, name: str) -> TableDescription:
    """The table's keys, indexes, size and throughput, by DescribeTable; `name` is a name or an ARN.

    Raises TableNotFoundError, AccessDeniedError, RequestFailedError or ConnectionError.
    """
    with named_errors(client, name):
        return _whole_description(name, client.describe_table(TableName=name), "Table")


def create_table(
    client: DynamoDBClient,
    name: str,
    *,
    partition_key: KeyAttribute,
    sort_key: KeyAttribute | None = None,
    indexes: Sequence[Index] = (),
    provisioned: ProvisionedUnits | None = None,
) -> TableDescription:
    """Ask for a new table, on demand where no capacity is `provisioned`, and return at once, mostly with status CREATING.

    Raises RequestFailedError with code ResourceInUseException where there is such a table already, and as
    `describe_table` does.
    """
    keys = [(partition_key, sort_key), *((index.partition_key, index.sort_key) for index in indexes)]
    types = {attribute.name: attribute.type for pair in keys for attribute in pair if attribute}
    secondary: dict[str, list[dict[str, Any]]] = {"GSI": [], "LSI": []}
    throughput = _throughput(provisioned)
    for index in indexes:
        secondary[index.kind].append({**_index_request(index), **(throughput if index.kind == "GSI" else {})})
    lists = {"GlobalSecondaryIndexes": secondary["GSI"], "LocalSecondaryIndexes": secondary["LSI"]}
    with named_errors(client, name):
        response = client.create_table(
            TableName=name,
            BillingMode="PROVISIONED" if provisioned else "PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": types[key]} for key in types],
            KeySchema=_key_schema(partition_key, sort_key),
            **throughput,
            **{parameter: requests for parameter, requests in lists.items() if requests},
        )
        return _whole_description(name, response, "TableDescription")


def ensure_table(
    client: DynamoDBClient,
    name: str,
    *,
    partition_key: KeyAttribute,
    sort_key: KeyAttribute | None = None,
    indexes: Sequence[Index] = (),
    provisioned: ProvisionedUnits | None = None,
    require_indexes: bool = False,
) -> TableDescription:
    """Create the table unless it exists with the same keys; then it is left as it is.

    Raises ConfigurationError where the existing table has other keys or is being deleted, and with `require_indexes` where it
    lacks one of the indexes or has another one of that name. Without, these are named in a log warning: what they serve then
    takes a Scan.
    """
    try:
        found = describe_table(client, name)
    except TableNotFoundError:
        try:
            return create_table(
                client, name, partition_key=partition_key, sort_key=sort_key, indexes=indexes, provisioned=provisioned
            )
        except RequestFailedError as error:
            if error.code != "ResourceInUseException":
                raise
            found = describe_table(client, name)  # another process was faster
    if found.status == "DELETING":  # it may still take what is written, and lose it
        raise ConfigurationError(
            f"Table '{name}' is being deleted (its status is DELETING). Repeat the call when it is gone, then it is created anew"
        )
    if (found.partition_key, found.sort_key) != (partition_key, sort_key):
        raise ConfigurationError(
            f"Table '{name}' exists with {_show_keys(found.partition_key, found.sort_key)}, and "
            f"{_show_keys(partition_key, sort_key)} is needed. Choose another table prefix or environment, or move "
            "that table away"
        )
    missing = [index for index in indexes if index not in found.indexes]
    if missing and require_indexes:
        raise ConfigurationError(_missing_index(found, name, missing[0]))
    if missing:
        names = ", ".join(index.name for index in missing)
        logger.warning("Table '%s' exists without the indexes %s: queries by them will scan it", name, names)
    return found


def wait_until_active(
    client: DynamoDBClient, name: str, *, indexes: Collection[str] = (), timeout_seconds: float = _WAIT_SECONDS
) -> None:
    """Return when the table and those of its indexes are ACTIVE, looked at twice a second.

    RequestFailedError after `timeout_seconds`, and as `describe_table` has it.
    """
    deadline = time.monotonic() + timeout_seconds
    attempts = max(1, round(timeout_seconds / _POLL_SECONDS))
    with named_errors(client, name):
        try:
            client.get_waiter("table_exists").wait(
                TableName=name, WaiterConfig={"Delay": _POLL_SECONDS, "MaxAttempts": attempts}
            )
        except WaiterError as error:
            if "Error" in error.last_response:
                raise ClientError(error.last_response, "DescribeTable") from error
            raise RequestFailedError(
                f"Table '{name}' was not ACTIVE after {timeout_seconds:g} seconds. Look at its status in DynamoDB, "
                "then repeat the call",
                error,
                **_where(client),
            ) from error
    while inactive := [
        index.name
        for index in (describe_table(client, name).indexes if indexes else ())
        if index.name in indexes and index.status not in (None, "ACTIVE")
    ]:
        if time.monotonic() > deadline:
            raise RequestFailedError(
                f"Index '{inactive[0]}' of table '{name}' was not ACTIVE after {timeout_seconds:g} seconds. On a table with "
                "many items that takes long; look at its status in DynamoDB, then repeat the call",
                **_where(client),
            )
        time.sleep(_POLL_SECONDS)


def enable_ttl(client: DynamoDBClient, name: str, attribute: str) -> bool:
    """Let items expire at the epoch seconds in `attribute`; False where that is already so.

    The table must be ACTIVE. Raises ConfigurationError where its items expire by another attribute, and as
    `describe_table` does.
    """
    with named_errors(client, name):
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING"):
        if ttl["AttributeName"] == attribute:
            return False
        raise ConfigurationError(
            f"Items of table '{name}' expire by attribute '{ttl['AttributeName']}', not by '{attribute}', and a table "
            "has one TTL attribute. Disable its TTL first, or leave it as it is and write that attribute"
        )
    with named_errors(client, name):
        client.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute}
        )
    return True


@contextmanager
def named_errors(client: DynamoDBClient, table: str) -> Iterator[None]:
    """Errors of botocore become those of `spark_dynamo.errors`."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        explained = explain(error, table=table, **_where(client))
        raise explained from explained.original_error


def _where(client: DynamoDBClient) -> dict[str, Any]:
    return {"endpoint": client.meta.endpoint_url, "region": client.meta.region_name}


def _key_schema(partition_key: KeyAttribute, sort_key: KeyAttribute | None) -> list[dict[str, str]]:
    roles = (("HASH", partition_key), ("RANGE", sort_key))
    return [{"AttributeName": attribute.name, "KeyType": role} for role, attribute in roles if attribute]


def _throughput(provisioned: ProvisionedUnits | None) -> dict[str, Any]:
    if provisioned is None:
        return {}
    return {"ProvisionedThroughput": {"ReadCapacityUnits": provisioned.read, "WriteCapacityUnits": provisioned.write}}


def _index_request(index: Index) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projected:
        projection["NonKeyAttributes"] = list(index.projected)
    key_schema = _key_schema(index.partition_key, index.sort_key)
    return {"IndexName": index.name, "KeySchema": key_schema, "Projection": projection}


def _show_keys(partition_key: KeyAttribute, sort_key: KeyAttribute | None) -> str:
    keys = (("partition key", partition_key), ("sort key", sort_key))
    return " and ".join(f"{role} '{key.name}' ({key.type})" for role, key in keys if key)


def _missing_index(found: TableDescription, name: str, index: Index) -> str:
    wanted = f"index '{index.name}' with {_show_index(index)}"
    other = next((_show_index(there) for there in found.indexes if there.name == index.name), None)
    if other is None and index.name in found.multi_key_indexes:
        other = "keys of several attributes"
    if other is not None:
        return (
            f"Table '{name}' has index '{index.name}' with {other}, and {wanted} is needed. Choose another name for it"
        )
    return (
        f"Table '{name}' exists without {wanted}, and only a new table is created with its indexes. Add it to that table "
        "by UpdateTable, or leave it out"
    )


def _show_index(index: Index) -> str:
    return f"{_show_keys(index.partition_key, index.sort_key)}, {index.kind}, projection {index.projection}"


def _whole_description(name: str, answer: Mapping[str, Any], field: str) -> TableDescription:
    try:
        return _description(answer[field])
    except (IndexError, KeyError) as error:
        raise InvalidResponseError(name, f"the description of the table lacks {error}", error) from error


def _description(table: Mapping[str, Any]) -> TableDescription:
    types = {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]}
    described = [
        *((entry, "GSI") for entry in table.get("GlobalSecondaryIndexes", ())),
        *((entry, "LSI") for entry in table.get("LocalSecondaryIndexes", ())),
    ]
    single = [
        (entry, kind) for entry, kind in described if len(_names(entry, "HASH")) == 1 >= len(_names(entry, "RANGE"))
    ]
    partition_key, sort_key = _keys(table, types)
    warm = table.get("WarmThroughput", {})
    return TableDescription(
        name=table["TableName"],
        arn=table["TableArn"],
        partition_key=partition_key,
        sort_key=sort_key,
        item_count=table.get("ItemCount", 0),
        size_bytes=table.get("TableSizeBytes", 0),
        status=table["TableStatus"],
        indexes=tuple(_index(entry, kind, types) for entry, kind in single),
        multi_key_indexes=tuple(pair[0]["IndexName"] for pair in described if pair not in single),
        **_units(table),
        warm_read_units=warm.get("ReadUnitsPerSecond"),
        warm_write_units=warm.get("WriteUnitsPerSecond"),
    )


def _index(entry: Mapping[str, Any], kind: Any, types: Mapping[str, KeyType]) -> Index:
    partition_key, sort_key = _keys(entry, types)
    return Index(
        name=entry["IndexName"],
        partition_key=partition_key,
        sort_key=sort_key,
        kind=kind,
        projection=entry["Projection"]["ProjectionType"],
        projected=tuple(sorted(entry["Projection"].get("NonKeyAttributes", ()))),
        status=entry.get("IndexStatus"),
        item_count=entry.get("ItemCount"),
        size_bytes=entry.get("IndexSizeBytes"),
        **_units(entry),
    )


def _names(entry: Mapping[str, Any], role: str) -> list[str]:
    return [key["AttributeName"] for key in entry["KeySchema"] if key["KeyType"] == role]


def _keys(entry: Mapping[str, Any], types: Mapping[str, KeyType]) -> tuple[KeyAttribute, KeyAttribute | None]:
    partition, sort = ([KeyAttribute(name, types[name]) for name in _names(entry, role)] for role in ("HASH", "RANGE"))
    return partition[0], sort[0] if sort else None


def _units(entry: Mapping[str, Any]) -> dict[str, int | None]:
    """Provisioned units; DynamoDB says 0 for an on-demand table."""
    throughput = entry.get("ProvisionedThroughput", {})
    return {
        "read_units": throughput.get("ReadCapacityUnits") or None,
        "write_units": throughput.get("WriteCapacityUnits") or None,
    }
