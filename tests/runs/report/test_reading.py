"""`sd.runs` reads what is in the table, newest first, and marks runs whose driver died."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from rich.console import Console

from spark_dynamo.errors import ConfigurationError, MalformedItemError, TableNotFoundError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.reading import read_children, read_run
from spark_dynamo.reports.runs import Runs, runs
from tests.conftest import Server
from tests.runs.report.logs import made
from tests.runs.tables import ITEMS, RunTable, run_table
from tests.servers.faulty import faulty_server

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=10)


def numbered(number: int, pipeline: str = "sales", status: str = "success", **fields: Any) -> PipelineRunLog:
    """A run that began so many minutes after the first one."""
    start = START + timedelta(minutes=number)
    seconds = None if status in ("running", "pending", "lost") else 30
    return made(f"{pipeline}-{number:02}", status, pipeline_id=pipeline, start_time=start, seconds=seconds, **fields)


def put(table: RunTable, logs: Sequence[PipelineRunLog]) -> None:
    table.server.put(table.name, *(orjson.loads(text) for text in ITEMS.encode(logs).to_pylist()))


class Session:
    """What a Spark session has, classic or not."""

    createDataFrame = None  # noqa: N815


def ids(found: Runs) -> list[str]:
    return [log.run_id for log in found]


@pytest.fixture
def table(server: Server) -> RunTable:
    """30 runs of sales, every third failed, and three of orders."""
    table = run_table(server)
    logs = [numbered(number, status="failed" if number % 3 == 0 else "success") for number in range(30)]
    put(table, [*logs, *(numbered(number, "orders") for number in (5, 15, 40))])
    return table


def test_the_runs_within_a_run_are_found_whatever_their_pipeline_and_status(table: RunTable) -> None:
    parent = numbered(50, "nightly").model_copy(update={"run_id": 'it\'s \\a "parent"'})
    tags = {"parent_run_id": parent.run_id}
    within = {"start_time": parent.start_time + timedelta(seconds=10)}
    children = [
        made("c2", "failed", pipeline_id="load", tags=tags, start_time=parent.start_time + timedelta(seconds=20)),
        made("c1", "running", seconds=None, pipeline_id="extract", tags=tags, **within),
        made("another's", tags={"parent_run_id": "sales-01"}, **within),
        made("nobody's", **within),
    ]
    put(table, [parent, *children])
    assert [log.run_id for log in read_children(table.config(), parent)] == ["c1", "c2"]
    assert read_children(table.config(), numbered(3)) == []
    assert read_children(table.config().model_copy(update={"table_prefix": "no-such"}), parent) == []


def test_the_newest_runs_come_first(table: RunTable) -> None:
    config = table.config()
    assert ids(runs(config, last=4)) == ["orders-40", "sales-29", "sales-28", "sales-27"]
    assert ids(runs(config, pipeline_id="orders")) == ["orders-40", "orders-15", "orders-05"]
    assert len(runs(config)) == 33
    assert len(runs(config, last=None)) == 33
    assert ids(runs(config, pipeline_id="none such")) == []
    assert runs(config, pipeline_id="orders", last=1)[0] == numbered(40, "orders")


def test_runs_are_found_by_status(table: RunTable) -> None:
    config = table.config()
    assert ids(runs(config, status="failed", last=2)) == ["sales-27", "sales-24"]
    assert ids(runs(config, status=[RunStatus.FAILED, "success"], last=2)) == ["orders-40", "sales-29"]
    assert ids(runs(config, pipeline_id="sales", status="failed", last=9)) == [
        f"sales-{number:02}" for number in range(27, 2, -3)
    ]
    assert ids(runs(config, pipeline_id="sales", status="failed", last=None))[-1] == "sales-00"
    assert ids(runs(config, pipeline_id="orders", status="failed")) == []


def test_runs_are_found_by_when_they_began(table: RunTable) -> None:
    config = table.config()
    since = START + timedelta(minutes=28)
    assert ids(runs(config, since=since)) == ["orders-40", "sales-29", "sales-28"]
    assert ids(runs(config, since=since, pipeline_id="sales")) == ["sales-29", "sales-28"]
    assert ids(runs(config, since=since, status="failed")) == []
    assert ids(runs(config, since=datetime.now(UTC) - START + timedelta(hours=1), status="failed", last=1)) == [
        "sales-27"
    ]
    assert ids(runs(config, since=timedelta(hours=1))) == ids(runs(config, since="60m")) == []
    everything: list[Any] = [
        "2d",
        date(1999, 1, 1),
        datetime(1800, 1, 1, tzinfo=UTC),
        timedelta(days=700_000),
        "1999-12-31",
    ]
    for long_ago in everything:
        assert len(runs(config, since=long_ago)) == 33
    assert ids(runs(config, since=since.isoformat(), pipeline_id="sales")) == ["sales-29", "sales-28"]
    assert ids(runs(config, since=since.replace(tzinfo=None), user_timezone="UTC")) == [
        "orders-40",
        "sales-29",
        "sales-28",
    ]


@pytest.mark.parametrize("indexes", [True, False], ids=["indexes", "no indexes"])
def test_a_run_whose_driver_died_is_lost_and_marked(local_server: Server, indexes: bool) -> None:
    table = run_table(local_server, indexes=indexes)
    put(
        table,
        [
            numbered(1, status="running", lease_expires_at=START + timedelta(minutes=3), lease_owner="host:7"),
            numbered(2, status="running", lease_expires_at=datetime.now(UTC) + timedelta(hours=1)),
            numbered(3, status="running"),
        ],
    )
    found = runs(table.config())
    assert [log.status.value for log in found] == ["running", "running", "lost"]
    assert "driver host:7" in (found[2].error_message or "")
    assert table.log("sales-01").status is RunStatus.LOST
    assert ids(runs(table.config(), status="lost")) == ["sales-01"]
    assert ids(runs(table.config(), status="running")) == ["sales-03", "sales-02"]


@pytest.mark.parametrize(
    "query", [{}, {"status": "lost"}, {"pipeline_id": "sales"}, {"pipeline_id": "sales", "status": "lost"}], ids=str
)
def test_reading_works_where_writing_is_not_allowed(local_server: Server, query: dict[str, Any]) -> None:
    table = run_table(local_server)
    put(table, [numbered(1, status="running", lease_expires_at=START + timedelta(minutes=3))])

    def no_writes(operation: str, request: dict[str, Any]) -> str | None:
        return "AccessDeniedException" if operation == "UpdateItem" else None

    with faulty_server(local_server.endpoint, no_writes) as proxy:
        config = table.config(proxy.connection.endpoint_url)
        (lost,) = runs(config, **query)
        one = read_run(config, "sales-01")
        assert proxy.faults["AccessDeniedException"] >= 1
    assert lost.status is RunStatus.LOST
    assert one is not None
    assert one.status is RunStatus.LOST
    assert table.log("sales-01").status is RunStatus.RUNNING


def test_a_running_run_is_not_among_the_lost_or_the_other_way_round(local_server: Server) -> None:
    table = run_table(local_server)
    put(
        table,
        [
            numbered(1, status="running", lease_expires_at=START),
            numbered(2, status="pending", lease_expires_at=START),
            numbered(3, status="running", lease_expires_at=datetime.now(UTC) + timedelta(hours=1)),
        ],
    )
    assert ids(runs(table.config(), status="running")) == ["sales-03"]
    assert ids(runs(table.config(), status="lost")) == ["sales-02", "sales-01"]


def test_one_run(local_server: Server) -> None:
    table = run_table(local_server)
    put(table, [numbered(1)])
    assert read_run(table.config(), "sales-01") == numbered(1)
    assert read_run(table.config(), "none") is None


def test_where_and_in_which_zone(local_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run_table(local_server)
    put(table, [numbered(1)])
    for name, value in table.environment().items():
        monkeypatch.setenv(name, value)
    assert len(runs()) == len(runs(Session())) == 1  # a session says nothing of DynamoDB
    assert str(runs().timezone) == "UTC"
    monkeypatch.setenv("DYNAMODB_USER_TIMEZONE", "Asia/Tokyo")
    assert str(runs().timezone) == "Asia/Tokyo"
    shown = runs(user_timezone="Europe/Paris")
    assert "times in Europe/Paris" in repr(shown)
    assert shown[0].start_time == numbered(1).start_time


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"status": "done"}, "status 'done' is none of pending, running"),
        ({"status": 5}, "status 5 is none of pending, running"),
        ({"status": ["failed", None]}, "status None is none of pending, running"),
        ({"since": "yesterday"}, "since 'yesterday' is neither a duration such as 90m, 24h, 7d, 2w nor a time"),
        ({"since": 7}, "since 7 is neither a time nor how long ago"),
        ({"since": timedelta(days=10**6)}, "is before the year 1"),
        ({"since": "999999w"}, "since '999999w' is before the year 1"),
        ({"user_timezone": 5}, "Invalid timezone 5"),
        ({"spark_or_config": "orders"}, "'orders' is neither .* name a pipeline by pipeline_id='orders'"),
        ({"spark_or_config": object()}, "is neither a DynamoDBConfig nor a Spark session: name .* pipeline_id='sales'"),
        ({"last": 0}, "last 0 must be a whole number from 1"),
        ({"last": True}, "last True must be a whole number from 1"),
        ({"user_timezone": "Mars"}, "Invalid timezone 'Mars'"),
    ],
)
def test_what_can_t_be_used_is_named(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        runs(**arguments)


@pytest.mark.parametrize("indexes", [True, False], ids=["indexes", "no indexes"])
def test_a_row_that_is_no_run_log_hides_no_others(local_server: Server, indexes: bool) -> None:
    table = run_table(local_server, indexes=indexes)
    put(table, [*(numbered(number) for number in range(5)), numbered(7, "orders")])
    set_attribute(table, "sales-04", "status", {"S": "succeeded"})
    set_attribute(table, "sales-02", "rows_read", {"S": "many"})
    found = runs(table.config(), pipeline_id="sales", last=3)
    assert ids(found) == ids(found[:3]) == ["sales-03", "sales-01", "sales-00"]
    assert sorted(found.unreadable) == sorted(found[:1].unreadable) == ["sales-02", "sales-04"]
    assert found.unreadable["sales-02"] == "rows_read: is 'many', of DynamoDB type S, not BIGINT"
    assert found.unreadable["sales-04"].startswith("status: Input should be 'pending', 'running'")
    everything = runs(table.config())
    assert ids(everything) == ["orders-07", "sales-03", "sales-01", "sales-00"]
    assert list(everything.unreadable) == ["sales-02"]
    for shown in (repr(everything), everything._repr_html_(), printed(everything)):
        assert "1 row is no run log: sales-02: rows_read" in shown
    assert dict(runs(table.config(), pipeline_id="orders").unreadable) == {}
    with pytest.raises(MalformedItemError):
        read_run(table.config(), "sales-02")


def set_attribute(table: RunTable, run_id: str, name: str, value: dict[str, str]) -> None:
    table.server.client.update_item(
        TableName=table.name,
        Key={"run_id": {"S": run_id}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def printed(shown: Runs) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(shown)
    return text.getvalue()


def test_a_table_that_is_not_there_is_an_error(local_server: Server) -> None:
    with pytest.raises(TableNotFoundError):
        runs(RunTable(local_server, "nothing").config())
