"""Comparisons of one column with another."""

from __future__ import annotations

from pyspark.sql.types import DecimalType, DoubleType, FloatType

from spark_dynamo.predicates.literals import check_comparable, kind_of, show
from spark_dynamo.predicates.numbers import INTEGERS, columns_fit_together
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import ColumnComparison, Node, NullSafeEqual, Operand, Operator
from spark_dynamo.wire import types


def compare(left: Operand, op: Operator, right: Operand) -> Node:
    """`left op right`; `OptionError` where Spark would bring the two to a type that neither has."""
    _check_alike(left, right)
    return ColumnComparison(left, op, right)


def equal_or_both_null(left: Operand, right: Operand) -> Node:
    """`left <=> right`, with the same error."""
    _check_alike(left, right)
    return NullSafeEqual(left, right)


def _check_alike(left: Operand, right: Operand) -> None:
    for operand in (left, right):
        check_comparable(operand)
    kinds = [kind_of(left), kind_of(right)]
    exact = [isinstance(kind, (*INTEGERS, DecimalType)) for kind in kinds]
    floating = [isinstance(kind, FloatType | DoubleType) for kind in kinds]
    if kinds[0] == kinds[1] or all(floating) or (all(exact) and columns_fit_together(*kinds)):
        return
    raise refused(
        f"compares {show(left)}, which is {types.ddl(kinds[0])}, with {show(right)}, which is {types.ddl(kinds[1])}; "
        "columns must be of like types, else use .where(...) after load"
    )
