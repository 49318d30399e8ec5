"""Whole columns of base64 agree with Python's base64 module, value by value."""

from __future__ import annotations

import base64
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.wire.base64 import decode_base64, encode_base64

columns = st.lists(st.one_of(st.none(), st.binary(max_size=20), st.just(b"")), max_size=30)


def encoded(values: list[bytes | None]) -> list[str | None]:
    return [None if value is None else base64.b64encode(value).decode() for value in values]


@given(columns, st.data())
def test_columns_and_slices_of_them(values: list[bytes | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    length = data.draw(st.integers(0, len(values) - start))
    texts = encoded(values)
    binary = pa.array(values, pa.binary()).slice(start, length)
    text = pa.array(texts, pa.string()).slice(start, length)
    for result, expected in ((encode_base64(binary), text), (decode_base64(text), binary)):
        result.validate(full=True)
        assert result.type == expected.type
        assert result.null_count == expected.null_count
        assert result.to_pylist() == expected.to_pylist()


@given(st.lists(st.text("AQg=+/-_ \n", max_size=9), min_size=1, max_size=4))
def test_a_column_is_refused_if_and_only_if_one_of_its_values_is(texts: list[str]) -> None:
    pattern = re.compile(r"([\w+/]{4})*([\w+/]{2}==|[\w+/]{3}=)?")
    bad = [text for text in texts if not pattern.fullmatch(text) or "_" in text]
    if not bad:
        assert decode_base64(pa.array(texts)).to_pylist() == [base64.b64decode(text, validate=True) for text in texts]
        return
    with pytest.raises(ValueError, match="is not base64") as caught:
        decode_base64(pa.array(texts))
    assert str(caught.value) == f"'{bad[0]}', value {texts.index(bad[0])} of the column, is not base64"


@pytest.mark.parametrize(
    "bad", ["A", "AA", "AAA", "=", "====", "A===", "AA=A", "=AAA", "AA==AAAA", "AA\n=", "AAA-", "éé", "AAAA\n"]
)
@pytest.mark.parametrize("others", [[], ["AAAA"], ["", "AA==", None]])
def test_the_first_bad_value_is_named(bad: str, others: list[str | None]) -> None:
    column = pa.array([*others, bad, "?", *others], pa.string())
    with pytest.raises(ValueError, match=re.escape(f"'{bad}', value {len(others)} of the column, is not base64")):
        decode_base64(column)


def test_a_long_bad_value_is_shortened() -> None:
    with pytest.raises(ValueError, match="characters left out") as caught:
        decode_base64(pa.array(["AA==", "!" * 10_000]))
    assert len(str(caught.value)) < 250


def test_what_lies_under_a_null_does_not_matter() -> None:
    validity, offsets = pa.py_buffer(b"\x05"), pa.py_buffer(np.array([0, 4, 7, 11], dtype=np.int32))
    text = pa.Array.from_buffers(pa.string(), 3, [validity, offsets, pa.py_buffer(b"AAE=!!!AAEC")])
    binary = pa.Array.from_buffers(pa.binary(), 3, [validity, offsets, pa.py_buffer(b"AAE=!!!AAEC")])
    assert decode_base64(text).to_pylist() == [b"\0\1", None, b"\0\1\2"]
    assert encode_base64(binary).to_pylist() == encoded([b"AAE=", None, b"AAEC"])


@pytest.mark.parametrize("values", [[], [None], [None, None], [b""], [b"", b"", None]])
def test_columns_without_bytes(values: list[bytes | None]) -> None:
    assert encode_base64(pa.array(values, pa.binary())).to_pylist() == encoded(values)
    assert decode_base64(pa.array(encoded(values), pa.string())).to_pylist() == values


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="string is expected, not large_string"):
        decode_base64(pa.array(["AA=="], pa.large_string()))
    with pytest.raises(TypeError, match="binary is expected, not string"):
        encode_base64(pa.array(["AA=="]))
