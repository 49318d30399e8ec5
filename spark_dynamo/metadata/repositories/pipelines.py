"""The repository of pipeline configurations."""

from __future__ import annotations

from typing import Any

from spark_dynamo.metadata.models import PipelineConfig
from spark_dynamo.metadata.repositories.base import AsyncDynamoRepository, BaseDynamoRepository
from spark_dynamo.metadata.repositories.calls import operation
from spark_dynamo.metadata.repositories.operations import Operations
from spark_dynamo.metadata.repositories.reading import scan
from spark_dynamo.metadata.steps import Steps

__all__ = ["AsyncPipelineConfigRepository", "PipelineConfigRepository"]


class PipelineConfigOperations(Operations[PipelineConfig]):
    """What the two repositories of pipeline configurations can do beside what all can.

    Each update sets `updated_at`. The table has no index: methods that don't name a pipeline read it whole.
    """

    table_name = "pipeline_config"
    model_class = PipelineConfig
    primary_key = "pipeline_id"
    updated_attribute = "updated_at"

    @operation
    def get_by_pipeline_id(self, pipeline_id: str, user_timezone: str | None = None) -> Steps[PipelineConfig | None]:
        """The pipeline's configuration, None where there is none.

        >>> PipelineConfigRepository().get_by_pipeline_id("sales", user_timezone="Asia/Tokyo")  # doctest: +SKIP
        """
        return (yield from self.get.steps(pipeline_id, user_timezone))

    @operation
    def get_active_pipelines(self, user_timezone: str | None = None) -> Steps[list[PipelineConfig]]:
        """The configurations of all pipelines that are to run.

        >>> [pipeline.pipeline_id for pipeline in PipelineConfigRepository().get_active_pipelines()]  # doctest: +SKIP
        ['sales']
        """
        self.shown_zone(user_timezone)
        found = yield from scan(self.codec, {"is_active": True})
        return self.shown(found, user_timezone)

    @operation
    def get_pipelines_by_environment(
        self, environment: str, user_timezone: str | None = None
    ) -> Steps[list[PipelineConfig]]:
        """The configurations of the pipelines that belong to that environment, as `dev` or `prod`.

        >>> PipelineConfigRepository().get_pipelines_by_environment("prod")  # doctest: +SKIP
        """
        self.shown_zone(user_timezone)
        found = yield from scan(self.codec, {"environment": environment})
        return self.shown(found, user_timezone)

    @operation
    def update_pipeline_status(
        self,
        pipeline_id: str,
        is_active: bool,
        updated_by: str | None = None,
        current_timezone: str | None = None,
    ) -> Steps[PipelineConfig]:
        """Switch a pipeline on or off and give its configuration; ItemNotFoundError where there is none.

        Nothing else is touched but `updated_at`, and `updated_by` where it is given.

        >>> PipelineConfigRepository().update_pipeline_status("sales", False, updated_by="ann")  # doctest: +SKIP
        """
        changes: dict[str, Any] = {"is_active": is_active}
        if updated_by is not None:
            changes["updated_by"] = updated_by
        return (yield from self.update.steps(pipeline_id, changes, current_timezone=current_timezone))

    @operation
    def create_pipeline_config(
        self,
        /,
        pipeline_id: str,
        pipeline_name: str,
        source_type: str,
        destination_type: str,
        created_by: str | None = None,
        current_timezone: str | None = None,
        *,
        overwrite: bool = False,
        **fields: Any,
    ) -> Steps[PipelineConfig]:
        """Store a new pipeline's configuration; `fields` are further ones of `PipelineConfig`.

        Raises ItemAlreadyExistsError where there is one, unless `overwrite` replaces it.

        >>> PipelineConfigRepository().create_pipeline_config(  # doctest: +SKIP
        ...     "sales", "Sales", "s3", "delta", created_by="ann", cpu_cores=4, tags={"team": "bi"})
        """
        named = {
            "pipeline_id": pipeline_id,
            "pipeline_name": pipeline_name,
            "source_type": source_type,
            "destination_type": destination_type,
            "created_by": created_by,
        }
        made = self.written(current_timezone).made({**named, **fields})
        return (yield from self.create.steps(made, overwrite=overwrite, current_timezone=current_timezone))


class PipelineConfigRepository(PipelineConfigOperations, BaseDynamoRepository[PipelineConfig]):
    """Pipeline configurations; the methods block.

    >>> PipelineConfigRepository().physical_table_name
    'dev_pipeline_config'
    """


class AsyncPipelineConfigRepository(PipelineConfigOperations, AsyncDynamoRepository[PipelineConfig]):
    """Pipeline configurations; the methods are awaited.

    >>> config = await AsyncPipelineConfigRepository().get_by_pipeline_id("sales")  # doctest: +SKIP
    """
