"""A predicate on whole items, without a schema of the table: the types of attributes are told by their keys and by literals.

It is the predicate language of option `filter`. An attribute that is no key has the type of what it is compared with, and a
stored value of another type counts as NULL, as in mode PERMISSIVE. Numbers are compared with all their digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DecimalType,
    NullType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from spark_dynamo.aws.tables import KeyAttribute, TableDescription
from spark_dynamo.predicates.columns import field_named, resolve
from spark_dynamo.predicates.evaluate import mask
from spark_dynamo.predicates.lexer import Reference, words
from spark_dynamo.predicates.parse import parse_references
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import (
    ColumnComparison,
    Known,
    Node,
    NullSafeEqual,
    Path,
    parts,
    paths,
)
from spark_dynamo.predicates.undeclared import declare
from spark_dynamo.source.read.session import session_settings
from spark_dynamo.wire import types
from spark_dynamo.wire.envelope import Item
from spark_dynamo.wire.value_reader import Misfit, attribute_reader

_DIGITS = 38  # of a number in DynamoDB, and of a DECIMAL
_WIDE = Context(prec=2 * _DIGITS + 4)
_KEY_KINDS: Mapping[str, DataType] = {"S": StringType(), "B": BinaryType()}

_Read = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """The predicate, the columns that it refers to, and how each is read from an item."""

    node: Node
    schema: StructType
    _columns: Mapping[str, tuple[pa.DataType, _Read]]

    @classmethod
    def of(cls, text: str, table: TableDescription, declared: StructType | None = None) -> ItemFilter:
        """The filter that says `text` in Spark's SQL; `declared` has the columns of the table's model, if it has one.

        OptionError where the text can't be read, or the type of an attribute can't be told.
        """
        keys = _key_types(table)
        of_model = [StructField(field.name, field.dataType, True, field.metadata) for field in declared or ()]
        known = StructType([*of_model, *_key_fields(keys, declared)])

        def find(reference: Reference) -> Path | None:
            is_known = field_named(reference.steps[0], known.fields) is not None
            return resolve(reference, known) if is_known else None

        undeclared = declare(words(text), find)
        node = parse_references(text, lambda reference: find(reference) or undeclared[reference.steps])
        _check(node, set(undeclared.values()), keys)
        names = {path.column for path in paths(node)}
        fields = [field for field in known if field.name in names]
        columns = {field.name: _declared_column(field) for field in fields}
        for name in sorted(names - set(columns)):
            tree = _tree([path for path in undeclared.values() if path.column == name])
            fields.append(StructField(name, _planned(tree), metadata=_metadata(tree)))
            columns[name] = _column(tree)
        return cls(node, StructType(fields), columns)

    def mask(self, items: Sequence[Item]) -> pa.BooleanArray:
        """Whether the predicate is TRUE of each item, without nulls."""
        arrays = [
            pa.array([read(item.get(name)) for item in items], kind) for name, (kind, read) in self._columns.items()
        ]
        if not arrays:  # a constant
            arrays, names = [pa.nulls(len(items))], [""]
        else:
            names = list(self._columns)
        return mask(self.node, pa.RecordBatch.from_arrays(arrays, names), session_settings().zone)


def _key_types(table: TableDescription) -> dict[str, KeyAttribute]:
    indexed = [key for index in table.indexes for key in (index.partition_key, index.sort_key) if key]
    return {key.name: key for key in (*table.keys, *indexed)}


def _key_fields(keys: Mapping[str, KeyAttribute], declared: StructType | None) -> Iterator[StructField]:
    """Columns for the keys whose type is plain; how many digits a number needs, its literals tell."""
    for name, key in keys.items():
        if key.type in _KEY_KINDS and (declared is None or name not in declared.names):
            yield StructField(name, _KEY_KINDS[key.type])


def _check(node: Node, undeclared: set[Path], keys: Mapping[str, KeyAttribute]) -> None:
    for path in undeclared:
        key = keys.get(path.column)
        if key is not None and (path.steps or path.tag not in ("", key.type)):
            raise refused(
                f"compares '{path.column}' with no number, and that key is one; write the number without quotes"
            )
    for part in parts(node):
        if isinstance(part, ColumnComparison | NullSafeEqual | Known) and any(
            path in undeclared and isinstance(path.kind, DecimalType) for path in paths(part)
        ):
            raise refused("compares a number with what has other digits; compare it with one plain number")


# ---------------------------------------------------------------------------- attributes that no schema declares


def _tree(found: Sequence[Path]) -> Any:
    """The paths of one column as a tree: one of them, or what lies below by name."""
    tree: dict[str, Any] = {}
    for path in sorted(found, key=lambda path: len(path.steps)):
        *above, last = (path.column, *(step.name for step in path.steps))
        place = tree
        for name in above:
            outer = place.get(name)
            if isinstance(outer, Path) and not isinstance(outer.kind, NullType):
                raise refused(f"takes '{name}' for a map and for a value of another type; it can't be both")
            place[name] = outer if isinstance(outer, dict) else {}
            place = place[name]
        place[last] = path
    return tree[found[0].column]


def _planned(tree: Any) -> DataType:
    """The type by which the read is planned."""
    if isinstance(tree, dict):
        return StructType(
            [StructField(name, _planned(inner), metadata=_metadata(inner)) for name, inner in tree.items()]
        )
    return VariantType() if isinstance(tree.kind, NullType) else tree.kind


def _metadata(tree: Any) -> dict[str, str] | None:
    if isinstance(tree, dict) or isinstance(tree.kind, NullType) or tree.tag == _default_tag(tree.kind):
        return None
    return {types.METADATA_KEY: tree.tag}


def _default_tag(kind: DataType) -> str:
    return types.leaf_of(kind, None, "").tag


def _column(tree: Any) -> tuple[pa.DataType, _Read]:
    """The Arrow type of what is read, and the function that reads it from an attribute, None where that is missing."""
    if isinstance(tree, dict):
        return _struct(tree)
    if isinstance(tree.kind, NullType):
        return pa.bool_(), lambda attribute: None if attribute is None or "NULL" in attribute else True
    if isinstance(tree.kind, DecimalType):
        scale = tree.kind.scale
        return pa.decimal256(2 * _DIGITS, scale + 1), lambda attribute: _number(attribute, scale)
    return types.arrow_type(tree.kind, tree.tag), _lenient(attribute_reader(tree.kind, tree.tag, True, lenient=True))


def _struct(tree: Mapping[str, Any]) -> tuple[pa.DataType, _Read]:
    columns = {name: _column(inner) for name, inner in tree.items()}
    kind = pa.struct([pa.field(name, inner) for name, (inner, _) in columns.items()])

    def read(attribute: Any) -> object:
        below = None if attribute is None else attribute.get("M")
        return None if below is None else {name: inner(below.get(name)) for name, (_, inner) in columns.items()}

    return kind, read


def _number(attribute: Any, scale: int) -> Decimal | None:
    """A number in the order of all numbers among those of that scale, for such are the literals.

    One between two of them becomes what is in the middle, and one beyond them all, one beyond them all.
    """
    text = None if attribute is None else attribute.get("N")
    if text is None:
        return None
    number, beyond = Decimal(text), Decimal(10) ** (_DIGITS - scale)
    if abs(number) >= beyond:
        return beyond.copy_sign(number)
    least = number.quantize(Decimal(1).scaleb(-scale), ROUND_FLOOR, _WIDE)
    return least if least == number else _WIDE.add(least, Decimal(5).scaleb(-scale - 1))


def _declared_column(field: StructField) -> tuple[pa.DataType, _Read]:
    tag = types.storage_tag(field)
    return types.arrow_type(field.dataType, tag), _lenient(attribute_reader(field.dataType, tag, True, lenient=True))


def _lenient(read: _Read) -> _Read:
    def read_or_none(attribute: Any) -> object:
        try:
            return read(attribute)
        except Misfit:
            return None

    return read_or_none
