"""A cache in a Redis server, for all processes that reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.caching.base import Cache

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisCache"]

_TIMEOUT = 0.5  # seconds; DynamoDB itself answers in less


class RedisCache(Cache):
    """Answers in Redis, for `ttl_seconds`; a write by any process that shares it is seen by all at once.

    `url` is as redis-py takes it, or a `redis.Redis` of yours. Keys begin with `namespace` and are digests. The entries are
    items in DynamoDB JSON, in plain: whoever may read the server reads them, connection settings in `table_config` among
    them. Needs the package `redis`: ConfigurationError where it is missing, or where the URL is none.

    >>> cache = RedisCache("redis://localhost:6379/0", ttl_seconds=30)  # nothing is asked of the server yet
    """

    def __init__(
        self,
        url: str | Redis = "redis://localhost:6379/0",
        ttl_seconds: float = 60.0,
        *,
        namespace: str = "spark_dynamo",
    ) -> None:
        super().__init__(ttl_seconds)
        self.namespace = namespace
        self._url = url if isinstance(url, str) else None
        self._redis = _connected(url) if isinstance(url, str) else url

    def __repr__(self) -> str:
        return (
            f"RedisCache(ttl_seconds={self.ttl_seconds:g}, namespace={self.namespace!r})"  # a URL may hold a password
        )

    def load(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """The entries, in one request."""
        found: Any = self._redis.mget([f"{self.namespace}:{name}" for name in names])
        return [value.encode() if isinstance(value, str) else value for value in found]

    def store(self, entries: Mapping[str, bytes], seconds: float) -> None:
        """Store the entries, in one request."""
        pipeline = self._redis.pipeline(transaction=False)
        for name, value in entries.items():
            pipeline.set(f"{self.namespace}:{name}", value, px=max(1, round(seconds * 1000)))
        pipeline.execute()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is None:
            raise TypeError("A RedisCache of a client can't be pickled: make it of a URL")
        return _restored, (self._url, self.ttl_seconds, self.namespace)


def _restored(url: str, ttl_seconds: float, namespace: str) -> RedisCache:
    return RedisCache(url, ttl_seconds, namespace=namespace)


def _connected(url: str) -> Redis:
    try:
        import redis
    except ImportError as error:
        raise ConfigurationError(
            "A RedisCache needs the package redis: install spark-dynamo[redis], or use a MemoryCache", error
        ) from error
    try:
        return redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
    except ValueError:  # its text names the URL, and the password in it
        raise ConfigurationError(
            "The URL of the RedisCache is none of Redis: write it as in 'redis://localhost:6379/0'"
        ) from None
