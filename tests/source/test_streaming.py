"""Streams into tables: epochs, restarts, and epochs that Spark replays because it did not note down that they ended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from tests.conftest import Server
from tests.source.killed_workers import by_key


@dataclass
class Stream:
    """A folder of JSON files of which each becomes an epoch, and the checkpoint of the query that reads it."""

    spark: SparkSession
    server: Server
    folder: Path

    def feed(self, *rows: dict[str, Any]) -> None:
        """Another file, which Spark sees all at once."""
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        number = len(list(source.iterdir()))
        hidden = self.folder / "hidden"
        hidden.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(hidden, (1_800_000_000 + number,) * 2)  # Spark takes them in the order of their times
        hidden.rename(source / f"{number:03d}.json")

    def frame(self, schema: str) -> DataFrame:
        reader = self.spark.readStream.schema(schema).option("maxFilesPerTrigger", "1")
        return reader.json(str(self.folder / "source"))

    def write(self, frame: DataFrame, path: str | None, *, mode: str = "append", **options: str) -> StreamingQuery:
        """Write all that is there; the query, which has ended."""
        writer = frame.writeStream.format("dynamo-meta").outputMode(mode).trigger(availableNow=True)
        writer = writer.option("checkpointLocation", str(self.checkpoint)).options(**self.server.options, **options)
        query = writer.start(path)
        query.awaitTermination()
        return query

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def forget_the_last_commit(self) -> None:
        """What a crash does that comes after an epoch's last write."""
        commits = self.checkpoint / "commits"
        last = max(int(file.name) for file in commits.iterdir() if file.name.isdigit())
        for file in (commits / str(last), commits / f".{last}.crc"):
            file.unlink(missing_ok=True)


@pytest.fixture
def stream(spark: SparkSession, local_server: Server, tmp_path: Path) -> Stream:
    return Stream(spark, local_server, tmp_path)


def epochs(query: StreamingQuery) -> list[tuple[int, int, int]]:
    """Of each epoch: its number, the rows read and the rows that the sink tells of."""
    progress = [json.loads(one.json) for one in query.recentProgress]
    return [(one["batchId"], one["numInputRows"], one["sink"]["numOutputRows"]) for one in progress]


def item(key: str, n: int, **more: Any) -> dict[str, Any]:
    return {"id": {"S": key}, "n": {"N": str(n)}, **more}


@pytest.mark.slow
def test_a_restart_goes_on_at_the_checkpoint(stream: Stream) -> None:
    table = stream.server.create()
    stream.feed({"id": "a", "n": 1}, {"id": "b", "n": 1})
    stream.feed({"id": "b", "n": 2}, {"id": "c", "n": 2}, {"id": "d", "n": 2})
    query = stream.write(stream.frame("id STRING, n LONG"), table)
    assert epochs(query) == [(0, 2, 2), (1, 3, 3)]
    assert by_key(*stream.server.items(table)) == by_key(item("a", 1), item("b", 2), item("c", 2), item("d", 2))
    stream.server.client.delete_item(TableName=table, Key={"id": {"S": "a"}})  # an earlier epoch would bring it back
    stream.feed({"id": "c", "n": 3})
    query = stream.write(stream.frame("id STRING, n LONG"), None, table=table)
    assert epochs(query) == [(2, 1, 1)]
    assert by_key(*stream.server.items(table)) == by_key(item("b", 2), item("c", 3), item("d", 2))


@pytest.mark.slow
def test_an_epoch_of_inserts_is_replayed(stream: Stream) -> None:
    table = stream.server.create()
    for first in (0, 40):
        stream.feed(*({"id": f"k{n}", "n": n} for n in range(first, first + 40)))
    frame = stream.frame("id STRING, n LONG")
    stream.write(frame, table, operation="insert")
    stream.forget_the_last_commit()
    stream.server.client.delete_item(TableName=table, Key={"id": {"S": "k50"}})  # as if it had not been written yet
    query = stream.write(frame, table, operation="insert")
    assert epochs(query) == [(1, 40, 40)]
    assert by_key(*stream.server.items(table)) == by_key(*(item(f"k{n}", n) for n in range(80)))


@pytest.mark.slow
def test_an_epoch_of_all_operations_is_replayed(stream: Stream) -> None:
    table = stream.server.create()
    old = {"kept": {"BOOL": True}}
    stream.server.put(table, *(item(key, 0, **old) for key in ("put", "updated", "deleted", "stale")))
    stream.feed({"id": "before", "n": 1, "what": "put"})
    stream.feed(
        {"id": "put", "n": 5, "what": "put"},
        {"id": "inserted", "n": 5, "what": "insert"},
        {"id": "updated", "n": 5, "what": "update"},
        {"id": "deleted", "n": 5, "what": "delete"},
        {"id": "stale", "n": -1, "what": "update"},
    )
    frame = stream.frame("id STRING, n LONG, what STRING")
    options = {
        "operationColumn": "what",
        "condition": "n IS NULL OR n < new.n",
        "conditionFailed": str(stream.folder / "rejected"),
    }
    after = by_key(
        item("before", 1), item("put", 5), item("inserted", 5), item("updated", 5, **old), item("stale", 0, **old)
    )
    stream.write(frame, table, **options)
    assert by_key(*stream.server.items(table)) == after
    stream.forget_the_last_commit()
    query = stream.write(frame, table, **options)
    assert epochs(query) == [(1, 5, 5)]
    assert by_key(*stream.server.items(table)) == after
    files = [file for file in (stream.folder / "rejected").rglob("*/*") if file.is_file()]
    assert [file.parent for file in files] == [stream.folder / "rejected" / query.id / "1"]
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [line["item"]["id"]["S"] for line in lines] == ["stale"]


@pytest.mark.slow
def test_a_replay_that_rejects_nothing_removes_what_the_epoch_had_rejected(stream: Stream) -> None:
    table, rejected = stream.server.create(), stream.folder / "rejected"
    stream.server.put(table, item("a", 0))
    stream.feed({"id": "a", "n": 1})
    frame = stream.frame("id STRING, n LONG")
    query = stream.write(frame, table, operation="insert", conditionFailed=str(rejected))
    (file,) = (rejected / query.id / "0").iterdir()
    assert len(file.read_text().splitlines()) == 1
    stream.server.client.delete_item(TableName=table, Key={"id": {"S": "a"}})
    stream.forget_the_last_commit()
    stream.write(frame, table, operation="insert", conditionFailed=str(rejected))
    assert stream.server.items(table) == [item("a", 1)]
    assert not file.exists()


@pytest.mark.slow
def test_in_mode_complete_the_table_holds_exactly_the_result(stream: Stream) -> None:
    table = stream.server.create()
    stream.server.put(table, item("old", 0))
    stream.feed({"id": "a"}, {"id": "b"})
    once = stream.frame("id STRING").groupBy("id").count().where("count = 1")
    stream.write(once, table, mode="complete")
    one = {"count": {"N": "1"}}
    assert by_key(*stream.server.items(table)) == by_key({"id": {"S": "a"}, **one}, {"id": {"S": "b"}, **one})
    stream.feed({"id": "b"}, {"id": "c"})
    for _ in range(2):
        query = stream.write(once, table, mode="complete")
        assert epochs(query) == [(1, 2, 2)]
        assert by_key(*stream.server.items(table)) == by_key({"id": {"S": "a"}, **one}, {"id": {"S": "c"}, **one})
        stream.forget_the_last_commit()
    stream.feed({"id": "a"}, {"id": "c"})
    stream.write(once, table, mode="complete")
    assert stream.server.items(table) == []


@pytest.mark.slow
def test_spark_has_no_mode_update_for_python_sinks_but_foreach_batch(stream: Stream) -> None:
    """The day Spark takes it, README and this test can forget about foreachBatch."""
    table = stream.server.create()
    stream.feed({"id": "a"}, {"id": "b"})
    stream.feed({"id": "b"}, {"id": "c"})
    counts = stream.frame("id STRING").groupBy("id").count()
    with pytest.raises(StreamingQueryException, match="dynamo-meta does not support Update mode"):
        stream.write(counts, table, mode="update")

    def write(frame: DataFrame, epoch: int) -> None:
        frame.write.format("dynamo-meta").options(**stream.server.options).mode("append").save(table)

    query = counts.writeStream.foreachBatch(write).outputMode("update").trigger(availableNow=True).start()
    query.awaitTermination()
    assert {row["id"]["S"]: row["count"]["N"] for row in stream.server.items(table)} == {"a": "1", "b": "2", "c": "1"}


@pytest.mark.slow
def test_an_epoch_of_inserts_in_foreach_batch_is_replayed(stream: Stream) -> None:
    table = stream.server.create()
    stream.feed({"id": "a", "n": 1}, {"id": "b", "n": 1})

    def write(frame: DataFrame, epoch: int) -> None:
        options = {**stream.server.options, "operation": "insert"}
        frame.write.format("dynamo-meta").options(**options).mode("append").save(table)

    frame = stream.frame("id STRING, n LONG")
    for _ in range(2):
        writer = frame.writeStream.foreachBatch(write).option("checkpointLocation", str(stream.checkpoint))
        query = writer.trigger(availableNow=True).start()
        query.awaitTermination()
        assert [one["batchId"] for one in query.recentProgress] == [0]
        assert by_key(*stream.server.items(table)) == by_key(item("a", 1), item("b", 1))
        stream.forget_the_last_commit()


@pytest.mark.slow
def test_an_error_ends_the_query_with_a_sentence_and_a_restart_tries_again(stream: Stream) -> None:
    table = stream.server.create()
    stream.server.put(table, item("b", 0))
    stream.feed({"id": "a", "n": 1}, {"id": "b", "n": 1})
    frame = stream.frame("id STRING, n LONG")
    with pytest.raises(
        StreamingQueryException, match=r"1 row was not written to table '.*', the first with the key"
    ) as end:
        stream.write(frame, table, operation="insert")
    assert "{id='b'}, because: there is an item with that key already" in str(end.value)
    stream.server.client.delete_item(TableName=table, Key={"id": {"S": "b"}})
    query = stream.write(frame, table, operation="insert")
    assert epochs(query) == [(0, 2, 2)]
    assert by_key(*stream.server.items(table)) == by_key(item("a", 1), item("b", 1))


def test_the_first_epoch_creates_the_table(stream: Stream) -> None:
    table = f"created-{stream.server.create()}"
    for n in range(2):
        stream.feed({"id": f"k{n}", "n": n})
    frame = stream.frame("id STRING, n LONG")
    query = stream.write(frame, table, createTable="true", partitionKey="id")
    assert epochs(query) == [(0, 1, 1), (1, 1, 1)]
    assert by_key(*stream.server.items(table)) == by_key(item("k0", 0), item("k1", 1))


_OLD_PYSPARK = """
import pyspark.sql.datasource
del pyspark.sql.datasource.DataSourceStreamArrowWriter  # pyspark 4.0 has none
pyspark.__version__ = "4.0.2"
from pyspark.sql.types import StructType
from spark_dynamo.source.datasource import DynamoDataSource

schema = StructType().add("id", "string")
source = DynamoDataSource(OPTIONS)
assert type(source.writer(schema, False)).__name__ == "ItemWriter"
try:
    source.streamWriter(schema, False)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_pyspark_without_stream_writers_of_batches_is_told_of(local_server: Server, python: Callable[..., Any]) -> None:
    options = {**local_server.options, "table": local_server.create()}
    finished = python(_OLD_PYSPARK.replace("OPTIONS", repr(options)))
    assert finished.returncode == 0, finished.stderr
    said = finished.stdout.strip()
    assert said.startswith(
        "ConfigurationError Streams can be written with pyspark 4.1 or later, and this is 4.0.2; upgrade"
    )
