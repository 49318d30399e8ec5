"""The methods of the three repositories: what they find, what they touch, and how much they read for it."""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from spark_dynamo.aws.tables import create_table, wait_until_active
from spark_dynamo.errors import ItemAlreadyExistsError, ItemNotFoundError, TableNotFoundError, ValidationError
from spark_dynamo.metadata.models import DataFormat, RunStatus, TableType
from spark_dynamo.metadata.repositories import (
    PipelineConfigRepository,
    PipelineRunLogsRepository,
    TableConfigRepository,
)
from spark_dynamo.metadata.tables import METADATA_TABLES
from tests.conftest import Server
from tests.metadata.stores import TABLE, Store, configured, make_store, pipeline

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    """Two pipelines' tables and runs; of `sales` 20 runs, an hour between each, every fifth failed."""
    store = make_store(local_server)
    store.pipelines.batch_put(
        [pipeline("sales"), pipeline("stock", is_active=False, environment="prod"), pipeline("hr", environment="prod")]
    )
    tables = store.tables
    for place, (owner, kind, active) in enumerate(
        [("sales", "source", True), ("sales", "destination", True), ("sales", "lookup", False), ("hr", "source", True)]
    ):
        fields = {**TABLE, "pipeline_id": owner, "table_type": kind, "is_active": active}
        tables.create_table_config(f"t{place}", **fields)
    runs = store.runs
    runs.batch_put(
        runs.model_class(
            run_id=f"r{number:02d}",
            pipeline_id="sales",
            status="failed" if number % 5 == 0 else "success",
            trigger_type="schedule",
            start_time=NOW - timedelta(hours=number, minutes=1),
        )
        for number in range(20)
    )
    runs.create_run_log("other", "hr", "manual", start_time=NOW - timedelta(minutes=30))
    return store


@pytest.fixture(scope="module")
def bare_store(local_server: Server, store: Store) -> Store:
    """The same without indexes, as somebody else made it."""
    bare = make_store(local_server, indexes=False)
    bare.runs.batch_put(store.runs.list_all())
    bare.tables.batch_put(store.tables.list_all())
    return bare


def ids(runs: list[Any]) -> list[str]:
    return [run.run_id for run in runs]


# -------------------------------------------------------------------------------------------------------- pipelines


def test_pipelines_are_found_by_id_activity_and_environment(store: Store) -> None:
    pipelines = store.pipelines
    found = pipelines.get_by_pipeline_id("sales")
    assert found is not None
    assert found.pipeline_name == "Sales"
    assert pipelines.get_by_pipeline_id("nothing") is None
    assert {p.pipeline_id for p in pipelines.get_active_pipelines()} == {"sales", "hr"}
    assert {p.pipeline_id for p in pipelines.get_pipelines_by_environment("prod")} == {"stock", "hr"}


def test_a_pipeline_is_created_once_and_switched_off(store: Store) -> None:
    pipelines = store.pipelines
    made = pipelines.create_pipeline_config(
        "new", "New", "s3", "delta", created_by="ann", cpu_cores=4, memory_gb="1.5", tags={"team": "bi"}
    )
    assert (made.created_by, made.cpu_cores, made.memory_gb) == ("ann", 4, Decimal("1.5"))
    assert pipelines.get("new") == made
    with pytest.raises(ItemAlreadyExistsError):
        pipelines.create_pipeline_config("new", "Other", "s3", "delta")
    off = pipelines.update_pipeline_status("new", False, updated_by="bob")
    assert off == made.model_copy(update={"is_active": False, "updated_by": "bob", "updated_at": off.updated_at})
    assert off.updated_at > made.updated_at
    with pytest.raises(ItemNotFoundError):
        pipelines.update_pipeline_status("nothing", True)
    with pytest.raises(ValidationError, match="has no field 'cpu_corse': did you mean 'cpu_cores'"):
        pipelines.create_pipeline_config("x", "X", "s3", "delta", cpu_corse=4)
    with pytest.raises(
        ValidationError, match="refuses values for table.*\n  cpu_cores: Input should be a valid integer"
    ):
        pipelines.create_pipeline_config("x", "X", "s3", "delta", cpu_cores="many")


def test_a_partial_update_keeps_what_another_one_changed(store: Store) -> None:
    pipelines = store.pipelines
    pipelines.create(pipeline("shared"), overwrite=True)
    names = ["cpu_cores", "description", "version", "schedule_expression"]

    def change(name: str) -> None:
        for number in range(5):
            pipelines.update("shared", {name: number if name == "cpu_cores" else f"{name} {number}"})

    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = pipelines.get_or_raise("shared")
    assert [getattr(found, name) for name in names] == [4, "description 4", "version 4", "schedule_expression 4"]


# ----------------------------------------------------------------------------------------------------------- tables


def test_tables_are_found_by_pipeline_type_and_activity(store: Store) -> None:
    tables = store.tables

    def found(result: list[Any]) -> set[str]:
        return {table.table_id for table in result}

    assert found(tables.get_tables_by_pipeline("sales")) == {"t0", "t1", "t2"}
    assert found(tables.get_active_tables_by_pipeline("sales")) == {"t0", "t1"}
    assert found(tables.get_tables_by_type("sales", TableType.LOOKUP)) == {"t2"}
    assert found(tables.get_source_tables("sales")) == {"t0"}
    assert found(tables.get_source_tables()) == {"t0", "t3"}
    assert found(tables.get_destination_tables("sales")) == {"t1"}
    assert found(tables.get_destination_tables("hr")) == set()
    with pytest.raises(ValidationError, match="table_type: Input should be 'source'"):
        tables.get_tables_by_type("sales", "sauce")


def test_statistics_are_stored_beside_the_rest(store: Store) -> None:
    tables = store.tables
    before = tables.get_or_raise("t0")
    assert before.data_format is DataFormat.PARQUET
    after = tables.update_table_statistics("t0", 1200, 34_000, "2026-07-01T12:00:00", current_timezone="Asia/Tokyo")
    assert after.last_updated_data is not None
    assert after.last_updated_data.isoformat() == "2026-07-01T12:00:00+09:00"
    assert tables.get_or_raise("t0") == before.model_copy(
        update={
            "record_count": 1200,
            "size_bytes": 34_000,
            "last_updated_data": datetime(2026, 7, 1, 3, tzinfo=UTC),
            "updated_at": after.updated_at,
        }
    )
    later = tables.update_table_statistics("t0", record_count=1300)
    assert (later.record_count, later.size_bytes) == (1300, 34_000)
    assert later.last_updated_data is not None
    assert later.last_updated_data > NOW


# ------------------------------------------------------------------------------------------------------------- runs


def test_runs_come_newest_first(store: Store) -> None:
    runs = store.runs
    assert ids(runs.get_runs_by_pipeline("sales")) == [f"r{number:02d}" for number in range(20)]
    assert ids(runs.get_runs_by_pipeline("sales", 3)) == ["r00", "r01", "r02"]
    assert ids(runs.get_runs_by_status("failed", limit=2)) == ["r00", "r05"]
    assert ids(runs.get_running_pipelines()) == ["other"]
    assert ids(runs.get_failed_runs("sales")) == ["r00", "r05", "r10", "r15"]
    assert ids(runs.get_failed_runs("sales", hours=6)) == ["r00", "r05"]
    assert ids(runs.get_failed_runs(hours=11, limit=2)) == ["r00", "r05"]
    assert ids(runs.get_recent_runs(hours=2)) == ["r00", "other", "r01"]
    assert ids(runs.get_recent_runs(hours=None, limit=2)) == ["r00", "other"]
    assert len(runs.get_recent_runs()) == 21


@pytest.mark.parametrize("hours", [0, -1, "24", True, float("nan")])
def test_hours_are_a_number(store: Store, hours: Any) -> None:
    with pytest.raises(ValidationError, match="hours is .*: give how many hours back"):
        store.runs.get_failed_runs(hours=hours)


def test_queries_read_no_more_than_they_find(store: Store) -> None:
    with store.watched() as proxy:
        runs = PipelineRunLogsRepository(store.config(proxy.endpoint))
        tables = TableConfigRepository(store.config(proxy.endpoint))
        for act, requests, items in [
            (lambda: runs.get_runs_by_pipeline("sales", 5), 1, 5),
            (lambda: runs.get_runs_by_pipeline("sales"), 1, 20),
            (lambda: runs.get_runs_by_status("failed"), 1, 4),
            (lambda: runs.get_failed_runs(hours=6), 1, 2),
            (lambda: runs.get_failed_runs("sales", hours=6), 1, 6),
            (lambda: runs.get_running_pipelines(), 1, 1),
            (lambda: runs.get_recent_runs(hours=2), len(RunStatus), 3),
            (lambda: tables.get_tables_by_pipeline("hr"), 1, 1),
            (lambda: tables.get_source_tables("sales"), 1, 3),
        ]:
            proxy.log.clear()
            act()
            asked = [operation for operation, _, _ in proxy.log if operation != "DescribeTable"]
            assert asked == ["Query"] * requests
            assert store.scanned(proxy) == items
        proxy.log.clear()
        runs.get_runs_by_pipeline("sales", 5)
        assert [operation for operation, _, _ in proxy.log] == ["Query"], "the table is described once"


def test_without_an_index_a_scan_finds_the_same_and_the_log_says_so_once(
    store: Store, bare_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "spark_dynamo.metadata"):
        for act in [
            lambda s: s.runs.get_runs_by_pipeline("sales"),
            lambda s: s.runs.get_runs_by_pipeline("sales", 3),
            lambda s: s.runs.get_runs_by_status("failed"),
            lambda s: s.runs.get_failed_runs("sales", hours=6),
            lambda s: s.runs.get_failed_runs(hours=6),
            lambda s: s.runs.get_recent_runs(hours=2),
            lambda s: sorted(s.tables.get_source_tables("sales"), key=lambda table: table.table_id),
        ]:
            assert act(bare_store) == act(store) != []
    assert sorted(record.args[:2] for record in caplog.records if record.args) == sorted(
        [
            (bare_store.name("pipeline_run_logs"), "pipeline_id-start_time-index"),
            (bare_store.name("pipeline_run_logs"), "status-start_time-index"),
            (bare_store.name("table_config"), "pipeline_id-index"),
        ]
    )
    assert all("it is scanned whole. Add the index" in record.getMessage() for record in caplog.records)


def test_without_an_index_one_scan_finds_the_runs_of_all_statuses(bare_store: Store) -> None:
    with bare_store.watched() as proxy:
        runs = PipelineRunLogsRepository(bare_store.config(proxy.endpoint))
        assert ids(runs.get_recent_runs(hours=None, limit=2)) == ["r00", "other"]
        assert len(runs.get_recent_runs(limit=None)) == 21
    assert [operation for operation, _, _ in proxy.log if operation != "DescribeTable"] == ["Scan", "Scan"]


def without_description(operation: str, _: Any) -> str | None:
    return "AccessDeniedException" if operation == "DescribeTable" else None


def test_who_may_not_describe_a_table_reads_it_without_its_index(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A Query tells by its error that the index is missing, in AWS's words or in moto's."""
    store = Store(server, f"t{uuid.uuid4().hex[:12]}")
    name = store.name("pipeline_run_logs")
    create_table(server.client, name, partition_key=METADATA_TABLES["pipeline_run_logs"].partition_key)
    wait_until_active(server.client, name)
    store.runs.create_run_log("r0", "sales")
    with store.watched() as proxy:
        proxy.choose = without_description
        runs = PipelineRunLogsRepository(store.config(proxy.endpoint))
        assert ids(runs.get_runs_by_pipeline("sales", 2)) == ["r0"]
        proxy.log.clear()
        assert ids(runs.get_recent_runs(limit=2)) == ["r0"]
        assert [operation for operation, _, _ in proxy.log if operation != "DescribeTable"] == ["Query", "Scan"]
        with pytest.raises(TableNotFoundError, match="nowhere"):
            PipelineRunLogsRepository(configured(proxy.endpoint, "nowhere")).get_runs_by_pipeline("sales")
    told = [record.args for record in caplog.records if "it is scanned whole" in record.message]
    assert told == [
        (name, "pipeline_id-start_time-index", "pipeline_id and start_time"),
        (name, "status-start_time-index", "status and start_time"),
    ]


def test_who_may_not_describe_a_table_reads_it_by_its_index(store: Store) -> None:
    with store.watched() as proxy:
        proxy.choose = without_description
        runs = PipelineRunLogsRepository(store.config(proxy.endpoint))
        assert ids(runs.get_recent_runs(hours=2)) == ["r00", "other", "r01"]
    assert [operation for operation, _, _ in proxy.log if operation != "DescribeTable"] == ["Query"] * len(RunStatus)


def test_a_row_that_is_no_run_is_named_by_its_key(store: Store) -> None:
    key = {"run_id": {"S": "strange"}}
    item = {"pipeline_id": "strangers", "status": "SUCCEEDED", "trigger_type": "x", "start_time": NOW.isoformat()}
    values = {name: {"S": value} for name, value in item.items()}
    store.server.client.put_item(TableName=store.name("pipeline_run_logs"), Item={**key, **values})
    try:
        with pytest.raises(ValidationError, match=r"row 0 \{run_id='strange'\}: status: Input should be 'pending'"):
            store.runs.get_runs_by_pipeline("strangers")
    finally:
        store.runs.delete("strange")


def test_operations_tell_what_they_found_and_of_which_pipeline(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spark_dynamo.telemetry")
    pipelines, tables, runs = store.pipelines, store.tables, store.runs
    told = pipeline("told")
    for act, operation, items, about in [
        (lambda: runs.get_runs_by_pipeline("nobodys"), "Query", 0, "nobodys"),
        (lambda: pipelines.list_all(filter="pipeline_id = 'nobodys'"), "Scan", 0, None),
        (lambda: pipelines.get("nobodys"), "GetItem", 0, "nobodys"),
        (lambda: runs.get_failed_runs("sales"), "Query", 4, "sales"),
        (lambda: tables.get_tables_by_pipeline("sales"), "Query", 3, "sales"),
        (lambda: pipelines.get_active_pipelines(), "Scan", len(pipelines.get_active_pipelines()), None),
        (lambda: pipelines.create(told), "PutItem", 1, "told"),
        (lambda: pipelines.update("told", {"cpu_cores": 2}), "UpdateItem", 1, "told"),
        (lambda: pipelines.update(told), "UpdateItem", 1, "told"),
        (lambda: pipelines.get("told"), "GetItem", 1, "told"),
        (lambda: runs.create_run_log("told", "told"), "PutItem", 1, "told"),
        (lambda: runs.update(runs.get_or_raise("told")), "UpdateItem", 1, "told"),
        (lambda: runs.get("told"), "GetItem", 1, None),
        (lambda: list(runs.pages("told", index="pipeline_id-start_time-index")), "Query", 1, "told"),
        (lambda: runs.delete("told"), "DeleteItem", 1, None),
        (lambda: pipelines.delete("told"), "DeleteItem", 1, "told"),
    ]:
        caplog.clear()
        act()
        last = [record for record in caplog.records if record.operation != "DescribeTable"][-1]  # type: ignore[attr-defined]
        assert (last.operation, last.items, last.pipeline) == (operation, items, about)  # type: ignore[attr-defined]


def test_a_run_begins_and_ends(store: Store) -> None:
    runs = store.runs
    begun = runs.create_run_log("story", "late", "schedule", created_by="airflow", environment="prod")
    assert (begun.status, begun.created_by, begun.environment) == (RunStatus.RUNNING, "airflow", "prod")
    assert runs.update_run_status("story", "pending").end_time is None
    ended = runs.update_run_status(
        "story", "failed", "no such bucket", end_time=begun.start_time + timedelta(seconds=90)
    )
    assert ended.duration_seconds == 90
    assert ended == begun.model_copy(
        update={
            "status": RunStatus.FAILED,
            "error_message": "no such bucket",
            "end_time": begun.start_time + timedelta(seconds=90),
            "duration_seconds": Decimal(90),
            "updated_at": ended.updated_at,
        }
    )
    again = runs.update_run_status("story", RunStatus.SUCCESS)
    assert again.error_message == "no such bucket", "None leaves the message"
    assert again.end_time is not None
    assert again.end_time >= again.start_time
    with pytest.raises(ItemNotFoundError):
        runs.update_run_status("nothing", "failed")
    with pytest.raises(ValidationError, match="status: Input should be 'pending'"):
        runs.update_run_status("story", "fine")


def test_a_status_keeps_what_others_write_meanwhile(store: Store) -> None:
    runs = store.runs
    runs.create_run_log("busy", "late")
    runs.add_log_message("busy", "hello")
    runs.update("busy", {"rows_read": 7, "tags": {"a": "b"}})
    ended = runs.update_run_status("busy", "success")
    assert (ended.rows_read, ended.tags, ended.log_messages[0]["message"]) == (7, {"a": "b"}, "hello")


# ------------------------------------------------------------------------------------------------------------ zones


def test_naive_times_are_taken_in_the_stated_zone_and_stored_as_one_instant(store: Store) -> None:
    runs = store.runs
    for run_id, zone, text in [
        ("z1", "Asia/Tokyo", "2026-07-01T21:00:00"),
        ("z2", "America/New_York", "2026-07-01T08:00:00"),
        ("z3", None, "2026-07-01T12:00:00"),
        ("z4", "Asia/Tokyo", "2026-07-01T12:00:00Z"),
    ]:
        runs.create_run_log(run_id, "zones", current_timezone=zone, start_time=text)
    stored = {store.item("pipeline_run_logs", run_id={"S": f"z{number}"})["start_time"]["S"] for number in range(1, 5)}
    assert stored == {"2026-07-01T12:00:00.000000+00:00"}
    ended = runs.update_run_status("z1", "success", end_time=datetime(2026, 7, 1, 22), current_timezone="Asia/Tokyo")
    assert ended.duration_seconds == 3600
    assert ended.end_time is not None
    assert ended.end_time.isoformat() == "2026-07-01T22:00:00+09:00"


def test_the_repeated_hour_of_autumn_is_two_instants(store: Store) -> None:
    runs = store.runs
    for fold in (0, 1):
        time = datetime(2026, 10, 25, 2, 30, fold=fold)
        runs.create_run_log(f"fold{fold}", "autumn", current_timezone="Europe/Berlin", start_time=time)
    found = runs.get_runs_by_pipeline("autumn", user_timezone="Europe/Berlin")
    assert [run.start_time.isoformat() for run in found] == ["2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+02:00"]


def test_threads_with_different_zones_get_what_they_asked_for(store: Store) -> None:
    store.pipelines.create(pipeline("zoned", created_at=datetime(2026, 7, 1, 12, tzinfo=UTC)), overwrite=True)
    pipelines = PipelineConfigRepository(store.config(user_timezone="Europe/London"))
    offsets = {"Asia/Tokyo": "+09:00", "America/New_York": "-04:00", None: "+01:00"}
    wrong: list[str] = []
    start = threading.Barrier(len(offsets))

    def read(zone: str | None) -> None:
        start.wait()
        for _ in range(5):
            shown = pipelines.get_or_raise("zoned", zone).created_at.isoformat()
            if not shown.endswith(offsets[zone]):
                wrong.append(f"{zone}: {shown}")

    threads = [threading.Thread(target=read, args=(zone,)) for zone in offsets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_was_read_in_a_zone_is_written_back_as_it_was(store: Store) -> None:
    pipelines = store.pipelines
    before = pipelines.create(pipeline("round"), overwrite=True)
    pipelines.update(pipelines.get_or_raise("round", "Asia/Tokyo"))
    after = pipelines.get_or_raise("round")
    assert after == before.model_copy(update={"updated_at": after.updated_at})
    stored = store.item("pipeline_config", pipeline_id={"S": "round"})
    assert stored["created_at"]["S"].endswith("+00:00")
