"""A predicate -> DynamoDB's FilterExpression: not all of it, but nothing that would lose a row.

DynamoDB's comparisons are false where the attribute is missing or of another tag, as Spark's are not true for null. Where
a condition can't be said there, it is left out of an AND, and an OR is left out as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from heapq import heapify, heappop, heappush

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
)

from spark_dynamo.predicates.conditions import (
    LONGEST,
    MOST_OPERATORS,
    Both,
    Literal,
    Piece,
    Placeholders,
    Said,
    Within,
    both,
    either,
    operators,
    render,
    tagged,
)
from spark_dynamo.predicates.intervals import OPPOSITE, fits_null_size, leaf_domain
from spark_dynamo.predicates.ranges import EXISTS, Domain, Wire
from spark_dynamo.predicates.tree import (
    And,
    ArrayContains,
    ColumnComparison,
    Comparison,
    Constant,
    In,
    IsNull,
    IsTrue,
    Known,
    Like,
    Node,
    Not,
    Or,
    Path,
    Size,
    Value,
    Wildcard,
    paths,
)

_AND = " AND "


def filter_expression(
    node: Node, placeholders: Placeholders, *, exclude: frozenset[str] = frozenset(), reject_nulls: bool = False
) -> str | None:
    """A FilterExpression that every item fulfils for which the predicate is TRUE; None where there is nothing to say.

    Attributes in `exclude` do not appear in it: a Query refuses those of its key. With `reject_nulls`, nothing is said
    that a value which doesn't fit its column, and so is read as null, might not fulfil. What exceeds DynamoDB's limits for
    an expression is left out. Nothing is said of a predicate that is never TRUE, either: ask `Domains` first.

    >>> from spark_dynamo.predicates.parse import parse_predicate
    >>> from pyspark.sql.types import StructType
    >>> node = parse_predicate("status = 'open' AND n BETWEEN 1 AND 5", StructType().add("status", "string").add("n", "long"))
    >>> filter_expression(node, Placeholders())
    '#n0 = :v0 AND attribute_type(#n1, :v1) AND #n1 BETWEEN :v2 AND :v3'
    """
    piece = _Necessary(exclude, reject_nulls).of(node, True)
    if isinstance(piece, bool):
        return None
    conjuncts: list[Piece] = list(piece.pieces) if isinstance(piece, Both) else [piece]
    largest_first = [(-_length(conjunct), place) for place, conjunct in enumerate(conjuncts)]
    heapify(largest_first)
    total = -sum(length for length, _ in largest_first)
    while largest_first:
        if total <= LONGEST:
            trial = placeholders.copy()
            whole = Both(tuple(conjuncts[place] for place in sorted(place for _, place in largest_first)))
            text = render(whole, trial)
            if len(text) <= LONGEST and operators(whole) <= MOST_OPERATORS:
                placeholders.take(trial)
                return text
        length, place = heappop(largest_first)
        total += length
        shorter = _coarser(conjuncts[place])
        if shorter is not None:
            conjuncts[place] = shorter
            heappush(largest_first, (-_length(shorter), place))
            total += _length(shorter)
    return None


def _length(conjunct: Piece) -> int:
    if isinstance(conjunct, Within) and conjunct.path.tag and len(conjunct.domain.intervals or ()) > LONGEST:
        return LONGEST + 1  # whatever the values are
    return len(render(conjunct, Placeholders())) + len(_AND)


def _coarser(piece: Piece) -> Piece | None:
    """A shorter piece that says less: the range around many values; else nothing."""
    if isinstance(piece, Within) and len(piece.domain.intervals or ()) > 1 and piece.domain.hull:
        return replace(piece, domain=Domain.of(piece.domain.hull))
    return None


# -------------------------------------------------------------------------------------- what must hold of an item

_EXACT_ELEMENTS = (LongType, IntegerType, ShortType, ByteType, DecimalType, BooleanType, BinaryType)
_NEVER_MISFITS = (StringType, BooleanType, BinaryType)
_TYPES_IN_ORDER: tuple[tuple[type[DataType], ...], ...] = (
    (LongType, IntegerType, ShortType, ByteType, DecimalType),
    (StringType,),
    (BinaryType,),
)


class _Necessary:
    """What an item must fulfil so that a node can be TRUE, or FALSE."""

    def __init__(self, exclude: frozenset[str], reject_nulls: bool) -> None:
        self._exclude = exclude
        self._reject_nulls = reject_nulls

    def of(self, node: Node, truth: bool) -> Piece:
        """The piece for a node that has to be `truth`."""
        if isinstance(node, Constant):
            return node.value is truth
        if isinstance(node, Not):
            return self.of(node.child, not truth)
        if isinstance(node, IsTrue):
            return self.of(node.child, True) if truth else True
        if isinstance(node, And | Or):
            join = both if isinstance(node, And) is truth else either
            return join([self.of(child, truth) for child in node.children])
        if any(path.column in self._exclude for path in paths(node)) or fits_null_size(node, truth):
            return True
        if isinstance(node, IsNull) and truth:
            return self._null(node.operand.path if isinstance(node.operand, Size) else node.operand)
        if isinstance(node, ArrayContains):
            return _contains_element(node, truth)
        if isinstance(node, ColumnComparison):
            return _columns(node, truth)
        if isinstance(node, Like) and (said := _like(node, truth)) is not None:
            return said
        if isinstance(node, Comparison | In | Like | Known | IsNull):
            return _leaf(node, truth)
        return True

    def _null(self, path: Path) -> Piece:
        """A null is a missing attribute, or one of another tag, NULL say; or a value that doesn't fit."""
        if self._reject_nulls and (path.steps or not isinstance(path.kind, _NEVER_MISFITS)):
            return True
        if not path.tag:
            return Said(("attribute_not_exists(", path, ")"))
        return Said(("NOT attribute_type(", path, ", ", Literal(path.tag), ")"))


def _leaf(node: Comparison | In | Like | Known | IsNull, truth: bool) -> Piece:
    domain = leaf_domain(node, truth)
    if domain.is_empty:
        return False
    if not isinstance(node.operand, Size):
        return True if domain.is_all else Within(node.operand, domain)
    path = node.operand.path
    if not isinstance(node, Comparison):
        return Within(path, EXISTS)
    op = node.op if truth else OPPOSITE[node.op]
    return Said((*tagged(path).parts, " AND size(", path, f") {op} ", Literal(Decimal(node.value))))  # type: ignore[arg-type]


def _like(node: Like, truth: bool) -> Piece | None:
    """What DynamoDB's functions say of a pattern, None where intervals say it all."""
    path, pattern = node.operand, node.pattern
    present = Within(path, EXISTS)
    if path.tag != "S" or all(isinstance(part, str) for part in pattern):
        return None
    texts = [part for part in pattern if isinstance(part, str)]
    if truth:
        if not texts:
            return present
        begins = [_leaf(node, True)] if isinstance(pattern[0], str) else []
        return both([*begins, *(_contains(path, text) for text in texts[len(begins) :])])
    if len(texts) == 1 and pattern[-1] is Wildcard.MANY:
        if pattern == (texts[0], Wildcard.MANY):
            return both([present, Said(("NOT begins_with(", path, ", ", Literal(texts[0]), ")"))])
        if pattern == (Wildcard.MANY, texts[0], Wildcard.MANY):
            return both([present, Said(("NOT ", *_contains(path, texts[0]).parts))])
    return present


def _contains(path: Path, part: Wire) -> Said:
    return Said(("contains(", path, ", ", Literal(part), ")"))


def _contains_element(node: ArrayContains, truth: bool) -> Piece:
    path = node.operand
    assert isinstance(path.kind, ArrayType)
    present, element = Within(path, EXISTS), path.kind.elementType
    plain_text = isinstance(element, StringType) and path.tag in ("L", "SS")
    if not plain_text and not isinstance(element, _EXACT_ELEMENTS):
        return present
    said = _contains(path, _wire(node.value))
    return said if truth else both([present, Said(("NOT ", *said.parts))])


def _columns(node: ColumnComparison, truth: bool) -> Piece:
    pair = [operand.path if isinstance(operand, Size) else operand for operand in (node.left, node.right)]
    op = node.op if truth else OPPOSITE[node.op]
    like = any(all(isinstance(path.kind, kinds) for path in pair) for kinds in _TYPES_IN_ORDER)
    if pair == [node.left, node.right] and pair[0] != pair[1] and like and pair[0].tag == pair[1].tag:
        text_of_number = pair[0].tag == "N" and isinstance(pair[0].kind, StringType)
        if not text_of_number:
            tags = (*tagged(pair[0]).parts, " AND ", *tagged(pair[1]).parts)
            return Said((*tags, " AND ", pair[0], f" {op} ", pair[1]))
    return both([Within(path, EXISTS) for path in pair])


def _wire(value: Value) -> Wire:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value  # type: ignore[return-value]
