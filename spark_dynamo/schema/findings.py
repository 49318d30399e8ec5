"""The violations of a row as one column expression: the checks of a model's nodes, put together along the columns' types."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DecimalType,
    MapType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from spark_dynamo.schema.constraints import Checks, checks_of
from spark_dynamo.schema.declared import Config
from spark_dynamo.schema.limits import literal
from spark_dynamo.schema.nodes import FieldNode, Node
from spark_dynamo.schema.validators import config_within, refuses_extra, replaced_fields

__all__ = ["found_in"]

_FOUND = ArrayType(
    StructType(
        [StructField("path", StringType()), StructField("constraint", StringType()), StructField("value", StringType())]
    )
)
_HIDDEN = "**********"  # as Pydantic shows a secret
# decimals with more places than this are written like 1E-7 where ANSI mode is off
_PLAIN_PLACES = 6


def found_in(schema: StructType, node: Node) -> Column:
    """All violations in a row of a frame, in the order of the fields; empty where there is none.

    The frame's columns must have the types of the node's fields; what lacks is null.
    """
    columns = {name: F.col("`{}`".format(name.replace("`", "``"))) for name in schema.names}
    return _gathered(list(_fields(node, schema, columns.__getitem__, _Path(), {}, None)))


@dataclass(frozen=True, slots=True)
class _Path:
    """The path to a value, of which indexes and keys are known only row by row."""

    parts: tuple[str | Column, ...] = ()

    def then(self, *parts: str | Column) -> _Path:
        return _Path((*self.parts, *parts))

    def field(self, name: str) -> _Path:
        return self.then(f".{name}" if self.parts else name)

    @property
    def column(self) -> Column:
        written: list[Column] = []
        for is_text, group in groupby(self.parts, lambda part: isinstance(part, str)):
            parts = list(group)
            written.extend(
                [F.lit("".join(map(str, parts)))] if is_text else [part for part in parts if isinstance(part, Column)]
            )
        return F.concat(*written) if len(written) > 1 else written[0]


@dataclass(frozen=True, slots=True)
class _One:
    """At most one violation: a struct, null where all is well."""

    column: Column


@dataclass(frozen=True, slots=True)
class _Many:
    """An array of violations; null where what it looks at is null."""

    column: Column


_Found = _One | _Many


def _gathered(found: list[_Found]) -> Column:
    """All that was found, as one array in the same order."""
    arrays: list[Column] = []
    for kind, group in groupby(found, type):
        columns = [item.column for item in group]
        arrays.extend([F.array_compact(F.array(*columns))] if kind is _One else columns)
    if not arrays:
        return F.array().cast(_FOUND)
    return (
        F.coalesce(F.flatten(F.array_compact(F.array(*arrays))), F.array().cast(_FOUND))
        if len(arrays) > 1
        else arrays[0]
    )


# ---------------------------------------------------------------------------------------------------- one value


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the row: the column that is it, its type, whether it may be null, and where it stands.

    `present` is true where there is such a place at all: not in a struct that is null.
    """

    column: Column
    kind: DataType
    nullable: bool
    path: _Path
    present: Column | None = None
    prefix: str = ""  # of the constraint's words

    def where(self, fails: Column, constraint: str, shown: Column) -> _One:
        """The violation of a constraint where it fails."""
        words = F.lit(self.prefix + constraint)
        return _One(
            F.when(fails, F.struct(self.path.column.alias("path"), words.alias("constraint"), shown.alias("value")))
        )


def _of(node: Node, value: _Value, config: Config) -> Iterator[_Found]:
    """What is found at a node and below it."""
    checks = checks_of(node, config)
    if checks.is_replaced:
        return
    if not node.nullable and (
        value.nullable or isinstance(value.kind, VariantType)
    ):  # which may hold a null of its own
        yield _not_null(value)
    for check in checks.checks:
        yield value.where(check.fails(value.column), check.wording, _shown(value, checks))
    kind = value.kind
    if isinstance(kind, StructType):
        yield from _struct(node, value, kind, config)
    elif isinstance(kind, ArrayType) and node.element is not None:
        yield from _elements(node.element, value, kind, config)
    elif isinstance(kind, MapType) and node.key is not None and node.value is not None:
        yield from _entries(node.key, node.value, value, kind, config)


def _not_null(value: _Value) -> _One:
    is_null = value.column.isNull()
    if isinstance(value.kind, VariantType):
        is_null = is_null | F.coalesce(F.is_variant_null(value.column), F.lit(False))
    fails = is_null if value.present is None else value.present & is_null
    return value.where(fails, "not null", F.lit(None).cast("string"))


def _shown(value: _Value, checks: Checks) -> Column:
    """The value as text, the same with ANSI mode and without; of a container its size."""
    column, kind = value.column, value.kind
    if checks.is_secret:
        return F.lit(_HIDDEN)
    if isinstance(kind, ArrayType | MapType):
        size = F.array_size(column if isinstance(kind, ArrayType) else F.map_keys(column))
        return F.concat(size.cast("string"), F.lit(" elements" if isinstance(kind, ArrayType) else " entries"))
    if isinstance(kind, StructType):
        return F.to_json(column)
    if isinstance(kind, BinaryType):
        return F.concat(F.lit("0x"), F.hex(column))
    if isinstance(kind, DecimalType) and kind.scale > _PLAIN_PLACES:
        return _plain(column, kind)
    return column.cast("string")


def _plain(column: Column, kind: DecimalType) -> Column:
    """A decimal with many places, without the zeros at its end."""
    form = f"S{'9' * (kind.precision - kind.scale)}D{'9' * kind.scale}"
    digits = F.regexp_replace(F.trim(F.to_char(column, F.lit(form))), r"\.?0+$|^\+", "")
    return F.regexp_replace(F.regexp_replace(digits, r"^(-?)(?=\.|$)", "$10"), "^-0$", "0")


def _elements(element: Node, value: _Value, kind: ArrayType, config: Config) -> Iterator[_Found]:
    def found(item: Column, index: Column) -> Column:
        path = value.path.then("[", index.cast("string"), "]")
        return _gathered(list(_of(element, _Value(item, kind.elementType, kind.containsNull, path), config)))

    if _speaks(element, kind.elementType, kind.containsNull, config):
        yield _Many(F.flatten(F.transform(value.column, found)))


def _entries(key: Node, held: Node, value: _Value, kind: MapType, config: Config) -> Iterator[_Found]:
    def found(entry: Column) -> Column:
        name = entry.getField("key")
        path = value.path.then("{", _shown(_Value(name, kind.keyType, False, value.path), checks_of(key, config)), "}")
        of_key = _of(key, _Value(name, kind.keyType, False, path, prefix="key: "), config)
        inner = _Value(entry.getField("value"), kind.valueType, kind.valueContainsNull, path)
        return _gathered([*of_key, *_of(held, inner, config)])

    if _speaks(key, kind.keyType, False, config) or _speaks(held, kind.valueType, kind.valueContainsNull, config):
        yield _Many(F.flatten(F.transform(F.map_entries(value.column), found)))


def _speaks(node: Node, kind: DataType, nullable: bool, config: Config) -> bool:
    """Whether there is anything to check at a node or below it."""
    checks = checks_of(node, config)
    if checks.is_replaced:
        return False
    if checks.checks or node.arms or (not node.nullable and (nullable or isinstance(kind, VariantType))):
        return True
    inner = config_within(node, config)
    if isinstance(kind, StructType):
        replaced = replaced_fields(node)
        return any(
            _speaks(child.node, kind[child.name].dataType, kind[child.name].nullable, inner)
            for child in node.fields
            if child.name in kind.names and child.attribute not in replaced
        )
    if isinstance(kind, ArrayType) and node.element is not None:
        return _speaks(node.element, kind.elementType, kind.containsNull, inner)
    if isinstance(kind, MapType) and node.key is not None and node.value is not None:
        return _speaks(node.key, kind.keyType, False, inner) or _speaks(
            node.value, kind.valueType, kind.valueContainsNull, inner
        )
    return False


# ---------------------------------------------------------------------------------------------------- structs


def _struct(node: Node, value: _Value, kind: StructType, config: Config) -> Iterator[_Found]:
    if node.arms:
        yield from _union(node, value, kind, config)
    else:
        present = value.column.isNotNull() if value.nullable else value.present
        yield from _fields(node, kind, value.column.getField, value.path, config, present)


def _fields(
    node: Node,
    kind: StructType,
    column: Callable[[str], Column],
    path: _Path,
    config: Config,
    present: Column | None,
    *,
    may_lack: Callable[[FieldNode], bool] = lambda child: False,
) -> Iterator[_Found]:
    """What is found in the fields of a struct; `may_lack` says of which a null is none, but a value that is not given."""
    inner, replaced = config_within(node, config), replaced_fields(node)
    for child in node.fields:
        if child.name not in kind.names or child.attribute in replaced:
            continue
        held = kind[child.name]
        # below a struct that is null, all is null
        nullable = (held.nullable or present is not None) and not may_lack(child)
        value = _Value(column(child.name), held.dataType, nullable, path.field(child.name), present)
        yield from _of(child.node, value, inner)


def _union(node: Node, value: _Value, kind: StructType, config: Config) -> Iterator[_Found]:
    """A union of models that is one struct: the discriminator says which of them a value is, else any of them will do."""
    tags = {id(arm): _tags_of(arm, node.discriminator) for arm in node.arms}
    if node.discriminator is None or not all(tags.values()):
        names = " | ".join(map(_model_name, node.arms))
        every = [F.size(_gathered(list(_arm(arm, value, kind, config)))) > 0 for arm in node.arms]
        fails = value.column.isNotNull() & reduce(operator.and_, every)
        yield value.where(fails, names, F.to_json(value.column))
        return
    tag = value.column.getField(node.discriminator)
    known = [member for arm in node.arms for member in tags[id(arm)]]
    makes = [literal(member, kind[node.discriminator].dataType) for member in known]
    unknown = value.column.isNotNull() & ~F.coalesce(tag.isin([make() for make in makes]), F.lit(False))
    yield value.where(unknown, f"{node.discriminator}: one of {', '.join(map(repr, known))}", tag.cast("string"))
    for arm in node.arms:
        own = [literal(member, kind[node.discriminator].dataType) for member in tags[id(arm)]]
        column = F.when(tag.isin([make() for make in own]), value.column)
        yield from _arm(arm, _Value(column, kind, True, value.path), kind, config)


def _tags_of(arm: Node, discriminator: str | None) -> tuple[object, ...]:
    """The values of the discriminator that mean this model."""
    return next((child.node.members or () for child in arm.fields if child.name == discriminator), ())


def _arm(arm: Node, value: _Value, kind: StructType, config: Config) -> Iterator[_Found]:
    """What is found in a value that is to be of one model: a field that is null takes its default."""
    present = value.column.isNotNull()
    yield from _fields(arm, kind, value.column.getField, value.path, config, present, may_lack=_has_default)
    if refuses_extra(arm, config):
        own = {child.name for child in arm.fields}
        for name in kind.names:
            if name not in own:
                extra = value.column.getField(name)
                held = _Value(extra, kind[name].dataType, True, value.path.field(name))
                yield held.where(
                    extra.isNotNull(),
                    f"not in {arm.model.__name__ if arm.model else 'the model'}",
                    _shown(held, Checks()),
                )


def _has_default(child: FieldNode) -> bool:
    return child.info is not None and not child.info.is_required()


def _model_name(arm: Node) -> str:
    return arm.model.__name__ if arm.model else "its struct"
