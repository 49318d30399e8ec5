"""The repository of table configurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spark_dynamo.metadata.models import DataFormat, TableConfig, TableType
from spark_dynamo.metadata.repositories.argument_orders import spelled_also, type_second
from spark_dynamo.metadata.repositories.base import AsyncDynamoRepository, BaseDynamoRepository
from spark_dynamo.metadata.repositories.calls import operation
from spark_dynamo.metadata.repositories.operations import Operations
from spark_dynamo.metadata.repositories.reading import Wanted, find, scan
from spark_dynamo.metadata.steps import Steps
from spark_dynamo.timezones import utcnow

__all__ = ["AsyncTableConfigRepository", "TableConfigRepository"]

_BY_PIPELINE = "pipeline_id-index"


class TableConfigOperations(Operations[TableConfig]):
    """What the two repositories of table configurations can do beside what all can.

    Each update sets `updated_at`. Tables of a pipeline are found by the index `pipeline_id-index`, or by any other with that key
    and all attributes; where there is none the table is scanned, and the log says so once. An index may be a moment behind.
    """

    table_name = "table_config"
    model_class = TableConfig
    primary_key = "table_id"
    updated_attribute = "updated_at"

    @operation
    def get_by_table_id(self, table_id: str, user_timezone: str | None = None) -> Steps[TableConfig | None]:
        """The table's configuration, None where there is none.

        >>> TableConfigRepository().get_by_table_id("orders")  # doctest: +SKIP
        """
        return (yield from self.get.steps(table_id, user_timezone))

    @operation
    def get_tables_by_pipeline(self, pipeline_id: str, user_timezone: str | None = None) -> Steps[list[TableConfig]]:
        """The configurations of a pipeline's tables.

        >>> [table.table_id for table in TableConfigRepository().get_tables_by_pipeline("sales")]  # doctest: +SKIP
        ['orders', 'customers']
        """
        return (yield from self._of_pipeline(pipeline_id, {}, user_timezone))

    @operation
    def get_active_tables_by_pipeline(
        self, pipeline_id: str, user_timezone: str | None = None
    ) -> Steps[list[TableConfig]]:
        """The configurations of a pipeline's tables, without those that it doesn't use.

        >>> TableConfigRepository().get_active_tables_by_pipeline("sales")  # doctest: +SKIP
        """
        return (yield from self._of_pipeline(pipeline_id, {"is_active": True}, user_timezone))

    @operation
    @spelled_also(type_second)
    def get_tables_by_type(
        self, table_type: TableType | str, pipeline_id: str | None = None, user_timezone: str | None = None
    ) -> Steps[list[TableConfig]]:
        """The configurations of a pipeline's tables of that type; of all pipelines where `pipeline_id` is None, by a Scan.

        The pipeline's id may come first, too; where it is the name of a type itself, as in "source", both are given by name.

        >>> TableConfigRepository().get_tables_by_type("lookup", "sales")  # doctest: +SKIP
        """
        return (yield from self._of_pipeline(pipeline_id, {"table_type": table_type}, user_timezone))

    @operation
    def get_source_tables(
        self, pipeline_id: str | None = None, user_timezone: str | None = None
    ) -> Steps[list[TableConfig]]:
        """The configurations of the tables that a pipeline reads, or that any does.

        >>> TableConfigRepository().get_source_tables("sales")  # doctest: +SKIP
        """
        return (yield from self._of_pipeline(pipeline_id, {"table_type": TableType.SOURCE}, user_timezone))

    @operation
    def get_destination_tables(
        self, pipeline_id: str | None = None, user_timezone: str | None = None
    ) -> Steps[list[TableConfig]]:
        """The configurations of the tables that a pipeline writes, or that any does.

        >>> TableConfigRepository().get_destination_tables("sales")  # doctest: +SKIP
        """
        return (yield from self._of_pipeline(pipeline_id, {"table_type": TableType.DESTINATION}, user_timezone))

    @operation
    def update_table_statistics(
        self,
        table_id: str,
        record_count: int | None = None,
        size_bytes: int | None = None,
        last_updated_data: datetime | str | None = None,
        current_timezone: str | None = None,
    ) -> Steps[TableConfig]:
        """Store what a table came to after a write, and give its configuration; ItemNotFoundError where there is none.

        What is None stays as it is, but for `last_updated_data`, which is then the time now. Nothing else is touched but
        `updated_at`.

        >>> TableConfigRepository().update_table_statistics("orders", record_count=1200)  # doctest: +SKIP
        """
        given = {"record_count": record_count, "size_bytes": size_bytes}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        changes["last_updated_data"] = utcnow() if last_updated_data is None else last_updated_data
        return (yield from self.update.steps(table_id, changes, current_timezone=current_timezone))

    @operation
    def create_table_config(
        self,
        /,
        table_id: str,
        pipeline_id: str,
        table_name: str,
        table_type: TableType | str,
        data_format: DataFormat | str,
        location: str,
        created_by: str | None = None,
        current_timezone: str | None = None,
        *,
        overwrite: bool = False,
        **fields: Any,
    ) -> Steps[TableConfig]:
        """Store a new table's configuration; `fields` are further ones of `TableConfig`.

        Raises ItemAlreadyExistsError where there is one, unless `overwrite` replaces it.

        >>> TableConfigRepository().create_table_config(  # doctest: +SKIP
        ...     "orders", "sales", "orders", "source", "parquet", "s3://lake/orders", retention_days=30)
        """
        named = {
            "table_id": table_id,
            "pipeline_id": pipeline_id,
            "table_name": table_name,
            "table_type": table_type,
            "data_format": data_format,
            "location": location,
            "created_by": created_by,
        }
        made = self.written(current_timezone).made({**named, **fields})
        return (yield from self.create.steps(made, overwrite=overwrite, current_timezone=current_timezone))

    def _of_pipeline(
        self, pipeline_id: str | None, equal: dict[str, Any], user_timezone: str | None
    ) -> Steps[list[TableConfig]]:
        self.shown_zone(user_timezone)
        values = self.codec.attributes.validate(equal)
        if pipeline_id is None:
            found = yield from scan(self.codec, values)
        else:
            found = yield from find(self.codec, Wanted(("pipeline_id", pipeline_id), _BY_PIPELINE, equal=values))
        return self.shown(found, user_timezone)


class TableConfigRepository(TableConfigOperations, BaseDynamoRepository[TableConfig]):
    """Table configurations; the methods block.

    >>> TableConfigRepository().physical_table_name
    'dev_table_config'
    """


class AsyncTableConfigRepository(TableConfigOperations, AsyncDynamoRepository[TableConfig]):
    """Table configurations; the methods are awaited.

    >>> tables = await AsyncTableConfigRepository().get_source_tables("sales")  # doctest: +SKIP
    """
