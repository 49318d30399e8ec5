"""Which stored attribute values may satisfy a comparison: a superset, since one value has many stored forms.

Most types are stored in the order of their values. Three are not, or not exactly, and are widened:

* DOUBLE and FLOAT read the nearest floating-point number of an exact decimal;
* timestamps and dates as texts have many ISO 8601 forms, whose order as texts is not that of time;
* a STRING on tag N is ordered as text, but stored as a number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, TypeAlias

from pyspark.sql.types import DoubleType, FloatType, StringType, TimestampType

from spark_dynamo.predicates.numbers import LARGEST_FLOAT, double_before, float_before, rounds_up_to
from spark_dynamo.predicates.ranges import EXISTS, NOTHING, Domain, Interval, Wire, prefixed
from spark_dynamo.predicates.tree import Moment, Path, Value

Op: TypeAlias = str  # one of = <> < <= > >=

HOLDS: dict[Op, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_BOUNDED_BELOW, _BOUNDED_ABOVE = ("=", ">", ">="), ("=", "<", "<=")


def stored_values(path: Path, op: Op, value: Value) -> Domain:
    """The stored values for which `path op value` may be TRUE; all others make it FALSE or UNKNOWN."""
    if isinstance(value, bool):
        return Domain.points([flag for flag in (False, True) if HOLDS[op](flag, value)])
    if isinstance(value, float) and isinstance(path.kind, DoubleType | FloatType):
        return _floats(op, value, narrow=isinstance(path.kind, FloatType))
    if isinstance(value, Moment):
        return _moments(path, op, value)
    if isinstance(value, date):
        return _texts_of_dates(value if op in _BOUNDED_BELOW else None, value if op in _BOUNDED_ABOVE else None)
    if isinstance(value, str) and isinstance(path.kind, StringType) and path.tag == "N":
        return _number_text(op, value)
    return _exact(op, Decimal(value) if isinstance(value, int) else value)  # type: ignore[arg-type]


def _exact(op: Op, value: Wire) -> Domain:
    below, above = Interval(None, value, high_inclusive=False), Interval(value, None, low_inclusive=False)
    if op == "<>":
        return Domain.all_but([value])
    if op in ("<", ">"):
        return Domain.of(below if op == "<" else above)
    return Domain.of(Interval(value if op != "<=" else None, value if op != ">=" else None))


def _number_text(op: Op, text: str) -> Domain:
    """The text of a number: only equality says something about the number, and different texts may be equal numbers."""
    if op != "=":
        return EXISTS
    try:
        number = Decimal(text)
    except InvalidOperation:
        return NOTHING
    return Domain.points([number]) if _storable(number) else NOTHING


# ------------------------------------------------------------------------------------- floating-point numbers

_LARGEST = Decimal("9." + "9" * 37 + "E+125")
_SMALLEST = Decimal("1E-130")


def _storable(number: Decimal) -> bool:
    if not number.is_finite() or len("".join(map(str, number.as_tuple().digits)).strip("0")) > 38:
        return False
    return number == 0 or _SMALLEST <= abs(number) <= _LARGEST


def _floats(op: Op, value: float, *, narrow: bool) -> Domain:
    if op == "<>":
        return EXISTS
    before = float_before if narrow else double_before
    least = -before(-value) if op == ">" else value
    most = before(value) if op == "<" else value
    if math.isinf(least) or math.isinf(most):
        return NOTHING  # no number is read as an infinity
    begin = _begin_of_float if narrow else rounds_up_to
    return _numbers(begin(least) if op in _BOUNDED_BELOW else None, -begin(-most) if op in _BOUNDED_ABOVE else None)


def _begin_of_float(value: float) -> Fraction:
    """The least number that may be read as a FLOAT of at least `value`, be it by way of a double or not."""
    if value == -LARGEST_FLOAT:
        return Fraction(value) * 2
    halfway = (value + float_before(value)) / 2  # exact: it has one bit more
    return rounds_up_to(halfway)


def _numbers(low: Fraction | None, high: Fraction | None) -> Domain:
    """The numbers between two bounds, which are moved outward to numbers that DynamoDB holds."""
    least = None if low is None else _rounded(low)
    most = None if high is None else -_rounded(-high)
    if (least is not None and least > _LARGEST) or (most is not None and most < -_LARGEST):
        return NOTHING
    if least is not None and least < -_LARGEST:
        least = None
    if most is not None and most > _LARGEST:
        most = None
    return Domain.of(Interval(least, most))


def _rounded(bound: Fraction) -> Decimal:
    """A lower bound as a DynamoDB number that is not greater, or as the least number above it that DynamoDB holds."""
    number = Context(prec=38, rounding=ROUND_FLOOR).divide(Decimal(bound.numerator), Decimal(bound.denominator))
    if number == 0 or -_SMALLEST < number < 0:
        return Decimal(0)
    return max(number, _SMALLEST) if number > 0 else number


# ------------------------------------------------------------------------------------------ dates and times

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)
_MICROS_OF_DAY = 86_400_000_000
_MICROS = Decimal(1_000_000)


def _moments(path: Path, op: Op, value: Moment) -> Domain:
    # an offset moves a text's wall clock by less than a day; so does the session zone, unknown here, the literal's
    zoned = isinstance(path.kind, TimestampType)
    unknown = _MICROS_OF_DAY if zoned and value.local else 0
    low = value.micros - unknown if op in _BOUNDED_BELOW else None
    high = value.micros + unknown if op in _BOUNDED_ABOVE else None
    if op == "<>" and (unknown or path.tag == "S"):
        return EXISTS
    if path.tag == "N":
        if not unknown:
            return _exact(op, value.micros / _MICROS)
        return Domain.of(Interval(None if low is None else low / _MICROS, None if high is None else high / _MICROS))
    offset = _MICROS_OF_DAY if zoned else 0
    # the first microsecond of a day may stand there as 24:00 of the day before, as ISO 8601 has it
    return _texts_of_dates(
        None if low is None else _date_of(low - (offset or 1)), None if high is None else _date_of(high + offset)
    )


def _date_of(micros: int) -> date | None:
    """The date at that time, None beyond those that ISO 8601 texts hold."""
    try:
        return (_EPOCH + timedelta(microseconds=micros)).date()
    except OverflowError:
        return None


def _texts_of_dates(first: date | None, last: date | None) -> Domain:
    """All texts that may begin with an ISO 8601 form of a date from `first` to `last`, whatever follows.

    Within one year the forms stand in this order: `2026-11-01`, `2026-W44-7`, `20261101`, `2026W447`. So those of the last
    year stand behind each `2026-11-01`, and those of its week-numbering year, too; the first date's week-numbering year
    may be the year before.
    """
    low = None
    if first is not None:
        year, week, _ = first.isocalendar()
        low = min(first.isoformat(), f"{year:04}-W{week:02}")
    if last is None:
        return Domain.of(Interval(low))
    spans = [Interval(low, prefixed(last.isoformat()).high, high_inclusive=False)]
    for year in {last.year, last.isocalendar().year}:
        if MINYEAR <= year <= MAXYEAR:
            spans.append(Interval(max(low or "", f"{year:04}-W"), prefixed(f"{year:04}").high, high_inclusive=False))
    return Domain.of(*spans)
