"""Caches in front of reads: what they spare, what makes them forget, and that reads go on when they are down."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import redis

from spark_dynamo.errors import ConfigurationError, MalformedItemError
from spark_dynamo.metadata.caching import Cache, MemoryCache, RedisCache, base
from spark_dynamo.metadata.repositories import (
    PipelineConfigRepository,
    PipelineRunLogsRepository,
    TableConfigRepository,
    Transaction,
)
from tests.conftest import Server
from tests.metadata.stores import TABLE, Store, make_store, pipeline
from tests.runs.tables import until
from tests.servers.faulty import FaultyServer
from tests.servers.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    store = make_store(local_server)
    store.tables.create_table_config("orders", **TABLE)
    store.runs.create_run_log("r1", "sales")
    return store


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyServer]:
    store.pipelines.create(pipeline("sales", description="first"), overwrite=True)
    with store.watched() as proxy:
        yield proxy


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    if request.param == "memory":
        yield MemoryCache()
        return
    server: RedisServer = request.getfixturevalue("redis_process")
    with server.client as client:
        client.flushall()
    yield RedisCache(server.url)


def asked(proxy: FaultyServer) -> list[str]:
    """The operations that reached the server since the last question."""
    found = [operation for operation, _, _ in proxy.log if operation != "DescribeTable"]
    proxy.log.clear()
    return found


def test_without_a_cache_each_read_reaches_the_server(store: Store, proxy: FaultyServer) -> None:
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint))
    assert pipelines.get("sales") == pipelines.get("sales")
    assert asked(proxy) == ["GetItem", "GetItem"]


def test_a_read_is_answered_once_by_the_server(store: Store, proxy: FaultyServer, cache: Cache) -> None:
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    tables = TableConfigRepository(store.config(proxy.endpoint), cache=cache)
    reads: list[tuple[Callable[[], Any], list[str]]] = [
        (lambda: pipelines.get("sales"), ["GetItem"]),
        (lambda: pipelines.get("sales", "Asia/Tokyo"), []),
        (lambda: pipelines.get_active_pipelines(), ["Scan"]),
        (lambda: tables.get_tables_by_pipeline("sales"), ["Query"]),
        (lambda: tables.get_source_tables("sales"), ["Query"]),
        (lambda: pipelines.list_all(), ["Scan"]),
    ]
    for read, requests in reads:
        first = read()
        assert asked(proxy) == requests
        assert read() == first
        assert asked(proxy) == []
    assert pipelines.get_or_raise("sales", "Asia/Tokyo").created_at.isoformat().endswith("+09:00")
    assert pipelines.get("sales", consistent_read=True) == pipelines.get("sales")
    assert asked(proxy) == ["GetItem"], "who asks for what is stored now gets it"
    assert [len(page) for page in pipelines.pages()] == [len(page) for page in pipelines.pages()]
    assert asked(proxy) == ["Scan", "Scan"]


def test_an_item_that_is_not_there_is_not_remembered(store: Store, proxy: FaultyServer, cache: Cache) -> None:
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    store.pipelines.delete("late")
    assert pipelines.get("late") is None
    store.pipelines.create(pipeline("late"))
    assert pipelines.get("late") is not None


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.update("sales", {"description": "second"}),
        lambda p: p.update(pipeline("sales", description="second")),
        lambda p: p.create(pipeline("sales", description="second"), overwrite=True),
        lambda p: p.batch_put([pipeline("sales", description="second")]),
    ],
)
def test_a_write_through_a_repository_is_seen_at_once(
    store: Store, proxy: FaultyServer, cache: Cache, write: Callable[[PipelineConfigRepository], Any]
) -> None:
    writer = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    # in Redis another process has a cache of its own
    shared = RedisCache(cache._url) if isinstance(cache, RedisCache) and cache._url else cache
    reader = PipelineConfigRepository(store.config(proxy.endpoint), cache=shared)

    def seen() -> tuple[str | None, list[str | None]]:
        one = reader.get_or_raise("sales").description
        return one, [p.description for p in reader.get_active_pipelines() if p.pipeline_id == "sales"]

    assert seen() == ("first", ["first"])
    write(writer)
    assert seen() == ("second", ["second"])
    asked(proxy)
    assert seen() == ("second", ["second"])
    assert asked(proxy) == []


def test_deletes_appends_and_transactions_are_seen_too(store: Store, proxy: FaultyServer, cache: Cache) -> None:
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    runs = PipelineRunLogsRepository(store.config(proxy.endpoint), cache=cache)
    before = len(runs.get_or_raise("r1").log_messages)
    runs.add_log_message("r1", "hello")
    assert len(runs.get_or_raise("r1").log_messages) == before + 1
    assert pipelines.get("sales") is not None
    with Transaction() as together:
        together.update(pipelines, "sales", {"description": "together"})
    assert pipelines.get_or_raise("sales").description == "together"
    pipelines.delete("sales")
    assert pipelines.get("sales") is None


def test_a_write_leaves_what_is_known_of_other_items(store: Store, proxy: FaultyServer, cache: Cache) -> None:
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    pipelines.create(pipeline("other"), overwrite=True)
    pipelines.get("sales")
    asked(proxy)
    pipelines.update("other", {"description": "changed"})
    pipelines.get("sales")
    assert asked(proxy) == ["UpdateItem"]
    pipelines.batch_delete(["other"])
    pipelines.get("sales")
    assert asked(proxy) == ["BatchWriteItem", "GetItem"], "of a batch the whole table is forgotten"


@pytest.mark.server
def test_an_answer_that_was_overtaken_by_a_write_is_not_served(cache: Cache) -> None:
    def slow() -> bytes:
        cache.changed("table", ["item"])  # somebody writes while the answer is on its way
        return b"old"

    assert cache.read("table", b"get", "item", slow, bool) == b"old"
    assert cache.read("table", b"get", "item", lambda: b"new", bool) == b"new"
    assert cache.read("table", b"get", "item", lambda: b"newer", bool) == b"new"
    cache.changed("another table", None)
    assert cache.read("table", b"get", "item", lambda: b"newer", bool) == b"new"


@pytest.mark.server
@pytest.mark.parametrize("shared", [False, True])
def test_no_answer_is_older_than_the_ttl(request: pytest.FixtureRequest, shared: bool) -> None:
    cache: Cache = MemoryCache(0.3)
    if shared:
        cache = RedisCache(request.getfixturevalue("redis_process").url, 0.3, namespace="ttl")
    assert cache.read("table", b"get", "item", lambda: b"old", bool) == b"old"
    assert cache.read("table", b"get", "item", lambda: b"new", bool) == b"old"
    until(lambda: cache.read("table", b"get", "item", lambda: b"new", bool) == b"new")


def test_memory_is_bounded_and_what_was_not_used_goes_first() -> None:
    cache = MemoryCache(max_bytes=10_000)
    for number in range(100):
        cache.read("table", str(number).encode(), "", lambda: b"x" * 1_000, bool)
        cache.read("table", b"0", "", lambda: b"x" * 1_000, bool)
    assert cache.size <= 10_000
    assert len(cache) == 8
    assert cache.read("table", b"0", "", lambda: b"y", bool) == b"x" * 1_000
    assert cache.read("table", b"50", "", lambda: b"y", bool) == b"y"
    assert len(pickle.loads(pickle.dumps(cache))) == 0


# ------------------------------------------------------------------------------------------------------ out of order


class Flaky(MemoryCache):
    """A store that is down when a test says so."""

    is_down = False
    attempts = 0

    def load(self, names: Sequence[str]) -> Sequence[bytes | None]:
        self._meet()
        return super().load(names)

    def store(self, entries: Mapping[str, bytes], seconds: float) -> None:
        self._meet()
        super().store(entries, seconds)

    def _meet(self) -> None:
        self.attempts += 1
        if self.is_down:
            raise OSError("nobody there")


def test_a_cache_that_is_down_is_told_once_and_left_alone(
    store: Store, proxy: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Flaky()
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    cache.is_down = True
    with caplog.at_level(logging.INFO, "spark_dynamo.metadata"):
        for _ in range(5):
            assert pipelines.get("sales") is not None
        pipelines.update("sales", {"cpu_cores": 2})
    assert cache.attempts == 1, "it is tried again after some seconds"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "The cache Flaky is down, and DynamoDB is read instead" in record.getMessage()


def test_a_cache_that_answers_again_has_forgotten_what_was_written_meanwhile(
    store: Store, proxy: FaultyServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(base, "_PAUSE", 0.0)
    cache = Flaky()
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    assert pipelines.get_or_raise("sales").description == "first"
    cache.is_down = True
    pipelines.update("sales", {"description": "second"})
    assert pipelines.get_or_raise("sales").description == "second"
    cache.is_down = False
    caplog.clear()
    with caplog.at_level(logging.INFO, "spark_dynamo.metadata"):
        assert pipelines.get_or_raise("sales").description == "second"
    assert [record.getMessage() for record in caplog.records] == ["The cache Flaky answers again"]
    asked(proxy)
    assert pipelines.get_or_raise("sales").description == "second"
    assert asked(proxy) == []


def test_reads_go_on_when_redis_is_gone_and_it_is_used_again_when_it_is_back(
    store: Store, proxy: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_PAUSE", 0.0)
    with redis_server() as server:
        pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=RedisCache(server.url))
        assert pipelines.get("sales") == pipelines.get("sales")
        assert asked(proxy) == ["GetItem"]
        server.stop()
        assert pipelines.get("sales") == pipelines.get("sales")
        pipelines.update("sales", {"description": "second"})
        assert asked(proxy) == ["GetItem", "GetItem", "UpdateItem"]
        server.start()
        assert pipelines.get_or_raise("sales").description == "second"
        assert asked(proxy) == ["GetItem"]
        assert pipelines.get_or_raise("sales").description == "second"
        assert asked(proxy) == []


def test_who_may_not_describe_the_table_reads_without_its_cache_and_is_told_once(
    store: Store, proxy: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.choose = lambda operation, _: "AccessDeniedException" if operation == "DescribeTable" else None
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=MemoryCache())
    with caplog.at_level(logging.INFO, "spark_dynamo.metadata"):
        assert pipelines.get("sales") == pipelines.get("sales")
        pipelines.update("sales", {"cpu_cores": 3})
    assert asked(proxy) == ["GetItem", "GetItem", "UpdateItem"]
    (record,) = caplog.records
    assert "is read without its cache, which needs the permission dynamodb:DescribeTable" in record.getMessage()


def test_redis_holds_item_texts_under_digests(store: Store, proxy: FaultyServer, redis_process: RedisServer) -> None:
    cache = RedisCache(redis_process.url, 60, namespace="looked-at")
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    pipelines.get("sales")
    pipelines.update("sales", {"description": "second"})
    pipelines.get("sales")
    with redis_process.client as client:
        keys = [key.decode() for key in client.scan_iter("looked-at:*")]
        values = [client.get(key) or b"" for key in keys]
        assert all(0 < client.pttl(key) <= 200_000 for key in keys)
    assert keys
    assert not [key for key in keys if "sales" in key or "pipeline" in key or store.prefix in key]
    assert any(b'"pipeline_id":{"S":"sales"}' in value or b'"pipeline_id": {"S": "sales"}' in value for value in values)
    assert not [value for value in values if value.startswith(b"\x80")], "no pickles"


def test_what_somebody_else_put_into_redis_goes_through_the_model(
    store: Store, proxy: FaultyServer, redis_process: RedisServer
) -> None:
    cache = RedisCache(redis_process.client, 60, namespace="tampered")
    pipelines = PipelineConfigRepository(store.config(proxy.endpoint), cache=cache)
    pipelines.get("sales")
    with redis_process.client as client:
        for key in client.scan_iter("tampered:*"):
            client.set(
                key,
                (client.get(key) or b"").replace(b'{"S":"s3"}', b'{"N":"7"}').replace(b'{"S": "s3"}', b'{"N": "7"}'),
            )
    with pytest.raises(MalformedItemError, match="source_type"):
        pipelines.get("sales")


def test_bad_settings_get_a_sentence_without_a_password() -> None:
    for ttl in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="give the seconds for which an answer may be kept"):
            MemoryCache(ttl)
    with pytest.raises(ConfigurationError, match="max_bytes is 0"):
        MemoryCache(max_bytes=0)
    for wrong in ("60", None, True, float("nan")):
        with pytest.raises(ConfigurationError, match=f"ttl_seconds is {wrong!r}: give the seconds .*, as a number"):
            MemoryCache(ttl_seconds=wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=f"max_bytes is {wrong!r}: give the bytes .*, as a number"):
            MemoryCache(max_bytes=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="none of Redis") as refused:
        RedisCache("http://user:hunter2@localhost")
    assert "hunter2" not in str(refused.value)
    cache = RedisCache("redis://user:hunter2@localhost:1/0")
    assert "hunter2" not in repr(cache)
    copied = pickle.loads(pickle.dumps(cache))
    assert (copied.ttl_seconds, copied.namespace) == (60.0, "spark_dynamo")
    with pytest.raises(TypeError, match="make it of a URL"):
        pickle.dumps(RedisCache(redis.Redis()))
