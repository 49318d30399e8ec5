"""Items of older versions brought to their model's version in the task, between the page and its decoding.

Pages whose items are all current are decoded as ever; the decoder sees that while it parses them. Only where it meets another
version is the page taken apart, and only then does a worker import the user's module, with Pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from pyspark.sql.types import StructType

from spark_dynamo.errors import MigrationError, OptionError
from spark_dynamo.schema.evolve import check_migrations, declared_version, migrations_of, upgrade_items
from spark_dynamo.wire.decode import OtherVersionsError, PageDecoder
from spark_dynamo.wire.envelope import ENVELOPES, EnvelopeName, Item

if TYPE_CHECKING:
    from pydantic import BaseModel

    from spark_dynamo.source.read.targets import Target


@dataclass(frozen=True, slots=True)
class Versions:
    """What tasks know of a model with a version: where it is, and which version its items have.

    `modules` are those of the model and its migrations; `migrates` says whether there are any migrations: without, an older
    item is an error.
    """

    name: str
    module: str
    version: int
    modules: tuple[str, ...]
    migrates: bool

    @classmethod
    def of(cls, model: type[BaseModel]) -> Versions | None:
        """Those of a model, None where it declares no version; MigrationError where a migration is missing between others."""
        version = declared_version(model)
        if version is None:
            return None
        check_migrations(model)
        migrations = migrations_of(model)
        own = model.__module__
        modules = dict.fromkeys([own, *(getattr(found, "__module__", own) for found in migrations.values())])
        return cls(model.__qualname__, model.__module__, version, tuple(modules), bool(migrations))

    def model(self) -> type[BaseModel]:
        """The model, imported; MigrationError where this process can't."""
        try:
            for name in self.modules:
                found: Any = import_module(name)
            found = import_module(self.module)
            for step in self.name.split("."):
                found = getattr(found, step)
        except Exception as error:  # whatever a foreign module does
            raise MigrationError(
                self.name,
                f"Spark's worker met an item of an older version and can't import the model from module '{self.module}': "
                f"{type(error).__name__}: {error}. Install the module on the workers, or ship it, as with spark.addArtifacts",
                error,
            ) from error
        model: type[BaseModel] = found
        return model

    @property
    def told(self) -> str:
        """What happens to items, in words."""
        older = "older ones are upgraded in the task" if self.migrates else "any other version is an error"
        return f"version {self.version} of model {self.name}; {older}"


def changeable_keys(target: Target) -> list[str]:
    """The keys by which an index has its items that migrations may change, as they are none of the table's.

    An index holds items as they are stored: one with such a key lacks items, or has them elsewhere.
    """
    own = {key.name for key in target.table.keys}
    return [key.name for key in target.keys if key.name not in own]


def check_index(versions: Versions, target: Target) -> None:
    """Raise OptionError for an index with such a key."""
    keys = changeable_keys(target)
    if keys:
        raise OptionError(
            "index",
            f"is '{target.name}', which has items by '{keys[0]}' as it is stored, and the migrations of model "
            f"{versions.name} may change that; read the table, or upgrade all items with sd.upgrade_table and then remove the "
            "migrations",
        )


class UpgradingDecoder:
    """A decoder for the pages of a table whose items have versions; `decoder` makes a PageDecoder for a version, or for none.

    What becomes of an item that can't be upgraded is the mode's to say, as of one that doesn't fit: FAILFAST raises
    MigrationError, PERMISSIVE gives a row of its key and nulls, with the stored item in the corrupt-record column, and
    DROPMALFORMED leaves it out.
    """

    def __init__(
        self,
        versions: Versions,
        decoder: Callable[[int | None], PageDecoder],
        schema: StructType,
        *,
        table: str,
        key_names: Sequence[str],
        mode: str,
        corrupt_column: str | None,
        envelope: EnvelopeName,
    ) -> None:
        self._versions = versions
        self._decoder = decoder(versions.version)
        self._plain_decoder = decoder
        self._schema = schema
        self._table = table
        self._key_names = key_names
        self._mode = mode
        self._corrupt_column = corrupt_column
        self._envelope = envelope
        self._model: type[BaseModel] | None = None
        self._failed = 0
        self._first: MigrationError | None = None
        self.arrow_schema = self._decoder.arrow_schema

    @property
    def misfits(self) -> str:
        """A sentence about items that could not be upgraded, and one about those that don't fit; empty where there are none."""
        told = "dropped" if self._mode == "DROPMALFORMED" else "given nulls"
        failed = (
            f"items that can't be upgraded were {told} ({self._failed:,}), the first: {self._first}"
            if self._first
            else ""
        )
        return "; ".join(filter(None, [failed, self._decoder.misfits]))

    def decode(self, *bodies: bytes) -> pa.RecordBatch:
        """The items of one answer or of several, at the model's version."""
        try:
            return self._decoder.decode(*bodies)
        except OtherVersionsError:
            return self._decode_upgraded(bodies)

    def _decode_upgraded(self, bodies: Sequence[bytes]) -> pa.RecordBatch:
        self._model = self._model or self._versions.model()
        items = (item for body in bodies for item in ENVELOPES[self._envelope].items(body, self._table))
        done = upgrade_items(items, self._model, table=self._table, key_names=self._key_names)
        if done.failed and self._mode == "FAILFAST":
            raise done.failed[0][1]
        batch = self._decoder.decode(*self._bodies(done.items))
        if not done.failed:
            return batch
        self._failed += len(done.failed)
        self._first = self._first or done.failed[0][1]
        if self._mode == "DROPMALFORMED":
            return batch
        return pa.concat_batches([batch, self._corrupt_rows(done.failed)])

    def _corrupt_rows(self, failed: Sequence[tuple[Item, MigrationError]]) -> pa.RecordBatch:
        """The keys, for what they are holds in all versions, and nulls."""
        for column in self._schema:
            if not column.nullable and column.name not in self._key_names:
                error = failed[0][1]
                problem = (
                    f"{error.problem}; mode PERMISSIVE can't make it NULL, for column '{column.name}' is not nullable"
                )
                facts = {"version": error.version, "table": error.table, "key": error.key}
                raise MigrationError(error.model, problem, error.original_error, **facts) from error
        keys = [{name: item[name] for name in self._key_names if name in item} for item, _ in failed]
        batch = self._plain_decoder(None).decode(*self._bodies(keys))
        if self._corrupt_column is None:
            return batch
        texts = pa.array([orjson.dumps(item).decode() for item, _ in failed], pa.string())
        place = batch.schema.get_field_index(self._corrupt_column)
        columns = [*batch.columns[:place], texts, *batch.columns[place + 1 :]]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _bodies(self, items: Sequence[Item]) -> list[bytes]:
        """Answers with those items, as the server would have given them."""
        match self._envelope:
            case "Item":
                return [orjson.dumps({"Item": item}) for item in items] or [b"{}"]
            case "Responses":
                return [orjson.dumps({"Responses": {self._table: items}})]
            case _:
                return [orjson.dumps({"Items": items})]
