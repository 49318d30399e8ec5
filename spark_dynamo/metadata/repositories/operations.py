"""What every repository can do, each operation once, as steps: create, get, update, delete, queries, pages and batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from spark_dynamo.errors import ItemNotFoundError
from spark_dynamo.metadata.codec import Codec
from spark_dynamo.metadata.expressions import Selection, projected
from spark_dynamo.metadata.repositories.argument_orders import key_in_two, spelled_also
from spark_dynamo.metadata.repositories.batches import delete_all, get_all, put_all
from spark_dynamo.metadata.repositories.calls import operation, paged
from spark_dynamo.metadata.repositories.described import Described
from spark_dynamo.metadata.repositories.reading import Bounds, checked_limit, key_condition, read, walk
from spark_dynamo.metadata.repositories.writing import create, delete, update
from spark_dynamo.metadata.steps import Ask, Paged, Steps
from spark_dynamo.metadata.zones import shown
from spark_dynamo.schema.parts import ModelPart
from spark_dynamo.wire.actions import Condition

__all__ = ["Operations"]

T = TypeVar("T", bound=BaseModel)


class Operations(Described[T]):
    """The operations of a repository for one model and one table; `BaseDynamoRepository` and `AsyncDynamoRepository` are two.

    A subclass says `table_name` (logical: the configuration makes the physical one of it), `model_class`, `primary_key` and, where
    the table has one, `sort_key`, the names of fields. Nothing is asked of the server before the first call. Threads may share a
    repository; a copy by pickle connects anew. `config` is `DynamoDBConfig()` where it is None; `cache` is in front of reads.
    Operations go through each other, so also through a method that a subclass overrides one of them by.

    What every operation raises: ValidationError for values that the model refuses or that are no key, ItemError for an item that
    DynamoDB can't take, MalformedItemError for one that is stored and no such model; ConfigurationError for an unknown timezone;
    RequestFailedError, AccessDeniedError, TableNotFoundError and ConnectionError where DynamoDB refuses or doesn't answer.
    """

    # ------------------------------------------------------------------------------------------------- single items

    @operation
    def create(self, item: T, *, overwrite: bool = False, current_timezone: str | None = None) -> Steps[T]:
        """Store a new item and give it as it is stored.

        Raises ItemAlreadyExistsError where there is one with its key, unless `overwrite` replaces it. Times without a zone are
        taken in `current_timezone`, and with it the result's are shown there. With a `version_attribute`, its version is 1 where
        the model has none.

        >>> PipelineConfigRepository().create(pipeline)  # doctest: +SKIP
        """
        return (yield from create(self.written(current_timezone), item, overwrite))

    @operation
    def create_with_timezone_context(
        self, item: T, current_timezone: str | None = None, *, overwrite: bool = False
    ) -> Steps[T]:
        """Create an item as `create` does, with the zone by position."""
        return (yield from self.create.steps(item, overwrite=overwrite, current_timezone=current_timezone))

    @operation
    @spelled_also(key_in_two)
    def get(
        self,
        key: Any,
        user_timezone: str | None = None,
        *,
        consistent_read: bool | None = None,
        projection: Sequence[str] | None = None,
    ) -> Steps[T | None]:
        """The item with that key, None where there is none.

        `key` is the partition key's value, or a tuple or mapping of both keys; `get(partition, sort)` is the same. The read is
        consistent, unless a cache answers it; `consistent_read` True asks DynamoDB in any case, False reads at half the price
        what may be a second old. `projection` names the fields that are to be read alone: the result has these and the keys, and
        no others (to use one is an AttributeError, to store the whole is refused). Validators of the whole model are not asked
        then, and no cache is.

        >>> PipelineConfigRepository().get("sales", user_timezone="Europe/Berlin")  # doctest: +SKIP
        """
        codec = self.codec
        self.shown_zone(user_timezone)
        values = codec.key_of(key)
        (text,) = codec.key_texts([values])
        part = None if projection is None else codec.part(projection)
        request = {
            "TableName": self.physical_table_name,
            "Key": orjson.Fragment(text),
            "ConsistentRead": consistent_read is not False,
            "ReturnConsumedCapacity": "TOTAL",
            **({} if part is None else projected(part.attributes)),
        }
        keep = None if consistent_read or part else text.decode()
        about = codec.pipeline_of(values, key)
        answer = yield Ask("GetItem", self.physical_table_name, request, keep=keep, pipeline=about)
        item = orjson.loads(answer.body).get("Item")
        if item is None:
            return None
        found = codec.model_of(item) if part is None else part.page(orjson.dumps({"Items": [item]}))[0]
        return self.shown([found], user_timezone)[0]

    @operation
    @spelled_also(key_in_two)
    def get_with_timezone(self, key: Any, user_timezone: str | None = None) -> Steps[T | None]:
        """The item with that key as `get` gives it, in that zone; also `get_with_timezone(partition, sort, user_timezone)`."""
        return (yield from self.get.steps(key, user_timezone))

    @operation
    @spelled_also(key_in_two)
    def get_or_raise(
        self,
        key: Any,
        user_timezone: str | None = None,
        *,
        consistent_read: bool | None = None,
        projection: Sequence[str] | None = None,
    ) -> Steps[T]:
        """The item with that key, as `get` gives it; ItemNotFoundError where there is none."""
        only = {} if projection is None else {"projection": projection}  # a `get` of one's own need not know it
        found = yield from self.get.steps(key, user_timezone, consistent_read=consistent_read, **only)
        if found is None:
            codec = self.codec
            raise ItemNotFoundError(self.physical_table_name, codec.shown_key(codec.key_of(key)))
        return found

    @operation
    def update(
        self,
        item: T | Any,
        changes: Mapping[str, Any] | None = None,
        *,
        condition: str | None = None,
        expected_version: int | None = None,
        current_timezone: str | None = None,
    ) -> Steps[T]:
        """Change a stored item and give it as it is now.

        With `changes`, values by the names of fields, only those attributes are touched, so that what others change meanwhile
        stays; None removes one. `item` is then a key, or a model for its key. Without, `item` is a model, of which every field
        is written; attributes that the model doesn't know stay.

        Raises ItemNotFoundError where there is no such item; VersionConflictError where the model has a `version_attribute` and
        another version is stored than the model's, with `changes` too, or than `expected_version` says (a key alone asks for
        none, a model without a version for an item without); ConditionFailedError where `condition`, a
        predicate in Spark's SQL about the stored item, is not true; MigrationError where some attributes of an item of an older
        schema version were to be changed.

        >>> PipelineConfigRepository().update("sales", {"cpu_cores": 8, "description": None})  # doctest: +SKIP
        """
        written = self.written(current_timezone)
        return (yield from update(written, item, changes, condition=condition, expected_version=expected_version))

    @operation
    @spelled_also(key_in_two)
    def delete(self, key: Any, *, condition: str | None = None, expected_version: int | None = None) -> Steps[bool]:
        """Delete the item with that key; False where there was none.

        Raises VersionConflictError and ConditionFailedError as `update` does, where there is one: a model stands for its version,
        too.
        """
        written = self.written(None)
        return (yield from delete(written, key, condition=condition, expected_version=expected_version))

    # ---------------------------------------------------------------------------------------------------- many items

    @operation
    def list_all(
        self,
        limit: int | None = None,
        user_timezone: str | None = None,
        *,
        filter: str | None = None,  # noqa: A002 - Spark's and DynamoDB's own word
        consistent_read: bool = False,
        projection: Sequence[str] | None = None,
    ) -> Steps[list[T]]:
        """All items of the table, or the first `limit` of them in no order; `pages` doesn't hold them all.

        `filter` is a predicate in Spark's SQL; DynamoDB reads the whole table for it. `projection` is that of `get`.
        """
        also = self._also(filter, user_timezone)
        codec, columns = self._read_as(projection)
        selection = Selection(self.physical_table_name, also=also, consistent_read=consistent_read, columns=columns)
        found = yield from read(codec, selection, limit)
        return self.shown(found, user_timezone)

    @operation
    def list_all_with_timezone(self, user_timezone: str | None = None, limit: int | None = None) -> Steps[list[T]]:
        """All items, as `list_all` gives them, with the zone first."""
        return (yield from self.list_all.steps(limit, user_timezone))

    @operation
    def query_by_pk(
        self,
        value: Any,
        limit: int | None = None,
        user_timezone: str | None = None,
        *,
        sort_key_from: Any = None,
        sort_key_to: Any = None,
        sort_key_prefix: str | None = None,
        index: str | None = None,
        newest_first: bool = False,
        filter: str | None = None,  # noqa: A002
        consistent_read: bool = False,
        projection: Sequence[str] | None = None,
    ) -> Steps[list[T]]:
        """The items with that partition key, by Query, in the order of the sort key, or against it with `newest_first`.

        `sort_key_from` and `sort_key_to` bound the sort key (both are included), `sort_key_prefix` is how its text begins. With
        `index` the keys are those of that secondary index, which must project all attributes. `limit` bounds what is read, too,
        unless a `filter` leaves some out. A filter can't speak of the keys that are queried: DynamoDB refuses that, and so does
        this with a ValidationError. Times without a zone, in bounds and filter, are taken in the zone in which times are shown.
        `projection` is that of `get`.

        >>> RunRepository().query_by_pk("sales", limit=10, index="pipeline_id-start_time-index")  # doctest: +SKIP
        """
        bounds = Bounds(sort_key_from, sort_key_to, sort_key_prefix, self.shown_zone(user_timezone))
        also = self._also(filter, user_timezone)
        codec, columns = self._read_as(projection)
        partition, sort = yield from key_condition(self.codec, self._keys(), value, bounds, index, also)
        selection = Selection(
            self.physical_table_name,
            partition,
            sort=sort,
            index=index,
            newest_first=newest_first,
            also=also,
            consistent_read=consistent_read,
            columns=columns,
        )
        found = yield from read(codec, selection, limit)
        return self.shown(found, user_timezone)

    @paged
    def pages(
        self,
        value: Any = None,
        page_size: int | None = None,
        user_timezone: str | None = None,
        *,
        index: str | None = None,
        newest_first: bool = False,
        filter: str | None = None,  # noqa: A002
        consistent_read: bool = False,
        projection: Sequence[str] | None = None,
    ) -> Paged[list[T]]:
        """The items of the table, or with a `value` those of that partition key, page by page; a page is read when it is asked for.

        A page holds what one request gives: at most `page_size` items and 1 MB. No cache is asked. `projection` is that of
        `get`.

        >>> for page in PipelineRunLogsRepository().pages("sales", index="pipeline_id-start_time-index"):  # doctest: +SKIP
        ...     print(len(page))
        """
        checked_limit(page_size, "page_size")
        partition, also = None, self._also(filter, user_timezone)
        codec, columns = self._read_as(projection)
        if value is not None:
            bounds = Bounds(None, None, None, self.shown_zone(user_timezone))
            partition, _ = yield from key_condition(self.codec, self._keys(), value, bounds, index, also)
        selection = Selection(
            self.physical_table_name,
            partition,
            index=index,
            newest_first=newest_first,
            also=also,
            consistent_read=consistent_read,
            columns=columns,
        )
        yield from walk(codec, selection, page_size, lambda models: self.shown(models, user_timezone))

    # ------------------------------------------------------------------------------------------------------- batches

    @operation
    def batch_get(
        self, keys: Iterable[Any], user_timezone: str | None = None, *, consistent_read: bool = True
    ) -> Steps[list[T | None]]:
        """The items with those keys, in their order, None where there is none; any number, 100 a request, several at once.

        No cache is asked.
        """
        self.shown_zone(user_timezone)
        found = yield from get_all(self.codec, keys, consistent_read)
        zone = self.shown_zone(user_timezone)
        return found if zone == "UTC" else [model and shown(model, zone) for model in found]

    @operation
    def batch_put(self, items: Iterable[T], current_timezone: str | None = None) -> Steps[int]:
        """Store any number of items, 25 a request, several at once, and give their number; what is stored there is replaced.

        DynamoDB takes no condition here: nothing is checked, no version either. Raises DuplicateKeyError for two items with one
        key, and UnwrittenItemsError where DynamoDB doesn't take all; the call is safe to repeat.
        """
        return (yield from put_all(self.codec, items, self.taken_zone(current_timezone)))

    @operation
    def batch_delete(self, keys: Iterable[Any]) -> Steps[int]:
        """Delete the items with those keys, 25 a request, several at once, and give the number of keys; there may be none.

        Raises UnwrittenItemsError where DynamoDB doesn't take all; the call is safe to repeat.
        """
        return (yield from delete_all(self.codec, keys))

    def _keys(self) -> tuple[str, str | None]:
        codec = self.codec
        return codec.key_names[0], codec.key_names[1] if len(codec.key_names) > 1 else None

    def _read_as(self, projection: Sequence[str] | None) -> tuple[Codec[T] | ModelPart[T], Sequence[str]]:
        """What makes models of a page's items, and the attributes that it needs; none: all."""
        codec = self.codec
        if projection is None:
            return codec, ()
        part = codec.part(projection)
        return part, part.attributes

    def _also(self, filter: str | None, user_timezone: str | None) -> Condition | None:  # noqa: A002
        return None if filter is None else self.codec.condition(filter, self.shown_zone(user_timezone), "filter")
