"""Whole columns at a time: Arrow kernels from the text of DynamoDB attribute values to typed columns, and back.

The kernels that decode raise `pyarrow.ArrowInvalid` or ValueError as soon as one value doesn't fit plainly; `scalars` then
says what is wrong with it, or knows a rarer form. Those that encode raise `Unfit` with the value and the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# DynamoDB's range of magnitudes:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
SMALLEST_NUMBER, BEYOND_NUMBERS = 1e-130, 1e126  # as a double, the largest number itself would round to the bound
_NOT_FINITE = "DynamoDB has no NaN and no infinity; replace it by NULL or drop the row"
_OUT_OF_RANGE = "DynamoDB's numbers reach from 1E-130 to 9.99E+125; write it as a string"
EMPTY_NAME = "DynamoDB takes no empty attribute name; rename the key"
EMPTY_SET = "DynamoDB has no empty sets; replace it by NULL"
_YEARS = "ISO 8601 text holds the years 0001 to 9999 only"
_INTEGRAL = pa.decimal128(38, 0)
_MICROS = pa.decimal128(38, 6)
_ALL_DIGITS = Context(prec=200)
# microseconds since 1970
_YEAR_1, _YEAR_2, _YEAR_10000 = -62_135_596_800_000_000, -62_104_060_800_000_000, 253_402_300_800_000_000


class Unfit(Exception):  # noqa: N818 - a finding that a caller turns into the error of its own side
    """A value that has no DynamoDB form: the value, and why.

    `places` has all such values of the column that the kernel has found, in order, by their row: the value, and why. The
    first of them is the one above.
    """

    def __init__(self, places: Mapping[int, tuple[object, str]], path: str = "") -> None:
        super().__init__(places, path)
        self.places = places
        self.value, self.problem = next(iter(places.values()))
        self.path = path

    def at(self, path: str) -> Unfit:
        """This finding under the path of its column."""
        return Unfit(self.places, path)

    def above(self, owners: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Unfit:
        """This finding one level up: `owners` are the rows there to which the values here belong."""
        places: dict[int, tuple[object, str]] = {}
        for place, found in self.places.items():
            places.setdefault(int(owners[place]), found)
        return Unfit(places, self.path)


def refuse(column: pa.Array, bad: pa.BooleanArray, problem: str) -> None:
    """Raise `Unfit` with all values of the column that are marked as bad, unless there is none; a null mark is none."""
    if pc.any(bad).as_py():
        places = np.flatnonzero(pc.fill_null(bad, False).to_numpy(zero_copy_only=False))
        values = column.take(pa.array(places)).to_pylist()
        raise Unfit({place: (value, problem) for place, value in zip(places.tolist(), values, strict=True)})


# ---------------------------------------------------------------------------------------------------- decode


def decode_text(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as it is; Arrow's JSON reader lets bytes through that are no UTF-8."""
    column.validate(full=True)
    return column


def decode_integers(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Number text -> an integer type; `1.0` and `1E+3` are integers, too."""
    try:
        return pc.cast(column, kind)
    except pa.ArrowInvalid:
        return pc.cast(decode_decimals(column, _INTEGRAL), kind)


def decode_decimals(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Number text -> a decimal type, never rounded.

    Arrow's cast is only asked where it is exact: beyond 38 digits, counted at the type's scale, it wraps around without a
    word, and an exponent below -38 makes 0 of a number.
    """
    length = pc.binary_length(column)
    if (pc.max(length).as_py() or 0) > 38 - kind.scale:
        point = pc.find_substring(column, ".")
        whole = pc.if_else(pc.equal(point, -1), length, point)
        if not _all(pc.and_(pc.less_equal(length, 38), pc.less_equal(whole, 38 - kind.scale))):
            raise ValueError("a number may have more digits than the column kernel can count")
    if ((_bytes_of(column) | 0x20) == ord("e")).any():
        raise ValueError("a number has an exponent")
    return pc.cast(column, kind)


def decode_floats(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Number text -> the nearest floating-point number, never infinite."""
    floats = pc.cast(column, kind)
    if not _all(pc.is_finite(floats)):
        raise ValueError("a number is beyond the range of the floating-point type")
    return floats


def decode_dates(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """`YYYY-MM-DD` -> date."""
    dates = pc.cast(column, kind)
    _after_year_1(dates.cast(pa.int32()), _YEAR_2 // 86_400_000_000)
    return dates


def decode_timestamps(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """ISO 8601 text -> instants in UTC; text without any zone is UTC, too."""
    try:
        micros = pc.cast(column, kind).cast(pa.int64())
    except pa.ArrowInvalid:
        micros = pc.cast(column, pa.timestamp("us")).cast(pa.int64())
    _after_year_1(micros, _YEAR_2)
    return micros.cast(kind)


def decode_local_timestamps(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """ISO 8601 text without a zone -> timestamps without a zone."""
    moments = pc.cast(column, kind)
    _after_year_1(moments.cast(pa.int64()), _YEAR_2)
    return moments


def decode_epoch_seconds(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Seconds, fractions to the microsecond allowed -> instants in UTC, or intervals."""
    try:
        micros = pc.multiply_checked(pc.cast(column, pa.int64()), 1_000_000)
    except pa.ArrowInvalid:
        # the unscaled integer of a decimal with 6 places is the number of microseconds
        micros = pc.cast(decode_decimals(column, _MICROS).view(_INTEGRAL), pa.int64())
    return micros.cast(kind)


# ---------------------------------------------------------------------------------------------------- encode


def encode_text(column: pa.Array) -> pa.Array:
    """Strings as the inside of a JSON string: quotes, backslashes and control characters escaped, all else as it is."""
    check_utf8(column)
    codes = _bytes_of(column)
    special = (codes < 0x20) | (codes == 0x22) | (codes == 0x5C)
    if not special.any():
        return column
    present = np.unique(codes[special]).tolist()
    if 0x5C in present:  # first, or it would escape the other escapes
        column = pc.replace_substring(column, "\\", "\\\\")
    for code in present:
        if code != 0x5C:
            column = pc.replace_substring(column, chr(code), '\\"' if code == 0x22 else f"\\u{code:04x}")
    return column


def encode_number_text(column: pa.Array) -> pa.Array:
    """Strings that hold DynamoDB numbers, as they are; each must be a number of at most 38 digits in DynamoDB's range."""
    check_utf8(column)
    plain = pc.match_substring_regex(column, r"^-?[0-9]{1,38}(\.[0-9]+)?$")
    short = pc.less_equal(pc.utf8_length(column), 38)
    doubtful = pc.fill_null(pc.invert(pc.and_(plain, short)), False)
    places = np.flatnonzero(doubtful.to_numpy(zero_copy_only=False))
    found: dict[int, tuple[object, str]] = {}
    for place, text in zip(places.tolist(), column.take(pa.array(places)).to_pylist(), strict=True):
        problem = number_problem(text)
        if problem:
            found[place] = text, problem
    if found:
        raise Unfit(found)
    return column


def number_problem(text: str) -> str:
    """Why the text is no number that DynamoDB keeps exactly; empty where it is one."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return "it is no number"
    if not text.isascii() or not set(text).isdisjoint("_ \t\n\r\v\f\x1c\x1d\x1e\x1f"):  # Decimal allows them
        return "it is no number"
    if not number.is_finite():
        return _NOT_FINITE
    if len("".join(map(str, number.as_tuple().digits)).strip("0")) > 38:
        return "DynamoDB keeps 38 significant digits; round it, or write it as a string"
    return _OUT_OF_RANGE if number and not -130 <= number.adjusted() <= 125 else ""


def canonical_numbers(column: pa.Array) -> pa.Array:
    """Number text in one form for each number, so that equal numbers are equal texts."""
    return pa.array([None if text is None else canonical_number(text) for text in column.to_pylist()], pa.string())


def canonical_number(text: str) -> str:
    """A number's digits alone, without an exponent or zeros that say nothing; a text that is no number stays as it is.

    >>> [canonical_number(text) for text in ("7.0", "-0", "1e-3", "1.5E+3", "one")]
    ['7', '0', '0.001', '1500', 'one']
    """
    try:
        return f"{_ALL_DIGITS.add(Decimal(text), 0).normalize(_ALL_DIGITS):f}"  # -0 + 0 is 0
    except InvalidOperation:
        return text


def encode_integers(column: pa.Array) -> pa.Array:
    """Integers as number text."""
    return pc.cast(column, pa.string())


def encode_decimals(column: pa.Array) -> pa.Array:
    """Decimals as number text, without the zeros that only fill the scale: `1.5` for 1.500."""
    text = pc.cast(column, pa.string())
    if column.type.scale <= 0 or (_bytes_of(text) == ord("E")).any():  # Arrow writes small numbers as 1E-9
        return text
    return pc.ascii_rtrim(pc.ascii_rtrim(text, "0"), ".")


def encode_floats(column: pa.Array) -> pa.Array:
    """Floating-point numbers as the shortest text that reads back as the same number."""
    column = pc.add(column, pa.scalar(0, column.type))  # -0.0 + 0.0 is 0.0: DynamoDB knows one zero
    refuse(column, pc.invert(pc.is_finite(column)), _NOT_FINITE)
    size = pc.abs(column).cast(pa.float64())
    fits = pc.or_(pc.and_(pc.greater_equal(size, SMALLEST_NUMBER), pc.less(size, BEYOND_NUMBERS)), pc.equal(size, 0.0))
    refuse(column, pc.invert(fits), _OUT_OF_RANGE)
    return pc.cast(column, pa.string())


def encode_booleans(column: pa.Array) -> pa.Array:
    """`true` and `false`."""
    return pc.if_else(column, "true", "false")


def encode_dates(column: pa.Array) -> pa.Array:
    """`YYYY-MM-DD`."""
    days = column.cast(pa.int32())
    _within(days, _YEAR_1 // 86_400_000_000, _YEAR_10000 // 86_400_000_000 - 1, "days since 1970")
    return pc.cast(column, pa.string())


def encode_timestamps(column: pa.Array) -> pa.Array:
    """Instants as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, so that text order is time order."""
    return join(encode_local_timestamps(column), "+00:00")


def encode_local_timestamps(column: pa.Array) -> pa.Array:
    """Timestamps without a zone as `YYYY-MM-DDTHH:MM:SS.ffffff`."""
    micros = column.cast(pa.int64())
    _within(micros, _YEAR_1, _YEAR_10000 - 1, "microseconds since 1970")
    text = pc.cast(micros.cast(pa.timestamp("us")), pa.string())
    return pc.replace_substring(text, " ", "T", max_replacements=1)


def encode_epoch_seconds(column: pa.Array) -> pa.Array:
    """Instants as epoch seconds, intervals as their seconds; only those between two seconds get a fraction."""
    micros = column.cast(pa.int64())
    seconds = pc.divide(micros, 1_000_000)
    if _all(pc.equal(pc.multiply(seconds, 1_000_000), micros)):
        return pc.cast(seconds, pa.string())
    return pc.cast(micros.cast(_INTEGRAL).view(_MICROS), pa.string())


def join(*pieces: pa.Array | str) -> pa.Array:
    """The pieces of each row joined to one string; null where a piece is."""
    return pc.binary_join_element_wise(*pieces, "")


# ------------------------------------------------------------------------------------------------------ lists


def list_offsets(lists: pa.ListArray) -> pa.Array:
    """Where each list begins in `lists.flatten()`, and the end; a null list takes no place, whatever lies under it."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])


# ---------------------------------------------------------------------------------------------------- helpers


def _all(flags: pa.Array) -> bool:
    return bool(pc.all(flags, min_count=0).as_py())


def _within(column: pa.Array, least: int, most: int, unit: str) -> None:
    try:
        refuse(column, pc.or_(pc.less(column, least), pc.greater(column, most)), _YEARS)
    except Unfit as unfit:
        raise Unfit({place: (f"{value} {unit}", why) for place, (value, why) in unfit.places.items()}) from None


def _after_year_1(column: pa.Array, year_2: int) -> None:
    """Raise ValueError for years 0 and 1: Arrow reads a year 0000, which `scalars` must refuse."""
    least = pc.min(column).as_py()
    if least is not None and least < year_2:
        raise ValueError("a year before 0002 is left to the value route")


def check_utf8(column: pa.Array) -> None:
    """Raise `Unfit` with the strings that are no UTF-8."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raise Unfit(dict(_invalid_utf8(column))) from None


def _bytes_of(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The bytes of all values of a string column, one after the other."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def _invalid_utf8(column: pa.Array) -> Iterator[tuple[int, tuple[object, str]]]:
    for place, value in enumerate(column.cast(pa.binary()).to_pylist()):
        try:
            if value is not None:
                value.decode()
        except UnicodeDecodeError:
            yield place, (repr(value), "it is not valid UTF-8 (a lone surrogate, say)")
