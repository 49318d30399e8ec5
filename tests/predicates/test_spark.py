"""The law: a filtered read holds exactly the rows that Spark's `where` keeps."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.evaluate import evaluate
from spark_dynamo.predicates.lexer import Literal, words
from spark_dynamo.predicates.parse import parse_predicate, planned_predicate
from spark_dynamo.predicates.settings import TOLD, Setting, Settings
from tests.predicates.against_spark import differences, frame, outcomes
from tests.predicates.generate import SCHEMA, predicate, table
from tests.tiers import quick


@contextmanager
def session_with(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: spark.conf.get(name, None) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)


ANSI, ZONE = Setting.ANSI.value[0], "spark.sql.session.timeZone"
SESSIONS: list[dict[str, str]] = [
    {},
    {ANSI: "false", ZONE: "America/New_York"},
    {ANSI: "false", "spark.sql.legacy.sizeOfNull": "false", Setting.DATES.value[0]: "true"},
    {Setting.QUOTES.value[0]: "true", "spark.sql.timestampType": "TIMESTAMP_NTZ", ZONE: "America/New_York"},
    {Setting.ESCAPES.value[0]: "true", Setting.CASES.value[0]: "true"},
    {Setting.JOINED.value[0]: "true", Setting.EXPONENTS.value[0]: "true", "spark.sql.storeAssignmentPolicy": "LEGACY"},
]


@pytest.mark.parametrize(("seed", "settings"), quick(2, enumerate(SESSIONS, 1)))
def test_random_predicates_mean_what_they_mean_in_spark(
    spark: SparkSession, seed: int, settings: dict[str, str]
) -> None:
    chance = random.Random(seed)
    batch = table(chance, 40)
    texts = [predicate(chance, chance.choice([0, 0, 1, 2, 3])) for _ in range(110)]
    with session_with(spark, {ZONE: "UTC"}):
        df = frame(spark, batch)
    told = {name: value for name, value in settings.items() if name in TOLD}
    with session_with(spark, settings):
        compared, different = differences(df, batch, texts, Settings(settings.get(ZONE, "UTC"), told))
    df.unpersist()
    assert not different, "\n".join(different)
    assert compared > 45


# what one setting changes, and how to say it so that none does
CHANGED = [
    (ANSI, "false", "n IN ('05')", "write the number without quotes"),
    (ANSI, "false", "n NOT IN ('05')", "write the number without quotes"),
    (ANSI, "false", "p IN ('1.5')", "write the number without quotes"),
    (ANSI, "false", "d IN ('1.50')", "write the number without quotes"),
    (ANSI, "false", "d IN ('.1')", "write the number without quotes"),
    (ANSI, "false", "f = '1.1'", "write the number without quotes"),
    (ANSI, "false", "t <> '300'", "write the number without quotes"),
    (ANSI, "false", "f = 16777217", "use .where"),
    (ANSI, "false", "ts IN ('2026-11-01T10:00:00.5Z')", "write a timestamp such as TIMESTAMP'"),
    (ANSI, "false", "ts IN ('2026-11-01')", "write a timestamp such as TIMESTAMP'"),
    (ANSI, "false", "nt IN ('2026-11-01')", "write a timestamp such as TIMESTAMP_NTZ'"),
    (ANSI, "false", "dt IN ('2026-11-1')", "write a date such as DATE'"),
    (ANSI, "false", "dt IN ('2026')", "write a date such as DATE'"),
    (Setting.QUOTES.value[0], "true", 's = "s"', "write strings in single quotes"),
    (Setting.CASES.value[0], "true", "N = 5", "write it as in the schema"),
    (Setting.CASES.value[0], "true", "st.inner.TEXT = 'a'", "write it as in the schema"),
    (Setting.ESCAPES.value[0], "true", r"s = 'a\\b'", "use .where"),
    (Setting.ESCAPES.value[0], "true", "s = r'a'", "use .where"),
    (Setting.ESCAPES.value[0], "true", "s = 'it''s'", "quote it with the other kind"),
    (Setting.JOINED.value[0], "true", "s = 'it''s'", "quote it with the other kind"),
    (Setting.EXPONENTS.value[0], "true", "n = 9007199254740993e0", "write 9007199254740993e0D"),
]


@pytest.mark.parametrize(("name", "value", "text", "instead"), CHANGED)
def test_what_a_setting_changes_is_refused(name: str, value: str, text: str, instead: str) -> None:
    planned = planned_predicate(text, SCHEMA)
    Settings().check(planned)
    with pytest.raises(OptionError, match="which means something else under") as refusal:
        Settings(told={name: value}).check(planned)
    assert f"{name}={value}" in str(refusal.value)
    assert instead in str(refusal.value)
    with pytest.raises(OptionError, match="outside of Spark SQL"):
        Settings(told=None).check(planned)


def test_and_spark_does_change_it(spark: SparkSession) -> None:
    """Each refusal is for a reason: there is a row of which Spark says something else, or it refuses the text itself."""
    batch = table(random.Random(3), 400)
    df = frame(spark, batch)
    unchanged = []
    for name, value, text, _ in CHANGED:
        planned = evaluate(parse_predicate(text, SCHEMA), batch).to_pylist()
        with session_with(spark, {name: value}), suppress(AnalysisException, ParseException):
            if outcomes(df, [text]) == [planned]:
                unchanged.append((name, text))
    df.unpersist()
    assert not unchanged


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
