"""`SparkDynamoDBIntegration`: sessions, reads, writes, runs and statistics of pipelines."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.config.secrets import Options
from spark_dynamo.integration.sessions import base_settings, session_with
from spark_dynamo.integration.settings import (
    RESOURCES,
    S3A_KEYS,
    SECRET_OPTIONS,
    as_text,
    layered,
    option_texts,
    resource_settings,
    setting_texts,
)
from spark_dynamo.integration.trust import check_files_row, check_row, connection_options, foreign_s3
from spark_dynamo.metadata.models import DataFormat, PipelineConfig, TableConfig
from spark_dynamo.metadata.repositories import (
    PipelineConfigRepository,
    PipelineRunLogsRepository,
    TableConfigRepository,
)
from spark_dynamo.run_logs.context import pipeline_run
from spark_dynamo.run_logs.events import Figures
from spark_dynamo.run_logs.run import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)


class SparkDynamoDBIntegration:
    """Sessions, reads, writes, runs and statistics of pipelines, by their rows in the metadata tables.

    `config` is `DynamoDBConfig.for_pyspark()` where it is None. Nothing is asked of DynamoDB before the first call; an unknown
    pipeline or table raises ItemNotFoundError. The repositories are there for all else: `pipeline_repo`, `table_repo`, `logs_repo`.

    >>> SparkDynamoDBIntegration(DynamoDBConfig(table_prefix="myapp")).table_repo.physical_table_name
    'myapp_dev_table_config'
    """

    def __init__(self, config: DynamoDBConfig | None = None) -> None:
        self.config = config or DynamoDBConfig.for_pyspark()
        self.pipeline_repo = PipelineConfigRepository(self.config)
        self.table_repo = TableConfigRepository(self.config)
        self.logs_repo = PipelineRunLogsRepository(self.config)
        self._pipelines: dict[str, PipelineConfig] = {}  # as they were when their sessions were made
        self._runs: dict[str, Run] = {}  # the open ones of this object's contexts
        self._spark: SparkSession | None = None

    def get_spark_config_from_pipeline(self, pipeline_id: str) -> dict[str, str]:
        """The settings of the pipeline's Spark session, as texts.

        `cpu_cores` become spark.executor.cores, `memory_gb` spark.executor.memory in MiB (a part of one counts as a whole), the
        name spark.app.name; what `spark_config` says itself wins, and the log tells where it differs. The configuration's region
        goes to S3A, its keys too unless they are for another endpoint, or `spark_config` leads S3A to another one; the dict's repr
        hides them. Raises ConfigurationError for
        a value that is no setting.
        """
        pipeline = self.pipeline_repo.get_or_raise(pipeline_id)
        self._pipelines[pipeline_id] = pipeline
        settings = {**base_settings(self.config, f"Pipeline-{pipeline.pipeline_name}"), **resource_settings(pipeline)}
        if foreign_s3(pipeline.spark_config) is not None:
            settings = {name: value for name, value in settings.items() if name not in S3A_KEYS}
        for name, value in pipeline.spark_config.items():
            setting = as_text(value, f"Pipeline '{pipeline_id}': setting '{name}' of spark_config")
            if setting is None:
                continue
            if name in RESOURCES and settings.get(name, setting) != setting:
                logger.warning(
                    "Pipeline '%s': spark_config says %s=%s, which wins over %s (%s)",
                    pipeline_id,
                    name,
                    setting,
                    RESOURCES[name],
                    settings[name],
                )
            settings[name] = setting
        return Options(settings.items(), hidden=SECRET_OPTIONS)

    def create_spark_session(
        self, pipeline_id: str, additional_config: Mapping[str, object] | None = None
    ) -> SparkSession:
        """A Spark session with the pipeline's settings and, above them, `additional_config`.

        Where a session runs already, that one is given with the settings that it can still take, and the log names the others.
        """
        settings = self.get_spark_config_from_pipeline(pipeline_id)
        self._spark = session_with({**settings, **setting_texts(additional_config)})
        return self._spark

    def get_table_read_options(self, table_id: str) -> dict[str, Any]:
        """All that Spark needs to read the table, for `spark.read.load(**options)`.

        `format`, `path` and the table's own read options, which win, as texts; `partitionColumns`, a list, where the table has
        such columns (Spark finds them by itself: it is there to know them). For `dynamo-meta` also the connection and naming of
        the configuration and, above them, the table's `connection_config`, whose keys or profile take the place of all of the
        configuration's; the dict's repr hides secrets. Raises ConfigurationError where the row names a model or a place for
        rejected rows that the program has not allowed (`allow_models`, `allow_reject_places`), or a foreign endpoint without
        keys for it.
        """
        table = self.table_repo.get_or_raise(table_id)
        more: dict[str, Any] = {}
        if table.partition_columns and table.data_format is not DataFormat.DYNAMO_META:
            more["partitionColumns"] = list(table.partition_columns)
        return self._options(table, more, "read_options", {})

    def get_table_write_options(self, table_id: str) -> dict[str, Any]:
        """All that Spark needs to write the table, for `frame.write.save(**options)`.

        `format`, `path` and the table's own write options, which win, as texts; `partitionBy`, a list, where the table has
        partition columns. The save mode is the table's own `mode`; without one Spark's default refuses to write where something
        is, and for `dynamo-meta`, which can't tell, it is `append`.
        """
        return self._write_options(self.table_repo.get_or_raise(table_id))

    @contextmanager
    def pipeline_run_context(
        self, pipeline_id: str, trigger_type: str = "manual", created_by: str | None = None
    ) -> Iterator[str]:
        """A run of the pipeline, as `sd.pipeline_run` has it, for as long as the `with` block runs; gives the run's id.

        Inside, `sd.current_run()` is the run itself, with its stages, checks and messages. Where `create_spark_session` made the
        pipeline's session, the log has the version and the configuration that it was made with.
        """
        pipeline = self._pipelines.get(pipeline_id)
        with pipeline_run(
            self._running_session(),
            pipeline_id,
            trigger_type,
            config=self.config,
            created_by=created_by,
            pipeline_version=None if pipeline is None else pipeline.version,
            config_snapshot=None if pipeline is None else pipeline.model_dump(),
        ) as run:
            self._runs[run.run_id] = run
            try:
                yield run.run_id
            finally:
                del self._runs[run.run_id]

    def update_table_stats_after_write(self, table_id: str, df: DataFrame, run_id: str | None = None) -> int:
        """Store how many rows `df` has as the table's `record_count`, with the time now, and give that number.

        Call it after the write. Where the run with `run_id` is open here and Spark has told it of a write to the table's
        location, its newest one says how many rows and bytes that were; else the frame is run again and counted, apart from the
        run's own figures, and `size_bytes` is None. Both are what was written, also where it was added to what is there. The run
        notes the table: among those that it wrote where it is open here, else as a log message.
        `write_table` counts while it writes. Raises ItemNotFoundError where there is no such table or run.
        """
        figures = self._told(self.table_repo.get_or_raise(table_id), run_id)
        rows = figures.rows_written
        if rows is None:
            with _apart_from(self._runs.get(run_id or ""), df):
                rows = df.count()
        return self._store_stats(table_id, rows, run_id, figures.output_bytes)

    def write_table(self, table_id: str, df: DataFrame, run_id: str | None = None, **options: Any) -> int:
        """Write `df` with the table's write options and, above them, `options`; count it on its way, and store the statistics.

        Gives the number of rows. The frame runs once. Where the mode is `ignore` and no row was written, as something is there
        already, the statistics stay as they are.
        """
        from pyspark.sql import Observation
        from pyspark.sql.functions import count, lit

        written = Observation()
        counted = df.observe(written, count(lit(1)).alias("rows"))
        table = self.table_repo.get_or_raise(table_id)
        given = self._write_options(table, options)
        counted.write.save(**given)
        rows = int(written.get["rows"])
        if rows == 0 and str(given.get("mode")).lower() == "ignore":
            return 0
        return self._store_stats(table_id, rows, run_id, self._told(table, run_id).output_bytes)

    def _told(self, table: TableConfig, run_id: str | None) -> Figures:
        """What Spark has told the open run of its newest write to the table."""
        run = self._runs.get(run_id or "")
        told = {} if run is None else {_place_name(name): figures for name, figures in run.writes().items()}
        return told.get(_place_name(table.location), Figures())

    def _store_stats(self, table_id: str, rows: int, run_id: str | None, size: int | None) -> int:
        counted = {"record_count": rows, "size_bytes": size, "last_updated_data": datetime.now(UTC)}
        table = self.table_repo.update(table_id, counted)
        run = self._runs.get(run_id or "")
        if run is not None:
            if _place_name(table.location) not in map(_place_name, run.writes()):
                run.table_written(table.location)
        elif run_id is not None:  # somebody else's: only an addition loses nothing of what they write
            self.logs_repo.add_log_message(
                run_id, f"Table '{table_id}' was written: {rows} rows", table=table_id, rows=rows
            )
        return rows

    def _running_session(self) -> SparkSession | None:
        from pyspark.sql import SparkSession

        return SparkSession.getActiveSession() or self._spark

    def _write_options(self, table: TableConfig, options: Mapping[str, Any] | None = None) -> Options:
        more: dict[str, Any] = {}
        if table.data_format is DataFormat.DYNAMO_META:
            more["mode"] = "append"
        elif table.partition_columns:
            more["partitionBy"] = list(table.partition_columns)
        return self._options(table, more, "write_options", options or {})

    def _options(self, table: TableConfig, more: Mapping[str, Any], field: str, given: Mapping[str, Any]) -> Options:
        """Format, path, and for a table of DynamoDB how to reach it; above them the row's own, and what the program gives.

        Raises ConfigurationError where the row would decide alone what `trust` leaves to the program.
        """
        options: dict[str, Any] = {"format": table.data_format.value, "path": table.location, **more}
        own = option_texts(table, field)
        if table.data_format is DataFormat.DYNAMO_META:
            row = layered(option_texts(table, "connection_config"), own)
            program = layered(given)
            in_force = {name: value for name, value in layered(row, program).items() if name not in program}
            check_row(table.table_id, in_force)
            options = layered(options, connection_options(table.table_id, in_force, self.config), row, program)
        else:
            check_files_row(table.table_id, own)
            options = {**options, **own, **given}
        return Options(options.items(), hidden=SECRET_OPTIONS)


def _place_name(location: str) -> str:
    """A path or name as it is the same however it is written: without `file:` and a slash at the end."""
    path = location.removeprefix("file:")
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    return path.rstrip("/") or path


@contextmanager
def _apart_from(run: Run | None, df: DataFrame) -> Iterator[None]:
    """Jobs of the block do not count for the run."""
    if run is None:
        yield
        return
    df.sparkSession.removeTag(run.job_tag)
    try:
        yield
    finally:
        df.sparkSession.addTag(run.job_tag)
