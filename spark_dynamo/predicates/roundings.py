"""Which stored numbers read as a given DOUBLE or FLOAT, exactly: those that it is nearest to."""

from __future__ import annotations

import math
import struct
from decimal import ROUND_CEILING, Context, Decimal, Inexact
from fractions import Fraction

from spark_dynamo.predicates.numbers import LARGEST_FLOAT, double_before, float_before, rounds_up_to
from spark_dynamo.predicates.ranges import EXISTS, NOTHING, Domain, Interval

_LARGEST, _SMALLEST = Decimal("9." + "9" * 37 + "E+125"), Decimal("1E-130")


def read_as(op: str, value: float, *, narrow: bool) -> Domain:
    """The stored numbers that, read as a DOUBLE or, if `narrow`, as a FLOAT, are in that relation to the value.

    >>> read_as(">=", 2.0**53 + 2, narrow=False)  # halfway to the double before lies 2 ** 53 + 1, which is rounded to even
    Domain(intervals=(Interval(low=Decimal('9007199254740993'), high=None, low_inclusive=False, high_inclusive=True),))
    """
    before = float_before if narrow else double_before
    following = -before(-value)
    if op in ("<", ">="):
        return _at_least(value, narrow) if op == ">=" else _below(value, narrow)
    if op in (">", "<="):
        return _at_least(following, narrow) if op == ">" else _below(following, narrow)
    if op == "=":
        return _at_least(value, narrow) & _below(following, narrow)
    return _below(value, narrow) | _at_least(following, narrow)


def _at_least(value: float, narrow: bool) -> Domain:
    bound = _bound(value, narrow)
    if bound is None:
        return NOTHING
    return Domain.of(Interval(bound[0], None, low_inclusive=bound[1])) if bound[0] >= -_LARGEST else EXISTS


def _below(value: float, narrow: bool) -> Domain:
    bound = _bound(value, narrow)
    if bound is None:
        return EXISTS
    return Domain.of(Interval(None, bound[0], high_inclusive=not bound[1])) if bound[0] >= -_LARGEST else NOTHING


def _bound(value: float, narrow: bool) -> tuple[Decimal, bool] | None:
    """The least number of 38 digits that is read as `value` or more, and whether it is itself; None beyond DynamoDB's."""
    if math.isinf(value) and not narrow:
        return None
    halfway = _halfway_before_float(value) if narrow else rounds_up_to(value)
    context = Context(prec=38, rounding=ROUND_CEILING)
    number = context.divide(Decimal(halfway.numerator), Decimal(halfway.denominator))
    exact = not context.flags[Inexact]
    if number > _LARGEST:
        return None
    if 0 < number < _SMALLEST:
        return _SMALLEST, True
    if -_SMALLEST < number < 0:
        return Decimal(0), True
    return number, _is_even(value, narrow) if exact else True


def _halfway_before_float(value: float) -> Fraction:
    largest, step = Fraction(LARGEST_FLOAT), Fraction(2) ** 104
    if math.isinf(value):
        return largest + step / 2
    if value == -LARGEST_FLOAT:
        return -largest - step / 2
    return (Fraction(value) + Fraction(float_before(value))) / 2


def _is_even(value: float, narrow: bool) -> bool:
    """Whether a number halfway to a neighbour is rounded to `value`."""
    form, bits = ("<f", "<I") if narrow else ("<d", "<Q")
    number: int = struct.unpack(bits, struct.pack(form, value))[0]
    return number % 2 == 0
