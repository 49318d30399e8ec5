"""Whether an item can be stored, and read again by its model: looked at one by one, before it is sent."""

from __future__ import annotations

from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import shorten
from spark_dynamo.wire import types
from spark_dynamo.wire.envelope import Item
from spark_dynamo.wire.item_limits import check_contents
from spark_dynamo.wire.sizes import LARGEST_ITEM, item_size
from spark_dynamo.wire.value_reader import Misfit, attribute_reader, bare


class Fitting:
    """The schema that items must fit, and the table that must take them."""

    def __init__(self, schema: StructType, table: TableDescription) -> None:
        self._readers = {
            field.name: attribute_reader(field.dataType, types.storage_tag(field), field.nullable)
            for field in schema.fields
        }
        keys = [(index, key) for index in table.indexes for key in (index.partition_key, index.sort_key) if key]
        self._index_keys = {key.name: (index.name, key.type) for index, key in keys}

    def check(self, item: Item) -> None:
        """Raise ValueError with the reason where an item, in DynamoDB JSON, doesn't fit."""
        for name, read in self._readers.items():
            try:
                read(item.get(name))
            except Misfit as misfit:
                path = misfit.below(name).path
                if misfit.found is None:
                    problem = f"attribute '{path}' is missing, and the model's {misfit.expected} is not nullable"
                else:
                    because = f": {misfit.problem}" if misfit.problem else ""
                    found = f"{shorten(misfit.value)}, of DynamoDB type {misfit.found}"
                    problem = f"attribute '{path}' is {found}, and does not fit the model's {misfit.expected}{because}"
                raise ValueError(problem) from None
        for name, (index, tag) in self._index_keys.items():
            if name in item and (tag not in item[name] or bare(item[name]) == ""):
                raise ValueError(
                    f"attribute '{name}' is {item[name]}, and index '{index}' has it as a key of type {tag}"
                )
        check_contents({"M": item}, containers=-1)
        size = item_size(item)
        if size > LARGEST_ITEM:
            raise ValueError(f"it is {size:,} bytes, and DynamoDB takes at most {LARGEST_ITEM:,}")
