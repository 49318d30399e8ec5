"""`runs`: the newest runs as `Runs`, to be looked at in a notebook, a terminal or a picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.arguments import config_of, named_zone, shown_zone, since_of, statuses_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import RenderableType

__all__ = ["Runs", "runs"]


class Runs(Sequence[PipelineRunLog]):
    """Runs, newest first: a sequence of `PipelineRunLog`, a table in notebooks and terminals, and pictures.

    Times are shown in `timezone`, an IANA name or a tzinfo; in the logs themselves they are in UTC. A slice is `Runs` again.
    `unreadable` tells of rows of the table that are no run logs, by run id: why not.

    >>> log = PipelineRunLog(run_id="r1", pipeline_id="sales", status="success", trigger_type="x", start_time="2026-11-01T08:00Z")
    >>> Runs([log], timezone="Europe/Paris")
    Runs(1 newest first, times in Europe/Paris)
    status   pipeline  started              took  rows in  rows out  run  what failed
    success  sales     2026-11-01 09:00:00  –     –        –         r1
    """

    def __init__(
        self,
        logs: Iterable[PipelineRunLog],
        *,
        timezone: str | tzinfo = "UTC",
        unreadable: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._logs = tuple(sorted(logs, key=lambda log: log.start_time, reverse=True))
        self._zone = named_zone(timezone)
        self._unreadable = MappingProxyType(dict(unreadable))

    @property
    def timezone(self) -> tzinfo:
        """The zone in which times are shown."""
        return self._zone

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Rows that were read and are no run logs, by `run_id`: why not. They are told under the table."""
        return self._unreadable

    @overload
    def __getitem__(self, place: int) -> PipelineRunLog: ...
    @overload
    def __getitem__(self, place: slice) -> Runs: ...
    def __getitem__(self, place: int | slice) -> PipelineRunLog | Runs:
        if isinstance(place, slice):
            return Runs(self._logs[place], timezone=self._zone, unreadable=self._unreadable)
        return self._logs[place]

    def __len__(self) -> int:
        return len(self._logs)

    def __repr__(self) -> str:
        from spark_dynamo.reports.terminal import runs_text

        return runs_text(self._logs, self._zone, datetime.now(UTC), self._unreadable)

    def __rich__(self) -> RenderableType:
        from spark_dynamo.reports.terminal import runs_view

        return runs_view(self._logs, self._zone, datetime.now(UTC), self._unreadable)

    def _repr_html_(self) -> str:
        from spark_dynamo.reports.html import runs_html

        return runs_html(self._logs, self._zone, datetime.now(UTC), self._unreadable)

    def timeline(self, *, aligned: bool | Literal["day"] | None = None) -> Figure:
        """When runs and their stages ran: a lane a run, the newest on top; of a single run, a lane a stage.

        With `aligned` all begin at 0, so that runs of different days can be compared; with `aligned="day"` they stand at the time
        of day that a clock of `timezone` showed at their start; otherwise they stand where they were in time. Left out, they are
        aligned where most bars would be too short to be seen. Of aligned ones, a bar that is many times as long as the others is
        cut, with an arrow. An open run ends now; one that is lost, whose end nobody knows, fades out, as does a stage that was left
        open. The newest 60 lanes are shown. Raises ConfigurationError where matplotlib is missing, or `aligned` is none of these.

        >>> sd.runs(pipeline_id="sales", last=20).timeline().savefig("runs.png")  # doctest: +SKIP
        """
        if not isinstance(aligned, bool) and aligned not in (None, "day"):
            raise ConfigurationError(f"aligned {shorten(repr(aligned))} is none of True, False, None and 'day'")
        _check_matplotlib()
        from spark_dynamo.reports.timeline import timeline

        return timeline(self._logs, self._zone, datetime.now(UTC), aligned)

    def trend(self) -> Figure:
        """Duration, rows read and rows written over time, a panel each; for each of the four pipelines with the most runs.

        A band shows what is usual, and what lies outside of it is marked as an outlier: a successful run
        whose duration or rows are further from the median than 3.5 times the spread, which is the median absolute deviation
        times 1.4826, and further than a tenth of the median. Only successful runs tell what is usual, and at least five of them;
        an open or failed run is marked where it takes longer, and the rows that it has counted, which may be a part, are hollow
        marks beside the line. A run whose duration nobody knows, as of a lost one, stands at 0.
        Of more than 200 runs, the successful ones are a line without marks. Raises ConfigurationError where matplotlib is missing.

        >>> sd.runs(pipeline_id="sales").trend().savefig("trend.svg")  # doctest: +SKIP
        """
        _check_matplotlib()
        from spark_dynamo.reports.trend import trend

        return trend(self._logs, self._zone, datetime.now(UTC))

    def to_pandas(self) -> pd.DataFrame:
        """A row a run, in this order, and a column a field of `PipelineRunLog`.

        Times are `datetime64[us]` in `timezone`, counts `Int64` (missing where they are not known), fractions `float64`, texts and
        statuses `string`; stages, checks, messages, lists and dicts stay Python objects, as `model_dump` gives them.
        """
        from spark_dynamo.reports.to_pandas import frame

        return frame(self._logs, self._zone)

    def to_openlineage(self, *, namespace: str | None = None) -> list[dict[str, Any]]:
        """The OpenLineage events of all runs, oldest first: for each the START, and how it stands now.

        `to_openlineage(log)` tells what is in them. The parent of a run is known where it is one of these.
        """
        from spark_dynamo.run_logs.openlineage import to_openlineage

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
    since: datetime | date | timedelta | str | None = None,
    last: int | None = 50,
    user_timezone: str | None = None,
) -> Runs:
    """The newest runs of the run-log table, newest first.

    `spark_or_config` is a DynamoDBConfig; with a Spark session or None it is `DynamoDBConfig()`. `status` is one or several,
    `since` a time or a day (in the user's zone where it has none), or how long ago, as a timedelta or as text such as "7d";
    `last` is at most how many (None: all). Times are shown in `user_timezone`, else in the configuration's. A run whose lease has
    run out is `lost`, and marked so in the table where that is allowed. A row that is no run log is left out and told under the
    table (`Runs.unreadable`); one whose status is none of the seven is only found by its `pipeline_id`. Raises ConfigurationError
    for an argument that can't be used, TableNotFoundError, AccessDeniedError, RequestFailedError or ConnectionError.

    >>> runs(DynamoDBConfig(table_prefix="myapp"), pipeline_id="sales", status="failed", since="7d")  # doctest: +SKIP
    """
    from spark_dynamo.reports.reading import read_runs

    config = config_of(spark_or_config)
    zone = shown_zone(config, user_timezone)
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
        raise ConfigurationError(f"last {shorten(repr(last))} must be a whole number from 1, or None for all runs")
    found, unreadable = read_runs(
        config, pipeline_id=pipeline_id, statuses=statuses_of(status), since=since_of(since, zone), last=last
    )
    return Runs(found, timezone=zone, unreadable=unreadable)


def _check_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Pictures of runs need matplotlib: pip install 'spark-dynamo[plots]'", error
        ) from error
