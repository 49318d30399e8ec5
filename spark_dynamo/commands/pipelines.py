"""`spark-dynamo pipelines`: the configured pipelines, and which of them are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from spark_dynamo.commands.output import show, show_record

if TYPE_CHECKING:
    from spark_dynamo.metadata.models import PipelineConfig
    from spark_dynamo.metadata.repositories import PipelineConfigRepository

app = typer.Typer(no_args_is_help=True, help="List and show configured pipelines; enable and disable them.")

_COLUMNS = (
    *("pipeline_id", "pipeline_name", "is_active", "environment", "version", "source_type", "destination_type"),
    *("schedule_expression", "updated_at", "updated_by"),
)

PipelineId = Annotated[str, typer.Argument(metavar="ID", help="The pipeline's id.", show_default=False)]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who does it; the user of this machine by default.")
]


@app.command("list", epilog="Example: spark-dynamo pipelines list --active --output csv")
def list_all(
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Only such pipelines.")] = None,
    pipeline_environment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only pipelines that say they are of that environment.")
    ] = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """List the pipelines of table pipeline_config."""
    found = _repository(endpoint_url, region, profile, environment, table_prefix, role_arn).list_all()
    wanted = [
        _shown(pipeline)
        for pipeline in sorted(found, key=lambda pipeline: pipeline.pipeline_id)
        if active in (None, pipeline.is_active) and pipeline_environment in (None, pipeline.environment)
    ]
    show(wanted, _COLUMNS, output)


@app.command("show", epilog="Example: spark-dynamo pipelines show sales --output json | jq '.[0].config'")
def show_one(
    pipeline_id: PipelineId,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Show all that is configured of a pipeline; its secrets are stars."""
    repository = _repository(endpoint_url, region, profile, environment, table_prefix, role_arn)
    show_record(_shown(repository.get_or_raise(pipeline_id)), output)


@app.command(epilog="Example: spark-dynamo pipelines enable sales")
def enable(
    pipeline_id: PipelineId,
    by: By = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Make a pipeline active; one that is stays as it is."""
    repository = _repository(endpoint_url, region, profile, environment, table_prefix, role_arn)
    _set_active(repository, pipeline_id, True, by, output)


@app.command(epilog="Example: spark-dynamo pipelines disable sales --by alice")
def disable(
    pipeline_id: PipelineId,
    by: By = None,
    output: Output = "table",
    raw: Raw = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    environment: Environment = None,
    table_prefix: TablePrefix = None,
    role_arn: RoleArn = None,
) -> None:
    """Make a pipeline inactive; one that is stays as it is."""
    repository = _repository(endpoint_url, region, profile, environment, table_prefix, role_arn)
    _set_active(repository, pipeline_id, False, by, output)


def _repository(*place: str | None) -> PipelineConfigRepository:
    from spark_dynamo.metadata.repositories import PipelineConfigRepository

    return PipelineConfigRepository(config_from(*place))


def _set_active(
    repository: PipelineConfigRepository, pipeline_id: str, is_active: bool, by: str | None, output: Format
) -> None:
    pipeline = repository.get_or_raise(pipeline_id)
    if pipeline.is_active is not is_active:
        pipeline = repository.update_pipeline_status(pipeline_id, is_active, updated_by=by or user_name())
    show([_shown(pipeline)], _COLUMNS, output)


def _shown(pipeline: PipelineConfig) -> dict[str, Any]:
    """All that is configured, without the secrets."""
    from spark_dynamo.errors.masking import masked

    shown: dict[str, Any] = masked(pipeline.model_dump())
    return shown
