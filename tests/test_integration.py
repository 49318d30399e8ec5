"""Pipelines driven by the metadata tables: sessions, reads, writes, runs and statistics, on a real server and a real Spark."""

from __future__ import annotations

import logging
import pickle
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.config import ENVIRONMENT_VARIABLES, DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, ItemNotFoundError
from spark_dynamo.integration import (
    SparkDynamoDBIntegration,
    create_spark_session_with_dynamodb,
    get_pipeline_config_for_spark,
    get_table_configs_for_spark,
    log_pipeline_run_from_spark,
)
from spark_dynamo.integration.sessions import session_with
from spark_dynamo.metadata.models import PipelineConfig, PipelineRunLog, TableConfig
from spark_dynamo.metadata.tables import create_tables
from spark_dynamo.run_logs.context import current_run
from spark_dynamo.run_logs.process import flush_recorders
from spark_dynamo.source.location import connection
from spark_dynamo.source.options.source_options import SourceOptions

HIDDEN = "the-hidden-text"


@pytest.fixture(scope="module")
def config(local_server: Any) -> DynamoDBConfig:
    config = DynamoDBConfig(
        endpoint_url=local_server.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        table_prefix=f"i{uuid.uuid4().hex[:8]}",
    )
    create_tables(config)
    return config


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ENVIRONMENT_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pipelines(config: DynamoDBConfig) -> SparkDynamoDBIntegration:
    return SparkDynamoDBIntegration(config)


@pytest.fixture
def settings(spark: SparkSession) -> Iterator[None]:
    """The session's settings are as before afterwards."""
    before = dict(spark.conf.getAll)
    yield
    for name, value in dict(spark.conf.getAll).items():
        if before.get(name) != value and spark.conf.isModifiable(name):
            if name in before:
                spark.conf.set(name, before[name])
            else:
                spark.conf.unset(name)


def pipeline(pipelines: SparkDynamoDBIntegration, **fields: Any) -> str:
    name = f"p-{uuid.uuid4().hex[:8]}"
    pipelines.pipeline_repo.create(
        PipelineConfig(pipeline_id=name, pipeline_name="Sales", source_type="s3", destination_type="s3", **fields)
    )
    return name


def table(pipelines: SparkDynamoDBIntegration, location: object, data_format: str = "parquet", **fields: Any) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    given = {"pipeline_id": "sales", "table_name": "orders", "table_type": "destination", **fields}
    pipelines.table_repo.create(
        TableConfig(table_id=name, location=str(location), data_format=data_format, **given)  # type: ignore[arg-type]
    )
    return name


def stored(pipelines: SparkDynamoDBIntegration, table_id: str) -> TableConfig:
    return pipelines.table_repo.get_or_raise(table_id)


def log_of(pipelines: SparkDynamoDBIntegration, run_id: str) -> PipelineRunLog:
    flush_recorders(10)  # a run's end does not wait for its row
    return pipelines.logs_repo.get_or_raise(run_id)


# ------------------------------------------------------------------------------------------------------------ sessions


def test_a_pipelines_resources_become_sparks_settings(pipelines: SparkDynamoDBIntegration) -> None:
    settings = {"spark.sql.shuffle.partitions": 8, "spark.ui.enabled": False, "spark.x": ["a", "b"], "spark.none": None}
    name = pipeline(
        pipelines, cpu_cores=4, memory_gb=Decimal("2.5"), spark_config={**settings, "spark.y": Decimal("0.50")}
    )
    assert pipelines.get_spark_config_from_pipeline(name) == {
        "spark.app.name": "Pipeline-Sales",
        "spark.executor.cores": "4",
        "spark.executor.memory": "2560m",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
        "spark.x": "a,b",
        "spark.y": "0.5",
    }


def test_a_part_of_a_mebibyte_counts_as_a_whole(pipelines: SparkDynamoDBIntegration) -> None:
    name = pipeline(pipelines, memory_gb=Decimal("0.9999"))
    assert pipelines.get_spark_config_from_pipeline(name)["spark.executor.memory"] == "1024m"


def test_a_setting_of_the_pipelines_own_wins_and_the_log_says_so(
    pipelines: SparkDynamoDBIntegration, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"spark.executor.cores": 2, "spark.executor.memory": "1g", "spark.app.name": "mine"}
    settings = pipelines.get_spark_config_from_pipeline(pipeline(pipelines, cpu_cores=2, memory_gb=4, spark_config=own))
    assert {name: settings[name] for name in own} == {**own, "spark.executor.cores": "2"}
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "spark_config says spark.executor.memory=1g, which wins over memory_gb (4096m)" in told


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpu_cores": 0}, "cpu_cores is 0, and must be greater than 0"),
        ({"memory_gb": Decimal("-1")}, "memory_gb is -1, and must be greater than 0"),
        ({"spark_config": {"spark.x": b"raw"}}, "setting 'spark.x' of spark_config is of type bytes: use a text"),
    ],
)
def test_a_value_that_is_no_setting_is_named(
    pipelines: SparkDynamoDBIntegration, fields: dict[str, Any], message: str
) -> None:
    name = pipeline(pipelines, **fields)
    with pytest.raises(ConfigurationError, match=f"Pipeline '{name}'.*{message}"):
        pipelines.get_spark_config_from_pipeline(name)


def test_keys_go_to_s3_only_where_they_are_for_aws(config: DynamoDBConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address comes from AWS's own variable here, so that the configuration names no endpoint, as in production."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", str(config.endpoint_url))
    keys = {"aws_access_key_id": HIDDEN, "aws_secret_access_key": HIDDEN, "aws_session_token": HIDDEN}
    production = SparkDynamoDBIntegration(
        DynamoDBConfig(table_prefix=config.table_prefix, region_name="us-east-1", **keys)
    )
    settings = production.get_spark_config_from_pipeline(pipeline(production))
    assert {settings[f"spark.hadoop.fs.s3a.{name}"] for name in ("access.key", "secret.key", "session.token")} == {
        HIDDEN
    }
    assert settings["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"  # a region that nobody names is left out
    assert HIDDEN not in repr(settings)
    assert HIDDEN not in repr(pickle.loads(pickle.dumps(settings)))
    assert DynamoDBConfig.for_pyspark(settings).aws_secret_access_key == HIDDEN, "and back again"


@pytest.mark.usefixtures("settings")
def test_a_running_session_takes_what_it_can_and_the_log_names_the_rest(
    pipelines: SparkDynamoDBIntegration, spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    name = pipeline(
        pipelines, cpu_cores=7, spark_config={"spark.sql.files.maxPartitionBytes": "1048576", "spark.pi": "3"}
    )
    session = pipelines.create_spark_session(name, {"spark.pi": Decimal("3.14"), "spark.sql.ansi.enabled": True})
    assert session is spark
    conf = {"spark.sql.files.maxPartitionBytes": "1048576", "spark.pi": "3.14", "spark.sql.ansi.enabled": "true"}
    assert {setting: session.conf.get(setting) for setting in conf} == conf
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "can't take spark.executor.cores any more" in told


def test_a_running_session_takes_s3as_keys_where_hadoop_looks(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {f"spark.hadoop.fs.s3a.test.{name}": HIDDEN for name in ("secret.key", "access.key", "session.token")}
    hadoop = [name.removeprefix("spark.hadoop.") for name in settings]
    caplog.set_level(logging.DEBUG, "spark_dynamo")
    try:
        for value in (HIDDEN, "another"):
            session_with(dict.fromkeys(settings, value) | {"spark.executor.cores": "7"})
            conf = spark._jsparkSession.sessionState().newHadoopConf()  # type: ignore[attr-defined]
            assert [conf.get(name) for name in hadoop] == [value] * 3
        shown = {row.key: row.value for row in spark.sql("SET").collect()}
        assert all("redacted" in shown[name] for name in (*settings, *hadoop))
        assert HIDDEN not in caplog.text
    finally:
        for name in (*settings, *hadoop):
            spark.conf.unset(name)


@pytest.mark.usefixtures("settings")
def test_a_session_by_function(
    config: DynamoDBConfig, pipelines: SparkDynamoDBIntegration, spark: SparkSession
) -> None:
    assert create_spark_session_with_dynamodb("report", config=config, additional_config={"spark.pi": 3}) is spark
    assert spark.conf.get("spark.pi") == "3"
    name = pipeline(pipelines, spark_config={"spark.e": "2.7"})
    assert create_spark_session_with_dynamodb("report", name, config) is spark
    assert spark.conf.get("spark.e") == "2.7"


def test_the_unknown_is_named(pipelines: SparkDynamoDBIntegration, config: DynamoDBConfig) -> None:
    for call in (
        lambda: pipelines.get_spark_config_from_pipeline("nobodys"),
        lambda: pipelines.get_table_read_options("nobodys"),
        lambda: pipelines.get_table_write_options("nobodys"),
        lambda: get_pipeline_config_for_spark("nobodys", config),
    ):
        with pytest.raises(ItemNotFoundError, match="nobodys"):
            call()
    assert get_table_configs_for_spark("nobodys", config) == []


def test_configurations_by_function(pipelines: SparkDynamoDBIntegration, config: DynamoDBConfig) -> None:
    name = pipeline(pipelines)
    one, _ = table(pipelines, "a", pipeline_id=name), table(pipelines, "b", pipeline_id=name, is_active=False)
    assert get_pipeline_config_for_spark(name, config).pipeline_name == "Sales"
    assert [found.table_id for found in get_table_configs_for_spark(name, config)] == [one]


# ------------------------------------------------------------------------------------------------------ tables and runs


def test_options_of_files_are_texts_with_the_tables_own_above(pipelines: SparkDynamoDBIntegration) -> None:
    name = table(
        pipelines,
        "/lake/orders",
        "csv",
        partition_columns=["day"],
        read_options={"header": True, "samplingRatio": Decimal("0.1"), "x": {"a": [1, Decimal("0.5")]}, "none": None},
        write_options={"header": True, "mode": "overwrite"},
        connection_config={"host": "not an option of csv"},
    )
    assert pipelines.get_table_read_options(name) == {
        "format": "csv",
        "path": "/lake/orders",
        "partitionColumns": ["day"],
        "header": "true",
        "samplingRatio": "0.1",
        "x": '{"a": [1, 0.5]}',
    }
    assert pipelines.get_table_write_options(name) == {
        "format": "csv",
        "path": "/lake/orders",
        "partitionBy": ["day"],
        "header": "true",
        "mode": "overwrite",
    }
    own = table(pipelines, "/lake/orders", partition_columns=["day"], write_options={"partitionBy": ["hour"]})
    assert pipelines.get_table_write_options(own)["partitionBy"] == ["hour"]
    assert "mode" not in pipelines.get_table_write_options(own)


def test_options_of_a_dynamodb_table_say_how_to_reach_it(
    pipelines: SparkDynamoDBIntegration, config: DynamoDBConfig
) -> None:
    name = table(
        pipelines,
        "orders",
        "dynamo-meta",
        partition_columns=["id"],
        connection_config={"region": "eu-west-1"},
        read_options={"consistentRead": True},
    )
    read, write = pipelines.get_table_read_options(name), pipelines.get_table_write_options(name)
    place = {**config.spark_options(), "format": "dynamo-meta", "path": "orders", "region": "eu-west-1"}
    assert read == {**place, "consistentRead": "true"}
    assert write == {**place, "mode": "append"}
    assert "'secretAccessKey': Secret('**********')" in repr(read)
    parsed = SourceOptions({option: value for option, value in read.items() if option != "format"})
    assert (parsed.table, parsed.region, parsed.consistent_read) == ("orders", "eu-west-1", True)


@pytest.mark.parametrize(
    ("fields", "signer", "token"),
    [
        ({}, "AKIA-OF-CONFIG", "token-of-config"),
        ({"connection_config": {"profile": "other-account"}}, "AKIA-OF-PROFILE", None),
        ({"connection_config": {"PROFILE": "other-account"}}, "AKIA-OF-PROFILE", None),
        ({"connection_config": {"accessKeyId": "AKIA-OF-TABLE", "secretAccessKey": HIDDEN}}, "AKIA-OF-TABLE", None),
        ({"connection_config": {"accesskeyid": "AKIA-OF-TABLE", "secretaccesskey": HIDDEN}}, "AKIA-OF-TABLE", None),
        (
            {
                "connection_config": {"profile": "other-account"},
                "read_options": {"accessKeyId": "AKIA-OF-TABLE", "secretAccessKey": HIDDEN, "SessionToken": HIDDEN},
            },
            "AKIA-OF-TABLE",
            HIDDEN,
        ),
    ],
    ids=["config", "profile", "PROFILE", "keys", "lower-case keys", "keys above a profile"],
)
def test_a_tables_credentials_take_the_place_of_all_of_the_configurations(
    config: DynamoDBConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fields: dict[str, Any],
    signer: str,
    token: str | None,
) -> None:
    profiles = tmp_path / "profiles"
    profiles.write_text(
        "[profile other-account]\naws_access_key_id = AKIA-OF-PROFILE\naws_secret_access_key = secret-of-profile\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    keys = {
        "aws_access_key_id": "AKIA-OF-CONFIG",
        "aws_secret_access_key": "secret-of-config",
        "aws_session_token": "token-of-config",
    }
    own = SparkDynamoDBIntegration(
        DynamoDBConfig(endpoint_url=config.endpoint_url, table_prefix=config.table_prefix, **keys)
    )
    options = own.get_table_read_options(table(own, "orders", "dynamo-meta", **fields))
    for secret in (HIDDEN, "AKIA-OF-TABLE", *keys.values()):
        assert secret not in repr(options)
        assert secret not in repr(pickle.loads(pickle.dumps(options)))
    parsed = SourceOptions({name: value for name, value in options.items() if name != "format"})
    credentials = dynamodb_client(connection(parsed))._request_signer._credentials
    assert (credentials.access_key, credentials.token) == (signer, token)


def test_a_pipeline_from_files_to_dynamodb(
    pipelines: SparkDynamoDBIntegration, local_server: Any, spark: SparkSession, tmp_path: Path
) -> None:
    name = pipeline(pipelines, version="2.1.0", config={"threshold": 5, "share": Decimal("0.25")})
    source = table(pipelines, tmp_path / "in", partition_columns=["day"])
    target = table(pipelines, local_server.create("id:S"), "dynamo-meta", table_name="target")
    frame = spark.range(60).selectExpr("cast(id AS string) id", "id % 3 AS day")
    frame.write.save(**pipelines.get_table_write_options(source))
    assert len(list((tmp_path / "in").glob("day=*"))) == 3
    pipelines.get_spark_config_from_pipeline(name)
    with pipelines.pipeline_run_context(name, "schedule", created_by="ann") as run_id:
        orders = spark.read.load(**pipelines.get_table_read_options(source)).where("day = 1")
        orders.write.save(**pipelines.get_table_write_options(target))
        assert pipelines.update_table_stats_after_write(target, orders, run_id) == 20
        run = current_run()
        assert run is not None
        assert run.run_id == run_id
        assert run.check("rows", passed=True)
    log = log_of(pipelines, run_id)
    assert (log.status, log.pipeline_id, log.trigger_type, log.created_by) == ("success", name, "schedule", "ann")
    assert (log.pipeline_version, log.config_snapshot["config"]) == (
        "2.1.0",
        {"threshold": 5, "share": Decimal("0.25")},
    )
    assert log.output_tables == [stored(pipelines, target).location]
    assert [result.check_name for result in log.data_quality_results] == ["rows"]
    kept = stored(pipelines, target)
    assert kept.record_count == 20
    assert kept.last_updated_data is not None
    assert log.start_time <= kept.last_updated_data <= log.end_time  # type: ignore[operator]
    assert kept.table_name == "target"
    assert {item["id"]["S"] for item in local_server.items(kept.location)} == {str(n) for n in range(60) if n % 3 == 1}


@pytest.mark.slow
def test_a_write_that_counts_runs_the_frame_once(
    pipelines: SparkDynamoDBIntegration, spark: SparkSession, tmp_path: Path
) -> None:
    runs = spark.sparkContext.accumulator(0)

    def note(rows: Iterator[Any]) -> Iterator[Any]:
        for row in rows:
            runs.add(1)
            yield row

    target = table(pipelines, tmp_path / "out", write_options={"mode": "append"})
    frame = spark.range(50).rdd.mapPartitions(note).toDF("id bigint")
    with pipelines.pipeline_run_context(pipeline(pipelines)) as run_id:
        assert pipelines.write_table(target, frame, run_id, compression="none") == 50
    assert runs.value == 50
    assert stored(pipelines, target).record_count == 50
    assert [name.removeprefix("file:") for name in log_of(pipelines, run_id).output_tables] == [str(tmp_path / "out")]
    assert stored(pipelines, target).size_bytes == sum(
        file.stat().st_size for file in (tmp_path / "out").glob("*.parquet")
    )

    def count() -> int:
        return int(spark.read.load(**pipelines.get_table_read_options(target)).count())

    assert pipelines.write_table(target, spark.range(7).toDF("id")) == 7
    kept = stored(pipelines, target)
    assert (kept.record_count, kept.size_bytes, count()) == (7, None, 57), "of that write; nobody has told its bytes"
    assert pipelines.write_table(target, spark.range(9).toDF("id"), mode="ignore") == 0
    assert (stored(pipelines, target), count()) == (kept, 57), "nothing was written"
    assert pipelines.write_table(target, spark.range(4).toDF("id"), mode="overwrite") == 4
    assert stored(pipelines, target).record_count == count() == 4
    assert pipelines.write_table(target, spark.range(0).toDF("id")) == 0
    assert stored(pipelines, target).record_count == 0


def test_after_a_write_the_runs_figures_say_how_many_rows_without_another_pass(
    pipelines: SparkDynamoDBIntegration, spark: SparkSession, tmp_path: Path
) -> None:
    passes = spark.sparkContext.accumulator(0)

    def note(rows: Iterator[Any]) -> Iterator[Any]:
        passes.add(1)
        yield from rows

    first, second = table(pipelines, tmp_path / "one"), table(pipelines, f"file://{tmp_path}/two/")
    pipelines.table_repo.update_table_statistics(other := table(pipelines, tmp_path / "elsewhere"), 1, 1_000_000)
    frame = spark.range(30, numPartitions=1).rdd.mapPartitions(note).toDF("id bigint")
    with pipelines.pipeline_run_context("sales") as run_id:
        frame.write.parquet(str(tmp_path / "one"))
        frame.where("id < 4").write.parquet(str(tmp_path / "two"))
        assert pipelines.update_table_stats_after_write(first, frame, run_id) == 30
        assert pipelines.update_table_stats_after_write(second, frame, run_id) == 4
        assert passes.value == 2
        frame.where("id < 7").write.mode("append").parquet(str(tmp_path / "one"))
        assert pipelines.update_table_stats_after_write(first, frame, run_id) == 7, "of the newest write"
        assert passes.value == 3
        assert pipelines.update_table_stats_after_write(other, frame, run_id) == 30, "Spark has told of no such write"
        assert passes.value == 4
    assert stored(pipelines, other).size_bytes is None, "that of a former write is none of this one"
    assert stored(pipelines, second).size_bytes == sum(
        file.stat().st_size for file in (tmp_path / "two").glob("*.parquet")
    )
    assert log_of(pipelines, run_id).rows_written == 41


def test_a_run_that_fails_says_why(pipelines: SparkDynamoDBIntegration) -> None:
    with pytest.raises(RuntimeError, match="no luck"), pipelines.pipeline_run_context("sales") as run_id:
        raise RuntimeError("no luck")
    log = log_of(pipelines, run_id)
    assert (log.status, log.trigger_type, log.pipeline_version) == ("failed", "manual", None)
    assert "no luck" in (log.error_message or "")


def test_a_run_of_somebody_elses_is_told_by_a_message(
    pipelines: SparkDynamoDBIntegration, config: DynamoDBConfig, spark: SparkSession
) -> None:
    run_id = log_pipeline_run_from_spark("sales", config=config, created_by="airflow", status="pending")
    assert log_of(pipelines, run_id).status == "pending"
    assert log_pipeline_run_from_spark("sales", "x", config, run_id=f"{run_id}-2") == f"{run_id}-2"
    target = table(pipelines, "/nowhere")
    assert pipelines.update_table_stats_after_write(target, spark.range(5).toDF("id"), run_id) == 5
    log = log_of(pipelines, run_id)
    assert (log.trigger_type, log.created_by) == ("spark", "airflow")
    assert log.log_messages[0]["message"] == f"Table '{target}' was written: 5 rows"
    with pytest.raises(ItemNotFoundError):
        pipelines.update_table_stats_after_write(target, spark.range(1).toDF("id"), "nobodys")
