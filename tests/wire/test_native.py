"""Attribute values as Python values: the ones that boto3 gives, and back to the same attribute."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer
from hypothesis import given

from spark_dynamo.wire.python_values import to_attribute, to_attributes, to_python
from tests.wire.strategies import any_attributes, canonical, to_boto


def plain(value: Any) -> Any:
    """A value of boto3's with bytes in place of its wrapper."""
    if isinstance(value, Binary):
        return bytes(value)
    if isinstance(value, dict):
        return {name: plain(child) for name, child in value.items()}
    if isinstance(value, list | set):
        return type(value)(map(plain, value))
    return value


@given(any_attributes)
def test_values_are_those_of_boto3_and_come_back_as_the_same_attribute(attribute: dict[str, Any]) -> None:
    value = to_python(attribute)
    assert value == plain(TypeDeserializer().deserialize(to_boto(attribute)))
    assert canonical(to_attribute(value)) == canonical(attribute)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (True, {"BOOL": True}),
        (7, {"N": "7"}),
        (0.1, {"N": "0.1"}),
        (Decimal("1.50"), {"N": "1.50"}),
        (None, {"NULL": True}),
        (b"\x00", {"B": "AA=="}),
        (bytearray(b"\x00"), {"B": "AA=="}),
        (Binary(b"\x00"), {"B": "AA=="}),
        (("a", 1), {"L": [{"S": "a"}, {"N": "1"}]}),
        (frozenset({b"\x00"}), {"BS": [base64.b64encode(b"\x00").decode()]}),
    ],
)
def test_further_python_values_are_taken(value: object, attribute: dict[str, Any]) -> None:
    assert to_attribute(value) == attribute


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "'x' is NaN, and DynamoDB's numbers are finite"),
        (Decimal("Infinity"), "'x' is Infinity, and DynamoDB's numbers are finite"),
        ([{"y": UUID(int=0)}], r"'x\[0\].y' is UUID\('00000000-.*'\), of type UUID, which DynamoDB has no type for"),
        (set(), "'x' is a set of nothing"),
        ({1, "a"}, "'x' is a set of values of the types N, S"),
        ({None}, "'x' is a set of values of the types NULL"),
        ({True}, "'x' is a set of values of the types BOOL"),
        ({1: "a"}, "'x' has a key 1, and the keys of maps are text"),
        ("\ud800", "'x' holds half of a surrogate pair"),
    ],
)
def test_other_values_are_errors(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        to_attributes({"x": value})


def test_the_name_of_an_attribute_is_text() -> None:
    with pytest.raises(ValueError, match="it has an attribute named 1, and names are text"):
        to_attributes({1: "x"})  # type: ignore[dict-item]
