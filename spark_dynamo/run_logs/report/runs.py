"""`runs`: the newest runs as `Runs`, to be looked at in a notebook, a terminal or a picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, overload
from zoneinfo import ZoneInfo

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import RenderableType

__all__ = ["Runs", "runs"]


class Runs(Sequence[PipelineRunLog]):
    """Runs, newest first: a sequence of `PipelineRunLog`, a table in notebooks and terminals, and pictures.

    Times are shown in `timezone`, an IANA name or a tzinfo; in the logs themselves they are in UTC. A slice is `Runs` again.

    >>> log = PipelineRunLog(run_id="r1", pipeline_id="sales", status="success", trigger_type="x", start_time="2026-11-01T08:00Z")
    >>> Runs([log], timezone="Europe/Paris")
    Runs(1 newest first, times in Europe/Paris)
    status   pipeline  started              took  rows in  rows out  run  what failed
    success  sales     2026-11-01 09:00:00  –     –        –         r1
    """

    def __init__(self, logs: Iterable[PipelineRunLog], *, timezone: str | tzinfo = "UTC") -> None:
        self._logs = tuple(sorted(logs, key=lambda log: log.start_time, reverse=True))
        self._zone = _zone(timezone)

    @property
    def timezone(self) -> tzinfo:
        """The zone in which times are shown."""
        return self._zone

    @overload
    def __getitem__(self, place: int) -> PipelineRunLog: ...
    @overload
    def __getitem__(self, place: slice) -> Runs: ...
    def __getitem__(self, place: int | slice) -> PipelineRunLog | Runs:
        return Runs(self._logs[place], timezone=self._zone) if isinstance(place, slice) else self._logs[place]

    def __len__(self) -> int:
        return len(self._logs)

    def __repr__(self) -> str:
        from spark_dynamo.run_logs.report.terminal import runs_text

        return runs_text(self._logs, self._zone, datetime.now(UTC))

    def __rich__(self) -> RenderableType:
        from spark_dynamo.run_logs.report.terminal import runs_view

        return runs_view(self._logs, self._zone, datetime.now(UTC))

    def _repr_html_(self) -> str:
        from spark_dynamo.run_logs.report.html import runs_html

        return runs_html(self._logs, self._zone, datetime.now(UTC))

    def timeline(self, *, aligned: bool | None = None) -> Figure:
        """When runs and their stages ran: a lane a run, the newest on top; of a single run, a lane a stage.

        With `aligned` all begin at 0, so that runs of different days can be compared; otherwise they stand where they were in
        time. Left out, they are aligned where bars would be too short to be seen. An open run ends now; one that is lost, whose
        end nobody knows, fades out. The newest 60 lanes are shown. Raises ConfigurationError where matplotlib is missing.

        >>> sd.runs(pipeline_id="sales", last=20).timeline().savefig("runs.png")  # doctest: +SKIP
        """
        _check_matplotlib()
        from spark_dynamo.run_logs.report.timeline import timeline

        return timeline(self._logs, self._zone, datetime.now(UTC), aligned)

    def trend(self) -> Figure:
        """Duration, and rows read and written, over time; for each of the four pipelines with the most runs.

        A band shows what is usual, and what lies outside of it is marked as an outlier: a successful run
        whose duration or rows are further from the median than 3.5 times the spread, which is the median absolute deviation
        times 1.4826, and further than a tenth of the median. Only successful runs tell what is usual, and at least five of them;
        an open or failed run is marked where it takes longer. A lost run, whose duration nobody knows, stands at 0. Raises
        ConfigurationError where matplotlib is missing.

        >>> sd.runs(pipeline_id="sales").trend().savefig("trend.svg")  # doctest: +SKIP
        """
        _check_matplotlib()
        from spark_dynamo.run_logs.report.trend import trend

        return trend(self._logs, self._zone, datetime.now(UTC))

    def to_pandas(self) -> pd.DataFrame:
        """A row a run, in this order, and a column a field of `PipelineRunLog`.

        Times are `datetime64[us]` in `timezone`, counts `Int64` (missing where they are not known), fractions `float64`, texts and
        statuses `string`; stages, checks, messages, lists and dicts stay Python objects, as `model_dump` gives them.
        """
        from spark_dynamo.run_logs.report.frame import frame

        return frame(self._logs, self._zone)

    def to_openlineage(self, *, namespace: str | None = None) -> list[dict[str, Any]]:
        """The OpenLineage events of all runs, oldest first: for each the START, and how it stands now.

        `to_openlineage(log)` tells what is in them. The parent of a run is known where it is one of these.
        """
        from spark_dynamo.run_logs.report.openlineage import to_openlineage

        known = {log.run_id: log for log in self._logs}
        return [
            to_openlineage(
                log, namespace=namespace, event_type=event, parent=known.get(log.tags.get("parent_run_id", ""))
            )
            for log in reversed(self._logs)
            for event in (("START", None) if log.status is not RunStatus.PENDING else (None,))
        ]


def runs(
    spark_or_config: Any = None,
    *,
    pipeline_id: str | None = None,
    status: RunStatus | str | Collection[RunStatus | str] | None = None,
    since: datetime | timedelta | None = None,
    last: int | None = 50,
    user_timezone: str | None = None,
) -> Runs:
    """The newest runs of the run-log table, newest first.

    `spark_or_config` is a DynamoDBConfig; with a Spark session or None it is `DynamoDBConfig()`. `status` is one or several,
    `since` a time (in the user's zone where it has none) or how long ago, `last` at most how many (None: all). Times are shown in
    `user_timezone`, else in the configuration's. A run whose lease has run out is `lost`, and marked so in the table where that
    is allowed. Raises ConfigurationError for an argument that can't be used, TableNotFoundError, AccessDeniedError,
    RequestFailedError or ConnectionError.

    >>> runs(DynamoDBConfig(table_prefix="myapp"), pipeline_id="sales", status="failed", last=10)  # doctest: +SKIP
    """
    from spark_dynamo.run_logs.report.reading import read_runs

    config = spark_or_config if isinstance(spark_or_config, DynamoDBConfig) else DynamoDBConfig()
    zone = _zone(user_timezone or config.user_timezone or config.default_timezone)
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
        raise ConfigurationError(f"last {shorten(repr(last))} must be a whole number from 1, or None for all runs")
    found = read_runs(config, pipeline_id=pipeline_id, statuses=_statuses(status), since=_since(since, zone), last=last)
    return Runs(found, timezone=zone)


def _statuses(status: RunStatus | str | Collection[RunStatus | str] | None) -> frozenset[RunStatus]:
    names = [] if status is None else [status] if isinstance(status, str) else list(status)
    for name in names:
        if name not in list(RunStatus):
            raise ConfigurationError(f"status {shorten(repr(name))} is none of {', '.join(RunStatus)}")
    return frozenset(map(RunStatus, names))


def _since(since: datetime | timedelta | None, zone: tzinfo) -> datetime | None:
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=zone)
    return since


def _zone(timezone: str | tzinfo) -> tzinfo:
    if isinstance(timezone, tzinfo):
        return timezone
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown; malformed; a directory of the zone database
        raise ConfigurationError(
            f"Invalid timezone {shorten(repr(timezone))}: give a name of the IANA database, as in 'Europe/London'"
        ) from None


def _check_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Pictures of runs need matplotlib: pip install 'spark-dynamo[plots]'", error
        ) from error
