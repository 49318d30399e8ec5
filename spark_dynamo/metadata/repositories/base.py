"""The two kinds of repository: one whose methods block, and one whose methods are awaited."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from spark_dynamo.metadata.repositories.operations import Operations

__all__ = ["AsyncDynamoRepository", "BaseDynamoRepository"]

T = TypeVar("T", bound=BaseModel)


class BaseDynamoRepository(Operations[T]):
    """A repository whose methods block until the answer is there. Derive from it for a model of your own.

    >>> class Order(BaseModel):
    ...     customer_id: str
    ...     order_id: str
    ...     total: float | None = None
    >>> class OrderRepository(BaseDynamoRepository[Order]):
    ...     table_name = "orders"
    ...     model_class = Order
    ...     primary_key = "customer_id"
    ...     sort_key = "order_id"
    ...
    ...     def large_ones(self, customer_id: str) -> list[Order]:
    ...         return self.query_by_pk(customer_id, filter="total > 100")
    >>> OrderRepository().physical_table_name
    'dev_orders'
    """

    is_async = False


class AsyncDynamoRepository(Operations[T]):
    """A repository for event loops: each method is awaited, `pages` is iterated by `async for`.

    Requests wait in a bounded pool of threads, as many as `DynamoDBConfig.max_pool_connections`, so that they share the one
    client, its connections, retries and errors with everything else. A task that is cancelled stops waiting at once.

    >>> async def names(repository: AsyncDynamoRepository[Order]) -> list[str]:  # doctest: +SKIP
    ...     return [order.order_id async for page in repository.pages() for order in page]
    """

    is_async = True
