"""The few requests on the table of run logs that keep rows up to date: a conditional write, and the search for lost runs.

A row has three attributes beside those of `PipelineRunLog`, of which a read with the model's schema takes no notice:

* `lease_expires_at` (S, ISO text in UTC): until when the driver of an open run is taken to be alive. Renewed while the run is
  open, removed when it ends; one in the past on a running row means that the driver died.
* `lease_owner` (S): host and process of that driver, for people; stays.
* `write_number` (N): grows with each write of a run, so that one that was overtaken on its way changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

from spark_dynamo.aws.answers import check_answer
from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.failures import explain, failed_condition
from spark_dynamo.aws.fast_requests import sender
from spark_dynamo.aws.pages import Chain, fetch_in_turn
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.errors import DynamoDBWrapperError, RequestFailedError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.metadata.tables import METADATA_TABLES
from spark_dynamo.run_logs.state import OPEN_STATUSES
from spark_dynamo.schema.items import ModelItems

__all__ = ["LEASE", "NUMBER", "OWNER", "ExpiredRun", "RunStore", "Stored", "lease_text", "lost_message", "written_over"]

LEASE, OWNER, NUMBER = "lease_expires_at", "lease_owner", "write_number"
_KEY = METADATA_TABLES["pipeline_run_logs"].partition_key.name
_STATUS_INDEX = "status-start_time-index"
_MOST_STAGES_MARKED = 100  # an expression has at most 4 KB
_OPEN = tuple(sorted(OPEN_STATUSES))
logger = logging.getLogger(__name__)

Item: TypeAlias = dict[str, dict[str, Any]]  # attributes in DynamoDB JSON
_NOTHING: Mapping[Any, Any] = {}


@dataclass(frozen=True, slots=True)
class Stored:
    """The row that stood in the way of a write; `status` is None where there is no such row."""

    status: str | None
    number: int | None
    row: Item = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpiredRun:
    """An open run whose lease has run out, as it was found.

    >>> [run.run_id for run in sd.reap()]  # doctest: +SKIP
    ['1f0e7c...']
    """

    run_id: str
    pipeline_id: str
    status: str
    lease_expires_at: str
    owner: str | None
    open_stages: tuple[int, ...] = ()


def lease_text(time: datetime) -> str:
    """A time as the lease has it; the order of the texts is that of the times.

    >>> lease_text(datetime(2026, 11, 1, tzinfo=UTC))
    '2026-11-01T00:00:00.000000+00:00'
    """
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def lost_message(owner: str | None, lease: str) -> str:
    """What is said of a run whose lease ran out at that time.

    >>> lost_message("host:7", "2026-11-01")
    'Lost: the driver host:7 said nothing more, and its lease ran out at 2026-11-01'
    """
    driver = f"driver {owner}" if owner else "driver"
    return f"Lost: the {driver} said nothing more, and its lease ran out at {lease}"


def written_over(status: str) -> tuple[str, ...]:
    """The statuses over which a log of this status may go.

    >>> [str(status) for status in written_over("failed")]
    ['pending', 'running', 'lost']
    """
    return _OPEN if status in OPEN_STATUSES else (*_OPEN, RunStatus.LOST.value)


class RunStore:
    """The table of run logs at a connection; nothing is asked of the server before the first request.

    Errors are those of `spark_dynamo.errors`, as `aws.failures` explains them.
    """

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = connection
        self.table = table
        self._items: ModelItems[PipelineRunLog] | None = None

    def item(self, log: PipelineRunLog) -> Item:
        """The log's attributes; ItemError or ValidationError where it has no DynamoDB form."""
        if self._items is None:
            self._items = ModelItems(PipelineRunLog, table=self.table, key_names=[_KEY])
        item: Item = orjson.loads(self._items.encode([log])[0].as_py())
        return item

    def save(
        self,
        run_id: str,
        attributes: Mapping[str, Any],
        removed: frozenset[str],
        *,
        status: str,
        number: int,
        create: bool,
        sizes: Mapping[str, int] = _NOTHING,
        stages: Mapping[int, str] = _NOTHING,
    ) -> Stored | None:
        """Set and remove attributes of a run's row in one attempt; None where that is done, else the row in the way.

        A row with a greater `write_number` stays as it is. A log that is `pending` or `running` goes only over one that is; one
        that ended goes over a `lost` one too, since only its driver knows better. Without `create` there must be a row. Each list
        in `sizes` must have that many elements, and each stage in `stages`, by its place, that status.
        """
        over = written_over(status)
        names = {"#status": "status", "#number": NUMBER, "#key": _KEY}
        values: dict[str, Any] = {f":over{place}": {"S": name} for place, name in enumerate(over)}
        values[":number"] = {"N": str(number)}
        sets, removes = ["#number = :number"], []
        for place, (name, value) in enumerate(attributes.items()):
            names[f"#s{place}"], values[f":s{place}"] = name, value
            sets.append(f"#s{place} = :s{place}")
        for place, name in enumerate(sorted(removed)):
            names[f"#r{place}"] = name
            removes.append(f"#r{place}")
        condition = f"#status IN ({', '.join(f':over{place}' for place in range(len(over)))})"
        condition += " AND (attribute_not_exists(#number) OR #number < :number)"
        for place, (name, size) in enumerate(sizes.items()):
            names[f"#l{place}"], values[f":l{place}"] = name, {"N": str(size)}
            has_size = f"size(#l{place}) = :l{place}"
            condition += f" AND {has_size}" if size else f" AND (attribute_not_exists(#l{place}) OR {has_size})"
        if stages:
            names["#stages"] = "stages"
        for place, stage_status in stages.items():
            values[f":t{place}"] = {"S": stage_status}
            condition += f" AND #stages[{place}].#status = :t{place}"
        request = {
            "TableName": self.table,
            "Key": {_KEY: {"S": run_id}},
            "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
            "ConditionExpression": f"attribute_not_exists(#key) OR ({condition})"
            if create
            else f"attribute_exists(#key) AND {condition}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ReturnConsumedCapacity": "TOTAL",  # by which an answer shows that it is one
        }
        try:
            self._once("UpdateItem", orjson.dumps(request))
        except RequestFailedError as error:
            failed = failed_condition(error)
            if failed is None:
                raise
            return _stored(failed.stored)
        return None

    def _once(self, operation: str, body: bytes) -> bytes:
        connection = self.connection
        try:
            answer = sender(connection).send(operation, {"TableName": self.table}, self.table, body)
            check_answer(operation, body, answer, connection.endpoint_url)
        except DynamoDBWrapperError:
            raise
        except Exception as error:
            explained = explain(error, connection.endpoint_url, connection.region, self.table)
            raise explained from explained.original_error
        return answer

    def expired(self, now: datetime, *, scan: bool = True) -> Iterator[ExpiredRun]:
        """Pending and running runs whose lease ran out before `now`: by the status index, else, with `scan`, by Scan.

        Rows without a lease are left out: nothing says how long those may take. From the index, they may be out of date.
        """
        statuses: tuple[str | None, ...] = _OPEN
        if not self._has_status_index():
            if not scan:
                return
            statuses = (None,)
            logger.info(
                "Table '%s' has no index '%s' with all attributes: it is scanned for lost runs",
                self.table,
                _STATUS_INDEX,
            )
        chains = [self._search(status, now) for status in statuses]
        for body in fetch_in_turn(Requests(self.connection, self.table), chains, lambda: None):
            yield from map(_expired, orjson.loads(body)["Items"])

    def _search(self, status: str | None, now: datetime) -> Chain:
        """For runs of that status by the index, for all open ones (None) by Scan."""
        values: dict[str, Any] = {":now": {"S": lease_text(now)}}
        request: dict[str, Any] = {
            "FilterExpression": "#lease < :now",
            "ExpressionAttributeNames": {"#status": "status", "#lease": LEASE},
            "ExpressionAttributeValues": values,
        }
        if status is None:
            over = {f":open{place}": {"S": name} for place, name in enumerate(_OPEN)}
            request["FilterExpression"] += f" AND #status IN ({', '.join(over)})"
            values.update(over)
            return Chain("Scan", request, "open runs")
        request["IndexName"] = _STATUS_INDEX
        request["KeyConditionExpression"] = "#status = :status"
        values[":status"] = {"S": status}
        return Chain("Query", request, f"{status} runs")

    def mark_lost(self, run: ExpiredRun, at: datetime, message: str) -> bool:
        """Mark a run and its open stages as lost; False where its row has changed since it was found."""
        sets = ["#status = :lost", "#error = :error", "#updated = :at"]
        sets += [f"#stages[{place}].#status = :lost" for place in run.open_stages]
        names = {"#status": "status", "#error": "error_message", "#updated": "updated_at", "#lease": LEASE}
        request = {
            "TableName": self.table,
            "Key": {_KEY: {"S": run.run_id}},
            "UpdateExpression": f"SET {', '.join(sets)}",
            "ConditionExpression": "#status = :found AND #lease = :lease",
            "ExpressionAttributeNames": names | ({"#stages": "stages"} if run.open_stages else {}),
            "ExpressionAttributeValues": {
                ":lost": {"S": RunStatus.LOST.value},
                ":error": {"S": message},
                ":at": {"S": lease_text(at)},
                ":found": {"S": run.status},
                ":lease": {"S": run.lease_expires_at},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ReturnConsumedCapacity": "TOTAL",  # by which an answer shows that it is one
        }
        try:
            Requests(self.connection, self.table).send("UpdateItem", orjson.dumps(request))
        except RequestFailedError as error:
            failed = failed_condition(error)
            if failed is None:
                raise
            # a request whose answer was lost is sent again, and finds what it has done
            return (failed.stored or {}).get("error_message") == {"S": message}
        return True

    def _has_status_index(self) -> bool:
        found = describe_table(dynamodb_client(self.connection), self.table)
        return any(
            index.name == _STATUS_INDEX
            and index.partition_key.name == "status"
            and index.projection == "ALL"
            and index.status in (None, "ACTIVE")
            for index in found.indexes
        )


def _expired(item: Item) -> ExpiredRun:
    stages = item.get("stages", {}).get("L", [])
    return ExpiredRun(
        run_id=item[_KEY]["S"],
        pipeline_id=item.get("pipeline_id", {}).get("S", ""),
        status=item["status"]["S"],
        lease_expires_at=item[LEASE]["S"],
        owner=item.get(OWNER, {}).get("S"),
        open_stages=tuple(
            place for place, stage in enumerate(stages) if stage.get("M", {}).get("status", {}).get("S") in _OPEN
        )[:_MOST_STAGES_MARKED],
    )


def _stored(item: Mapping[str, Any] | None) -> Stored:
    if item is None:
        return Stored(None, None)
    number = item.get(NUMBER, {}).get("N")
    return Stored(item.get("status", {}).get("S"), None if number is None else int(number), dict(item))
