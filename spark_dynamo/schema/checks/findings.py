"""The violations of a row as one expression: the checks of a model's nodes, put together along the columns' types.

Written as SQL rather than with pyspark's functions, which ask the JVM ten times for each operator: a model of 300 fields took 20 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import ArrayType, BinaryType, DataType, DecimalType, MapType, StructType, VariantType

from spark_dynamo.schema.checks.constraints import Checks, checks_of
from spark_dynamo.schema.checks.declared import Config
from spark_dynamo.schema.checks.sql import field, identifier, literal, text
from spark_dynamo.schema.checks.validators import config_within, refuses_extra, replaced_fields
from spark_dynamo.schema.nodes import FieldNode, Node

__all__ = ["found_in", "found_sql"]

_NOTHING = "CAST(array() AS ARRAY<STRUCT<path: STRING, constraint: STRING, value: STRING>>)"
_HIDDEN = "**********"  # as Pydantic shows a secret
# decimals with more places than this are written like 1E-7 where ANSI mode is off
_PLAIN_PLACES = 6


def found_in(schema: StructType, node: Node) -> Column:
    """All violations in a row of a frame, in the order of the fields; empty where there is none.

    The frame's columns must have the types of the node's fields; what lacks is null.
    """
    return F.expr(found_sql(schema, node))


def found_sql(schema: StructType, node: Node) -> str:
    """What is found wrong in a row, as an SQL expression, which needs no session."""
    return _gathered(list(_fields(node, schema, identifier, _Path(), {}, None)))


# ---------------------------------------------------------------------------------------------------- what is found


@dataclass(frozen=True, slots=True)
class _Path:
    """The path to a value, of which indexes and keys are known only row by row: texts, and SQL in parentheses."""

    parts: tuple[str, ...] = ()
    depth: int = 0

    def field(self, name: str) -> _Path:
        return _Path((*self.parts, text(f".{name}" if self.parts else name)), self.depth)

    def within(self, opening: str, place: str, closing: str) -> _Path:
        """The path to an element or entry, at a place that is SQL."""
        return _Path((*self.parts, text(opening), place, text(closing)), self.depth + 1)

    @property
    def sql(self) -> str:
        return f"concat({', '.join(self.parts)})" if len(self.parts) > 1 else self.parts[0]


@dataclass(frozen=True, slots=True)
class _One:
    """At most one violation: a struct, null where all is well."""

    sql: str


@dataclass(frozen=True, slots=True)
class _Many:
    """An array of violations; null where what it looks at is null."""

    sql: str


_Found = _One | _Many


def _gathered(found: list[_Found]) -> str:
    """All that was found, as one array in the same order; null only where a single array is."""
    arrays: list[str] = []
    for kind, group in groupby(found, type):
        listed = [item.sql for item in group]
        arrays.extend([f"array_compact(array({', '.join(listed)}))"] if kind is _One else listed)
    if len(arrays) > 1:
        return f"flatten(array_compact(array({', '.join(arrays)})))"
    return arrays[0] if arrays else _NOTHING


# ---------------------------------------------------------------------------------------------------- one value


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the row: the SQL that is it, its type, whether it may be null, and where it stands.

    `present` is true where there is such a place at all: not in a struct that is null.
    """

    sql: str
    kind: DataType
    nullable: bool
    path: _Path
    present: str | None = None
    prefix: str = ""  # of the constraint's words

    def where(self, fails: str, constraint: str, shown: str) -> _One:
        """The violation of a constraint where it fails."""
        words = text(self.prefix + constraint)
        violation = f"named_struct('path', {self.path.sql}, 'constraint', {words}, 'value', {shown})"
        return _One(f"CASE WHEN {fails} THEN {violation} END")


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
        yield value.where(check.fails(value.sql), check.wording, _shown(value, checks))
    kind = value.kind
    if isinstance(kind, StructType):
        yield from _struct(node, value, kind, config)
    elif isinstance(kind, ArrayType) and node.element is not None:
        yield from _elements(node.element, value, kind, config)
    elif isinstance(kind, MapType) and node.key is not None and node.value is not None:
        yield from _entries(node.key, node.value, value, kind, config)


def _not_null(value: _Value) -> _One:
    is_null = f"{value.sql} IS NULL"
    if isinstance(value.kind, VariantType):
        is_null = f"({is_null} OR is_variant_null({value.sql}))"
    return value.where(
        is_null if value.present is None else f"{value.present} AND {is_null}", "not null", "CAST(NULL AS STRING)"
    )


def _shown(value: _Value, checks: Checks) -> str:
    """The value as text, the same with ANSI mode and without; of a container its size."""
    sql, kind = value.sql, value.kind
    if checks.is_secret:
        return text(_HIDDEN)
    if isinstance(kind, ArrayType):
        return f"concat(array_size({sql}), ' elements')"
    if isinstance(kind, MapType):
        return f"concat(array_size(map_keys({sql})), ' entries')"
    if isinstance(kind, StructType):
        return f"to_json({sql})"
    if isinstance(kind, BinaryType):
        return f"concat('0x', hex({sql}))"
    if isinstance(kind, DecimalType) and kind.scale > _PLAIN_PLACES:
        return _plain(sql, kind)
    return f"CAST({sql} AS STRING)"


def _plain(sql: str, kind: DecimalType) -> str:
    """A decimal with many places, without the zeros at its end."""
    form = f"S{'9' * (kind.precision - kind.scale)}D{'9' * kind.scale}"
    shown = f"trim(to_char({sql}, '{form}'))"
    for pattern, by in ((r"\.?0+$|^\+", "''"), (r"^(-?)(?=\.|$)", text("$10")), ("^-0$", "'0'")):
        shown = f"regexp_replace({shown}, {text(pattern)}, {by})"
    return shown


def _elements(element: Node, value: _Value, kind: ArrayType, config: Config) -> Iterator[_Found]:
    item, index = f"item_{value.path.depth}", f"index_{value.path.depth}"
    path = value.path.within("[", f"CAST({index} AS STRING)", "]")
    found = list(_of(element, _Value(item, kind.elementType, kind.containsNull, path), config))
    if found:
        yield _each(value.sql, f"({item}, {index})", found)


def _entries(key: Node, held: Node, value: _Value, kind: MapType, config: Config) -> Iterator[_Found]:
    entry = f"entry_{value.path.depth}"
    name = _Value(f"{entry}['key']", kind.keyType, False, value.path)
    path = value.path.within("{", _shown(name, checks_of(key, config)), "}")
    of_key = _of(key, _Value(name.sql, kind.keyType, False, path, prefix="key: "), config)
    of_value = _of(held, _Value(f"{entry}['value']", kind.valueType, kind.valueContainsNull, path), config)
    found = [*of_key, *of_value]
    if found:
        yield _each(f"map_entries({value.sql})", entry, found)


def _each(array: str, names: str, found: list[_Found]) -> _Many:
    """What is found in all elements of an array."""
    return _Many(f"flatten(transform({array}, {names} -> coalesce({_gathered(found)}, {_NOTHING})))")


# ---------------------------------------------------------------------------------------------------- structs


def _struct(node: Node, value: _Value, kind: StructType, config: Config) -> Iterator[_Found]:
    if node.arms:
        yield from _union(node, value, kind, config)
    else:
        present = f"{value.sql} IS NOT NULL" if value.nullable else value.present
        yield from _fields(node, kind, lambda name: field(value.sql, name), value.path, config, present)


def _fields(
    node: Node,
    kind: StructType,
    column: Callable[[str], str],
    path: _Path,
    config: Config,
    present: str | None,
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
    tags = [_tags_of(arm, node.discriminator, kind) for arm in node.arms]
    if node.discriminator is None or not all(tags):
        every = [f"size({_gathered(list(_arm(arm, value, kind, config)))}) > 0" for arm in node.arms]
        fails = " AND ".join([f"{value.sql} IS NOT NULL", *every])
        yield value.where(fails, " | ".join(map(_model_name, node.arms)), f"to_json({value.sql})")
        return
    tag = field(value.sql, node.discriminator)
    known = {member: literal for of_arm in tags for member, literal in of_arm.items()}
    is_unknown = f"{value.sql} IS NOT NULL AND NOT coalesce({tag} IN ({', '.join(known.values())}), false)"
    words = f"{node.discriminator}: one of {', '.join(map(repr, known))}"
    yield value.where(is_unknown, words, f"CAST({tag} AS STRING)")
    for arm, of_arm in zip(node.arms, tags, strict=True):
        selected = f"(CASE WHEN {tag} IN ({', '.join(of_arm.values())}) THEN {value.sql} END)"
        yield from _arm(arm, _Value(selected, kind, True, value.path), kind, config)


def _tags_of(arm: Node, discriminator: str | None, kind: StructType) -> dict[object, str]:
    """The values of the discriminator that mean this model, and their literals."""
    members = next((child.node.members or () for child in arm.fields if child.name == discriminator), ())
    return {member: literal(member, kind[str(discriminator)].dataType) for member in members}


def _arm(arm: Node, value: _Value, kind: StructType, config: Config) -> Iterator[_Found]:
    """What is found in a value that is to be of one model: a field that is null takes its default."""

    def column(name: str) -> str:
        return field(value.sql, name)

    present = f"{value.sql} IS NOT NULL"
    yield from _fields(arm, kind, column, value.path, config, present, may_lack=_has_default)
    if refuses_extra(arm, config):
        own = {child.name for child in arm.fields}
        for name in kind.names:
            if name not in own:
                extra = _Value(column(name), kind[name].dataType, True, value.path.field(name))
                yield extra.where(f"{extra.sql} IS NOT NULL", f"not in {_model_name(arm)}", _shown(extra, Checks()))


def _has_default(child: FieldNode) -> bool:
    return child.info is not None and not child.info.is_required()


def _model_name(arm: Node) -> str:
    return arm.model.__name__ if arm.model else "its struct"
