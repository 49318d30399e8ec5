"""Contenders that get single items by key: a repository's method, one after the other or awaited all at once, and aiobotocore.

Only the standard library is imported at the top, so that a peer's own environment can import it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

_TABLE = "replay"


def _key(number: int) -> str:
    return f"item-{number:012d}"


def _repositories(endpoint: str) -> tuple[Any, Any]:
    from datetime import datetime
    from decimal import Decimal

    from pydantic import BaseModel

    from spark_dynamo.config import DynamoDBConfig
    from spark_dynamo.metadata.repositories import AsyncDynamoRepository, BaseDynamoRepository

    class Address(BaseModel):
        city: str | None = None
        postcode: str | None = None
        floor: int | None = None

    class Item(BaseModel):
        id: str
        customer: str | None = None
        status: str | None = None
        country: str | None = None
        created_at: datetime | None = None
        quantity: int | None = None
        sequence: int | None = None
        amount: Decimal | None = None
        score: Decimal | None = None
        is_active: bool | None = None
        address: Address | None = None
        tags: list[str] = []
        note: str | None = None

    class Items(BaseDynamoRepository[Item]):
        table_name = _TABLE
        model_class = Item
        primary_key = "id"

    class AsyncItems(AsyncDynamoRepository[Item]):
        table_name = _TABLE
        model_class = Item
        primary_key = "id"

    config = DynamoDBConfig(
        environment="prod", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )
    return Items(config), AsyncItems(config)


@contextmanager
def in_turn(endpoint: str, items: int) -> Iterator[Callable[[], int]]:
    """`get`, one after the other."""
    repository, _ = _repositories(endpoint)

    def work() -> int:
        for number in range(items):
            assert repository.get(_key(number)).id == _key(number)
        return items

    yield work


@contextmanager
def at_once(endpoint: str, items: int) -> Iterator[Callable[[], int]]:
    """`await get`, all at once."""
    _, repository = _repositories(endpoint)

    async def get_all() -> int:
        found = await asyncio.gather(*(repository.get(_key(number)) for number in range(items)))
        assert [item.id for item in found] == [_key(number) for number in range(items)]
        return len(found)

    yield lambda: asyncio.run(get_all())


@contextmanager
def by_aiobotocore(endpoint: str, items: int) -> Iterator[Callable[[], int]]:
    """aiobotocore's `get_item`, all at once over 50 connections; items as it parses them, and no models made of them."""
    from aiobotocore.config import AioConfig  # type: ignore[import-not-found, unused-ignore]
    from aiobotocore.session import get_session  # type: ignore[import-not-found, unused-ignore]

    @asynccontextmanager
    async def connect() -> Any:
        config = AioConfig(max_pool_connections=50, parameter_validation=False)
        async with get_session().create_client(
            "dynamodb", region_name="us-east-1", endpoint_url=endpoint, config=config
        ) as client:
            yield client

    async def get_all() -> int:
        async with connect() as client:
            requests = (
                client.get_item(TableName=_TABLE, Key={"id": {"S": _key(number)}}, ConsistentRead=True)
                for number in range(items)
            )
            found = await asyncio.gather(*requests)
        assert [item["Item"]["id"]["S"] for item in found] == [_key(number) for number in range(items)]
        return len(found)

    yield lambda: asyncio.run(get_all())
