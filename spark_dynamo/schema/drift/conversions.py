"""How a value becomes one of another type without loss: an expression for each pair of families of types.

Nothing here depends on ANSI mode or on the session's time zone: what has no zone is UTC, as everywhere in this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.types import (
    ByteType,
    DataType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    YearMonthIntervalType,
)

__all__ = ["Cast"]


@dataclass(frozen=True, slots=True)
class Cast:
    """How values of one type become values of another one.

    `convert` is the expression of the new value. `fits` says of an old value and its new one whether nothing is lost, and may
    be null where something is; it is None where that can't be.
    """

    convert: Callable[[Column], Column]
    fits: Callable[[Column, Column], Column] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether each value of the old type is kept."""
        return self.fits is None


# ---------------------------------------------------------------------------------------------------- numbers

# the most digits of an integer type, the bits that a floating-point number keeps of one, and the decimal digits it keeps
DIGITS: Mapping[type[DataType], int] = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
_BITS: Mapping[type[DataType], int] = {ByteType: 7, ShortType: 15, IntegerType: 31, LongType: 63}
MANTISSA: Mapping[type[DataType], int] = {FloatType: 24, DoubleType: 53}
_SURE_DIGITS: Mapping[type[DataType], int] = {FloatType: 6, DoubleType: 15}
_BEYOND_LONG = float(1 << 63)
_LAST_LONG = (1 << 63) - 1


def exactly(wanted: DataType) -> Cast:
    return Cast(lambda value: value.cast(wanted))


def there_and_back(found: DataType, wanted: DataType) -> Cast:
    return Cast(lambda value: value.try_cast(wanted), lambda value, new: new.try_cast(found) == value)


def _after(first: Cast, second: Cast) -> Cast:
    """One cast after another one, which is exact."""
    if second.fits is None:
        return Cast(lambda value: second.convert(first.convert(value)))
    fits = second.fits
    return Cast(lambda value: second.convert(first.convert(value)), lambda value, new: fits(first.convert(value), new))


def integer_to_integer(found: DataType, wanted: DataType) -> Cast:
    if _BITS[type(found)] < _BITS[type(wanted)]:
        return exactly(wanted)
    return Cast(lambda value: value.try_cast(wanted), lambda _, new: new.isNotNull())


def integer_to_decimal(found: DataType, wanted: DataType) -> Cast:
    assert isinstance(wanted, DecimalType)
    if DIGITS[type(found)] <= wanted.precision - wanted.scale:
        return exactly(wanted)
    return Cast(lambda value: value.try_cast(wanted), lambda _, new: new.isNotNull())


def integer_to_floating(found: DataType, wanted: DataType) -> Cast:
    if _BITS[type(found)] <= MANTISSA[type(wanted)]:
        return exactly(wanted)
    # The way back ends at the last BIGINT, which is no floating-point number itself. It must not lead over DOUBLE: Spark's
    # optimizer takes INT -> FLOAT -> DOUBLE for INT -> DOUBLE.
    return Cast(
        lambda value: value.cast(wanted),
        lambda value, new: (new.try_cast(LongType()) == value) & (value < _LAST_LONG),
    )


def decimal_to_integer(found: DataType, wanted: DataType) -> Cast:
    assert isinstance(found, DecimalType)
    if found.scale == 0 and found.precision < DIGITS[type(wanted)]:
        return exactly(wanted)
    return there_and_back(found, wanted)


def decimal_to_decimal(found: DataType, wanted: DataType) -> Cast:
    assert isinstance(found, DecimalType)
    assert isinstance(wanted, DecimalType)
    if found.precision - found.scale <= wanted.precision - wanted.scale and found.scale <= wanted.scale:
        return exactly(wanted)
    return there_and_back(found, wanted)


def decimal_to_floating(found: DataType, wanted: DataType) -> Cast:
    assert isinstance(found, DecimalType)
    if found.precision <= _SURE_DIGITS[type(wanted)]:
        return exactly(wanted)
    return Cast(lambda value: value.cast(wanted), lambda value, new: new.cast(StringType()).try_cast(found) == value)


def floating_to_floating(found: DataType, wanted: DataType) -> Cast:
    return exactly(wanted) if isinstance(found, FloatType) else there_and_back(found, wanted)


def floating_to_integer(found: DataType, wanted: DataType) -> Cast:
    # 2^63 becomes the last BIGINT, and that becomes 2^63 again
    double = DoubleType()
    return Cast(
        lambda value: value.cast(double).try_cast(wanted),
        lambda value, new: (new.cast(double) == value.cast(double)) & (value.cast(double) < _BEYOND_LONG),
    )


def floating_to_decimal(found: DataType, wanted: DataType) -> Cast:
    # by its shortest text, which for FLOAT is another number than that of the DOUBLE it becomes
    return Cast(
        lambda value: value.cast(StringType()).try_cast(wanted), lambda value, new: new.try_cast(found) == value
    )


# ---------------------------------------------------------------------------------------------------- text

_INTEGER_TEXT = r"\A-?(0|[1-9][0-9]*)\z"
_DECIMAL_TEXT = r"\A-?(0|[1-9][0-9]*)(\.[0-9]{0,%d}0*)?(?<!\.)\z"
_FLOATING_TEXT = r"\A-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\z"
_DAY = r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})"


def _reads(pattern: str, wanted: DataType) -> Cast:
    """Text of exactly one form; Spark's own cast takes more, and blanks around it."""
    return Cast(
        lambda value: value.try_cast(wanted), lambda value, new: F.rlike(value, F.lit(pattern)) & new.isNotNull()
    )


def text_to_integer(_: DataType, wanted: DataType) -> Cast:
    return _reads(_INTEGER_TEXT, wanted)


def text_to_decimal(_: DataType, wanted: DataType) -> Cast:
    assert isinstance(wanted, DecimalType)
    return _reads(_DECIMAL_TEXT % wanted.scale, wanted)


def text_to_floating(_: DataType, wanted: DataType) -> Cast:
    """Decimal digits are kept up to 15 (of FLOAT 6); more of them only where the number's own text has them, too."""
    exact = DecimalType(38, 18)

    def fits(value: Column, new: Column) -> Column:
        digits = F.regexp_replace(value, r"[eE].*\z|\A-?[0.]*|\.", "")
        shortest = new.cast(StringType())
        has_its_digits = F.rlike(value, F.lit(_DECIMAL_TEXT % 18)) & (shortest.try_cast(exact) == value.try_cast(exact))
        is_few_digits = (F.length(digits) <= _SURE_DIGITS[type(wanted)]) & (F.abs(new) >= _SMALLEST[type(wanted)])
        is_zero = F.rlike(value, F.lit(r"\A-?[0.]+([eE].*)?\z"))
        is_kept = is_zero | is_few_digits | (shortest == value) | F.coalesce(has_its_digits, F.lit(False))
        return F.rlike(value, F.lit(_FLOATING_TEXT)) & (F.abs(new) < float("inf")) & is_kept

    return Cast(lambda value: value.try_cast(wanted), fits)


# below these, a floating-point number has fewer digits
_SMALLEST: Mapping[type[DataType], float] = {FloatType: 1.1754943508222875e-38, DoubleType: 2.2250738585072014e-308}


def text_to_boolean(_: DataType, wanted: DataType) -> Cast:
    return _reads(r"\A(true|false)\z", wanted)


def text_to_date(_: DataType, wanted: DataType) -> Cast:
    return _reads(rf"\A{_DAY}\z", wanted)


def text_to_local(_: DataType, wanted: DataType) -> Cast:
    return _reads(rf"\A{_DAY}({_CLOCK})?\z", wanted)


def text_to_timestamp(_: DataType, wanted: DataType) -> Cast:
    def convert(value: Column) -> Column:
        # Spark wants seconds where a zone follows
        timed = F.regexp_replace(value, r"\A(.{13}:[0-9]{2})(?!:)", "$1:00")
        zoned = F.when(F.rlike(timed, F.lit(rf"{_CLOCK}\z")), F.concat(timed, F.lit("Z")))
        whole_day = F.when(F.rlike(value, F.lit(rf"\A{_DAY}\z")), F.concat(value, F.lit("T00:00:00Z")))
        return F.coalesce(zoned, whole_day, timed).try_cast(wanted)

    pattern = rf"\A{_DAY}({_CLOCK}{_ZONE}?)?\z"
    return Cast(convert, lambda value, new: F.rlike(value, F.lit(pattern)) & new.isNotNull())


def to_text(_: DataType, wanted: DataType) -> Cast:
    # try_cast writes decimals plainly, `cast` only in ANSI mode
    return Cast(lambda value: value.try_cast(wanted))


_ISO = {
    "timeZone": "UTC",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'+00:00'",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


def moment_to_text(_: DataType, wanted: DataType) -> Cast:
    # the one function of Spark's that writes in a zone of one's choice
    def convert(value: Column) -> Column:
        return F.when(value.isNotNull(), F.to_csv(F.struct(value.alias("moment")), _ISO)).cast(wanted)

    return Cast(convert)


# ---------------------------------------------------------------------------------------------------- time

_SECONDS = DecimalType(19, 6)  # all of TIMESTAMP's
_LAST_SECOND = _LAST_LONG // 1_000_000


def date_to_timestamp(_: DataType, __: DataType) -> Cast:
    return Cast(lambda value: F.timestamp_seconds(F.unix_date(value).cast(LongType()) * 86_400))


def local_to_timestamp(_: DataType, wanted: DataType) -> Cast:
    return Cast(lambda value: F.concat(value.cast(StringType()), F.lit("Z")).try_cast(wanted))


def number_to_epoch(found: DataType, _: DataType) -> Cast:
    digits = _digits(found)
    if digits[0] <= 12 and digits[1] <= 6:
        return Cast(F.timestamp_seconds)
    if digits[1] > 6:
        return _narrowed(found, DecimalType(38, 6))
    return Cast(F.timestamp_seconds, lambda value, _: value.between(-_LAST_SECOND, _LAST_SECOND))


def _narrowed(found: DataType, seconds: DecimalType) -> Cast:
    return Cast(
        lambda value: F.timestamp_seconds(value.try_cast(seconds)),
        lambda value, _: (
            (value.try_cast(seconds).try_cast(found) == value) & value.between(-_LAST_SECOND, _LAST_SECOND)
        ),
    )


def _digits(kind: DataType) -> tuple[int, int]:
    if isinstance(kind, DecimalType):
        return kind.precision - kind.scale, kind.scale
    return DIGITS[type(kind)], 0


def epoch_to_number(_: DataType, wanted: DataType) -> Cast:
    to_seconds = Cast(
        lambda value: (F.unix_micros(value).cast(DecimalType(19, 0)) / F.lit(Decimal(1_000_000))).cast(_SECONDS)
    )
    if isinstance(wanted, DecimalType):
        return _after(to_seconds, decimal_to_decimal(_SECONDS, wanted)) if wanted != _SECONDS else to_seconds
    return _after(to_seconds, decimal_to_integer(_SECONDS, wanted))


def interval_to_interval(found: DataType, wanted: DataType) -> Cast:
    assert isinstance(found, DayTimeIntervalType | YearMonthIntervalType)
    assert isinstance(wanted, DayTimeIntervalType | YearMonthIntervalType)
    return exactly(wanted) if found.endField <= wanted.endField else there_and_back(found, wanted)
