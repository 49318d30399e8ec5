"""What a predicate says about the stored value of one attribute, in DynamoDB's own order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spark_dynamo.predicates.ranges import ALL, EXISTS, NOTHING, Domain, Interval, intersection, prefixed, union
from spark_dynamo.predicates.stored import HOLDS, stored_values
from spark_dynamo.predicates.tree import (
    And,
    ColumnComparison,
    Comparison,
    Constant,
    In,
    IsNull,
    IsTrue,
    IsUnknown,
    Known,
    Like,
    Node,
    Not,
    NullSafeEqual,
    Or,
    Path,
    Size,
    Value,
    paths,
)

__all__ = ["ALL", "EXISTS", "NOTHING", "Domain", "Interval", "domain_of", "leaf_domain"]

OPPOSITE = {"=": "<>", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def domain_of(node: Node, column: str) -> Domain:
    """The stored values of a top-level attribute for which the predicate may be TRUE.

    No item whose attribute is missing, of another tag, or outside the domain fits the predicate; an item inside may fail.
    `ALL` where the predicate says nothing about the attribute. Of an attribute that is no leaf, such as a list, it may
    say at most that it exists.

    >>> from spark_dynamo.predicates.parse import parse_predicate
    >>> from pyspark.sql.types import StructType
    >>> node = parse_predicate("id LIKE 'ab%' AND n > 5", StructType().add("id", "string").add("n", "long"))
    >>> domain_of(node, "id").intervals
    (Interval(low='ab', high='ac', low_inclusive=True, high_inclusive=False),)
    """
    return _domain(node, column, True)


def leaf_domain(node: Node, truth: bool) -> Domain:
    """The stored values of the operand of a leaf node, nested or not, for which the node may be TRUE, or FALSE.

    Nodes with children and nodes with two operands say nothing here.
    """
    find = _LEAVES.get(type(node))
    return ALL if find is None else find(node, truth)


def _domain(node: Node, column: str, truth: bool) -> Domain:
    if isinstance(node, Constant):
        return ALL if node.value is truth else NOTHING
    if isinstance(node, Not):
        return _domain(node.child, column, not truth)
    if isinstance(node, And | Or):
        children = [_domain(child, column, truth) for child in node.children]
        return intersection(children) if isinstance(node, And) is truth else union(children)
    if isinstance(node, IsTrue):
        return _domain(node.child, column, True) if truth else ALL
    if isinstance(node, IsUnknown | NullSafeEqual) or fits_null_size(node, truth):
        return ALL
    found = leaf_domain(node, truth) if type(node) in _LEAVES else EXISTS
    if found.is_empty:
        return NOTHING
    touched = [path for path in paths(node) if path.column == column]
    if not touched or found.is_all:
        return ALL
    return EXISTS if any(path.steps for path in touched) or len(touched) > 1 else found


def fits_null_size(node: Node, truth: bool) -> bool:
    """Whether a leaf about the size of a null collection may be that, for in some sessions such a size is -1."""
    match node:
        case Comparison(Size(), op, value):
            return HOLDS[op](-1, value) is truth
        case In(Size(), values):
            return (-1 in values) is truth
        case Known(Size(), value):
            return value is truth
        case IsNull(Size()):
            return not truth
        case ColumnComparison(left, _, right):
            return isinstance(left, Size) or isinstance(right, Size)
    return False


def _comparison(node: Comparison, truth: bool) -> Domain:
    return _compared(node.operand, node.op if truth else OPPOSITE[node.op], node.value)


def _known(node: Known, truth: bool) -> Domain:
    return EXISTS if node.value is truth else NOTHING


def _is_null(node: IsNull, truth: bool) -> Domain:
    return ALL if truth else EXISTS


def _in(node: In, truth: bool) -> Domain:
    if truth:
        return union(_compared(node.operand, "=", value) for value in node.values)
    if node.has_null:
        return NOTHING
    different = [_compared(node.operand, "<>", value) for value in node.values]
    exact = [domain for domain in different if domain != EXISTS]
    if all(domain == Domain.all_but([domain.intervals[0].high]) for domain in exact if domain.intervals):
        return Domain.all_but({domain.intervals[0].high for domain in exact if domain.intervals})
    return EXISTS & intersection(exact)


def _like(node: Like, truth: bool) -> Domain:
    first = node.pattern[0] if node.pattern else ""
    if not node.pattern or (node.pattern == (first,) and isinstance(first, str)):
        return _compared(node.operand, "=" if truth else "<>", str(first))
    if not truth or node.operand.tag != "S" or not isinstance(first, str):
        return EXISTS
    return Domain.of(prefixed(first))


def _compared(operand: object, op: str, value: Value) -> Domain:
    """What a comparison says; of a size, that there is something to count."""
    return stored_values(operand, op, value) if isinstance(operand, Path) else EXISTS


_LEAVES: dict[type[Any], Callable[[Any, bool], Domain]] = {
    Comparison: _comparison,
    Known: _known,
    IsNull: _is_null,
    In: _in,
    Like: _like,
}
