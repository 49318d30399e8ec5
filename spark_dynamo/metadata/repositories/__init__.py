"""Repositories: models in and out of DynamoDB tables from driver programs, by methods that block or are awaited."""

from __future__ import annotations

from spark_dynamo.metadata.repositories.base import AsyncDynamoRepository, BaseDynamoRepository
from spark_dynamo.metadata.repositories.pipelines import AsyncPipelineConfigRepository, PipelineConfigRepository
from spark_dynamo.metadata.repositories.runs import AsyncPipelineRunLogsRepository, PipelineRunLogsRepository
from spark_dynamo.metadata.repositories.tables import AsyncTableConfigRepository, TableConfigRepository
from spark_dynamo.metadata.repositories.transactions import AsyncTransaction, Transaction

__all__ = [
    "AsyncDynamoRepository",
    "AsyncPipelineConfigRepository",
    "AsyncPipelineRunLogsRepository",
    "AsyncTableConfigRepository",
    "AsyncTransaction",
    "BaseDynamoRepository",
    "PipelineConfigRepository",
    "PipelineRunLogsRepository",
    "TableConfigRepository",
    "Transaction",
]
