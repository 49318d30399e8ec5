"""DynamoDB's conditions as pieces, and their text with placeholders for every name and value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Any, TypeAlias, TypeVar

from spark_dynamo.predicates.ranges import EXISTS, Domain, Interval, Wire, intersection, prefixed, union
from spark_dynamo.predicates.tree import Path, RowValue

# of one expression: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
LONGEST, MOST_OPERATORS = 4096, 300

_MOST_OPERANDS = 100  # of one IN
_T = TypeVar("_T")


@dataclass
class Placeholders:
    """What stands for names and values in DynamoDB's expressions of one request; equal ones share a placeholder.

    `names` and `values` are what a request wants as ExpressionAttributeNames and ExpressionAttributeValues, binary values
    as bytes. `rows` are values that differ from row to row: placeholder and column. `prefix` keeps placeholders apart from those of
    another expression in the same request.

    >>> placeholders = Placeholders()
    >>> placeholders.name("size"), placeholders.value("x"), placeholders.value("x")
    ('#n0', ':v0', ':v0')
    >>> placeholders.names, placeholders.values
    ({'#n0': 'size'}, {':v0': {'S': 'x'}})
    """

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, str] = ("#n", ":v")
    _known: dict[tuple[object, ...], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._known = {("name", name): placeholder for placeholder, name in self.names.items()}
        self._known |= {("row", column): placeholder for placeholder, column in self.rows.items()}
        self._known |= {("value", *value.items()): placeholder for placeholder, value in self.values.items()}

    def name(self, attribute: str) -> str:
        """The placeholder of an attribute's name."""
        return self._placeholder(self.names, self.prefix[0], attribute, ("name", attribute))

    def value(self, value: Wire | None) -> str:
        """The placeholder of a value; None is the NULL of DynamoDB."""
        stored = _attribute_value(value)
        return self._placeholder(self.values, self.prefix[1], stored, ("value", *stored.items()))

    def row_value(self, column: str) -> str:
        """The placeholder of a column of the row."""
        return self._placeholder(self.rows, ":r", column, ("row", column))

    def copy(self) -> Placeholders:
        """A copy of these placeholders, to add to on trial."""
        return replace(self, names=dict(self.names), values=dict(self.values), rows=dict(self.rows))

    def take(self, trial: Placeholders) -> None:
        """What a copy has come to have, as one's own."""
        self.names, self.values, self.rows, self._known = trial.names, trial.values, trial.rows, trial._known

    def _placeholder(self, used: dict[str, _T], prefix: str, meaning: _T, key: tuple[object, ...]) -> str:
        placeholder = self._known.setdefault(key, f"{prefix}{len(used)}")
        used.setdefault(placeholder, meaning)
        return placeholder


_ALL_DIGITS = Context(prec=38)


def _attribute_value(value: Wire | None) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, Decimal):
        number = _ALL_DIGITS.add(value.normalize(_ALL_DIGITS), 0)  # -0 + 0 is 0
        return {"N": f"{number:f}" if abs(number.adjusted()) < 38 else str(number)}
    return {"S" if isinstance(value, str) else "B": value}


@dataclass(frozen=True, slots=True)
class Within:
    """That what the path leads to has its tag, and a value of the domain."""

    path: Path
    domain: Domain


@dataclass(frozen=True, slots=True)
class Said:
    """One condition: texts, paths and values in a row."""

    parts: tuple[str | Path | Literal, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A value within a condition; None is the NULL of DynamoDB."""

    value: Wire | None


@dataclass(frozen=True, slots=True)
class Both:
    """All of the pieces."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of the pieces."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """That the piece does not hold."""

    piece: Piece


Piece: TypeAlias = Within | Said | Both | Either | Negated | bool  # True: nothing to say; False: never


def both(pieces: Iterable[Piece]) -> Piece:
    """All of them, those about one path merged into one."""
    flat = [inner for piece in pieces for inner in (piece.pieces if isinstance(piece, Both) else (piece,))]
    if False in flat:
        return False
    merged = _merged([piece for piece in flat if piece is not True], intersection)
    if any(isinstance(piece, Within) and piece.domain.is_empty for piece in merged):
        return False
    return Both(tuple(merged)) if len(merged) > 1 else merged[0] if merged else True


def either(pieces: Iterable[Piece]) -> Piece:
    """One of them, those about one path merged into one."""
    flat = [inner for piece in pieces for inner in (piece.pieces if isinstance(piece, Either) else (piece,))]
    if True in flat:
        return True
    merged = _merged([piece for piece in flat if piece is not False], union)
    return Either(tuple(merged)) if len(merged) > 1 else merged[0] if merged else False


def negated(piece: Piece) -> Piece:
    """That it does not hold; twice is the piece itself."""
    if isinstance(piece, bool):
        return not piece
    return piece.piece if isinstance(piece, Negated) else Negated(piece)


def _merged(pieces: list[Piece], join: Callable[[Iterable[Domain]], Domain]) -> list[Piece]:
    domains: dict[Path, list[Domain]] = {}
    merged: dict[object, Piece] = {}
    for piece in pieces:
        if isinstance(piece, Within):
            domains.setdefault(piece.path, []).append(piece.domain)
        merged.setdefault(piece.path if isinstance(piece, Within) else piece, piece)
    return [
        replace(piece, domain=join(domains[piece.path])) if isinstance(piece, Within) else piece
        for piece in merged.values()
    ]


def tagged(path: Path) -> Said:
    """That there is an attribute of the path's tag; for VARIANT, of any."""
    if not path.tag:
        return Said(("attribute_exists(", path, ")"))
    return Said(("attribute_type(", path, ", ", Literal(path.tag), ")"))


def render(piece: Piece, placeholders: Placeholders, within: type[Any] | None = None) -> str:
    """DynamoDB's text, without the redundant parentheses that it refuses."""
    if isinstance(piece, Within):
        return render(_spelled(piece), placeholders, within)
    if isinstance(piece, Both | Either):
        if len(piece.pieces) == 1:
            return render(piece.pieces[0], placeholders, within)
        inner = [render(inner, placeholders, type(piece)) for inner in piece.pieces]
        joined = (" AND " if isinstance(piece, Both) else " OR ").join(inner)
        return joined if within in (None, type(piece)) else f"({joined})"
    if isinstance(piece, Negated):
        return f"NOT {render(piece.piece, placeholders, Negated)}"
    assert isinstance(piece, Said)
    return "".join(_part(part, placeholders) for part in piece.parts)


def _part(part: str | Path | Literal, placeholders: Placeholders) -> str:
    if isinstance(part, Literal):
        return placeholders.value(part.value)
    if isinstance(part, RowValue):
        return placeholders.row_value(part.steps[0].name)
    if isinstance(part, Path):
        return ".".join(placeholders.name(name) for name in (part.column, *(step.name for step in part.steps)))
    return part


def operators(piece: Piece) -> int:
    """At least as many operators and functions as DynamoDB counts."""
    if isinstance(piece, Within):
        return operators(_spelled(piece))
    if isinstance(piece, Both | Either):
        return len(piece.pieces) - 1 + sum(map(operators, piece.pieces))
    if isinstance(piece, Negated):
        return 1 + operators(piece.piece)
    words = " ".join(part for part in piece.parts if isinstance(part, str)).split() if isinstance(piece, Said) else []
    return 1 + 2 * words.count("AND") + words.count("NOT")


def _spelled(piece: Within) -> Piece:
    """A domain in conditions.

    An order is asked for only after the tag: moto, other than DynamoDB, fails where it can't compare.
    """
    path, intervals = piece.path, piece.domain.intervals or ()
    if piece.domain == EXISTS or not path.tag or (len(intervals) == 2 and path.tag == "BOOL"):
        return tagged(path)
    missing = _all_but(intervals)
    if missing:
        if len(missing) == 1:
            return Both((tagged(path), Said((path, " <> ", Literal(missing[0])))))
        return Both((tagged(path), *(Said(("NOT ", *said.parts)) for said in _one_of(path, missing))))
    points = [interval.low for interval in intervals if interval.is_point and interval.low is not None]
    spans = [_span(path, interval) for interval in intervals if not interval.is_point]
    said = [*_one_of(path, points), *spans]
    spelled = said[0] if len(said) == 1 else Either(tuple(said))
    in_order = any(not _is_prefix(interval) for interval in intervals if not interval.is_point)
    if isinstance(spelled, Both):
        return Both((tagged(path), *spelled.pieces))
    return Both((tagged(path), spelled)) if in_order else spelled


def _all_but(intervals: tuple[Interval, ...]) -> list[Wire]:
    """The values that are missing where the intervals are all values but a few."""
    if len(intervals) < 2 or intervals[0].low is not None or intervals[-1].high is not None:
        return []
    missing = [before.high for before in intervals[:-1]]
    return (
        [value for value in missing if value is not None] if missing == [after.low for after in intervals[1:]] else []
    )


def _one_of(path: Path, values: list[Wire]) -> list[Said]:
    if len(values) == 1:
        return [Said((path, " = ", Literal(values[0])))]
    groups = [values[start : start + _MOST_OPERANDS] for start in range(0, len(values), _MOST_OPERANDS)]
    return [Said((path, " IN (", *_listed(group), ")")) for group in groups]


def _listed(values: list[Wire]) -> list[str | Literal]:
    return [part for value in values for part in (", ", Literal(value))][1:]


def _span(path: Path, interval: Interval) -> Piece:
    low, high = interval.low, interval.high
    if low is not None and _is_prefix(interval):
        return Said(("begins_with(", path, ", ", Literal(low), ")"))
    if low is not None and high is not None and interval.low_inclusive and interval.high_inclusive:
        return Said((path, " BETWEEN ", Literal(low), " AND ", Literal(high)))
    bounds = []
    if low is not None:
        bounds.append(Said((path, " >= " if interval.low_inclusive else " > ", Literal(low))))
    if high is not None:
        bounds.append(Said((path, " <= " if interval.high_inclusive else " < ", Literal(high))))
    return bounds[0] if len(bounds) == 1 else Both(tuple(bounds))


def _is_prefix(interval: Interval) -> bool:
    return isinstance(interval.low, str) and bool(interval.low) and interval == prefixed(interval.low)
