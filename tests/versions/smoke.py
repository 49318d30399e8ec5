"""What must work with each version of pyspark: `python smoke.py classic|connect`, in an environment that has the package.

Prints a line for each thing that worked; an error ends it.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pyspark.sql import SparkSession

import spark_dynamo as sd

ROWS = """
    SELECT 'a' AS id, 1 AS n, 19.90BD AS amount, array('x', 'y') AS tags, timestamp'2026-11-01 10:30:00Z' AS at,
           named_struct('city', 'Rome') AS address, map('env', 'prod') AS labels, parse_json('{"deep": [1, "x"]}') AS any
    UNION ALL
    SELECT 'b', 2, 5.00BD, array('z'), timestamp'2026-11-02 08:00:00Z', named_struct('city', 'Oslo'), map(), parse_json('7')
"""
CREATED = {"createTable": "true", "partitionKey": "id"}


class Thing(BaseModel):
    id: str
    n: int | None = None
    amount: Decimal = Decimal(5)
    any: dict[str, Any] = {}


def check(what: str, holds: bool) -> None:
    assert holds, what
    print(f"works: {what}", flush=True)


def run(spark: SparkSession) -> None:
    frame = spark.sql(ROWS).withMetadata("tags", {"dynamodb": "SS"})
    frame.write.format("dynamo-meta").options(**CREATED).mode("append").save("things")
    schema = frame.drop("any").schema
    found = spark.read.format("dynamo-meta").schema(schema).load("things").orderBy("id").collect()
    check(
        "a read with a schema",
        [(row.id, row.n, row.amount) for row in found] == [("a", 1, Decimal("19.90")), ("b", 2, 5)],
    )
    check("sets, structs and maps", sorted(found[0].tags) == ["x", "y"] and found[0].address.city == "Rome")
    check("sets stay sets", sd.infer_schema("things").schema["tags"].metadata == {"dynamodb": "SS"})
    inferred = spark.read.format("dynamo-meta").load("things")
    check("a read by inference", inferred.where("n = 2").count() == 1)
    variants = spark.read.format("dynamo-meta").schema("id STRING, any VARIANT").load("things")
    deep = variants.selectExpr("id", "variant_get(any, '$.deep[1]', 'string') AS x").orderBy("id").collect()
    check("VARIANT", [row.x for row in deep] == ["x", None])
    filtered = spark.read.format("dynamo-meta").option("filter", "id = 'a' AND n = 1").load("things")
    check("a filter", [row.id for row in filtered.collect()] == ["a"])

    spark.sql("CREATE TEMPORARY VIEW v (id STRING, n INT) USING `dynamo-meta` OPTIONS (table 'things')")
    spark.sql("INSERT INTO v VALUES ('c', 3)")
    check("SQL", spark.sql("SELECT sum(n) AS s FROM v").first().s == 6)
    spark.sql("CREATE TABLE t USING `dynamo-meta` OPTIONS (table 'things', columns 'id, n')")
    spark.sql("INSERT INTO t WITH (table 'things') VALUES ('c', 4)")
    check("a table of the catalog", spark.sql("SELECT sum(n) AS s FROM t").first().s == 7)
    spark.sql("DROP TABLE t")
    keys = spark.createDataFrame([("c",)], "id STRING")
    keys.write.format("dynamo-meta").option("operation", "delete").mode("append").save("things")
    check("deletes", spark.read.format("dynamo-meta").schema("id STRING").load("things").count() == 2)

    things = [Thing(id="a", n=1, amount=Decimal("19.90")), Thing(id="b", any={"deep": [1, None]})]
    made = sd.to_dataframe(spark, things)
    moved = sd.align(made.select("any", "n", "id", "amount"), Thing)
    back = [sd.to_models(made, Thing), list(sd.iter_models(made, Thing)), sd.to_models(moved, Thing)]
    check(
        "models", back == [things] * 3 and made.schema == sd.struct_type(Thing) and not sd.compare(made.schema, Thing)
    )

    sd.create_tables()
    sd.PipelineConfigRepository().create_pipeline_config(
        "sales", "Sales", source_type="s3", destination_type="delta", created_by="ann"
    )
    check("metadata tables", spark.read.format("dynamo-meta").load("pipeline_config").first().pipeline_id == "sales")
    with sd.pipeline_run(spark, "sales", trigger_type="manual"):
        spark.read.format("dynamo-meta").schema("id STRING").load("things").write.mode("overwrite").format(
            "noop"
        ).save()
    log = finished_run("sales")
    check("run logs", (log.status, [stage.records_processed for stage in log.stages]) == (sd.RunStatus.SUCCESS, [2]))
    if log.metrics_source == "listener":  # what Connect tells is less
        check("rows of a run", (log.metrics_complete, log.rows_read) == (True, 2))


def finished_run(pipeline: str) -> sd.PipelineRunLog:
    """The pipeline's only run, once its log has come to its end: it is written by a thread."""
    deadline = time.monotonic() + 60
    while True:
        (log,) = sd.PipelineRunLogsRepository().get_runs_by_pipeline(pipeline)
        if log.status != sd.RunStatus.RUNNING:
            return log
        assert time.monotonic() < deadline, "the run's log does not end"
        time.sleep(0.1)


if __name__ == "__main__":
    builder = SparkSession.builder.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    builder = builder.remote("local[1]") if sys.argv[1] == "connect" else builder.master("local[1]")
    session = builder.getOrCreate()
    with sd.local_dynamodb():
        run(session)
    session.stop()
