"""Whatever the access, a filtered read has exactly the rows that Spark's own `where` has on the full frame."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.source.location import find
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.access import Access
from spark_dynamo.source.read.planner import plan_read
from tests.conftest import Server

DDL = (
    "pipeline STRING NOT NULL, day STRING NOT NULL, status STRING, started TIMESTAMP, rows BIGINT, cost DECIMAL(10,2), "
    "ratio DOUBLE, is_late BOOLEAN, leg STRUCT<dest: STRING, stops: BIGINT>, tags ARRAY<STRING>, "
    "labels MAP<STRING, STRING>, digest BINARY"
)
INDEXES = (
    Index("by-status", KeyAttribute("status", "S"), KeyAttribute("started", "S")),
    Index("by-rows", KeyAttribute("status", "S"), KeyAttribute("rows", "N")),
    Index("local", KeyAttribute("pipeline", "S"), KeyAttribute("status", "S"), kind="LSI"),
)
STARTED = (
    "2026-11-01T10:30:00.000000+00:00",
    "2026-11-01T23:59:59Z",
    "2026-11-02T01:00:00+02:00",
    "20261102T000000Z",
    "2026-W45-1",
    "2026-11-02 12:00",
    "2026-11-01T24:00Z",
)
PREDICATES = (
    ("pipeline = 'a' AND day = 'd1'", "GetItem"),
    ("pipeline = 'a' AND day = 'no such day'", "GetItem"),
    ("pipeline IN ('a', 'b', 'zz') AND day IN ('d1', 'd2', 'nope') AND rows IS NULL", "BatchGetItem"),
    ("pipeline IN ('a', 'b', 'c') AND day >= 'd1' AND day < 'd12'", "Query"),
    ("pipeline = 'b' AND day LIKE 'd1%' AND NOT is_late", "Query"),
    ("pipeline = 'c' AND (day <= 'd10' OR day BETWEEN 'd3' AND 'd7')", "Query"),
    ("status = 'FAILED' AND started >= '2026-11-02'", "Query by-status"),
    ("status = 'FAILED' AND started < timestamp'2026-11-02 00:00:00Z'", "Query by-status"),
    ("status IN ('FAILED', 'OK') AND started = '2026-11-01T23:00:00Z'", "Query by-status"),
    ("status IN ('FAILED', 'LOST') AND rows > 3", "Query by-rows"),
    ("pipeline = 'a' AND status = 'OK'", "Query local"),
    ("status = 'FAILED'", "Scan"),  # an item without `started` and `rows` is in no index
    ("status IS NULL OR rows <=> NULL", "Scan"),
    ("cost > 1.234 AND cost <> 5.00", "Scan"),
    ("ratio >= 0.1 OR NOT (ratio < 0.5)", "Scan"),
    ("leg.dest = 'JFK' AND leg.stops IS NOT NULL", "Scan"),
    ("array_contains(tags, 'x') AND size(tags) > 1", "Scan"),
    ("NOT array_contains(tags, 'x')", "Scan"),
    ("labels['env'] = 'prod'", "Scan"),
    ("is_late", "Scan"),
    ("digest = X'00FF' OR digest > X'01'", "Scan"),
    ("rows IN (1, 2, NULL) OR rows NOT IN (3, 4)", "Scan"),
    ("status LIKE '%A%' AND rows BETWEEN 2 AND 7", "Scan"),
    ("pipeline = 'a' AND pipeline = 'b'", "nothing"),
)


def items() -> Iterator[dict[str, Any]]:
    chance = random.Random(7)
    for number in range(120):
        item: dict[str, Any] = {"pipeline": {"S": "abc"[number % 3]}, "day": {"S": f"d{number // 3}"}}
        values = {
            "status": {"S": chance.choice(["FAILED", "OK", "LOST"])},
            "started": {"S": chance.choice(STARTED)},
            "rows": {"N": str(chance.randrange(10))},
            "cost": {"N": chance.choice(["1.23", "1.24", "5", "-3.5"])},
            "ratio": {"N": chance.choice(["0.1", "0.10000000000000000001", "0.5", "7E-3"])},
            "is_late": {"BOOL": chance.random() < 0.5},
            "leg": {"M": {"dest": {"S": chance.choice(["JFK", "EWR"])}, "stops": {"N": "1"}}},
            "tags": {"L": [{"S": text} for text in chance.sample("xyz", chance.randrange(4))]},
            "digest": {"B": chance.choice([b"\0\xff", b"\0", b"\1\2"])},
            "labels": {"M": {"env": {"S": chance.choice(["prod", "dev"])}}},
        }
        for name, value in values.items():
            if chance.random() < 0.7:
                item[name] = value
            elif chance.random() < 0.5 and name not in ("status", "started", "rows"):  # keys of indexes are never NULL
                item[name] = {"NULL": True}
        if "leg" in item and "M" in item["leg"] and chance.random() < 0.3:
            del item["leg"]["M"]["stops"]
        yield item


@pytest.fixture(scope="module")
def schema(spark: SparkSession) -> StructType:
    return StructType.fromDDL(DDL)


@pytest.fixture(scope="module")
def runs(server: Server) -> tuple[Server, str]:
    """A server and a table on it."""
    table = server.create("pipeline:S", "day:S", INDEXES)
    server.put(table, *items())
    return server, table


@pytest.fixture(scope="module")
def full(runs: tuple[Server, str], schema: StructType, spark: SparkSession) -> DataFrame:
    server, table = runs
    return spark.read.format("dynamo-meta").options(**server.options).schema(schema).load(table).cache()


def read(server: Server, table: str, schema: StructType, **options: str) -> tuple[Access, list[dict[str, Any]]]:
    """The access and the rows of a read, in this process."""
    parsed = SourceOptions({"table": table, **server.options, **options})
    reader = plan_read(parsed, find(parsed), schema)
    batches = [batch for part in reader.partitions() for batch in reader.read(part)]
    return reader.access, [row for batch in batches for row in batch.to_pylist()]


def keys(rows: list[Any]) -> list[tuple[str, str]]:
    return sorted((row["pipeline"], row["day"]) for row in rows)


@pytest.mark.parametrize(("predicate", "way"), PREDICATES)
def test_rows_are_those_of_where(
    runs: tuple[Server, str], full: DataFrame, schema: StructType, predicate: str, way: str
) -> None:
    access, rows = read(*runs, schema, filter=predicate)
    expected = keys(full.where(predicate).select("pipeline", "day").collect())
    assert keys(rows) == expected
    if way == "nothing":
        assert not access.own
    else:
        assert f"{access.operation} {access.index or ''}".strip() == way


def test_through_spark(runs: tuple[Server, str], full: DataFrame, schema: StructType, spark: SparkSession) -> None:
    server, table = runs
    predicate = "pipeline IN ('a', 'c') AND day > 'd2' AND (rows > 2 OR NOT is_late)"
    read = spark.read.format("dynamo-meta").options(**server.options, filter=predicate).schema(schema).load(table)
    expected = full.where(predicate)
    assert keys(read.collect()) == keys(expected.collect())


def test_times_without_a_zone_are_the_sessions(local_server: Server, schema: StructType, spark: SparkSession) -> None:
    """The literal's zone is known in the tasks only, and what DynamoDB is asked for is wide enough for any."""
    table = local_server.create("pipeline:S", "day:S", INDEXES)
    local_server.put(table, *items())
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        frame = spark.read.format("dynamo-meta").options(**local_server.options).schema(schema)
        predicate = "status = 'FAILED' AND started >= '2026-11-02 08:30:00'"
        rows = frame.option("filter", predicate).load(table).collect()
        in_tokyo = keys(frame.load(table).where(predicate).collect())
        spark.conf.set("spark.sql.session.timeZone", "UTC")
        assert keys(rows) == in_tokyo
        assert in_tokyo != keys(frame.load(table).where(predicate).collect())
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_many_keys_are_read_in_batches(local_server: Server, schema: StructType) -> None:
    table = local_server.create("pipeline:S", "day:S")
    local_server.put(table, *items())
    days = ", ".join(f"'d{number}'" for number in range(150))
    access, rows = read(local_server, table, schema, filter=f"pipeline IN ('a', 'b') AND day IN ({days})")
    assert (access.operation, len(access.own), len(rows)) == ("BatchGetItem", 3, 80)


def test_the_log_of_each_task_tells_what_its_requests_took(
    runs: tuple[Server, str], schema: StructType, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "spark_dynamo.source.read.reader"):
        access, rows = read(*runs, schema, filter="pipeline = 'a'")
    (record,) = caplog.records
    told = vars(record)
    assert (
        (told["operation"], told["table"], told["items"]) == (access.operation, runs[1], len(rows)) != ("Scan", "", 0)
    )
    assert told["units"] > 0
    assert told["duration_ms"] > 0
    assert (told["retries"], told["pipeline"], told["error"]) == (0, None, None)


def test_a_predicate_may_use_columns_that_are_not_read(
    runs: tuple[Server, str], full: DataFrame, schema: StructType
) -> None:
    server, table = runs
    parsed = SourceOptions({"table": table, **server.options, "filter": "rows > 5 AND leg.dest = 'JFK'"})
    narrow = StructType([schema["pipeline"], schema["day"]])
    reader = plan_read(parsed, find(parsed), narrow, schema)
    batches = [batch for part in reader.partitions() for batch in reader.read(part)]
    assert {tuple(batch.schema.names) for batch in batches} == {("pipeline", "day")}
    rows = pa.Table.from_batches(batches).to_pylist()
    assert keys(rows) == keys(full.where("rows > 5 AND leg.dest = 'JFK'").select("pipeline", "day").collect())


SIZES = (
    "size(tags) = -1",
    "size(tags) IS NULL",
    "NOT size(tags) > 1",
    "size(tags) <= 0 OR is_late",
    "size(labels) > -2",
)


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_a_filter_is_where_whatever_a_session_calls_the_size_of_null(
    runs: tuple[Server, str], full: DataFrame, schema: StructType, spark: SparkSession, ansi: str
) -> None:
    server, table = runs
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        for predicate in SIZES:
            read = spark.read.format("dynamo-meta").options(**server.options, filter=predicate).schema(schema)
            assert keys(read.load(table).collect()) == keys(full.where(predicate).collect()), predicate
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")


def test_what_the_session_reads_otherwise_ends_the_query(
    runs: tuple[Server, str], schema: StructType, spark: SparkSession
) -> None:
    server, table = runs
    read = spark.read.format("dynamo-meta").options(**server.options).schema(schema)
    texts = read.option("filter", "rows IN ('05') AND pipeline = 'no such'").load(table)
    quoted = read.option("filter", 'status = "OK"').load(table)
    assert (texts.count(), quoted.count() > 0) == (0, True)
    spark.conf.set("spark.sql.ansi.enabled", "false")
    try:
        with pytest.raises(PySparkException, match=r"compares rows, which is BIGINT, with '05'.*ansi.enabled=false"):
            texts.collect()
    finally:
        spark.conf.unset("spark.sql.ansi.enabled")
    with pytest.raises(Exception, match=r"has \"OK\" in double quotes.*outside of Spark SQL.*write strings in single"):
        quoted.rdd.count()
    assert read.option("filter", "status = 'OK'").load(table).rdd.count() == quoted.count()
