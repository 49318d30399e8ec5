"""The model that a write must obey, and the comparison of the frame with it before anything is sent.

It works on the driver's side only. What tasks must know of it is where null is forbidden: `Required`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_dynamo.errors import OptionError, SchemaMismatchError, nearest
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.write.row_checks import Required

if TYPE_CHECKING:
    from pydantic import BaseModel

# Spark's workers may import this module, and must not import pydantic: what needs it is imported inside the functions.

logger = logging.getLogger(__name__)

_FORM = "must be like package.module:Model"
_PROBLEMS = {
    "missing": "missing",
    "extra": "not in the model",
    "type": "another type",
    "precision": "other digits",
    "metadata": "another storage form",
}


@dataclass(frozen=True, slots=True)
class Contract:
    """The model that the frames of a write must obey."""

    model: type[BaseModel]

    def check(
        self, schema: StructType, *, table: str, keys: Collection[str], operation: str = "put", nulls: str = "auto"
    ) -> tuple[Required, ...]:
        """Raise `SchemaMismatchError` unless frames of that schema fit; gives the places in which their rows may hold no null.

        A put or insert needs all columns that the model doesn't let be null, an update only those that it changes, and of a
        delete only the `keys` are looked at. A null that an update leaves out (`nulls` is auto or omit) forbids nothing.
        """
        from spark_dynamo.schema.bridge import struct_type
        from spark_dynamo.schema.drift.compare import compare_schemas
        from spark_dynamo.schema.extras import open_structs

        wanted, found, name = struct_type(self.model), schema, self.model.__name__
        if operation == "delete":
            found, wanted = _only(schema, keys), _only(wanted, keys)
        elif operation == "update":
            wanted = _only(wanted, schema.names)
        different = compare_schemas(found, wanted, open_structs(self.model), expected=name)
        if different.blocking:
            raise SchemaMismatchError(
                table=table,
                model=name,
                differences=different,
                problems={difference.path: _PROBLEMS[difference.kind] for difference in different.blocking},
                advice=f"Select, rename or cast these columns, or let sd.align(frame, {name}) do it; all else may stay",
            )
        if any(difference.kind not in ("order", "metadata") for difference in different):
            logger.info("the frame for table %s and model %s:\n%s", table, name, different)
        if operation == "delete":
            return ()
        leaves_nulls_out = operation == "update" and nulls in ("auto", "omit")
        return tuple(place for place in _required(found, wanted) if not (leaves_nulls_out and len(place.steps) == 1))

    def lacks(self, schema: StructType) -> tuple[str, ...]:
        """What the frame has no column for, and an item of the model must have: no update can make one then."""
        from spark_dynamo.schema.bridge import struct_type

        return tuple(
            field.name for field in struct_type(self.model) if not field.nullable and field.name not in schema.names
        )

    def may_lack(self, schema: StructType) -> tuple[str, ...]:
        """The columns that may be null, and are not in the model: an update that leaves such nulls out can't make an item."""
        from spark_dynamo.schema.bridge import struct_type

        wanted = struct_type(self.model)
        return tuple(
            field.name
            for field in schema.fields
            if field.nullable and field.name in wanted.names and not wanted[field.name].nullable
        )


def contract(options: SourceOptions) -> Contract | None:
    """The model that option `model` names, or the metadata table's own; None where there is neither, and for whole items.

    Raises `OptionError` for a model that can't be imported, is none, or would have to be compared with whole items.
    """
    if options.item_format != "columns":
        if options.model:
            raise OptionError(
                "model", f"needs columns, and itemFormat '{options.item_format}' has none; leave out one of the two"
            )
        return None
    from spark_dynamo.source.location import model_of_table

    named = options.model or model_of_table(options)
    return Contract(imported_model(named)) if named else None


def imported_model(text: str) -> type[BaseModel]:
    """The model behind `package.module:Model`; `OptionError` where it can't be imported, or is none."""
    from spark_dynamo.schema.extras import is_model

    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise OptionError("model", f"{_FORM}, not '{text}'")
    found: Any = _module(module_name)
    for step in name.split("."):
        if not hasattr(found, step):
            close = nearest(step, dir(found))
            raise OptionError(
                "model",
                f"names '{step}' in module '{module_name}', and there is none"
                + (f"; did you mean '{close}'?" if close else ""),
            )
        found = getattr(found, step)
    if not is_model(found):
        raise OptionError("model", f"names '{text}', which is no class that derives from pydantic.BaseModel")
    return found


def _module(name: str) -> Any:
    if name == "__main__":
        raise OptionError(
            "model", "can't name a model of a notebook or script; Spark imports it elsewhere, from a module"
        )
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise OptionError(
                "model",
                f"names module '{name}', which Spark's driver can't find; install it, or put it on the PYTHONPATH",
            ) from error
        raise OptionError("model", f"names module '{name}', whose import fails: {error}") from error
    except Exception as error:  # whatever a foreign module does
        raise OptionError(
            "model", f"names module '{name}', whose import fails: {type(error).__name__}: {error}"
        ) from error


def _only(schema: StructType, names: Collection[str]) -> StructType:
    return StructType([field for field in schema.fields if field.name in names])


def _required(found: StructType, wanted: StructType) -> Iterator[Required]:
    """The places where null is possible in the one schema, and forbidden in the other."""
    for field in found.fields:
        if field.name in wanted.names:
            yield from _required_in(field, wanted[field.name], field.name, (field.name,))


def _required_in(
    found: StructField, wanted: StructField, path: str, steps: tuple[str | None, ...]
) -> Iterator[Required]:
    if found.nullable and not wanted.nullable:
        yield Required(path, steps)
    here, there = found.dataType, wanted.dataType
    if isinstance(here, StructType) and isinstance(there, StructType):
        for field in here.fields:
            if field.name in there.names:
                yield from _required_in(field, there[field.name], f"{path}.{field.name}", (*steps, field.name))
    elif isinstance(here, ArrayType | MapType) and isinstance(there, type(here)):
        suffix = "[]" if isinstance(here, ArrayType) else "{}"
        yield from _required_in(_inner(here), _inner(there), path + suffix, (*steps, None))


def _inner(kind: DataType) -> StructField:
    """What a list or map holds, as a column."""
    if isinstance(kind, ArrayType):
        return StructField("", kind.elementType, kind.containsNull)
    assert isinstance(kind, MapType)
    return StructField("", kind.valueType, kind.valueContainsNull)
