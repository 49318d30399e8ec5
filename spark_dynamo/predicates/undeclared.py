"""Attributes that no schema declares: their types, told by what a predicate compares them with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    NullType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.errors import shorten
from spark_dynamo.predicates.lexer import Function, Reference, Word
from spark_dynamo.predicates.literal_syntax import Literal, digits_of
from spark_dynamo.predicates.numbers import INTEGERS
from spark_dynamo.predicates.refusals import refused
from spark_dynamo.predicates.tree import Field, Path
from spark_dynamo.wire import types

Steps = tuple[str, ...]
_KINDS: dict[str, DataType] = {
    "string": StringType(),
    "binary": BinaryType(),
    "boolean": BooleanType(),
    "double": DoubleType(),
    "float": DoubleType(),
    "date": DateType(),
    "timestamp": TimestampType(),
    "timestamp_ntz": TimestampNTZType(),
}
_ORDERS = {"=", "<>", "<", "<=", ">", ">=", "<=>"}
_TEXT_FUNCTIONS = {"startswith", "endswith", "contains"}
_NULL_FUNCTIONS = {"isnull", "isnotnull"}


def declare(skeleton: Sequence[Word], known: Callable[[Reference], Path | None]) -> dict[Steps, Path]:
    """The paths of the references that `known` does not know.

    A number may have any digits. An attribute that is asked for NULL only has no type. `OptionError` where the type can't be
    told, or is told in two ways.
    """
    known = cache(known)
    found: dict[Steps, list[Path]] = {}
    references: dict[Steps, Reference] = {}
    flat = _without_parentheses(skeleton)
    for index, word in enumerate(flat):
        if isinstance(word.meaning, Reference) and known(word.meaning) is None:
            references.setdefault(word.meaning.steps, word.meaning)
            found.setdefault(word.meaning.steps, []).extend(_evidence(flat, index, word.meaning, known))
    return {steps: _united(references[steps], kinds) for steps, kinds in found.items()}


def _without_parentheses(skeleton: Sequence[Word]) -> list[Word]:
    """The words with `x` for `(x)`, save where the parentheses belong to a function or list."""
    flat: list[Word] = []
    for word in skeleton:
        flat.append(word)
        while (
            len(flat) > 2
            and flat[-1].sql == ")"
            and flat[-3].sql == "("
            and (len(flat) == 3 or not (flat[-4].sql == "IN" or isinstance(flat[-4].meaning, Function)))
        ):
            flat[-3:] = [flat[-2]]
    return flat


def _evidence(
    words: Sequence[Word], index: int, reference: Reference, known: Callable[[Reference], Path | None]
) -> Iterator[Path]:
    """What stands beside a reference, as paths of its own with the type that it must have."""
    before, after = words[max(0, index - 2) : index], index + 1
    if after < len(words) and words[after].sql == "NOT":
        after += 1
    sqls = [word.sql for word in words[after : after + 3]]
    if before[-1:] and before[-1].sql == "(" and len(before) > 1 and isinstance(before[-2].meaning, Function):
        yield from _argument(before[-2].meaning.name, reference)
    elif sqls[:1] and sqls[0] in _ORDERS:
        yield from _partner(words[after + 1 : after + 2], reference, known)
    elif sqls[:2] == ["IS", "DISTINCT"]:
        yield from _partner(words[after + 3 : after + 4], reference, known)
    elif sqls[:3] == ["IS", "NOT", "DISTINCT"]:
        yield from _partner(words[after + 4 : after + 5], reference, known)
    elif sqls[:1] == ["BETWEEN"]:
        for word in (*words[after + 1 : after + 2], *words[after + 3 : after + 4]):
            yield from _partner([word], reference, known)
    elif sqls[:1] == ["IN"]:
        for place in range(after + 2, len(words)):
            if words[place].sql == ")":
                break
            if words[place].sql != ",":
                yield from _partner([words[place]], reference, known)
    elif sqls[:1] == ["LIKE"]:
        yield _path(reference, StringType())
    elif before and before[-1].sql in _ORDERS:
        yield from _partner(before[-2:-1], reference, known)
    elif sqls[:2] == ["IS", "NULL"] or sqls[:3] == ["IS", "NOT", "NULL"]:
        return
    else:
        yield _path(reference, BooleanType())


def _argument(function: str, reference: Reference) -> Iterator[Path]:
    if function in _TEXT_FUNCTIONS:
        yield _path(reference, StringType())
    elif function not in _NULL_FUNCTIONS:
        raise _unknown(reference, f"{function}(...) does not tell it")


def _partner(words: Sequence[Word], reference: Reference, known: Callable[[Reference], Path | None]) -> Iterator[Path]:
    meaning = words[0].meaning if words else None
    if isinstance(meaning, Reference):
        path = known(meaning)
        if path is None:
            raise _unknown(reference, f"neither is that of '{meaning.text}', with which it is compared")
        yield _path(reference, path.kind, path.tag)
    elif isinstance(meaning, Literal) and isinstance(meaning.value, Decimal):
        yield _path(reference, DecimalType(38, digits_of(meaning.value)[1]))
    elif isinstance(meaning, Literal):
        yield _path(reference, _KINDS[meaning.kind])
    elif words and words[0].sql in ("TRUE", "FALSE"):
        yield _path(reference, BooleanType())
    elif isinstance(meaning, Function) or (words and words[0].sql == "("):  # else there is nothing, as the parser says
        raise _unknown(reference, "what it is compared with does not tell it")


def _path(reference: Reference, kind: DataType, tag: str | None = None) -> Path:
    if tag is None:
        tag = types.leaf_of(kind, None, reference.text).tag
    return Path(reference.steps[0], tuple(map(Field, reference.steps[1:])), kind, tag)


def _united(reference: Reference, told: Iterable[Path]) -> Path:
    """One path of all: numbers get as many digits after the point as any of them has."""
    exact = {path for path in told if isinstance(path.kind, (*INTEGERS, DecimalType))}
    others = {path for path in told if path not in exact}
    if exact:
        scale = max(path.kind.scale if isinstance(path.kind, DecimalType) else 0 for path in exact)
        others.add(_path(reference, DecimalType(38, scale)))
    if not others:
        return Path(reference.steps[0], tuple(map(Field, reference.steps[1:])), NullType(), "")
    if len(others) > 1:
        kinds = " and ".join(sorted({f"{types.ddl(path.kind)} stored as {path.tag}" for path in others}))
        raise _unknown(reference, f"it is compared as {kinds}")
    return others.pop()


def _unknown(reference: Reference, why: str) -> Exception:
    return refused(
        f"needs the type of the attribute '{shorten(reference.text)}', which no column has: {why}; give the stored items' "
        "schema that column"
    )
