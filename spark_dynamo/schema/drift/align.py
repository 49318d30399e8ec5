"""A DataFrame brought to a model's schema: `align`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from spark_dynamo.errors import ConfigurationError, SchemaError, SchemaMismatchError
from spark_dynamo.schema.drift.casts import cast_of
from spark_dynamo.schema.drift.compare import compare_schemas
from spark_dynamo.schema.drift.given import fields_of, schema_of
from spark_dynamo.schema.drift.literals import default_of, has_default, literal, never_null
from spark_dynamo.wire import types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_dynamo.schema.annotations.places import Mode
    from spark_dynamo.schema.nodes import FieldNode
    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["Extra", "align", "fitted"]

Extra = Literal["drop", "error", "keep"]
Missing = Literal["null", "default", "error"]

_LONGEST_SHOWN = 120  # characters of a value in a message
_ADVICE = "Rename, cast or fill these columns first"


def align(
    df: DataFrame,
    model: type[Any] | StructType,
    *,
    extra: Extra = "drop",
    missing: Missing = "null",
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> DataFrame:
    """The DataFrame with the columns of a model: their names, order, types, nullability and metadata, at every level.

    Lazy, and in expressions of Spark alone, also with Connect. Columns are matched by name; equal ones pass as they are. All
    others are cast so that no value is lost or changed: one that would be makes the query fail, with a sentence that names the
    column's path and the value, and so does a null where the model takes none. A column that no query asks for is not looked
    at. A row for which nothing fails holds what it held. Whatever is stored or read without a time zone is UTC.

    `extra` says what becomes of columns and fields that the model doesn't have: `drop`, `keep` (behind the model's own) or
    `error`. `missing` says it of those that the frame doesn't have: `null`, the model's `default` (null where it has none), or
    `error`. `mode`, `by_alias` and `policy` are those of `struct_type`.

    Raises SchemaMismatchError, with all differences, where a type has no such cast, or a missing column may not be null;
    SchemaError for a model that has no schema, or a default that its column can't hold.

    >>> aligned = align(spark.table("orders"), Order)  # doctest: +SKIP
    >>> aligned.schema == struct_type(Order)  # doctest: +SKIP
    True
    """
    for name, choice, known in (("extra", extra, get_args(Extra)), ("missing", missing, get_args(Missing))):
        if choice not in known:
            raise ConfigurationError(f"align's {name} must be one of {', '.join(known)}, not {choice!r}")
    choices: dict[str, Any] = {"mode": mode, "by_alias": by_alias, "policy": policy}
    wanted = schema_of(model, **choices)
    defaults = fields_of(model, **choices) if missing == "default" and isinstance(model, type) else {}
    name = model.__name__ if isinstance(model, type) else ""
    return _aligned(df, wanted, name, _Alignment(extra, {}, missing, defaults))


def fitted(df: DataFrame, wanted: StructType, model: type[Any], extras: Mapping[str, Extra]) -> DataFrame:
    """The DataFrame with the wanted columns of a model; extra ones are errors, but in the structs at the paths in `extras`."""
    return _aligned(df, wanted, model.__name__, _Alignment("error", extras, "null", {}))


def _aligned(df: DataFrame, wanted: StructType, name: str, alignment: _Alignment) -> DataFrame:
    found = df.schema
    columns = list(alignment.columns(found, wanted))
    if alignment.problems:
        differences = compare_schemas(found, wanted, expected=name or "expected")
        raise SchemaMismatchError(model=name, differences=differences, problems=alignment.problems, advice=_ADVICE)
    return df if found == wanted else df.select(*columns)


@dataclass(frozen=True, slots=True)
class _Alignment:
    """How the fields of one schema become those of another one; `problems` fills with the paths where they can't.

    `extra` says what becomes of extra fields, but in the structs at the paths in `extras`.
    """

    extra: Extra
    extras: Mapping[str, Extra]
    missing: str
    defaults: Mapping[str, FieldNode]
    problems: dict[str, str] = field(default_factory=dict)

    def columns(self, found: StructType, wanted: StructType) -> Iterator[Column]:
        """The columns of the frame, each with the metadata that is wanted."""
        for here, there in self._pairs(found, wanted, ""):
            column = F.col("`{}`".format(there.name.replace("`", "``")))
            if here == there:
                yield column
                continue
            made = self._field(column, here, there, there.name)
            kind = there.dataType if here is None else self._type(here.dataType, there.dataType, there.name)
            if isinstance(kind, StructType | ArrayType | MapType):
                made = made.cast(kind)  # which brings the metadata of all that is below
            elif made is column:
                made = F.coalesce(column)  # without the metadata that it has
            if there.nullable and not (here and here.nullable):
                made = F.when(F.lit(1) == F.lit(1), made)  # in Spark's eyes it may be null now
            yield made.alias(there.name, metadata=there.metadata)

    def _pairs(
        self, found: StructType, wanted: StructType, path: str
    ) -> Iterator[tuple[StructField | None, StructField]]:
        """The found and the wanted field of each name, in the wanted order; extra ones behind them, if they are kept."""
        prefix = f"{path}." if path else ""
        extra = self.extras.get(path, self.extra)
        for struct in (found, wanted):
            for name, count in Counter(struct.names).items():
                if count > 1:
                    raise SchemaError(prefix + name, "the name stands twice in the schema; rename one of them")
        stand, should = ({field.name: field for field in struct.fields} for struct in (found, wanted))
        for there in wanted.fields:
            yield stand.get(there.name), there
        for here in found.fields:
            if here.name in should:
                continue
            if extra == "error":
                self.problems[prefix + here.name] = "not in the model"
            elif extra == "keep":
                yield here, StructField(here.name, here.dataType, True, here.metadata) if prefix else here

    def _type(self, found: DataType, wanted: DataType, path: str) -> DataType:
        """The type that the values get: the wanted one, with the extra fields that are kept."""
        if "keep" not in (self.extra, *self.extras.values()):
            return wanted
        if isinstance(found, StructType) and isinstance(wanted, StructType):
            return StructType(
                [
                    StructField(
                        there.name,
                        self._type(here.dataType, there.dataType, f"{path}.{there.name}") if here else there.dataType,
                        there.nullable,
                        there.metadata,
                    )
                    for here, there in self._pairs(found, wanted, path)
                ]
            )
        if isinstance(found, ArrayType) and isinstance(wanted, ArrayType):
            return ArrayType(self._type(found.elementType, wanted.elementType, f"{path}[]"), wanted.containsNull)
        if isinstance(found, MapType) and isinstance(wanted, MapType):
            value = self._type(found.valueType, wanted.valueType, f"{path}{{}}")
            return MapType(wanted.keyType, value, wanted.valueContainsNull)
        return wanted

    def _field(self, value: Column, here: StructField | None, there: StructField, path: str) -> Column:
        """A field's value as it is wanted; the same object where nothing is to be done."""
        if here is None:
            return self._filled(there, path)
        kind = self._type(here.dataType, there.dataType, path)
        made = value if _passes(here.dataType, kind) else self._converted(value, here, there, path)
        if there.nullable or (made is value and not here.nullable):
            return made
        message = f"Column '{path}' is null in a row, and its model takes no null; fill it, or make the field optional"
        return never_null(F.coalesce(made, F.raise_error(F.lit(message)).cast(kind)), kind)

    def _converted(self, value: Column, here: StructField, there: StructField, path: str) -> Column:
        found, wanted = here.dataType, there.dataType
        if isinstance(found, StructType) and isinstance(wanted, StructType):
            if not here.nullable:
                return self._struct(value, found, wanted, path)
            return F.when(value.isNotNull(), self._struct(value, found, wanted, path))
        if isinstance(found, StructType) and isinstance(wanted, MapType) and wanted.keyType == StringType():
            return F.when(value.isNotNull(), self._map_of_struct(value, found, wanted, path))
        if isinstance(found, ArrayType) and isinstance(wanted, ArrayType):
            element_here = StructField("element", found.elementType, found.containsNull)
            element = StructField("element", wanted.elementType, wanted.containsNull)
            return F.transform(value, lambda each: self._field(each, element_here, element, f"{path}[]"))
        if isinstance(found, MapType) and isinstance(wanted, MapType):
            return self._map(value, found, wanted, path)
        return self._cast(value, here, there, path)

    def _cast(self, value: Column, here: StructField, there: StructField, path: str) -> Column:
        wanted = there.dataType
        cast = cast_of(here, there)
        if cast is None:
            kinds = types.ddl(here.dataType), types.ddl(wanted)
            self.problems[path] = f"{kinds[0]} has no cast to {kinds[1]} that surely keeps its values"
            return value
        made = cast.convert(value)
        if cast.fits is None:
            return made
        mend = "correct the value, or give the field a type that holds it"
        text = F.substring(value.cast(StringType()), 1, _LONGEST_SHOWN)
        message = F.concat(F.lit(f"Column '{path}': "), text, F.lit(f" is no {types.ddl(wanted)}; {mend}"))
        refusal = F.when(value.isNotNull(), F.raise_error(message).cast(wanted))
        return F.when(cast.fits(value, made), made).otherwise(refusal)

    def _struct(self, value: Column, found: StructType, wanted: StructType, path: str) -> Column:
        columns = []
        for here, there in self._pairs(found, wanted, path):
            inner = value.getField(there.name)
            made = self._field(inner, here, there, f"{path}.{there.name}")
            if made is inner and not there.nullable:  # null where the struct is, for all that Spark knows
                made = never_null(made, there.dataType)
            columns.append(made.alias(there.name))
        return F.struct(*columns)

    def _map(self, value: Column, found: MapType, wanted: MapType, path: str) -> Column:
        inner = f"{path}{{}}"
        key_here, key = (StructField("key", kind.keyType, False) for kind in (found, wanted))
        here, there = (StructField("value", kind.valueType, kind.valueContainsNull) for kind in (found, wanted))
        if _passes(found.keyType, wanted.keyType):
            return F.transform_values(value, lambda _, each: self._field(each, here, there, inner))

        def entry(each: Column) -> Column:
            return F.struct(
                self._field(each.getField("key"), key_here, key, inner).alias("key"),
                self._field(each.getField("value"), here, there, inner).alias("value"),
            )

        made = F.map_from_entries(F.transform(F.map_entries(value), entry))
        # two texts may mean the same key, of which a setting of Spark's keeps only the last
        kind = self._type(found, wanted, path)
        message = F.lit(f"Column '{path}': two of its keys are the same {types.ddl(wanted.keyType)}; rename one")
        refusal = F.when(value.isNotNull(), F.raise_error(message).cast(kind))
        return F.when(F.size(made) == F.size(value), made).otherwise(refusal)

    def _map_of_struct(self, value: Column, found: StructType, wanted: MapType, path: str) -> Column:
        """A struct as a map of its names; a null is left out where the map takes none."""
        # the values of a map have one type, in which there is no place for an extra field
        strict = replace(self, extra="error") if self.extra == "keep" else self
        there = StructField("value", wanted.valueType, True)
        entries = [
            F.struct(
                F.lit(here.name).alias("key"),
                strict._field(value.getField(here.name), here, there, f"{path}.{here.name}")
                .cast(wanted.valueType)
                .alias("value"),
            )
            for here in found.fields
        ]
        if wanted.valueContainsNull:
            return F.map_from_entries(F.array(*entries))
        told = F.filter(F.array(*entries), lambda each: each.getField("value").isNotNull())
        return F.transform_values(F.map_from_entries(told), lambda _, each: never_null(each, wanted.valueType))

    def _filled(self, there: StructField, path: str) -> Column:
        """What stands in a field that the frame doesn't have."""
        told = self.defaults.get(path)
        if self.missing == "error":
            self.problems[path] = "missing"
        elif told is not None and has_default(told):
            return literal(default_of(told, path), there.dataType, types.storage_tag(there), path)
        elif not there.nullable:
            with_default = ", and it has no default" if self.missing == "default" else ""
            self.problems[path] = f"missing, and its model takes no null{with_default}"
        return F.lit(None).cast(there.dataType)


def _passes(found: DataType, wanted: DataType) -> bool:
    """Whether each value of the one type is one of the other as it stands; metadata doesn't count."""
    if isinstance(found, StructType) and isinstance(wanted, StructType):
        return found.names == wanted.names and all(
            _passes(here.dataType, there.dataType) and (there.nullable or not here.nullable)
            for here, there in zip(found.fields, wanted.fields, strict=True)
        )
    if isinstance(found, ArrayType) and isinstance(wanted, ArrayType):
        return _passes(found.elementType, wanted.elementType) and (wanted.containsNull or not found.containsNull)
    if isinstance(found, MapType) and isinstance(wanted, MapType):
        return (
            _passes(found.keyType, wanted.keyType)
            and _passes(found.valueType, wanted.valueType)
            and (wanted.valueContainsNull or not found.valueContainsNull)
        )
    return found == wanted
