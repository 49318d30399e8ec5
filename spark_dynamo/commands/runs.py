"""`spark-dynamo runs` lists runs and marks lost ones; `spark-dynamo run` shows one, follows it, or runs a job as one."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from spark_dynamo.commands.options import (
    EndpointUrl,
    Environment,
    Format,
    Output,
    Profile,
    Raw,
    Region,
    RoleArn,
    TablePrefix,
    config_from,
    user_name,
)
from spark_dynamo.commands.output import check_open, console, show, show_record
from spark_dynamo.errors import ConfigurationError, ItemNotFoundError, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from spark_dynamo.config import DynamoDBConfig
    from spark_dynamo.metadata.models import PipelineRunLog

__all__ = ["register"]

_COLUMNS = (
    *("status", "pipeline_id", "run_id", "trigger_type", "start_time", "end_time", "duration_seconds"),
    *("rows_read", "rows_written", "total_records_failed", "data_quality_passed", "error_message"),
)
_FAILED, _INTERRUPTED = 3, 130
_ENDED_BADLY = frozenset({"failed", "cancelled", "lost"})
_OF_A_RUN, _OF_A_JOB = ("follow", "interval", "timezone", "output"), ("trigger_type", "created_by", "tag")
_BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{3,34}")  # of a UUID
_NEWEST = 1_000  # runs among which one is looked for by the beginning of its id
_WIDE = 160  # columns, where no terminal says how many there are

PipelineId = Annotated[
    str | None, typer.Option("--pipeline-id", metavar="ID", help="Only runs of that pipeline.", show_default=False)
]
Timezone = Annotated[
    str | None, typer.Option("--timezone", metavar="NAME", help="IANA zone of times, such as Europe/London.")
]

listing = typer.Typer(
    invoke_without_command=True,
    help="List runs, newest first. A run whose driver died without a word is lost, and marked so where that is allowed.",
    epilog="Example: spark-dynamo runs --pipeline-id sales --status failed --since 7d --output csv",
)


@listing.callback()
def list_runs(
    context: typer.Context,
    pipeline_id: PipelineId = None,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Only runs that stand so; may be given several times.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs at most.")] = 20,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Begun no longer ago than 90m, 24h, 7d, 2w, or since an ISO time."),
    ] = None,
    timezone: Timezone = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """List runs, newest first; `reap` marks lost ones."""
    if context.invoked_subcommand is not None:
        return
    from spark_dynamo.reports.arguments import shown_zone, since_of
    from spark_dynamo.reports.formatting import unreadable_lines
    from spark_dynamo.reports.runs import runs

    config = config_from(endpoint_url, region, profile, environment, table_prefix, role_arn)
    zone = shown_zone(config, timezone)
    try:
        begun = since_of(since, zone)
    except ConfigurationError as error:
        raise typer.BadParameter(error.message, param_hint="--since") from None
    found = runs(
        config,
        pipeline_id=pipeline_id,
        status=status or None,
        since=begun,
        last=last,
        user_timezone=timezone,
    )
    if output == "table" and (screen := _screen()).is_terminal:
        screen.print(found)
        return
    for line in unreadable_lines(found.unreadable):
        typer.echo(line, err=True)
    in_zone = found.timezone if output == "table" else UTC
    rows = [_shown(log, in_zone) for log in found]
    show(rows, list(rows[0]) if rows and output in ("json", "jsonl") else _COLUMNS, output)


@listing.command("reap", epilog="Example: spark-dynamo runs reap --environment prod")
def reap_runs(
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Mark each run as lost that is open though its lease has run out, and list them."""
    from spark_dynamo.run_logs.reaper import reap

    lost = reap(config_from(endpoint_url, region, profile, environment, table_prefix, role_arn))
    columns = ("run_id", "pipeline_id", "lease_expires_at", "owner")
    show(
        [{name: getattr(run, name) for name in columns} for run in lost],
        columns,
        output,
        f"Marked as lost: {len(lost)}",
    )


@listing.command("import", epilog="Example: spark-dynamo runs import /tmp/spark-dynamo-missed-runs-x7.jsonl")
def import_runs(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Run logs that DynamoDB did not get, as JSON Lines.", show_default=False),
    ],
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Write the run logs of a file that a warning named into the table, and list them; safe to repeat.

    A row that says that its run has ended stays as it is: `is_written` is false then, and `found` is what it says.
    """
    from spark_dynamo.run_logs.spill_import import import_missed_runs

    imported = import_missed_runs(file, config_from(endpoint_url, region, profile, environment, table_prefix, role_arn))
    show([asdict(run) for run in imported], ("run_id", "pipeline_id", "status", "is_written", "found"), output)


class _RunCommand(TyperCommand):
    """Options may stand behind a run's id; behind a job, all belongs to the job."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_launch = any(argument.partition("=")[0] == "--pipeline-id" for argument in args)
        ctx.allow_interspersed_args = not is_launch
        return super().parse_args(ctx, args)


def run(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN_ID | JOB.py", help="A run's id, or its beginning; with --pipeline-id, a Python file."
        ),
    ],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGS", help="The job's own arguments.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show it live until it ends.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, metavar="SECONDS", help="Seconds between two looks at a run that is followed.")
    ] = 2.0,
    timezone: Timezone = None,
    output: Output = "table",
    raw: Raw = False,
    pipeline_id: Annotated[
        str | None,
        typer.Option(
            "--pipeline-id", metavar="ID", help="Run the job as a run of that pipeline.", rich_help_panel="A job"
        ),
    ] = None,
    trigger_type: Annotated[
        str, typer.Option(metavar="TEXT", help="What starts the job.", rich_help_panel="A job")
    ] = "manual",
    created_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who starts the job; the user of this machine by default.", rich_help_panel="A job"
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag of the run.", rich_help_panel="A job")
    ] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Show a run, with its stages, figures, checks, messages and error; or run a job whose run log writes itself.

    Exit codes of a run that is shown: 0: it succeeded, or has not ended. 3: it failed, was cancelled or is lost.

    130: Ctrl-C ended --follow; the run goes on. 1: an error of this command. 2: a wrong use of it.

    A job's exit code is the job's own.
    """
    _check_together(context, is_job=pipeline_id is not None)
    config = config_from(endpoint_url, region, profile, environment, table_prefix, role_arn)
    if pipeline_id is not None:
        from spark_dynamo.errors.masking import masked_arguments
        from spark_dynamo.run_logs.settings import RunSettings

        settings = RunSettings(
            pipeline_id=pipeline_id,
            trigger_type=trigger_type,
            config=config,
            created_by=created_by or user_name(),
            tags=_tags(tag or []),
            config_snapshot={"script": str(Path(target).absolute()), "arguments": masked_arguments(arguments or [])},
        )
        from spark_dynamo.run_logs.launch import launch

        raise typer.Exit(launch(target, arguments or [], settings))
    if arguments:
        raise typer.BadParameter(
            f"one run is shown at a time, and '{shorten(arguments[0])}' is one more; to run a job, name its pipeline before "
            "it: spark-dynamo run --pipeline-id sales job.py"
        )
    from spark_dynamo.reports.arguments import shown_zone

    log = _show_run(config, target, shown_zone(config, timezone), output, interval if follow else None)
    raise typer.Exit(_FAILED if log.status in _ENDED_BADLY else 0)


def _check_together(context: typer.Context, *, is_job: bool) -> None:
    """Refuse options that the command would take no notice of."""
    for name in _OF_A_RUN if is_job else _OF_A_JOB:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                "it is about a run that is shown, and with --pipeline-id a job is run"
                if is_job
                else "it is about a job that is run, which needs --pipeline-id",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _show_run(
    config: DynamoDBConfig, run_id: str, zone: tzinfo, output: Format, interval: float | None
) -> PipelineRunLog:
    from spark_dynamo.reports.reading import read_children
    from spark_dynamo.reports.run_terminal import run_view
    from spark_dynamo.reports.status import is_open

    log = _log_of(config, run_id)
    if interval is not None and is_open(log):
        try:
            log = _follow(config, log, zone, interval, is_shown=output == "table")
        except KeyboardInterrupt:
            typer.echo("No longer followed; the run goes on.", err=True)
            raise typer.Exit(_INTERRUPTED) from None
    elif output == "table":
        _screen().print(run_view(log, zone, datetime.now(UTC), read_children(config, log)))
    if output != "table":
        show_record(_shown(log, UTC), output)
    return log


def _follow(
    config: DynamoDBConfig, log: PipelineRunLog, zone: tzinfo, interval: float, *, is_shown: bool
) -> PipelineRunLog:
    """Show a run anew at each look, until it has ended; what is no terminal gets it once, at the end."""
    from rich.live import Live

    from spark_dynamo.reports.reading import read_children
    from spark_dynamo.reports.run_terminal import run_view
    from spark_dynamo.reports.status import is_open
    from spark_dynamo.reports.terminal import LastLines

    pause = threading.Event()
    screen = _screen()
    screen.quiet = not is_shown
    # what is higher than the terminal can't be overwritten: it is whole once it stays
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            # what is no terminal sees the end alone; the runs within are asked for once
            children = () if is_open(log) or not is_shown else read_children(config, log)
            view = run_view(log, zone, datetime.now(UTC), children)
            live.update(LastLines(view) if is_open(log) and screen.is_terminal else view, refresh=True)
            if not is_open(log):
                return log
            pause.wait(interval)
            log = _log_of(config, log.run_id)


def _log_of(config: DynamoDBConfig, run_id: str) -> PipelineRunLog:
    """The run with that id, or the only one of the newest whose id begins so, as tables and pictures show it."""
    from spark_dynamo.reports.reading import read_run, read_runs

    log = read_run(config, run_id)
    if log is not None:
        return log
    if run_id.endswith(".py"):
        raise typer.BadParameter(
            f"no run has the id {shorten(repr(run_id))}; to run a job, name its pipeline: spark-dynamo run --pipeline-id sales "
            f"{shorten(run_id)}"
        )
    found = []
    if _BEGINNING.fullmatch(run_id):
        found = [log for log in read_runs(config, last=_NEWEST)[0] if log.run_id.startswith(run_id)]
    if len(found) > 1:
        listed = ", ".join(log.run_id for log in found)
        raise ConfigurationError(
            f"The ids of {len(found)} runs begin with '{run_id}': {shorten(listed)}. Give more of one"
        )
    if not found:
        raise ItemNotFoundError(config.get_table_name("pipeline_run_logs"), {"run_id": run_id})
    return found[0]


def _screen() -> Console:
    check_open()
    screen = console()
    if not screen.is_terminal and "COLUMNS" not in screen._environ:
        screen.width = _WIDE
    return screen


def _shown(log: PipelineRunLog, zone: tzinfo) -> dict[str, Any]:
    """A run's values, times in that zone, fractions without the zeros that the table's scale adds, settings without secrets."""
    from spark_dynamo.errors.masking import masked

    values = {name: _plain(value) for name, value in log.model_dump().items()}
    values["config_snapshot"] = masked(values["config_snapshot"])
    return {name: value.astimezone(zone) if isinstance(value, datetime) else value for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Decimal(f"{value:f}".rstrip("0").rstrip(".")) if "." in f"{value:f}" else value
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _tags(tags: list[str]) -> dict[str, str]:
    named = dict(tag.partition("=")[::2] for tag in tags)
    if any("=" not in tag or tag.startswith("=") for tag in tags):
        raise ConfigurationError(f"Tags are written as NAME=VALUE, as in team=sales, not {shorten(repr(tags))}")
    return named


def register(app: typer.Typer) -> None:
    """Add the commands `runs` and `run`."""
    app.add_typer(listing, name="runs")
    app.command(
        "run",
        cls=_RunCommand,
        epilog="Examples: spark-dynamo run 5f0c2a9e8b7d4c6fa1b2c3d4e5f60718 --follow\n\n"
        "spark-dynamo run --pipeline-id sales job.py --day 2026-11-01",
    )(run)
