"""Runs whose lease ran out: found, marked once, and never those that go on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from spark_dynamo.errors import TableNotFoundError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.run_logs.reaper import reap
from spark_dynamo.run_logs.store import LEASE, OWNER, lease_text
from tests.conftest import Server
from tests.runs.tables import ITEMS, RunTable, run_table
from tests.servers.faulty import every, faulty_server

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


def row(run_id: str, seconds: float | None, status: str = "running", *stages: str, **more: str) -> dict[str, Any]:
    """A row whose lease ends that many seconds after now, None for one without a lease."""
    log = PipelineRunLog(
        run_id=run_id,
        pipeline_id="sales",
        status=RunStatus(status),
        trigger_type="test",
        start_time=NOW - timedelta(hours=1),
        stages=[StageInfo(stage_name=f"stage {number}", status=RunStatus(one)) for number, one in enumerate(stages)],
    )
    item: dict[str, Any] = orjson.loads(ITEMS.encode([log])[0].as_py())
    if seconds is not None:
        more = {LEASE: lease_text(NOW + timedelta(seconds=seconds)), **more}
    return item | {name: {"S": value} for name, value in more.items()}


def fill(table: RunTable) -> None:
    table.server.put(
        table.name,
        row("dead", -1, "running", "success", "running", **{OWNER: "host:7"}),
        row("dead before it began", -1, "pending"),
        row("alive", 60),
        row("without a lease", None),
        row("ended", -1, "success"),
        row("lost before", -1, "lost"),
    )


@pytest.mark.parametrize("indexes", [True, False], ids=["by index", "by scan"])
def test_runs_whose_lease_ran_out_are_lost(server: Server, indexes: bool, caplog: pytest.LogCaptureFixture) -> None:
    table = run_table(server, indexes=indexes)
    fill(table)
    before = {item["run_id"]["S"]: item for item in server.items(table.name)}
    caplog.set_level(logging.INFO, "spark_dynamo.run_logs")
    lost = reap(table.config(), now=NOW)
    assert {run.run_id for run in lost} == {"dead", "dead before it began"}
    log = table.log("dead")
    assert (log.status, log.end_time, log.updated_at) == (RunStatus.LOST, None, NOW)
    assert [stage.status for stage in log.stages] == [RunStatus.SUCCESS, RunStatus.LOST]
    assert log.error_message == (
        "Lost: the driver host:7 said nothing more, and its lease ran out at 2026-11-01T07:59:59.000000+00:00"
    )
    after = {item["run_id"]["S"]: item for item in server.items(table.name)}
    assert {run_id for run_id in after if after[run_id] != before[run_id]} == {"dead", "dead before it began"}
    assert ("is scanned for lost runs" in caplog.text) == (not indexes)
    assert reap(table.config(), now=NOW) == []


def test_a_run_that_renewed_its_lease_meanwhile_stays(server: Server) -> None:
    table = run_table(server)
    fill(table)
    store = table.store()
    found = {run.run_id: run for run in store.expired(NOW)}
    server.put(table.name, row("dead", 60))
    assert not store.mark_lost(found["dead"], NOW, "lost")
    assert table.log("dead").status is RunStatus.RUNNING


def test_two_reapers_mark_a_run_once(server: Server) -> None:
    table = run_table(server)
    fill(table)
    store = table.store()
    found = list(store.expired(NOW))
    assert [store.mark_lost(run, NOW, "by the first") for run in found] == [True, True]
    assert [store.mark_lost(run, NOW, "by the second") for run in found] == [False, False]


def test_a_mark_whose_answer_is_lost_counts(local_server: Server) -> None:
    table = run_table(local_server)
    fill(table)
    with faulty_server(local_server.endpoint, every("answer lost", 2)) as proxy:
        lost = reap(table.store(proxy.connection), now=NOW)
        assert proxy.faults["answer lost"] >= 2
    assert {run.run_id for run in lost} == {"dead", "dead before it began"}


def test_all_pages_are_read(local_server: Server) -> None:
    table = run_table(local_server, indexes=False)
    local_server.put(table.name, *(row(f"run {number}", -1) for number in range(10)))
    with faulty_server(local_server.endpoint, lambda operation, request: "short page") as proxy:
        proxy.choose = lambda operation, request: "short page" if operation == "Scan" else None
        assert len(reap(table.store(proxy.connection), now=NOW)) == 10


def test_a_table_that_is_not_there_is_an_error(local_server: Server) -> None:
    with pytest.raises(TableNotFoundError):
        reap(RunTable(local_server, "nothing").config())
