"""A run's own metrics: numbers under names, which add up."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from typing import Any

from spark_dynamo.errors import ValidationError, shorten
from spark_dynamo.metadata.models import RunMetric
from spark_dynamo.run_logs.plain_values import text

__all__ = ["RunMetrics"]

_MOST_NAMES = 1_000  # an item has 400 KB for all of the run
_LONGEST_NAME, _LONGEST_UNIT = 255, 63  # characters, as OpenTelemetry has it
_DIGITS, _DECIMALS = 20, 18  # before and behind the point, as the column's type has it
_EXACT = Context(prec=80, traps=[Inexact])


class RunMetrics:
    """The metrics of one run; of several threads, the caller takes care.

    >>> metrics = RunMetrics()
    >>> metrics.add("rows_rejected", 12, "rows")
    >>> metrics.add("rows_rejected", 0.5, None)
    >>> metrics.snapshot()
    {'rows_rejected': RunMetric(value=Decimal('12.5'), unit='rows')}
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[Decimal, str | None]] = {}

    def add(self, name: str, value: Any, unit: str | None) -> None:
        """Add a number to the metric of that name; ValidationError, and no change, where it can't be."""
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise ValidationError(
                f"The name of a metric is {shorten(repr(name))}: give a text of 1 to {_LONGEST_NAME} characters"
            )
        if unit is not None and (not isinstance(unit, str) or not 0 < len(unit) <= _LONGEST_UNIT):
            raise ValidationError(
                f"The unit of metric {name!r} is {shorten(repr(unit))}: give a text of 1 to {_LONGEST_UNIT} characters, as in "
                "'rows', or leave it out"
            )
        key, wanted = text(name), None if unit is None else text(unit)
        former, known = self._held.get(key, (Decimal(0), None))
        if key not in self._held and len(self._held) >= _MOST_NAMES:
            raise ValidationError(
                f"Metric {name!r} would be one more than the {_MOST_NAMES:,} that a run may have: use fewer names, and put what "
                "differs from one to the next, as a day or a file, into details of run.log"
            )
        if known is not None and wanted not in (None, known):
            raise ValidationError(
                f"Metric {name!r} is counted in {known!r}, and now in {wanted!r}: each unit needs a name of its own"
            )
        total = _EXACT.add(former, _number(name, value))
        self._held[key] = _fitting(name, total, f"would add up to {total}"), known or wanted

    def snapshot(self) -> dict[str, RunMetric]:
        """The metrics as of now, by their names."""
        return {name: RunMetric(value=value, unit=unit) for name, (value, unit) in self._held.items()}


def _number(name: str, value: Any) -> Decimal:
    """The value without any loss; ValidationError for what is no number, or none that the column can hold."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool):
        raise ValidationError(
            f"Metric {name!r} is {value}: give a number, as 1 to count it; run.check keeps what is true or false"
        )
    if not isinstance(value, int | float | Decimal):
        raise ValidationError(
            f"Metric {name!r} is {shorten(repr(value))}, of type {type(value).__name__}: give an int, a float or a Decimal"
        )
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:  # such texts may have any length
        raise _no_room(name, "is a whole number of more digits")
    number = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValidationError(f"Metric {name!r} is {value}: give a finite number, or leave out what is not known")
    return _fitting(name, number, f"is {shorten(repr(value))}")


def _fitting(name: str, number: Decimal, shown: str) -> Decimal:
    """The number without zeros at its end, which would need room too."""
    try:
        exact = number.normalize(_EXACT)
    except Inexact:
        raise _no_room(name, shown) from None
    exponent = exact.as_tuple().exponent
    assert isinstance(exponent, int)
    if exact.adjusted() >= _DIGITS or exponent < -_DECIMALS:
        raise _no_room(name, shown)
    return exact if exponent <= 0 else exact.quantize(Decimal(1), context=_EXACT)


def _no_room(name: str, shown: str) -> ValidationError:
    return ValidationError(
        f"Metric {name!r} {shown}: it has room for {_DIGITS} digits before the point and {_DECIMALS} behind it. Round it, or "
        "give it in another unit under another name"
    )
