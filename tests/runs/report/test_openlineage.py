"""Events of runs are what OpenLineage's published schemas ask for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import PipelineRunLog, RunMetric, RunStatus
from spark_dynamo.reports.runs import Runs
from spark_dynamo.run_logs.openlineage import dataset_name, run_uuid, to_openlineage
from tests.runs.report.logs import made, nightly, of_every_kind
from tests.runs.report.specification import CORE, Specification
from tests.runs.report.specification import specification as published

# standard facets whose schemas the crate does not carry
UNCHECKED = {"TagsRunFacet", "TestRunFacet"}


@pytest.fixture(scope="module")
def specification() -> Specification:
    return published()


@pytest.fixture(autouse=True)
def _no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE_NAMESPACE", raising=False)


def whole(**fields: Any) -> PipelineRunLog:
    """A run that knows everything."""
    counts = (
        "rows_read rows_written total_records_processed total_records_failed input_data_size_bytes output_data_size_bytes "
        "shuffle_read_bytes shuffle_write_bytes spill_bytes task_count failed_task_count peak_memory_bytes cpu_hours retry_count"
    )
    known: dict[str, Any] = dict.fromkeys(counts.split(), 7)
    told = {
        "spark_version": "4.3.0",
        "spark_application_id": "local-1",
        "python_version": "3.11.7",
        "pipeline_version": "2",
        "metrics_complete": True,
        "metrics_source": "listener",
        "input_tables": ["s3a://lake/orders"],
        "output_tables": ["orders"],
        "schema_fingerprints": {"orders": "abc"},
        "custom_metrics": {"rejected": RunMetric(value="1.5", unit="rows"), "change": RunMetric(value=-3)},
        "tags": {"team": "sales", "parent_run_id": "outer", "parent_pipeline_id": "all"},
    }
    return made(**(known | told | fields))


def facets(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    holders = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    for holder in holders:
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from holder.get(kind, {}).items()


EVENTS = [
    *(to_openlineage(log) for log in of_every_kind()),
    *(to_openlineage(log, event_type="START") for log in of_every_kind()),
    *(to_openlineage(log) for log in nightly(3)),
    to_openlineage(whole()),
    to_openlineage(whole(), namespace="airflow-prod", parent=made("p", pipeline_id="parent")),
    to_openlineage(whole(output_tables=["a", "b"], input_tables=[])),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event['eventType']} {event['job']['name'][:12]}")
def test_events_are_valid(specification: Specification, event: dict[str, Any]) -> None:
    assert json.loads(json.dumps(event)) == event
    specification.check(event, f"{CORE}#/$defs/RunEvent")
    specification.check(event, CORE)
    for key, facet in facets(event):
        url = facet["_schemaURL"]
        if url.rpartition("/")[2] in UNCHECKED:
            continue
        assert specification.knows(url), key
        specification.check(facet, url)
        assert set(facet) <= specification.properties(url), key


def test_the_check_finds_what_is_wrong(specification: Specification) -> None:
    event = to_openlineage(whole())
    for damage in ({"run": {"runId": "no uuid"}}, {"eventType": "DONE"}, {"eventTime": "yesterday"}, {"job": {}}):
        with pytest.raises(AssertionError):
            specification.check(event | damage, f"{CORE}#/$defs/RunEvent")


def test_custom_facets_follow_the_naming_rules() -> None:
    keys = {key for event in EVENTS for key, facet in facets(event) if "spark-dynamo" in facet["_schemaURL"]}
    assert keys == {"sparkDynamo_run", "sparkDynamo_schemaFingerprint"}
    for event in EVENTS:
        for key, facet in facets(event):
            if key.startswith("sparkDynamo_"):
                name = facet["_schemaURL"].rpartition("/")[2]
                assert name.startswith("SparkDynamo")
                assert name.endswith(("RunFacet", "DatasetFacet"))
                assert "/v0.1.0/" in facet["_schemaURL"]  # a URL that never changes


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending", "OTHER"),
        ("running", "RUNNING"),
        ("success", "COMPLETE"),
        ("skipped", "COMPLETE"),
        ("failed", "FAIL"),
        ("cancelled", "ABORT"),
        ("lost", "ABORT"),
    ],
)
def test_the_type_is_that_of_the_status(status: str, kind: str) -> None:
    assert to_openlineage(made(status=status))["eventType"] == kind


def test_an_event_says_when() -> None:
    log = made(start_time=datetime(2026, 11, 1, 8, tzinfo=UTC), seconds=90.5)
    assert to_openlineage(log)["eventTime"] == "2026-11-01T08:01:30.500000Z"
    assert to_openlineage(log, event_type="START")["eventTime"] == "2026-11-01T08:00:00.000000Z"


def test_a_lost_run_ended_with_its_lease_and_not_when_it_was_marked() -> None:
    start = datetime(2026, 11, 1, 8, tzinfo=UTC)
    times = {"start_time": start, "seconds": None, "updated_at": start + timedelta(days=5)}
    lost = made(status="lost", lease_expires_at=start + timedelta(minutes=7), **times)
    assert to_openlineage(lost)["eventTime"] == "2026-11-01T08:07:00.000000Z"
    assert to_openlineage(made(status="lost", **times))["eventTime"] == "2026-11-06T08:00:00.000000Z"


def test_another_type_of_event_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="event_type 'DONE' is none of START, RUNNING, COMPLETE"):
        to_openlineage(made(), event_type="DONE")  # type: ignore[arg-type]


def test_a_run_id_is_a_uuid_and_always_the_same() -> None:
    identity = uuid.uuid4()
    assert run_uuid(str(identity)) == run_uuid(identity.hex) == str(identity)
    made_up = {run_uuid(name) for name in ("nightly", "nightly 2", "{" + str(identity) + "}", identity.hex + "0")}
    assert len(made_up) == 4
    assert all(uuid.UUID(found).version == 5 for found in made_up)
    assert run_uuid("nightly") == "06089520-2f3e-5b29-ab2d-9ecd2facc368"


def test_the_figures_of_the_only_table_of_a_side_are_the_runs() -> None:
    event = to_openlineage(whole(rows_read=5, rows_written=3, output_data_size_bytes=99, input_data_size_bytes=None))
    statistics = event["inputs"][0]["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], "size" in statistics) == (5, False)
    statistics = event["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (3, 99)
    assert event["outputs"][0]["facets"]["sparkDynamo_schemaFingerprint"]["fingerprint"] == "abc"
    several = to_openlineage(whole(rows_written=3, output_tables=["a", "b"]))
    assert all("outputFacets" not in dataset for dataset in several["outputs"])
    assert several["run"]["facets"]["sparkDynamo_run"]["rowsWritten"] == 3


def test_a_run_s_own_metrics_are_told() -> None:
    assert to_openlineage(whole())["run"]["facets"]["sparkDynamo_run"]["customMetrics"] == [
        {"name": "rejected", "value": 1.5, "unit": "rows"},
        {"name": "change", "value": -3.0},
    ]


def test_what_is_not_known_is_left_out() -> None:
    facet = to_openlineage(made(rows_read=0))["run"]["facets"]["sparkDynamo_run"]
    assert facet["rowsRead"] == 0
    assert "rowsWritten" not in facet
    assert None not in facet.values()


def test_a_failure_tells_its_error_checks_and_stages() -> None:
    failed = next(log for log in of_every_kind() if log.status is RunStatus.FAILED)
    found = to_openlineage(failed)["run"]["facets"]
    assert found["errorMessage"]["message"] == failed.error_message
    assert found["errorMessage"]["stackTrace"] == failed.error_stack_trace
    assert found["test"]["tests"] == [
        {"name": "rows", "status": "fail", "severity": "warn", "expected": "10", "actual": "12"}
    ]
    assert [stage["status"] for stage in found["sparkDynamo_run"]["stages"]] == ["success", "failed"]


def test_of_thousands_of_stages_an_event_has_the_newest() -> None:
    stage = made().stages[0]
    many = made(stages=[stage.model_copy(update={"stage_name": f"stage {number}"}) for number in range(3_000)])
    facet = to_openlineage(many)["run"]["facets"]["sparkDynamo_run"]
    assert (facet["stageCount"], len(facet["stages"]), facet["stages"][-1]["name"]) == (3_000, 100, "stage 2999")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("orders", ("n", "orders")),
        ("s3a://lake/orders/day=1/", ("s3://lake", "orders/day=1")),
        ("gs://lake", ("gs://lake", "/")),
        ("hdfs://node:8020/a/b", ("hdfs://node:8020", "/a/b")),
        ("file:///data/a b", ("file", "/data/a b")),
        ("file:/data/a", ("file", "/data/a")),
        ("/data/a", ("file", "/data/a")),
        ("postgres://db:5432/shop.public.orders", ("postgres://db:5432", "shop.public.orders")),
    ],
)
def test_datasets_are_named_as_the_specification_does(table: str, expected: tuple[str, str]) -> None:
    assert dataset_name(table, "n") == expected


def test_the_namespace_comes_from_the_caller_then_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    log = made(environment="prod")
    assert to_openlineage(log)["job"]["namespace"] == "spark-dynamo-prod"
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "team")
    assert to_openlineage(log)["job"]["namespace"] == "team"
    assert to_openlineage(log, namespace="mine")["job"]["namespace"] == "mine"


def test_runs_are_told_by_their_begin_and_their_end() -> None:
    parent, child = made("outer", pipeline_id="all"), made("inner", tags={"parent_run_id": "outer"})
    events = Runs([child, parent, made("waits", "pending", seconds=None)]).to_openlineage()
    kinds = {event["eventType"] for event in events}
    assert [event["eventType"] for event in events if event["job"]["name"] == "all"] == ["START", "COMPLETE"]
    assert kinds == {"START", "COMPLETE", "OTHER"}
    (found,) = {
        json.dumps(event["run"]["facets"]["parent"]["job"]) for event in events if "parent" in event["run"]["facets"]
    }
    assert json.loads(found) == {"namespace": "spark-dynamo-dev", "name": "all"}


def test_a_parent_whose_pipeline_is_not_known_is_told_by_its_id_alone() -> None:
    event = to_openlineage(made(tags={"parent_run_id": "outer"}))
    assert "parent" not in event["run"]["facets"]
    assert event["run"]["facets"]["sparkDynamo_run"]["parentRunId"] == "outer"
