"""Caches in front of the reads of repositories: in the process's memory, or in a Redis server that many processes share."""

from __future__ import annotations

from spark_dynamo.metadata.caching.base import Cache
from spark_dynamo.metadata.caching.memory import MemoryCache
from spark_dynamo.metadata.caching.redis import RedisCache

__all__ = ["Cache", "MemoryCache", "RedisCache"]
