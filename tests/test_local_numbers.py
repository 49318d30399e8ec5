"""Numbers of many zeros, which DynamoDB takes, in a local server."""

from __future__ import annotations

from decimal import Context, Decimal

import orjson
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.local.numbers import TooManyDigitsError, shorten_numbers
from tests.conftest import Server

LONG = "1234567895171680000000000000000000000000"  # 40 characters, 16 significant digits
EXACT = Context(prec=400)
LEGAL = [
    LONG,
    f"-{LONG}",
    "9" * 38 + "0" * 80,
    "1" + "0" * 100,
    "1.50" + "0" * 50,
    "0" * 50 + "7",
    "0." + "0" * 60 + "12",
]


def decimals(most: int = 38) -> st.SearchStrategy[str]:
    """Numbers with that many digits at most and zeros after them, with a point or without."""
    digits = st.text("0123456789", min_size=1, max_size=most)
    zeros = st.integers(0, 60).map("0".__mul__)
    sign = st.sampled_from(["", "-"])
    return st.one_of(
        st.builds("{}{}{}".format, sign, digits, zeros),
        st.builds("{}0.{}{}{}".format, sign, zeros, digits, zeros),
    )


@given(decimals())
def test_a_shortened_number_is_the_same_number(text: str) -> None:
    body = orjson.dumps({"Item": {"N": {"N": text}, "all": {"L": [{"NS": [text, "1"]}, {"S": text}]}}})
    item = orjson.loads(shorten_numbers(body))["Item"]
    in_set, in_text = item["all"]["L"]
    assert in_text == {"S": text}
    for short in (item["N"]["N"], in_set["NS"][0]):
        assert EXACT.compare(Decimal(short), Decimal(text)) == 0
        assert len(Decimal(short).as_tuple().digits) <= 38
    assert in_set["NS"][1] == "1"


@pytest.mark.parametrize(
    "body",
    [b"", b'{"Item":{"n":{"N":"1' + b"0" * 37 + b'"}}}', b'{"n": ' + b"1" * 50, b'{"id":{"N":"1' + b"0" * 40 + b'x"}}'],
)
def test_what_is_short_or_no_number_stays_as_it_is(body: bytes) -> None:
    assert shorten_numbers(body) == body


def test_more_than_38_significant_digits_are_refused() -> None:
    with pytest.raises(TooManyDigitsError, match="more than 38 significant digits"):
        shorten_numbers(b'{"Item":{"n":{"L":[{"N":"%s"}]}}}' % (b"1" * 39 + b"00"))


@pytest.mark.parametrize("text", LEGAL)
def test_a_table_with_a_number_of_many_zeros_can_be_read(server: Server, text: str) -> None:
    table = server.create("id:S", "n:N")
    key = {"id": {"S": "a"}, "n": {"N": text}}
    server.put(table, {**key, "more": {"L": [{"N": text}]}})
    update = {"UpdateExpression": "ADD added :n", "ExpressionAttributeValues": {":n": {"N": text}}}
    server.client.update_item(TableName=table, Key=key, **update)
    (found,) = server.client.scan(TableName=table, ProjectionExpression="n, more, added")["Items"]
    same = [found["n"]["N"], found["more"]["L"][0]["N"], found["added"]["N"]]
    assert {EXACT.compare(Decimal(number), Decimal(text)) for number in same} == {0}
    assert server.client.get_item(TableName=table, Key=key)["Item"]["id"] == {"S": "a"}


def test_the_embedded_server_refuses_what_dynamodb_refuses(server: Server) -> None:
    table = server.create()
    with pytest.raises(ClientError, match="38 significant digits") as caught:
        server.put(table, {"id": {"S": "a"}, "n": {"N": "1" * 39}})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
