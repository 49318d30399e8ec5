"""A translated pattern is found by Java in exactly those texts in which Rust finds the original."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_dynamo.schema.checks.patterns import PatternError, java_pattern

_CHARACTERS = [
    *(
        "a",
        "b",
        "k",
        "s",
        "z",
        "S",
        "K",
        "\u017f",
        "\u212a",
        "é",
        "É",
        "1",
        "\u0663",
        "_",
        "-",
        " ",
        ".",
        "$",
        "^",
        "]",
        "\\",
    ),
    *("\n", "\r", "\t", "\0", "\x85", "\u2028", "\u2003", "\u200c", "\u0301", "\u00b7", "\u0130", "\u0131", "Σ", "ς"),
    *("\U0001d400", "\U0001f600", "\U00010400", "\U00010428", "\U0001d7d9"),
]
_ATOMS = [
    *("a", "k", "s", "é", "\U0001f600", "#", "/", " ", ".", "^", "$", "|", "()", "(?P<n>a|b)", "(?:x|)", "(?i:k)"),
    *(
        "(?i)",
        "(?m)",
        "(?s)",
        "(?s-m:.^)",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        r"\W",
        r"\S",
        r"\b",
        r"\B",
        r"\<",
        r"\>",
        r"\A",
        r"\z",
    ),
    *(
        "[a-z]",
        "[^a-z]",
        r"[^\W\d_]",
        r"[\s\S]",
        r"[^\s]",
        r"[\w.-]",
        r"[\D]",
        r"[^\D]",
        r"[^\S\n]",
        "[]a]",
        "[^]a]",
        "[-a]",
    ),
    *("[a-]", "[é-ü]", "[a&]", "[$^]", r"[\]\\]", "[k-s]", "[^k]", "[0-9_-]", "[[:alpha:]]", "[[:^alpha:]]"),
    *(r"\p{L}", r"\pN", r"\P{Lu}", r"\p{Greek}", r"\x{1D400}", r"\u{e9}", r"\xe9", r"\n", r"\-", r"\."),
]
_QUANTIFIERS = [*[""] * 8, "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?", "??", "{1,2}?", "**", "++"]


def _pattern(source: random.Random) -> str:
    written = ""
    for _ in range(source.randint(1, 5)):
        atom = source.choice(_ATOMS)
        if source.random() < 0.15:
            atom = f"({atom}{source.choice(_ATOMS)})"
        written += atom + ("" if atom in ("|", "(?i)", "(?m)", "(?s)") else source.choice(_QUANTIFIERS))
    return written


def _validator(pattern: str) -> Any:
    """Pydantic's own validator, None where Rust knows no such pattern."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return None


def _is_found(validator: Any, text: str) -> bool:
    try:
        validator.validate_python(text)
    except ValidationError:
        return False
    return True


def test_java_finds_what_rust_finds(spark: SparkSession) -> None:
    source = random.Random(20)
    matchers = []
    while len(matchers) < 600:
        pattern = _pattern(source)
        validator = _validator(pattern)
        try:
            java = java_pattern(pattern)
        except PatternError:
            continue
        if validator is not None:
            matchers.append((pattern, java, validator))
    texts = ["".join(source.choices(_CHARACTERS, k=source.randint(0, 5))) for _ in range(60)]

    compiled = spark._jvm.java.util.regex.Pattern  # type: ignore[union-attr]
    found = 0
    for pattern, java, validator in matchers:
        matcher = compiled.compile(java).matcher("")
        for text in source.sample(texts, 6):
            theirs = _is_found(validator, text)
            assert matcher.reset(text).find() == theirs, (pattern, java, text)
            found += theirs
    assert 600 < found < 3000


@pytest.mark.parametrize("pattern", [r"^\w+.$", r"^[^\d]+$", "a$", r"^\S+$", "^[!-/]\U0001d400?$"])
def test_spark_finds_what_rust_finds(spark: SparkSession, pattern: str) -> None:
    source = random.Random(pattern)
    texts = ["".join(source.choices(_CHARACTERS, k=source.randint(0, 4))) for _ in range(400)]
    texts += ["a", "b\na", "a\n", "!", "-\U0001d400"]
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    found = [row.found for row in frame.select(F.col("text").rlike(java_pattern(pattern)).alias("found")).collect()]
    validator = _validator(pattern)
    assert found == [_is_found(validator, text) for text in texts]
    assert any(found)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(?i)a", r"'\(\?i\)a' at position 0"),
        ("a(?m:^b)", r"'\(\?m:\^b\)' at position 1"),
        ("(?=a)", r"'\(\?=a\)'"),
        (r"a\b", r"'\\\\b' at position 1"),
        (r"\<a", r"at position 0"),
        (r"\p{L}+", r"at position 0"),
        (r"\x41", r"at position 0"),
        ("[[:alpha:]]", "at position 0"),
        ("[a-z&&[^b]]", "at position 0"),
        ("[a-z&&b]", "set operation in the class"),
        (r"[\D]", r"has '\\\\D' in the class"),
        ("a**", r"'\*' at position 2"),
        ("^*", r"'\*' at position 1"),
        ("a{,2}", r"at position 1"),
        ("[a[b]]", r"at position 0"),
        (r"\1", r"at position 0"),
        ("(a", "a group without an end"),
        ("a)", r"'\)' at position 1"),
    ],
)
def test_what_is_not_translated_is_named(pattern: str, found: str) -> None:
    with pytest.raises(PatternError, match=found):
        java_pattern(pattern)
