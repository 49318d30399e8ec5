"""The text of a predicate -> its tree, by sqlglot's grammar and Spark's rules of names, literals and types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import accumulate
from typing import Any, ClassVar, cast

import sqlglot
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    MapType,
    StringType,
    StructType,
)
from sqlglot import exp
from sqlglot.errors import SqlglotError

from spark_dynamo.errors import shorten
from spark_dynamo.predicates import literals, pairs
from spark_dynamo.predicates.columns import resolve
from spark_dynamo.predicates.lexer import Function, Reference, Word, outlined, words
from spark_dynamo.predicates.literal_syntax import Literal, like_pattern
from spark_dynamo.predicates.literals import show
from spark_dynamo.predicates.needs import needs_of_comparison, needs_of_name, needs_of_words
from spark_dynamo.predicates.refusals import near, refused
from spark_dynamo.predicates.settings import Need, Predicate
from spark_dynamo.predicates.tree import (
    And,
    Constant,
    IsNull,
    IsTrue,
    IsUnknown,
    Like,
    Node,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Size,
    Wildcard,
)
from spark_dynamo.wire import types


def parse_predicate(text: str, schema: StructType) -> Node:
    """The tree of a predicate in Spark's SQL over columns of `schema`.

    A row fits exactly where Spark's `df.where(text)` keeps it. `OptionError` where the text can't be read, names a column
    that is not there, or says something whose meaning in Spark is not reproduced.

    >>> schema = StructType().add("id", "string").add("amount", "decimal(10,2)")
    >>> parse_predicate("amount > 1.234", schema)  # doctest: +ELLIPSIS
    Comparison(operand=Path(column='amount', ...), op='>', value=Decimal('1.23'))
    """
    return planned_predicate(text, schema).node


def planned_predicate(text: str, schema: StructType) -> Predicate:
    """A predicate as it is planned: parsed, with what it needs of the session's settings to mean that."""
    return _read(text, lambda reference: resolve(reference, schema))


def parse_references(text: str, resolve: Callable[[Reference], Path]) -> Node:
    """The tree, where `resolve` says what each name means."""
    return _read(text, resolve).node


def _read(text: str, resolve: Callable[[Reference], Path]) -> Predicate:
    skeleton = words(text)
    outline, lists = outlined(skeleton)
    reader = _Reader(text, skeleton, lists, resolve)
    node = reader.predicate(_parsed(text, outline))
    return Predicate(node, tuple(dict.fromkeys([*needs_of_words(skeleton), *reader.needs])))


def _parsed(text: str, skeleton: list[Word]) -> exp.Expression:
    """sqlglot's tree of the skeleton, in which names and literals are placeholders."""
    starts = list(accumulate((len(word.sql) + 1 for word in skeleton[:-1]), initial=0))
    try:
        trees = sqlglot.parse(" ".join(word.sql for word in skeleton), read="spark")
    except RecursionError:
        raise refused("is nested too deep; write it flatter, with IN or AND") from None
    except SqlglotError as error:
        raise refused(f"can't be read {_place(error, text, skeleton, starts)}") from None
    if len(trees) != 1 or trees[0] is None:
        raise refused("can't be read; it must be one predicate alone")
    return cast(exp.Expression, trees[0])


_EXPECTED = {"this": "something before the operator", "expression": "something after the operator", "high": "AND"}


def _place(error: Exception, text: str, skeleton: list[Word], starts: list[int]) -> str:
    """Where sqlglot stumbled, in the user's own text, and over what."""
    found = (getattr(error, "errors", None) or [{}])[0]
    column = found.get("col")
    if column is None:
        return near(text, skeleton[-1].start)
    word = next((word for word, start in zip(skeleton, starts, strict=True) if start + len(word.sql) >= column), None)
    place = near(text, (word or skeleton[-1]).start)
    description = str(found.get("description", ""))
    if "missing for" in description:
        missing = "expression" if ".Not'" in description else description.split("'")[1]
        return f"{place}: {_EXPECTED.get(missing, 'something')} is missing there"
    if description.startswith("Expecting"):
        return f"{place}: a '{description.removeprefix('Expecting').strip()}' is missing there"
    return f"{place}: it is not expected there"


_COMPARISONS: dict[type[exp.Expression], Operator] = {
    exp.EQ: "=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_MIRRORED: dict[Operator, Operator] = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class _Reader:
    """sqlglot's tree -> ours."""

    def __init__(
        self,
        text: str,
        skeleton: list[Word],
        lists: Mapping[str, list[Literal]],
        resolve: Callable[[Reference], Path],
    ) -> None:
        self._text = text
        self._lists = lists
        self._resolve = cache(resolve)  # the same few names stand there again and again
        self._words = {word.sql.strip("'"): word for word in skeleton if word.meaning is not None}
        self.needs: list[Need] = []

    def predicate(self, tree: exp.Expression) -> Node:
        """A tree that must be a boolean."""
        if isinstance(tree, exp.Paren):
            return self.predicate(tree.this)
        if isinstance(tree, exp.And | exp.Or):
            children = tuple(self.predicate(child) for child in _chain(tree))
            return And(children) if isinstance(tree, exp.And) else Or(children)
        read = self._READERS.get(type(tree))
        if read is None:
            raise self._cannot(tree)
        node = read(self, tree)
        return Not(node) if tree.args.get("negate") else node  # sqlglot 30 writes NOT LIKE so

    def _not(self, tree: exp.Expression) -> Node:
        return Not(self.predicate(tree.this))

    def _constant(self, tree: exp.Expression) -> Node:
        return Constant(None if isinstance(tree, exp.Null) else bool(tree.this))

    def _column(self, tree: exp.Expression) -> Node:
        operand = self._operand(tree)
        return self._truth(operand)

    def _truth(self, operand: Operand) -> Node:
        if not isinstance(literals.kind_of(operand), BooleanType):
            raise refused(
                f"takes {show(operand)} for a condition, but it is {types.ddl(literals.kind_of(operand))}, no BOOLEAN; "
                "compare it with something"
            )
        return literals.compare(operand, "=", Literal("boolean", True, "TRUE"))

    def _compare(self, tree: exp.Expression) -> Node:
        left, right = self._side(tree.this), self._side(tree.expression)
        if isinstance(tree, exp.NullSafeEQ | exp.NullSafeNEQ):
            for operand, literal in ((left, right), (right, left)):
                if isinstance(literal, Literal) and not isinstance(operand, Literal):
                    self.needs += needs_of_comparison(operand, [literal], listed=False)
            node = _null_safe(left, right) or self._two_literals(tree)
            return Not(node) if isinstance(tree, exp.NullSafeNEQ) else node
        op = _COMPARISONS.get(type(tree), "=")
        if isinstance(left, Literal):
            left, right, op = right, left, _MIRRORED[op]
        if isinstance(left, Literal):
            return self._two_literals(tree)
        node = self._compared(left, op, right) if isinstance(right, Literal) else pairs.compare(left, op, right)
        return Not(node) if isinstance(tree, exp.NEQ) else node

    def _compared(self, operand: Operand, op: Operator, literal: Literal) -> Node:
        self.needs += needs_of_comparison(operand, [literal], listed=False)
        return literals.compare(operand, op, literal)

    def _two_literals(self, tree: exp.Expression) -> Node:
        raise refused(f"compares two literals, {self._quote(tree)}; one side must be a column")

    def _between(self, tree: exp.Expression) -> Node:
        operand = self._operand(tree.this)
        low, high = self._literal(tree.args["low"]), self._literal(tree.args["high"])
        if tree.args.get("symmetric"):
            raise self._cannot(tree)
        return And((self._compared(operand, ">=", low), self._compared(operand, "<=", high)))

    def _in(self, tree: exp.Expression) -> Node:
        if not tree.expressions or any(tree.args.get(name) for name in ("query", "unnest", "field")):
            raise self._cannot(tree)
        operand, first = self._operand(tree.this), str(tree.expressions[0].this)
        listed = self._lists.get(first) or [self._literal(item) for item in tree.expressions]
        self.needs += needs_of_comparison(operand, listed, listed=True)
        return literals.equals_any(operand, listed)

    def _escape(self, tree: exp.Expression) -> Node:
        escape = self._literal(tree.expression)
        like = tree.this
        if isinstance(like, exp.Not):
            return Not(self._like(like.this, escape))
        node = self._like(like, escape)
        return Not(node) if like.args.get("negate") else node

    def _like(self, tree: exp.Expression, escape: Literal | None = None) -> Node:
        if not isinstance(tree, exp.Like):
            raise self._cannot(tree)
        operand, pattern = self._string_operand(tree.this, "LIKE"), self._literal(tree.expression)
        if escape is not None and (not isinstance(escape.value, str) or len(escape.value) != 1):
            raise refused(f"has the ESCAPE {shorten(escape.text)}, which must be one character")
        if pattern.kind == "null":
            return Constant(None)
        if not isinstance(pattern.value, str) or pattern.kind != "string":
            raise refused(f"has the LIKE pattern {shorten(pattern.text)}, which must be a string")
        return Like(operand, like_pattern(pattern.value, str(escape.value) if escape else "\\"))

    def _is(self, tree: exp.Expression) -> Node:
        inner, wanted = tree.this, tree.expression
        operand = None if isinstance(inner, exp.Paren) else self._maybe_operand(inner)
        if operand is None and not isinstance(inner, exp.Paren | exp.Anonymous | exp.Null | exp.Boolean):
            raise self._ambiguous(tree)
        if isinstance(wanted, exp.Null):
            return IsUnknown(self.predicate(inner)) if operand is None else IsNull(operand)
        if not isinstance(wanted, exp.Boolean):
            raise self._cannot(tree)
        node = self.predicate(inner) if operand is None else self._truth(operand)
        return IsTrue(node if wanted.this else Not(node))

    def _function(self, tree: exp.Expression) -> Node:
        name = self._function_name(tree)
        arguments = tree.expressions
        if name in ("isnull", "isnotnull") and len(arguments) == 1:
            node = IsNull(self._operand(arguments[0]))
            return node if name == "isnull" else Not(node)
        if name == "array_contains" and len(arguments) == 2:
            path = self._operand(arguments[0])
            if isinstance(path, Path):
                return literals.contains_element(path, self._literal(arguments[1]))
        if name in ("startswith", "endswith", "contains") and len(arguments) == 2:
            operand, part = self._string_operand(arguments[0], name), self._literal(arguments[1])
            if part.kind == "null":
                return Constant(None)
            if part.kind != "string":
                raise refused(f"calls {name} with {shorten(part.text)}, which must be a string")
            fixed = (str(part.value),) if part.value else ()
            before = () if name == "startswith" else (Wildcard.MANY,)
            return Like(operand, (*before, *fixed, *(() if name == "endswith" else (Wildcard.MANY,))))
        if name in ("size", "cardinality"):
            raise refused(f"takes {self._quote(tree)} for a condition; compare it with a number")
        raise self._unsupported_function(name, tree)

    _READERS: ClassVar[dict[type[exp.Expression], Callable[[_Reader, Any], Node]]] = {
        exp.Not: _not,
        exp.Null: _constant,
        exp.Boolean: _constant,
        exp.Column: _column,
        exp.Between: _between,
        exp.In: _in,
        exp.Like: _like,
        exp.Escape: _escape,
        exp.Is: _is,
        exp.Anonymous: _function,
        **dict.fromkeys((*_COMPARISONS, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ), _compare),
    }

    # ------------------------------------------------------------------------------------------- operands

    def _side(self, tree: exp.Expression) -> Operand | Literal:
        """One side of a comparison: an operand or a literal."""
        return self._maybe_literal(tree) or self._operand(tree)

    def _operand(self, tree: exp.Expression) -> Operand:
        found = self._maybe_operand(tree)
        if found is not None:
            return found
        if self._maybe_literal(tree):
            raise refused(f"has a literal where a column belongs, {self._quote(tree)}; write the column first")
        if isinstance(tree, exp.Anonymous):
            raise self._unsupported_function(self._function_name(tree), tree)
        raise self._ambiguous(tree)

    def _maybe_operand(self, tree: exp.Expression) -> Operand | None:
        if isinstance(tree, exp.Paren):
            return self._maybe_operand(tree.this)
        if isinstance(tree, exp.Anonymous) and self._function_name(tree) in ("size", "cardinality"):
            return self._size(tree)
        if isinstance(tree, exp.Column):
            meaning = self._words[tree.name].meaning if tree.name in self._words else None
            if isinstance(meaning, Reference):
                path = self._resolve(meaning)
                self.needs += needs_of_name(meaning, path)
                return path
        return None

    def _size(self, tree: exp.Expression) -> Size:
        arguments = tree.expressions
        path = self._operand(arguments[0]) if len(arguments) == 1 else None
        if not isinstance(path, Path) or not isinstance(path.kind, ArrayType | MapType):
            raise refused(f"asks for {self._quote(tree)}, which must be the size of one ARRAY or MAP")
        return Size(path)

    def _string_operand(self, tree: exp.Expression, use: str) -> Path:
        operand = self._operand(tree)
        if isinstance(operand, Path) and isinstance(operand.kind, StringType):
            literals.check_comparable(operand)
            return operand
        raise refused(
            f"uses {use} on {show(operand)}, which is {types.ddl(literals.kind_of(operand))}, no STRING; "
            "use .where(...) after load"
        )

    def _maybe_literal(self, tree: exp.Expression) -> Literal | None:
        while isinstance(tree, exp.Paren):
            tree = tree.this
        if isinstance(tree, exp.Null):
            return Literal("null", None, "NULL")
        if isinstance(tree, exp.Boolean):
            return Literal("boolean", bool(tree.this), "TRUE" if tree.this else "FALSE")
        meaning = self._words[tree.this].meaning if isinstance(tree, exp.Literal) else None
        return meaning if isinstance(meaning, Literal) else None

    def _literal(self, tree: exp.Expression) -> Literal:
        found = self._maybe_literal(tree)
        if found is None:
            raise refused(f"has {self._quote(tree)} where only a literal is supported; use .where(...) after load")
        return found

    def _function_name(self, tree: exp.Expression) -> str:
        meaning = self._words[str(tree.this)].meaning
        assert isinstance(meaning, Function)
        return meaning.name

    # --------------------------------------------------------------------------------------------- errors

    def _quote(self, tree: exp.Expression) -> str:
        """The piece of the user's text that a tree was read from."""
        names = [str(node.this) for node in tree.find_all(exp.Identifier, exp.Literal)]
        names += [str(node.this) for node in tree.find_all(exp.Anonymous)]
        found = [self._words[name] for name in names if name in self._words]
        if not found:
            return f"'{tree.sql()}'"
        start, end = min(word.start for word in found), max(word.end for word in found)
        if isinstance(tree, exp.Anonymous) and self._text[end:].lstrip().startswith(")"):
            end = self._text.index(")", end) + 1
        return f"'{shorten(self._text[start:end])}'"

    def _ambiguous(self, tree: exp.Expression) -> Exception:
        return refused(
            f"compares the outcome of a condition in {self._quote(tree)}; write parentheses around each condition and join "
            "them with AND, OR and NOT"
        )

    def _unsupported_function(self, name: str, tree: exp.Expression) -> Exception:
        return refused(
            f"calls {name}(...) in {self._quote(tree)}; the functions here are array_contains, cardinality, contains, "
            "endswith, isnotnull, isnull, size, startswith, with a column first and then a literal; for others use "
            ".where(...) after load"
        )

    def _cannot(self, tree: exp.Expression) -> Exception:
        if self._maybe_literal(tree):
            return refused(f"takes {self._quote(tree)} for a condition; compare a column with it")
        return refused(f"has {self._quote(tree)}, which is not supported; use .where(...) after load")


def _chain(tree: exp.Expression) -> Iterator[exp.Expression]:
    """The members of a chain of ANDs or of ORs, in order; sqlglot nests it to the left."""
    kind, members = type(tree), []
    while type(tree) is kind:
        members.append(tree.expression)
        tree = tree.this
    yield tree
    yield from reversed(members)


def _null_safe(left: Operand | Literal, right: Operand | Literal) -> Node | None:
    if isinstance(left, Literal):
        left, right = right, left
    if isinstance(left, Literal):
        return None
    if isinstance(right, Literal):
        literals.check_comparable(left)
        return IsNull(left) if right.kind == "null" else literals.compare_null_safe(left, right)
    return pairs.equal_or_both_null(left, right)
