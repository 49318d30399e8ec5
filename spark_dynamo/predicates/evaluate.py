"""A predicate on a record batch, in SQL's three-valued logic, by Arrow's kernels alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import reduce
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import (
    And,
    ArrayContains,
    ColumnComparison,
    Comparison,
    Constant,
    In,
    IsNull,
    IsTrue,
    IsUnknown,
    Key,
    Known,
    Like,
    Moment,
    Node,
    Not,
    NullSafeEqual,
    Operand,
    Or,
    Size,
    Value,
    Wildcard,
)

_COMPARE: dict[str, Callable[..., pa.Array]] = {
    "=": pc.equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class _Rows(NamedTuple):
    batch: pa.RecordBatch
    zone: str
    size_of_null: int | None


def evaluate(
    node: Node, batch: pa.RecordBatch, zone: str = "UTC", *, size_of_null: int | None = None
) -> pa.BooleanArray:
    """The predicate's outcome for each row: true, false, or null for UNKNOWN.

    The batch has the columns that the predicate refers to, typed as `wire.types.arrow_schema` types them. `zone` is Spark's
    session time zone, in which timestamps without a zone of their own are meant; `OptionError` where it is needed and
    unknown. `size_of_null` is what `size` says of a null collection.
    """
    return _evaluate(node, _Rows(batch, zone, size_of_null))


def mask(node: Node, batch: pa.RecordBatch, zone: str = "UTC", *, size_of_null: int | None = None) -> pa.BooleanArray:
    """Whether the predicate is TRUE for each row, without nulls: what `batch.filter` takes."""
    return pc.fill_null(evaluate(node, batch, zone, size_of_null=size_of_null), False)


def _evaluate(node: Node, rows: _Rows) -> pa.BooleanArray:
    return _EVALUATORS[type(node)](node, rows)


def _constant(node: Constant, rows: _Rows) -> pa.BooleanArray:
    return pa.repeat(pa.scalar(node.value, pa.bool_()), rows.batch.num_rows)


def _comparison(node: Comparison, rows: _Rows) -> pa.BooleanArray:
    column = _values(node.operand, rows)
    return _COMPARE[node.op](*_ordered(column, _scalar(node.value, column.type, rows.zone)))


def _columns(node: ColumnComparison, rows: _Rows) -> pa.BooleanArray:
    return _COMPARE[node.op](*_alike(node.left, node.right, rows))


def _null_safe(node: NullSafeEqual, rows: _Rows) -> pa.BooleanArray:
    left, right = _alike(node.left, node.right, rows)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)


def _known(node: Known, rows: _Rows) -> pa.BooleanArray:
    present = pc.is_valid(_values(node.operand, rows))
    return pc.if_else(present, pa.scalar(node.value), pa.scalar(None, pa.bool_()))


def _is_null(node: IsNull, rows: _Rows) -> pa.BooleanArray:
    return pc.is_null(_values(node.operand, rows))


def _in(node: In, rows: _Rows) -> pa.BooleanArray:
    column = _values(node.operand, rows)
    values = pa.array([_plain(value, column.type, rows.zone) for value in node.values], column.type)
    found = pc.is_in(_plain_zero(column), value_set=values)
    absent = pa.scalar(None, pa.bool_())
    if node.has_null:
        found = pc.if_else(found, True, absent)
    return pc.if_else(pc.is_valid(column), found, absent)


def _like(node: Like, rows: _Rows) -> pa.BooleanArray:
    column = _values(node.operand, rows)
    match node.pattern:
        case ():
            return pc.equal(column, "")
        case (str(text),):
            return pc.equal(column, text)
        case (str(text), Wildcard.MANY):
            return pc.starts_with(column, text)
        case (Wildcard.MANY, str(text)):
            return pc.ends_with(column, text)
        case (Wildcard.MANY, str(text), Wildcard.MANY):
            return pc.match_substring(column, text)
    # (?s): a wildcard stands for a line's end, too
    pieces = [_WILDCARDS[part] if isinstance(part, Wildcard) else re.escape(part) for part in node.pattern]
    return pc.match_substring_regex(column, rf"\A(?s:{''.join(pieces)})\z")


_WILDCARDS = {Wildcard.ONE: ".", Wildcard.MANY: ".*"}


def _array_contains(node: ArrayContains, rows: _Rows) -> pa.BooleanArray:
    lists = _values(node.operand, rows)
    elements = pc.list_flatten(lists)
    owner = np.repeat(np.arange(len(lists)), _lengths(lists))
    equal = pc.equal(elements, _scalar(node.value, elements.type, rows.zone))
    has_it = _owners(owner, pc.fill_null(equal, False), len(lists))
    has_null = _owners(owner, pc.is_null(elements), len(lists))
    undecided = pc.or_(pc.is_null(lists), pc.and_(has_null, pc.invert(has_it)))
    return pc.if_else(undecided, pa.scalar(None, pa.bool_()), has_it)


def _lengths(lists: pa.Array) -> Any:
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def _owners(owner: Any, flags: pa.BooleanArray, count: int) -> pa.BooleanArray:
    """For each list whether one of its elements is flagged."""
    flagged = np.zeros(count, np.bool_)
    flagged[owner[flags.to_numpy(zero_copy_only=False)]] = True
    return pa.array(flagged)


def _is_true(node: IsTrue, rows: _Rows) -> pa.BooleanArray:
    return pc.fill_null(_evaluate(node.child, rows), False)


def _is_unknown(node: IsUnknown, rows: _Rows) -> pa.BooleanArray:
    return pc.is_null(_evaluate(node.child, rows))


def _not(node: Not, rows: _Rows) -> pa.BooleanArray:
    return pc.invert(_evaluate(node.child, rows))


def _and(node: And, rows: _Rows) -> pa.BooleanArray:
    return reduce(pc.and_kleene, (_evaluate(child, rows) for child in node.children))


def _or(node: Or, rows: _Rows) -> pa.BooleanArray:
    return reduce(pc.or_kleene, (_evaluate(child, rows) for child in node.children))


_EVALUATORS: dict[type[Any], Callable[[Any, _Rows], pa.BooleanArray]] = {
    Constant: _constant,
    Comparison: _comparison,
    ColumnComparison: _columns,
    NullSafeEqual: _null_safe,
    Known: _known,
    IsNull: _is_null,
    In: _in,
    Like: _like,
    ArrayContains: _array_contains,
    IsTrue: _is_true,
    IsUnknown: _is_unknown,
    Not: _not,
    And: _and,
    Or: _or,
}

# ------------------------------------------------------------------------------------------------------ operands


def _values(operand: Operand, rows: _Rows) -> pa.Array:
    """The column of an operand's values; null where a struct on the way is, or a map has no such key."""
    if isinstance(operand, Size):
        collection = _values(operand.path, rows)
        if pa.types.is_map(collection.type):
            entries = pa.list_(pa.struct([collection.type.key_field, collection.type.item_field]))
            collection = collection.cast(entries)
        sizes = pc.list_value_length(collection)
        return sizes if rows.size_of_null is None else pc.fill_null(sizes, rows.size_of_null)
    column = rows.batch.column(operand.column)
    for step in operand.steps:
        if isinstance(step, Key):
            column = pc.map_lookup(column, pa.scalar(step.name), "first")
        else:
            column = pc.struct_field(column, [column.type.get_field_index(step.name)])
    return column


def _alike(left: Operand, right: Operand, rows: _Rows) -> tuple[pa.Array, pa.Array]:
    """Two columns brought to one type that holds all values of both."""
    first, second = _values(left, rows), _values(right, rows)
    if first.type != second.type:
        common = _common(first.type, second.type)
        first, second = first.cast(common), second.cast(common)
    return _ordered(first, second)


_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}


def _common(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(left):
        return pa.float64()
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return pa.int64()
    shapes = [
        (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else (_DIGITS[kind.bit_width], 0)
        for kind in (left, right)
    ]
    scale = max(scale for _, scale in shapes)
    return pa.decimal128(max(whole for whole, _ in shapes) + scale, scale)


def _ordered(left: pa.Array, right: pa.Array | pa.Scalar) -> tuple[pa.Array, pa.Array | pa.Scalar]:
    """Booleans as 0 and 1, which Arrow can order."""
    if pa.types.is_boolean(left.type):
        return left.cast(pa.uint8()), right.cast(pa.uint8())
    return left, right


def _plain_zero(column: pa.Array) -> pa.Array:
    """-0.0 as 0.0, for kernels that hash."""
    return pc.add(column, pa.scalar(0, column.type)) if pa.types.is_floating(column.type) else column


def _scalar(value: Value, kind: pa.DataType, zone: str) -> pa.Scalar:
    return pa.scalar(_plain(value, kind, zone), kind)


def _plain(value: Value, kind: pa.DataType, zone: str) -> object:
    """A value as Arrow takes it for that type."""
    if not isinstance(value, Moment):
        return value
    return instant(value.micros, zone) if value.local and kind.tz is not None else value.micros


_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d\d)(?::?(\d\d))?)?")


def instant(micros: int, zone: str) -> int:
    """The instant at which clocks in the zone show a local time, as Java's `LocalDateTime.atZone` finds it.

    Where clocks were set forward past it, the offset before counts; where they showed it twice, the earlier one.
    """
    moment = (_EPOCH + micros * _MICROSECOND).replace(tzinfo=_zone(zone), fold=0)
    offset = moment.utcoffset()
    assert offset is not None
    return micros - offset // _MICROSECOND


def _zone(name: str) -> tzinfo:
    fixed = _OFFSET.fullmatch(name)
    if fixed:
        sign, *parts = fixed.groups()
        hours, minutes, seconds = (int(part or 0) for part in parts)
        offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return timezone(-offset if sign == "-" else offset)
    if name in ("UTC", "Z", "GMT", "UT"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise refused(
            f"has a timestamp without a zone, and this system knows no time zone '{name}', which spark.sql.session."
            "timeZone names; give the timestamp a zone, as in '2026-11-01T10:30:00Z'",
        ) from error
