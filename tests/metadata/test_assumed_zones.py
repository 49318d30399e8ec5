"""Times without a zone: one instant, whichever way they reach the table, and a zone of the call's own in one question."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from spark_dynamo.metadata.models import PipelineRunLog, StageInfo
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository, Transaction
from tests.conftest import Server
from tests.metadata.stores import Store, make_store, pipeline

TOKYO = "Asia/Tokyo"
NAIVE = datetime(2026, 7, 1, 21)
STORED = "2026-07-01T12:00:00.000000+00:00"
BY_START = "pipeline_id-start_time-index"


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    return make_store(local_server)


def run(run_id: str, **fields: Any) -> PipelineRunLog:
    return PipelineRunLog(
        **{"run_id": run_id, "pipeline_id": "zoned", "status": "running", "trigger_type": "manual", **fields}
    )


def stage(name: str) -> StageInfo:
    return StageInfo(stage_name=name, status="running", start_time=NAIVE)  # type: ignore[arg-type]


def item(store: Store, run_id: str) -> dict[str, Any]:
    return store.item("pipeline_run_logs", run_id={"S": run_id})


@pytest.mark.parametrize("given", [NAIVE, NAIVE.isoformat()], ids=["datetime", "text"])
def test_a_new_run_is_stored_at_one_instant_by_model_and_by_keyword(store: Store, given: Any) -> None:
    runs = store.runs
    kind = type(given).__name__
    made = {
        "model": lambda name: runs.create(run(name, start_time=given, stages=[stage("a")]), current_timezone=TOKYO),
        "context": lambda name: runs.create_with_timezone_context(run(name, start_time=given), TOKYO),
        "keyword": lambda name: runs.create_run_log(name, "zoned", start_time=given, current_timezone=TOKYO),
        "batch": lambda name: runs.batch_put([run(name, start_time=given)], TOKYO),
        "configured": lambda name: PipelineRunLogsRepository(store.config(default_timezone=TOKYO)).create(
            run(name, start_time=given)
        ),
    }
    for way, create in made.items():
        create(f"{kind}-{way}")
        assert item(store, f"{kind}-{way}")["start_time"]["S"] == STORED, way
    with Transaction() as together:
        together.create(runs, run(f"{kind}-together", start_time=given), current_timezone=TOKYO)
    assert item(store, f"{kind}-together")["start_time"]["S"] == STORED
    assert item(store, f"{kind}-model")["stages"]["L"][0]["M"]["start_time"]["S"] == STORED
    assert runs.create(run(f"{kind}-utc", start_time=given)).start_time == NAIVE.replace(tzinfo=UTC), (
        "as no zone is stated"
    )


def test_a_change_is_stored_at_one_instant_by_model_and_by_keyword(store: Store) -> None:
    runs = store.runs
    for name in ("whole", "part"):
        runs.create(run(name, start_time="2026-07-01T10:00:00Z"))
    read = runs.get_or_raise("whole", TOKYO)
    read.end_time = NAIVE
    by_model = runs.update(read, current_timezone=TOKYO)
    by_key = runs.update("part", {"end_time": NAIVE}, current_timezone=TOKYO)
    assert item(store, "whole")["end_time"]["S"] == item(store, "part")["end_time"]["S"] == STORED
    assert item(store, "whole")["start_time"]["S"] == "2026-07-01T10:00:00.000000+00:00", "what was read has its zone"
    assert by_model.end_time == by_key.end_time == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert runs.get_or_raise("whole") == read.model_copy(
        update={"end_time": by_key.end_time, "updated_at": by_model.updated_at}
    )


def test_a_stage_is_stored_at_one_instant_whole_and_by_its_name(store: Store) -> None:
    store.runs.create_run_log("staged", "zoned")
    whole = store.runs.add_stage("staged", stage("whole"), current_timezone=TOKYO)
    named = store.runs.add_stage("staged", "named", start_time=NAIVE, current_timezone=TOKYO)
    assert whole.start_time == named.start_time
    assert whole.start_time is not None
    assert whole.start_time.tzinfo is UTC
    stages = item(store, "staged")["stages"]["L"]
    assert [held["M"]["start_time"]["S"] for held in stages] == [STORED, STORED]


def test_what_a_table_holds_is_never_taken_anew(store: Store) -> None:
    """Not even a text without a zone, as somebody else wrote it: it is in UTC, whatever zone a later call states."""
    runs = store.runs
    runs.create(run("foreign", stages=[stage("load")]))
    store.server.client.update_item(
        TableName=store.name("pipeline_run_logs"),
        Key={"run_id": {"S": "foreign"}},
        UpdateExpression="SET start_time = :t, stages[0].start_time = :t",
        ExpressionAttributeValues={":t": {"S": "2026-07-01T12:00:00"}},
    )
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    read = runs.get_or_raise("foreign")
    assert (read.start_time, read.stages[0].start_time) == (noon, noon)
    ended = runs.end_stage("foreign", "load", end_time=NAIVE, current_timezone=TOKYO)
    assert (ended.start_time, ended.end_time) == (noon, noon)
    assert runs.update(read, current_timezone=TOKYO).start_time == noon
    assert item(store, "foreign")["start_time"]["S"] == STORED


@pytest.mark.parametrize(
    "kept",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: PipelineRunLog.model_validate(model.model_dump()),
    ],
    ids=["pickle", "deepcopy", "model_copy", "model_dump"],
)
def test_a_copy_of_a_model_says_the_same(store: Store, kept: Any) -> None:
    before = run("copied", start_time=NAIVE)
    model = kept(before)
    assert model == before
    assert (model.start_time.tzinfo, str(model.start_time)) == (UTC, "2026-07-01 21:00:00+00:00")
    assert hash(model.start_time) == hash(NAIVE.replace(tzinfo=UTC))
    store.runs.create(model, overwrite=True, current_timezone=TOKYO)
    assert item(store, "copied")["start_time"]["S"] == STORED


def test_naive_times_of_one_question_are_in_one_zone(store: Store) -> None:
    """In the one in which times are shown, in the bounds of the sort key as in the filter."""
    store.pipelines.create(pipeline("shown"))
    runs = PipelineRunLogsRepository(store.config(user_timezone=TOKYO))
    runs.create_run_log("noon", "shown", start_time="2026-07-01T03:00:00Z")  # 12:00 in Tokyo
    (found,) = runs.query_by_pk("shown", index=BY_START)
    assert found.start_time.isoformat() == "2026-07-01T12:00:00+09:00"
    noon = datetime(2026, 7, 1, 12)
    assert runs.query_by_pk("shown", index=BY_START, sort_key_from=noon, sort_key_to=noon) == [found]
    assert runs.list_all(filter="start_time = TIMESTAMP '2026-07-01 12:00:00' AND pipeline_id = 'shown'") == [found]
    assert runs.query_by_pk("shown", user_timezone="UTC", index=BY_START, sort_key_from=noon) == []
