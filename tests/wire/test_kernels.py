"""Column kernels and the scalars of the value route agree; what is encoded reads back the same; numbers stay numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.wire import kernels, scalars
from spark_dynamo.wire.types import LEAVES, Leaf, leaf_of
from tests.wire.strategies import (
    BITS,
    ODD_MOMENTS,
    ODD_NUMBERS,
    binary_texts,
    dates,
    decimal_types,
    doubles,
    floats,
    moments,
    number_texts,
    values,
)


@st.composite
def numberlike_texts(draw: st.DrawFn) -> str:
    """Numbers of any length and exponent, in DynamoDB's range or beyond, often written oddly."""
    digits = st.one_of(
        st.text("0123456789", max_size=4),
        st.integers(17, 45).flatmap(lambda size: st.text("0123456789", min_size=size, max_size=size)),
        st.integers(0, 50).map(lambda size: draw(st.sampled_from("1279")) + "0" * size),
        st.integers(0, 50).map(lambda size: "0" * size + "1"),
    )
    text = draw(st.sampled_from(["", "", "-", "+"])) + draw(digits)
    if draw(st.booleans()):
        text += "." + draw(digits)
    if draw(st.integers(0, 3)) == 0:
        text += draw(st.sampled_from(["e", "E", "E+", "E-"])) + str(draw(st.integers(0, 250)))
    return text


@st.composite
def momentlike_texts(draw: st.DrawFn) -> str:
    """What looks like a date, perhaps with a time, perhaps with a zone, and often is none."""

    def number(most: int, width: int = 2) -> str:
        return f"{draw(st.integers(0, most)):0{width}}"

    text = (
        f"{draw(st.sampled_from(['2024', '0000', '0001', '0002', '9999', '1969', number(9999, 4), number(99999, 5)]))}"
    )
    text += f"-{number(13)}-{number(32)}"
    if draw(st.booleans()):
        return text
    text += draw(st.sampled_from(["T", " ", "t"])) + number(25)
    for _ in range(draw(st.integers(0, 2))):
        text += ":" + number(61)
    if draw(st.booleans()):
        text += draw(st.sampled_from([".", ","])) + draw(st.text("0123456789", max_size=9))
    zones = ["", "Z", "z", "+00:00", "-00:00", "+0530", "+05", "-23:59", "+24:00", "+05:60", " +01:00", "+05:30:15"]
    return text + draw(st.sampled_from(zones))


def forms(*kinds: DataType, tags: tuple[str | None, ...] = (None,)) -> list[tuple[DataType, Leaf]]:
    return [(kind, leaf_of(kind, tag, "")) for kind in kinds for tag in tags]


NUMBERS = [
    *forms(*(kind() for kind in BITS), DoubleType(), FloatType()),
    *forms(*(DecimalType(*size) for size in [(38, 0), (38, 38), (38, 18), (20, 10), (10, 2), (1, 0), (1, 1)])),
    *forms(TimestampType(), DayTimeIntervalType(), tags=("N",)),
]
MOMENTS = forms(TimestampType(), TimestampNTZType(), DateType())
ALL_DIGITS = Context(prec=600)


def kernel(kind: DataType, leaf: Leaf, texts: list[str | None]) -> pa.Array | None:
    """The column, or None where the kernel leaves it to the value route."""
    try:
        column = leaf.decode(pa.array(texts, pa.string()), leaf.arrow(kind))
    except (pa.ArrowInvalid, ValueError):
        return None
    column.validate(full=True)
    assert column.type == leaf.arrow(kind)
    return column


def check(kind: DataType, leaf: Leaf, texts: list[str | None]) -> bool:
    """Where the kernel accepts the texts, so does the scalar, with the same values."""
    column = kernel(kind, leaf, texts)
    if column is None:
        return False
    read = [None if text is None else leaf.read(text, kind) for text in texts]
    assert column.equals(pa.array(read, column.type)), (texts, column, read)
    return True


@given(st.one_of(numberlike_texts(), number_texts(), st.sampled_from(ODD_NUMBERS)))
def test_numbers(text: str) -> None:
    for kind, leaf in NUMBERS:
        check(kind, leaf, [text])


@given(st.one_of(momentlike_texts(), st.sampled_from(ODD_MOMENTS)))
def test_moments(text: str) -> None:
    for kind, leaf in MOMENTS:
        check(kind, leaf, [text])


@given(st.data(), st.sampled_from([*NUMBERS, *MOMENTS]))
def test_columns(data: st.DataObject, form: tuple[DataType, Leaf]) -> None:
    kind, leaf = form
    text = momentlike_texts() if leaf.tag == "S" else numberlike_texts()
    check(kind, leaf, data.draw(st.lists(st.one_of(st.none(), text), max_size=4)))


@given(st.one_of(binary_texts, st.text("AQg=+/-_ \n", max_size=9)))
@example("AAAA=")
@example("AAAA====")
@example("AA=")
def test_binaries(text: str) -> None:
    leaf = leaf_of(BinaryType(), None, "")
    accepted = check(BinaryType(), leaf, [text])
    if not accepted:
        with pytest.raises(ValueError, match="it is no base64"):
            scalars.read_binary(text)


@pytest.mark.parametrize(
    ("kind", "tag", "texts"),
    [
        (LongType(), None, ["0", "-9223372036854775808", "9223372036854775807"]),
        (LongType(), None, ["1.0", "-5.00", "7"]),
        (DecimalType(38, 18), None, ["12345678901234567890.123456789012345", "-1", None]),
        (DecimalType(38, 0), None, ["9" * 38, "0"]),
        (DecimalType(10, 2), None, ["12345678.90", "-0.01", "5"]),
        (DoubleType(), None, ["1E+100", "0.1", "-1e-130"]),
        (TimestampType(), "N", ["1704103200", "-1.5", "0.000001"]),
        (DayTimeIntervalType(), None, ["86400", "-1.5", "0.000001", "-9223372036854.775808"]),
        (TimestampType(), None, ["2024-01-01T10:00:00Z", "2024-01-01 10:00:00.5+05:30"]),
        (TimestampType(), None, ["2024-01-01T10:00:00", "2024-01-01"]),
        (TimestampNTZType(), None, ["2024-01-01T10:00:00.123456", "0002-01-01"]),
        (DateType(), None, ["2024-02-29", "9999-12-31", None]),
        (StringType(), "N", ["1", "anything"]),
    ],
)
def test_usual_texts_do_not_need_the_value_route(kind: DataType, tag: str | None, texts: list[str | None]) -> None:
    assert check(kind, leaf_of(kind, tag, ""), texts)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: f"{leaf.spark.typeName()}-{leaf.tag}")
def test_columns_of_nulls_and_empty_columns(leaf: Leaf) -> None:
    kind = DecimalType(10, 2) if leaf.spark is DecimalType else leaf.spark()
    wire, arrow = pa.string() if leaf.quoted else pa.bool_(), leaf.arrow(kind)
    for values_ in ([], [None], [None, None]):
        assert leaf.decode(pa.array(values_, wire), arrow).equals(pa.array(values_, arrow))
        assert leaf.encode(pa.array(values_, arrow)).equals(pa.array(values_, pa.string()))


# ---------------------------------------------------------------------------------------------------- scalars alone


@given(number_texts(), decimal_types())
def test_a_decimal_is_exact_or_refused(text: str, kind: DecimalType) -> None:
    number = Decimal(text)
    unscaled = number.scaleb(kind.scale, ALL_DIGITS)
    if ALL_DIGITS.to_integral_exact(unscaled) == unscaled and abs(unscaled) < 10**kind.precision:
        read = scalars.read_decimal(text, kind)
        assert read == number
        assert read.as_tuple().exponent == -kind.scale
    else:
        with pytest.raises(ValueError, match="it needs more than"):
            scalars.read_decimal(text, kind)


@given(number_texts())
def test_integers_are_exact_or_refused(text: str) -> None:
    number = Decimal(text)
    for bits in (8, 16, 32, 64):
        fits = number == number.to_integral_value() and -(2 ** (bits - 1)) <= number < 2 ** (bits - 1)
        if fits:
            assert scalars.read_integer(text, bits) == number
        else:
            with pytest.raises(ValueError, match="it has a fraction|it is outside the"):
                scalars.read_integer(text, bits)


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "-sNaN", "1E+401", "1E-500", "0x1F", "1,5", "1E"])
@pytest.mark.parametrize(
    "read",
    [
        lambda text: scalars.read_integer(text, 64),
        lambda text: scalars.read_decimal(text, DecimalType(10, 2)),
        scalars.read_float,
        scalars.read_epoch_seconds,
    ],
)
def test_what_is_no_number(text: str, read: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match="^it is (no number|no finite number|far beyond DynamoDB's numbers)$"):
        read(text)


def test_floats_of_32_bits() -> None:
    assert scalars.read_float("0.1", 32) == 0.10000000149011612
    assert scalars.read_float("3.4028235E+38", 32) == 3.4028234663852886e38
    assert scalars.read_float("1E-130", 32) == 0
    with pytest.raises(ValueError, match="beyond the largest floating-point number of 32 bits"):
        scalars.read_float("-3.5E+38", 32)
    with pytest.raises(ValueError, match="beyond the largest floating-point number of 64 bits"):
        scalars.read_float("1E+309")


def test_the_first_and_last_instants() -> None:
    """They have no datetime in UTC, but TIMESTAMP holds them."""
    first, last = "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59.999999-05:00"
    assert scalars.read_timestamp(first) == -62135596800000000 - 5 * 3_600_000_000
    assert scalars.read_timestamp(last) == 253402300799999999 + 5 * 3_600_000_000
    for text in ("0000-12-31", "0000-12-31T23:00:00-05:00"):
        with pytest.raises(ValueError, match="no ISO 8601"):
            scalars.read_timestamp(text)


@pytest.mark.parametrize(
    "text", ["2020-12-23T24:00:00", "20201223T24", "2020-W52-3 24:00", "2020-12-23T24:00:00.000000"]
)
@pytest.mark.parametrize(("zone", "hours"), [("Z", 0), ("+02:00", 2), ("-0530", -5.5), ("", 0)])
def test_the_end_of_a_day_is_the_beginning_of_the_next(text: str, zone: str, hours: float) -> None:
    assert scalars.read_timestamp(text + zone) == 1_608_768_000_000_000 - hours * 3_600_000_000
    if not zone:
        assert scalars.read_local_timestamp(text) == datetime(2020, 12, 24)


@pytest.mark.parametrize(
    "text", ["2020-12-23T24:00:01", "2020-12-23T24:01Z", "2020-12-23T25:00", "9999-12-31T24:00", "2020-12-32T24:00", "24:00",
             "2020-12-23T24:00:00.0000001", "2020-12-23T24:60", "2020-12-2424"],
)  # fmt: skip
def test_what_is_later_than_the_end_of_a_day_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="it is no ISO 8601 date and time|finer than a microsecond"):
        scalars.read_timestamp(text)


# ---------------------------------------------------------------------------------------------------- encoding


@given(
    st.data(),
    st.sampled_from([leaf for leaf in LEAVES if leaf.quoted and (leaf.spark, leaf.tag) != (StringType, "S")]),
)
def test_what_is_encoded_reads_back_the_same(data: st.DataObject, leaf: Leaf) -> None:
    kind = data.draw(decimal_types()) if leaf.spark is DecimalType else leaf.spark()
    content = data.draw(st.lists(st.one_of(st.none(), values(kind, leaf.tag)), max_size=4))
    column = pa.array(content, leaf.arrow(kind))
    texts = leaf.encode(column).to_pylist()
    assert pa.array([None if text is None else leaf.read(text, kind) for text in texts], column.type).equals(column)
    if leaf.tag == "N":
        for text in texts:
            if text is not None:
                assert kernels.number_problem(text) == ""


@given(st.lists(moments, min_size=2, max_size=5))
def test_text_order_is_time_order(times: list[datetime]) -> None:
    column = pa.array([moment.replace(tzinfo=UTC) for moment in times], pa.timestamp("us", "UTC"))
    assert pc.array_sort_indices(kernels.encode_timestamps(column)).equals(pc.array_sort_indices(column))


@pytest.mark.parametrize(
    ("encode", "value", "text"),
    [
        (kernels.encode_timestamps, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05.000000+00:00"),
        (kernels.encode_timestamps, datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000+00:00"),
        (kernels.encode_local_timestamps, datetime(9999, 12, 31, 23, 59, 59, 999_999), "9999-12-31T23:59:59.999999"),
        (kernels.encode_dates, date(1, 1, 1), "0001-01-01"),
        (kernels.encode_floats, -0.0, "0"),
        (kernels.encode_floats, 1e-130, "1e-130"),
        (kernels.encode_floats, math.nextafter(1e126, 0), "9.999999999999998e+125"),
        (kernels.encode_integers, -(2**63), "-9223372036854775808"),
        (kernels.encode_booleans, True, "true"),
    ],
)
def test_forms(encode: Callable[[pa.Array], pa.Array], value: Any, text: str) -> None:
    assert encode(pa.array([value])).to_pylist() == [text]


def test_intervals_are_seconds() -> None:
    lengths = [timedelta(days=1), timedelta(0), timedelta(microseconds=-1), None, timedelta(seconds=-90)]
    column = pa.array(lengths, pa.duration("us"))
    texts = kernels.encode_epoch_seconds(column).to_pylist()
    assert [None if text is None else Decimal(text) for text in texts] == [
        *(Decimal(86400), 0, Decimal("-0.000001"), None, -90)
    ]
    assert kernels.encode_epoch_seconds(column[:2]).to_pylist() == ["86400", "0"]
    assert kernels.decode_epoch_seconds(pa.array(texts), pa.duration("us")).equals(column)
    with pytest.raises(ValueError, match="it has a fraction finer than a microsecond"):
        scalars.read_epoch_seconds("0.0000001")
    with pytest.raises(ValueError, match="it is beyond the range of TIMESTAMP and INTERVAL"):
        scalars.read_epoch_seconds("9223372036854.775808")


def test_epoch_seconds_have_a_fraction_only_where_it_is_needed() -> None:
    instants = [datetime(2024, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), None]
    kind = pa.timestamp("us", "UTC")
    assert kernels.encode_epoch_seconds(pa.array(instants, kind)).to_pylist() == ["1704067200", "-1", None]
    between = datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
    texts = kernels.encode_epoch_seconds(pa.array([*instants, between], kind)).to_pylist()
    assert [text and Decimal(text) for text in texts] == [1704067200, -1, None, Decimal("-0.5")]
    extremes = pa.array([-(2**63), 2**63 - 1], pa.int64()).cast(kind)
    assert kernels.encode_epoch_seconds(extremes).to_pylist() == ["-9223372036854.775808", "9223372036854.775807"]


@given(st.one_of(doubles, floats))
def test_floats_are_written_as_the_shortest_text(number: float) -> None:
    (text,) = kernels.encode_floats(pa.array([number], pa.float64())).to_pylist()
    assert float(text) == number
    assert Decimal(text) == Decimal(repr(number))


@given(st.lists(number_texts(), min_size=2, max_size=2), st.integers(0, 4), st.booleans())
@example(["10", "1E+1"], 0, False)
@example(["-0.00", "0"], 0, False)
def test_equal_numbers_have_one_canonical_text(texts: list[str], zeros: int, same: bool) -> None:
    first, second = texts
    if same:
        number = Decimal(first)
        second = str(number.quantize(number.scaleb(-zeros), context=ALL_DIGITS)) if number else "0E+3"
    canonical = kernels.canonical_numbers(pa.array([first, second, None])).to_pylist()
    assert (canonical[0] == canonical[1]) == (Decimal(first) == Decimal(second))
    assert Decimal(canonical[0]) == Decimal(first)
    assert canonical[2] is None


@given(numberlike_texts())
def test_number_text_is_a_number_of_at_most_38_digits_in_range(text: str) -> None:
    try:
        number = Decimal(text)
        digits = len("".join(map(str, number.as_tuple().digits)).strip("0"))
        fits = digits <= 38 and (not number or -130 <= number.adjusted() <= 125)
    except ArithmeticError:
        fits = False
    column = pa.array([None, text, "1"])
    if fits:
        assert kernels.encode_number_text(column).equals(column)
    else:
        with pytest.raises(kernels.Unfit) as caught:
            kernels.encode_number_text(column)
        assert caught.value.value == text


@given(dates, st.integers(-400, 400))
def test_dates_in_any_slice(day: date, days: int) -> None:
    content = [day, None, date(2024, 1, 1) + timedelta(days=days)]
    column = pa.array(content, pa.date32())
    for start in range(3):
        texts = kernels.encode_dates(column.slice(start)).to_pylist()
        assert texts == [None if value is None else value.isoformat() for value in content[start:]]


def test_text_in_slices_with_different_escapes() -> None:
    column = pa.array(['"', "plain", "\\", "\n\x00", None])
    encoded = ['\\"', "plain", "\\\\", "\\u000a\\u0000", None]
    for start in range(5):
        for stop in range(start, 6):
            assert kernels.encode_text(column[start:stop]).to_pylist() == encoded[start:stop]


def test_integers_are_read_from_any_width() -> None:
    assert kernel(IntegerType(), leaf_of(IntegerType(), None, ""), ["2147483648"]) is None
    with pytest.raises(ValueError, match="it is outside the 32-bit range"):
        scalars.read_integer("2147483648", 32)
