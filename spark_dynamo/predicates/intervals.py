"""What a predicate says about the stored value of one attribute, in DynamoDB's own order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spark_dynamo.predicates.ranges import ALL, EXISTS, NOTHING, Domain, Interval, intersection, prefixed, union
from spark_dynamo.predicates.stored_superset import HOLDS, stored_values
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

__all__ = ["ALL", "EXISTS", "NOTHING", "Domain", "Domains", "Interval", "leaf_domain"]

OPPOSITE = {"=": "<>", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Domains:
    """What a predicate says about the stored value of every top-level attribute, found in one pass.

    No item whose attribute is missing, of another tag, or outside its domain fits the predicate; an item inside may fail.
    `ALL` where the predicate says nothing about the attribute. Of an attribute that is no leaf, such as a list, it may
    say at most that it exists.

    >>> from spark_dynamo.predicates.parse import parse_predicate
    >>> from pyspark.sql.types import StructType
    >>> node = parse_predicate("id LIKE 'ab%' AND n > 5", StructType().add("id", "string").add("n", "long"))
    >>> Domains.of(node)["id"].intervals
    (Interval(low='ab', high='ac', low_inclusive=True, high_inclusive=False),)
    """

    _said: Mapping[str, Domain] | None  # None: no item fits

    @classmethod
    def of(cls, node: Node) -> Domains:
        """Those for which the predicate may be TRUE."""
        return cls(_domains(node, True))

    @property
    def are_empty(self) -> bool:
        """Whether no item fits."""
        return self._said is None

    def __getitem__(self, column: str) -> Domain:
        return NOTHING if self._said is None else self._said.get(column, ALL)


def leaf_domain(node: Node, truth: bool) -> Domain:
    """The stored values of the operand of a leaf node, nested or not, for which the node may be TRUE, or FALSE.

    Nodes with children and nodes with two operands say nothing here.
    """
    find = _LEAVES.get(type(node))
    return ALL if find is None else find(node, truth)


def _domains(node: Node, truth: bool) -> dict[str, Domain] | None:
    """The domains of the attributes of which something is said, None where the node is never `truth`."""
    if isinstance(node, Constant):
        return {} if node.value is truth else None
    if isinstance(node, Not):
        return _domains(node.child, not truth)
    if isinstance(node, And | Or):
        children = [_domains(child, truth) for child in node.children]
        return _all_of(children) if isinstance(node, And) is truth else _any_of(children)
    if isinstance(node, IsTrue):
        return _domains(node.child, True) if truth else {}
    if isinstance(node, IsUnknown | NullSafeEqual) or fits_null_size(node, truth):
        return {}
    found = leaf_domain(node, truth) if type(node) in _LEAVES else EXISTS
    if found.is_empty:
        return None
    if found.is_all:
        return {}
    return {path.column: EXISTS if path.steps else found for path in paths(node)}


def _all_of(children: Iterable[dict[str, Domain] | None]) -> dict[str, Domain] | None:
    said: dict[str, list[Domain]] = {}
    for child in children:
        if child is None:
            return None
        for column, domain in child.items():
            said.setdefault(column, []).append(domain)
    met = {column: intersection(domains) for column, domains in said.items()}
    return None if any(domain.is_empty for domain in met.values()) else met


def _any_of(children: Iterable[dict[str, Domain] | None]) -> dict[str, Domain] | None:
    possible = [child for child in children if child is not None]
    if not possible:
        return None
    in_all = [column for column in possible[0] if all(column in child for child in possible)]
    return {column: union(child[column] for child in possible) for column in in_all}


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
    return intersection([EXISTS, *(_compared(node.operand, "<>", value) for value in node.values)])


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
