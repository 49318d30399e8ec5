"""The law: a filtered read holds exactly the rows that Spark's `where` keeps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.evaluate import evaluate
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.words import Literal, words
from tests.predicates.against_spark import differences, frame, outcomes
from tests.predicates.generate import SCHEMA, predicate, table
from tests.tiers import quick


@contextmanager
def session_zone(spark: SparkSession, zone: str) -> Iterator[None]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        yield
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))


@pytest.mark.parametrize(("seed", "zone"), quick(1, [(1, "UTC"), (2, "America/New_York")]))
def test_random_predicates_mean_what_they_mean_in_spark(spark: SparkSession, seed: int, zone: str) -> None:
    chance = random.Random(seed)
    batch = table(chance, 40)
    texts = [predicate(chance, chance.choice([0, 0, 1, 2, 3])) for _ in range(110)]
    with session_zone(spark, "UTC"):
        df = frame(spark, batch)
    with session_zone(spark, zone):
        compared, different = differences(df, batch, texts, zone)
    df.unpersist()
    assert not different, "\n".join(different)
    assert compared > 95


SPELLINGS = [
    r"'it''s'", r'"it''s"', r'"say ""x"""', r"'a\'b'", r"'\u0041\u00e9'", r"'\U0001F600'", r"'\ud83d\ude00'",
    r"'\101\1\777\08'",
    r"'\u00e'", r"'\U0001F60'", r"'\n\t\r\b\0\Z\%\_\a\\'", r"r'a\n'", r'R"a\"', r"r'a''b'", "'a' 'b'\n\"c\"",
    "'line\nbreak'", "'-- no'",
    "'/* no */'", "''", r"'\\u0041'", "X'00fF'", "x ''", "1.50", "-5", "- 5", "5.", ".5", "1e3", "1.5D", "-1.5F",
    "3L", "-128Y", "7S", "2BD",
    "12345678901234567890", "1e-320", "TRUE", "NULL",
]  # fmt: skip


def test_literals_are_spelled_as_in_spark(spark: SparkSession) -> None:
    ours = []
    for text in SPELLINGS:
        [word] = words(text)
        assert isinstance(word.meaning, Literal) or word.sql in ("TRUE", "NULL")
        ours.append(word.meaning.value if isinstance(word.meaning, Literal) else {"TRUE": True, "NULL": None}[word.sql])
    row = spark.range(1).select(*(F.expr(text).alias(f"c{i}") for i, text in enumerate(SPELLINGS))).collect()[0]
    assert ours == list(row)


READ_THE_SAME_WAY = [
    "NOT b AND b2 OR b", "NOT b = b2", "! b = TRUE", "b OR b2 AND NOT b", "NOT s IS NULL",
    "NOT n BETWEEN 1 AND 5 AND b",
    "n between -1 and 5 and b or n not between 0 and 1", "NOT NOT b", "s NOT LIKE 'a%' AND b",
    "n NOT IN (1, 5) OR b", "(n > 3) IS NOT TRUE",
    "NOT (n = 5 OR NULL)", "b <=> NULL", "NOT b <=> b2", "n IS NOT DISTINCT FROM n2", "`odd name.x` = 'a' -- 'x",
    "s = 'a' /* /* ' */ */ OR b",
    "ST.INNER.text = 'a' and St['i'] > 5", "m.k = 5 or M['K'] = 5", "m['none'] is null", "NULL AND b", "NULL OR b",
    "s LIKE '%' AND s LIKE '_%'",
    "n = 12345678901234567890", "n < 12345678901234567890", "12345678901234567890 <= n", "n > -9223372036854775809",
    "n >= 9223372036854775807.5",
    "n IN (5, 12345678901234567890)", "n2 BETWEEN -12345678901234567890 AND 1", "t < 127.5", "t <= 300",
    "p IN (1.234, 1.23)", "p <> 1.234",
    "f = 1.1", "f = 1.1F", "f > 1.1", "f <= 3.5e38", "n = 9007199254740993e0", "w < 9007199254740993e0",
    "q = 1.23D", "d = '1.5'", "p = '1.23'",
    "d2 = 0", "d2 IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)", "b > false", "dt = '2026-3-8'", "dt >= '2026'",
    "ts < '2026-11'",
]  # fmt: skip


def test_operators_bind_and_numbers_compare_as_in_spark(spark: SparkSession) -> None:
    batch = table(random.Random(5), 60)
    df = frame(spark, batch)
    ours = [evaluate(parse_predicate(text, SCHEMA), batch).to_pylist() for text in READ_THE_SAME_WAY]
    theirs = outcomes(df, READ_THE_SAME_WAY)
    df.unpersist()
    assert dict(zip(READ_THE_SAME_WAY, ours, strict=True)) == dict(zip(READ_THE_SAME_WAY, theirs, strict=True))


# sqlglot takes these, Spark does not or reads them otherwise
@pytest.mark.parametrize(
    "text",
    ["n = 5 IS NULL", "b = b2 = b", "s LIKE 'a%' = TRUE", "s NOT LIKE 'a' IS TRUE", "b IS NULL IS NULL",
    "n IN (5) IN (TRUE)", "n IN (1,)",
     "n ! IN (5)", "b b2", "n BETWEEN 1 AND 5 = b", "b = NOT b2", "s = 'a${x}'", "n NOT NULL", "()", "b = (n = 5)"],
)  # fmt: skip
def test_what_spark_reads_otherwise_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="Option 'filter'"):
        parse_predicate(text, SCHEMA)
