"""A predicate about one stored item -> DynamoDB's condition that says the very same; what can't be said so is refused.

Each piece holds exactly where a node is TRUE, or FALSE. DynamoDB's own conditions know two values only: they are false where
an attribute is missing or of another type, and so is each piece here. UNKNOWN is where neither holds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    StringType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import OptionError, shorten
from spark_dynamo.predicates.conditions import Literal, Piece, Said, Within, both, either, negated, tagged
from spark_dynamo.predicates.evaluate import instant
from spark_dynamo.predicates.intervals import OPPOSITE, leaf_domain
from spark_dynamo.predicates.literals import kind_of, show
from spark_dynamo.predicates.numbers import INTEGERS
from spark_dynamo.predicates.ranges import EXISTS, NOTHING, Domain
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.roundings import read_as
from spark_dynamo.predicates.stored_superset import stored_values
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
    Known,
    Like,
    Moment,
    Node,
    Not,
    NullSafeEqual,
    Operand,
    Or,
    Path,
    RowValue,
    Size,
    Value,
    Wildcard,
)
from spark_dynamo.wire import types

_HOLDS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# the one form of text that is written, and so can be compared as text: its length, and what it holds and does not hold
_FORMS: dict[type[DataType], tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    TimestampType: (32, ("T", "+00:00"), ("W",)),
    TimestampNTZType: (26, ("T",), ("W",)),
    DateType: (10, (), ("W",)),
}
_EPOCH = datetime(1970, 1, 1)
_MICROS = Decimal(1_000_000)


class Exact:
    """The pieces for nodes; `zone` is the time zone of timestamps without one, None where it is unknown.

    `OptionError` for what DynamoDB can't say exactly.
    """

    def __init__(self, zone: str | None = None) -> None:
        self._zone = zone

    def of(self, node: Node, truth: bool = True) -> Piece:
        """What holds exactly where the node is `truth`."""
        match node:
            case Constant():
                return node.value is truth
            case Not():
                return self.of(node.child, not truth)
            case And() | Or():
                join = both if isinstance(node, And) is truth else either
                return join([self.of(child, truth) for child in node.children])
            case IsTrue():
                return _either_way(self.of(node.child), truth)
            case IsUnknown():
                return _either_way(either([self.of(node.child, True), self.of(node.child, False)]), not truth)
            case IsNull():
                return _null(node.operand, truth)
            case NullSafeEqual():
                return _either_way(self._null_safe(node), truth)
            case ColumnComparison():
                return _columns(node.left, node.op if truth else OPPOSITE[node.op], node.right)
        return self._leaf(node, truth)

    def _leaf(self, node: Comparison | In | Like | Known | ArrayContains, truth: bool) -> Piece:
        operand = node.operand
        path = operand.path if isinstance(operand, Size) else operand
        if isinstance(path, RowValue):
            raise refused(
                f"compares {show(path)} with no attribute of the stored item; leave out such rows by .where(...) before "
                "the write"
            )
        match node:
            case Known():
                return _within(path, EXISTS if node.value is truth else NOTHING)
            case In():
                return self._in(node, truth)
            case Like():
                return _like(node, truth)
            case ArrayContains():
                return _contains_element(node, truth)
        return self._compared(operand, node.op if truth else OPPOSITE[node.op], node.value)

    def _in(self, node: In, truth: bool) -> Piece:
        if truth:
            return either([self._compared(node.operand, "=", value) for value in node.values])
        different = [self._compared(node.operand, "<>", value) for value in node.values]
        return False if node.has_null else both(different)

    def _null_safe(self, node: NullSafeEqual) -> Piece:
        equal = _columns(node.left, "=", node.right)
        if any(isinstance(operand, RowValue) for operand in (node.left, node.right)):
            return equal  # a row with NULL there is refused
        return either([equal, both([_null(node.left, True), _null(node.right, True)])])

    def _compared(self, operand: Operand, op: str, value: Value) -> Piece:
        if isinstance(operand, Size):
            return both([tagged(operand.path), _said(operand, op, Decimal(value))])  # type: ignore[arg-type]
        if isinstance(operand.kind, DoubleType | FloatType):
            return _within(operand, read_as(op, float(value), narrow=isinstance(operand.kind, FloatType)))  # type: ignore[arg-type]
        if isinstance(value, Moment):
            value = self._instant(operand, value)
        elif isinstance(operand.kind, StringType):
            _check_text(operand)
        if isinstance(value, Moment | date) and operand.tag == "S":
            return both([*_form(operand), _said(operand, op, _text(operand, value))])
        return _within(operand, stored_values(operand, op, value))

    def _instant(self, path: Path, moment: Moment) -> Moment:
        """A moment that no longer depends on the session's time zone."""
        if not moment.local or isinstance(path.kind, TimestampNTZType):
            return moment
        if self._zone is None:
            raise refused(
                f"compares {show(path)} with a timestamp without a time zone; write it with one, as in "
                "'2026-11-01T10:30:00Z'"
            )
        return Moment(instant(moment.micros, self._zone), local=False)


def _within(path: Path, domain: Domain) -> Piece:
    return False if domain.is_empty else Within(path, domain)


def _either_way(piece: Piece, truth: bool) -> Piece:
    return piece if truth else negated(piece)


def _null(operand: Operand, truth: bool) -> Piece:
    """A null is a missing attribute or a NULL; for a VARIANT, which may hold a NULL as a value, a missing one."""
    path = operand.path if isinstance(operand, Size) else operand
    if isinstance(path, RowValue):
        raise refused(f"asks whether {show(path)} is NULL; a row with NULL there is an error, so leave that out")
    missing = Said(("attribute_not_exists(", path, ")"))
    if isinstance(path.kind, VariantType):
        return _either_way(missing, truth)
    null = Said(("attribute_type(", path, ", ", Literal("NULL"), ")"))
    if truth:
        return either([missing, null])
    return both([Said(("attribute_exists(", path, ")")), negated(null)])


# ---------------------------------------------------------------------------------------------------- text


def _check_text(path: Path) -> None:
    if path.tag == "N":
        raise refused(
            f"compares {show(path)}, which is STRING but stored as a number, and DynamoDB would compare numbers; "
            "declare it as DECIMAL"
        )


def _like(node: Like, truth: bool) -> Piece:
    path, pattern = node.operand, node.pattern
    _check_text(path)
    match pattern:
        case () | (str(),):
            return _within(path, leaf_domain(node, truth))
        case (Wildcard.MANY,):
            return _within(path, EXISTS if truth else NOTHING)
        case (str(text), Wildcard.MANY):
            if truth:
                return _within(path, leaf_domain(node, True))
            return both([tagged(path), negated(Said(("begins_with(", path, ", ", Literal(text), ")")))])
        case (Wildcard.MANY, str(text), Wildcard.MANY):
            return both([tagged(path), _either_way(_contains(path, text), truth)])
    raise refused(
        f"compares {show(path)} with a pattern that DynamoDB can't check; it knows 'text', 'text%' and '%text%' only"
    )


def _contains(path: Path, element: str | Decimal | bytes | bool | None) -> Said:
    return Said(("contains(", path, ", ", Literal(element), ")"))


def _contains_element(node: ArrayContains, truth: bool) -> Piece:
    path, value = node.operand, node.value
    assert isinstance(path.kind, ArrayType)
    element = path.kind.elementType
    plain = isinstance(element, StringType) and path.tag in ("L", "SS")
    if not plain and not isinstance(element, (*INTEGERS, DecimalType, BooleanType, BinaryType)):
        raise refused(
            f"looks for an element in {show(path)}, which is {types.ddl(path.kind)} stored as {path.tag}, and DynamoDB "
            "finds there only strings, integers, decimals, booleans and binaries; leave it out of the condition"
        )
    has_it = _contains(path, Decimal(value) if type(value) is int else value)  # type: ignore[arg-type]
    if truth:
        return both([tagged(path), has_it])
    without_null = [negated(_contains(path, None))] if path.tag == "L" else []
    return both([tagged(path), negated(has_it), *without_null])


# ---------------------------------------------------------------------------------------------------- dates and times


def _form(path: Path) -> Iterable[Piece]:
    """That a text has the form in which dates and timestamps are written; any other counts as another type."""
    length, parts, others = _FORMS[type(path.kind)]
    yield tagged(path)
    yield _said(Size(path), "=", Decimal(length))
    yield from (_contains(path, part) for part in parts)
    yield from (negated(_contains(path, part)) for part in others)


def _text(path: Path, value: Moment | date) -> str:
    if isinstance(value, date):
        return value.isoformat()
    try:
        moment = _EPOCH + timedelta(microseconds=value.micros)
    except OverflowError:
        raise refused(f"compares {show(path)} with a timestamp beyond the years 0001 to 9999") from None
    return moment.isoformat(timespec="microseconds") + ("" if isinstance(path.kind, TimestampNTZType) else "+00:00")


# ---------------------------------------------------------------------------------------------------- two columns

_ORDERED: tuple[tuple[type[DataType], ...], ...] = (
    (*INTEGERS, DecimalType),
    (StringType,),
    (BinaryType,),
    (TimestampType,),
    (TimestampNTZType,),
    (DateType,),
)
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _columns(left: Operand, op: str, right: Operand) -> Piece:
    """Two attributes of the stored item, or one and a column of the row."""
    if isinstance(left, RowValue):
        left, op, right = right, _MIRRORED[op], left
    if isinstance(left, RowValue):
        raise refused(
            f"compares {show(left)} with {show(right)}, both of the row; leave out such rows by .where(...) before the write"
        )
    _check_comparable(left, op, right)
    stored = [operand for operand in (left, right) if not isinstance(operand, RowValue)]
    if left == right:
        return both([*_guards(left)]) if _HOLDS[op](0, 0) else False
    if op == "=" and isinstance(right, RowValue) and isinstance(left, Path):
        return _said(left, op, right)  # of one type and one form with it
    return both([*(guard for operand in stored for guard in _guards(operand)), _said(left, op, right)])


def _guards(operand: Operand) -> Iterable[Piece]:
    if isinstance(operand, Path) and operand.tag == "S" and type(operand.kind) in _FORMS:
        return _form(operand)
    return (tagged(operand.path if isinstance(operand, Size) else operand),)


def _check_comparable(left: Operand, op: str, right: Operand) -> None:
    kinds = [kind_of(left), kind_of(right)]
    for operand in (left, right):
        if isinstance(operand, Path) and isinstance(operand.kind, StringType):
            _check_text(operand)
    if any(isinstance(kind, DoubleType | FloatType) for kind in kinds):
        raise _unlike(left, right, "many stored numbers read as one floating-point number; cast the column to DECIMAL")
    if all(isinstance(kind, BooleanType) for kind in kinds):
        if op not in ("=", "<>"):
            raise _unlike(left, right, "DynamoDB has no order of booleans; compare them by = or <>")
        return
    if not any(all(isinstance(kind, group) for kind in kinds) for group in _ORDERED):
        raise _unlike(left, right, "DynamoDB can't compare these")
    tags = [operand.tag for operand in (left, right) if isinstance(operand, Path)]
    if len(set(tags)) > 1:
        raise _unlike(
            left, right, f"they are stored as {tags[0]} and {tags[1]}; give both columns the same storage form"
        )


def _unlike(left: Operand, right: Operand, problem: str) -> OptionError:
    kinds = [types.ddl(kind_of(operand)) for operand in (left, right)]
    return refused(
        f"compares {show(left)}, which is {kinds[0]}, with {shorten(show(right))}, which is {kinds[1]}: {problem}"
    )


def _said(left: Operand, op: str, right: Operand | Decimal | str) -> Said:
    last = (Literal(right),) if isinstance(right, Decimal | str) else _parts(right)
    return Said((*_parts(left), f" {op} ", *last))


def _parts(operand: Operand) -> tuple[str | Path, ...]:
    return ("size(", operand.path, ")") if isinstance(operand, Size) else (operand,)
