"""Texts become trees; what can't be read, or can't be meant as Spark means it, is refused with a sentence."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.tree import (
    And,
    ArrayContains,
    ColumnComparison,
    Comparison,
    Constant,
    Field,
    In,
    IsNull,
    IsTrue,
    Key,
    Known,
    Like,
    Moment,
    Node,
    Not,
    NullSafeEqual,
    Or,
    Path,
    Size,
    Wildcard,
    references,
)

SCHEMA = (
    StructType()
    .add("id", StringType())
    .add("Id", StringType())
    .add("amount", DecimalType(10, 2))
    .add("precise", DecimalType(38, 30))
    .add("n", LongType())
    .add("open", BooleanType())
    .add("day", DateType())
    .add("at", TimestampType())
    .add("expires", TimestampType(), metadata={"dynamodb": "N"})
    .add("address", StructType().add("City", StringType()).add("zip", LongType()))
    .add("labels", MapType(StringType(), StringType()))
    .add("tags", ArrayType(StringType()), metadata={"dynamodb": "SS"})
    .add("any", VariantType())
    .add("a.b", StringType())
)
ID = Path("id", (), StringType(), "S")
AMOUNT = Path("amount", (), DecimalType(10, 2), "N")
N = Path("n", (), LongType(), "N")
OPEN = Path("open", (), BooleanType(), "BOOL")
AT = Path("at", (), TimestampType(), "S")
CITY = Path("address", (Field("City"),), StringType(), "S")
TAGS = Path("tags", (), ArrayType(StringType()), "SS")
OPENED = Comparison(OPEN, "=", True)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("n = 5", Comparison(N, "=", 5)),
        ("5 < N", Comparison(N, ">", 5)),
        ("n <> 5", Not(Comparison(N, "=", 5))),
        ("n = 1.5", Known(N, False)),
        ("n > 1.5", Comparison(N, ">", 1)),
        ("n >= 1.5", Comparison(N, ">=", 2)),
        ("n = '5'", Comparison(N, "=", 5)),
        ("n < 1e30", Known(N, True)),
        ("n < 12345678901234567890", Constant(True)),
        ("n = 9007199254740993e0", And((Comparison(N, ">=", 2**53), Comparison(N, "<=", 2**53 + 1)))),
        ("amount > 1.234", Comparison(AMOUNT, ">", Decimal("1.23"))),
        ("amount = 1.5", Comparison(AMOUNT, "=", Decimal("1.50"))),
        ("amount = 1.234", Known(AMOUNT, False)),
        ("amount <= -100000000", Known(AMOUNT, False)),
        ("n IN (1, 2.0, 2.5, NULL, 1)", In(N, (1, 2), has_null=True)),
        ("n NOT IN (1)", Not(In(N, (1,)))),
        ("n IN (NULL)", Constant(None)),
        ("n = NULL", Constant(None)),
        ("n BETWEEN 1 AND 5", And((Comparison(N, ">=", 1), Comparison(N, "<=", 5)))),
        ("n <=> NULL", IsNull(N)),
        ("n <=> 5", IsTrue(Comparison(N, "=", 5))),
        ("n IS NOT DISTINCT FROM address.ZIP", NullSafeEqual(N, Path("address", (Field("zip"),), LongType(), "N"))),
        ("n < address['zip']", ColumnComparison(N, "<", Path("address", (Field("zip"),), LongType(), "N"))),
        ("open", OPENED),
        ("!open", Not(OPENED)),
        ("open IS NOT FALSE", Not(IsTrue(Not(OPENED)))),
        ("open AND n = 1 OR open", Or((And((OPENED, Comparison(N, "=", 1))), OPENED))),
        ("address.city LIKE 'a\\\\_%'", Like(CITY, ("a_", Wildcard.MANY))),
        ("id LIKE '50|%_' ESCAPE '|'", Like(ID, ("50%", Wildcard.ONE))),
        ("startswith(id, '%')", Like(ID, ("%", Wildcard.MANY))),
        ("Id = 'x'", Comparison(Path("Id", (), StringType(), "S"), "=", "x")),
        ("`a.b` = ''", Comparison(Path("a.b", (), StringType(), "S"), "=", "")),
        ("labels['K'] IS NULL", IsNull(Path("labels", (Key("K"),), StringType(), "S"))),
        ("labels.K IS NULL", IsNull(Path("labels", (Key("K"),), StringType(), "S"))),
        ("any IS NOT NULL", Not(IsNull(Path("any", (), VariantType(), "")))),
        ("size(tags) > 2", Comparison(Size(TAGS), ">", 2)),
        ("array_contains(tags, 'x')", ArrayContains(TAGS, "x")),
        ("day = '2026-11'", Comparison(Path("day", (), DateType(), "S"), "=", date(2026, 11, 1))),
        ("at >= '1970-01-02'", Comparison(AT, ">=", Moment(86_400_000_000, local=True))),
        ("at = TIMESTAMP'1970-01-01T02:00:00.5+02:00'", Comparison(AT, "=", Moment(500_000, local=False))),
        ("expires IS NULL", IsNull(Path("expires", (), TimestampType(), "N"))),
    ],
)
def test_a_text_becomes_a_tree(text: str, node: Node) -> None:
    assert parse_predicate(text, SCHEMA) == node
    assert pickle.loads(pickle.dumps(node)) == node


def test_a_tree_knows_its_columns() -> None:
    node = parse_predicate("address.city = id OR size(tags) IN (1) AND NOT labels.x <=> 'y' AND TRUE", SCHEMA)
    assert references(node) == {"address", "id", "tags", "labels"}


def test_a_long_chain_stays_flat() -> None:
    node = parse_predicate(" OR ".join(f"n = {number}" for number in range(2000)), SCHEMA)
    assert isinstance(node, Or)
    assert len(node.children) == 2000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("  ", "Option 'filter' is empty; give a predicate such as"),
        ("-- nothing", "is nothing but a comment"),
        (
            "amuont = 1",
            r"names 'amuont', and there is no such column. Did you mean 'amount'\? The columns are id, Id, amount,",
        ),
        ("address.town = 'x'", "names 'address.town', and there is no such field. The fields are City, zip"),
        ("a.b = 'x'", r"names 'a', and there is no such column. .* Write `a.b` in backticks"),
        ("ID = 'x'", "names 'ID', which may be id or Id; write it as in the schema"),
        ("n = ", r"can't be read near '=' \(character 3\): something after the operator is missing there"),
        ("open AND NOT", r"near 'NOT' \(character 10\): something after the operator is missing"),
        ("(n = 1", r"near '1' \(character 6\): a '\)' is missing there"),
        ("n = 1)", r"near '\)' \(character 6\): it is not expected there"),
        ("n BETWEEN 1", "AND is missing there"),
        ("n = 1 2", r"near '2' \(character 7\): an operator is missing before it"),
        ("id = 'x", "has a quote that is not closed near ''x'"),
        ("n = 1 /* open", "has a comment that is not closed"),
        ("n = 1; n = 2", "has a ';' near '; n = 2'"),
        (
            "n + 1 = 2",
            r"has the operator '\+' near '\+ 1 = 2' .*arithmetic is not supported; use .where\(...\) after load",
        ),
        ("upper(id) = 'X'", r"calls upper\(...\) in 'upper\(id\)'; the functions here are array_contains,"),
        ("CAST(n AS INT) = 1", "uses CAST near"),
        ("id RLIKE 'x'", "uses RLIKE near"),
        ("id ILIKE 'x'", "uses ILIKE near"),
        ("n = (SELECT 1)", "has the word SELECT near"),
        ("CASE WHEN open THEN 1 END = 1", "has the word CASE near"),
        ("tags[0] = 'x'", "has an index near"),
        ("id = 5", "compares id, which is STRING, with 5, and that is not supported; write a string in quotes"),
        ("n = 'five'", "compares n, which is BIGINT, with 'five', .* write a number"),
        ("open = 1", "compares open, which is BOOLEAN, with 1, .* write TRUE or FALSE"),
        ("day = DATE'2026-13-01'", "has DATE'2026-13-01' for a date; write it as DATE'2026-11-01'"),
        ("day < at", "compares day, which is DATE, with at, which is TIMESTAMP; columns must be of like types"),
        ("at < DATE'2026-11-01'", "write a timestamp such as"),
        ("at = '2026-11-01 10:00:00 Europe/Berlin'", "for a timestamp; write it as '2026-11-01T10:30:00Z'"),
        ("at = '2026-11-01T10:00:00+19:00'", "for a timestamp; write it as"),
        ("address = 'x'", "compares address, which is struct<.*>; compare its fields"),
        ("any = 1", "compares any, which is variant"),
        ("id.x = 1", "looks for 'x' in 'id', which is STRING and has no fields"),
        ("n", "takes n for a condition, but it is BIGINT, no BOOLEAN"),
        ("5", "takes '5' for a condition; compare a column with it"),
        ("1 = 1", "compares two literals, '1 = 1'; one side must be a column"),
        ("n IN (id)", "has 'id' where only a literal is supported"),
        ("precise = 123456789", "together they need more than 38 digits, and Spark rounds there"),
        ("id LIKE 'a\\\\b'", "in which the escape character '.' stands before neither _, % nor itself"),
        ("id LIKE '%' ESCAPE 'ab'", "has the ESCAPE 'ab', which must be one character"),
        ("n LIKE '5%'", "uses LIKE on n, which is BIGINT, no STRING"),
        ("array_contains(tags, NULL)", "asks whether tags contains NULL, which Spark refuses"),
        ("array_contains(id, 'x')", "it is STRING, no ARRAY"),
        ("size(id) = 1", r"asks for 'size\(id\)', which must be the size of one ARRAY or MAP"),
        ("id = '\\ud83d'", "half a surrogate pair"),
        ("n = 1e400", "that a floating-point number can't hold"),
        ("n = 300Y", "too large for TINYINT"),
        ("n = ?", "parameters and '::' are not supported"),
        ("n = 5 /*+ BROADCAST */", "has a hint"),
        ("(" * 50 + "open" + ")" * 50, "is nested more than 20 levels deep"),
    ],
)
def test_what_is_not_supported_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence) as caught:
        parse_predicate(text, SCHEMA)
    assert "\x1b" not in str(caught.value)
    assert caught.value.option == "filter"
