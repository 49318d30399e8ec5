"""A model that a repository wrote and a row that a DataFrame wrote are the same item, attribute by attribute."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spark_dynamo.schema.values import to_dataframe, to_models
from spark_dynamo.source.datasource import register
from tests.conftest import Server
from tests.metadata.stores import make_store
from tests.metadata.test_parts import MODELS


def test_items_are_the_same_in_both_directions(spark: SparkSession, local_server: Server) -> None:
    register(spark)
    ours, theirs = make_store(local_server), make_store(local_server)
    model = MODELS[-1]  # a run log, which has every kind of attribute
    created = ours.runs.create(model)  # type: ignore[arg-type]
    assert created == model
    write = to_dataframe(spark, [model]).write.format("dynamo-meta").options(**theirs.config().spark_options())
    write.mode("append").save("pipeline_run_logs")
    (written,) = local_server.items(ours.name("pipeline_run_logs"))
    assert local_server.items(theirs.name("pipeline_run_logs")) == [written]

    assert theirs.runs.list_all() == [model], "a repository reads what Spark wrote"
    frame = spark.read.format("dynamo-meta").options(**ours.config().spark_options()).load("pipeline_run_logs")
    assert to_models(frame, type(model)) == [model], "Spark reads what a repository wrote"
