"""What a comparison of two schemas found: `SchemaDifference`, and all of them with the table that shows them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Row", "SchemaComparison", "SchemaDifference", "Severity"]

Kind = Literal["missing", "extra", "type", "nullability", "precision", "order", "metadata"]
Severity = Literal["compatible", "widening", "breaking"]

_BY_WEIGHT: Sequence[Severity] = ("breaking", "widening", "compatible")
_MARKS = {"breaking": "!", "widening": "~", "compatible": "."}
_COLOURS = {"breaking": "#f8d7da", "widening": "#fff3cd", "compatible": "#e2e3e5"}


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """One difference: where, of which kind, what should stand there, what stands there, and what it means.

    `path` is like `orders[].price` or `labels{}`; empty for the order of all columns. `expected` and `actual` are types as
    people write them, or what else differs; None where there is no such column.

    `severity` is `compatible` where every row fits as it is, `widening` where every value fits once it is cast, and none is
    changed, and `breaking` where a value may not fit, or be changed. `blocks_write` says whether a write that must obey the
    model is refused for it; what else is breaking is looked at value by value.

    >>> import spark_dynamo as sd
    >>> [difference.severity for difference in sd.compare(sd.struct_type(sd.StageInfo), sd.StageInfo)]
    []
    """

    path: str
    kind: Kind
    expected: str | None
    actual: str | None
    severity: Severity
    blocks_write: bool = False

    def __str__(self) -> str:
        """As a line of text.

        >>> print(SchemaDifference("id", "missing", "STRING NOT NULL", None, "breaking", True))
        id: missing, STRING NOT NULL is expected (breaking)
        """
        place = self.path or "the columns"
        if self.actual is None:
            return f"{place}: {self.kind}, {self.expected} is expected ({self.severity})"
        if self.expected is None:
            return f"{place}: {self.kind}, there is {self.actual} ({self.severity})"
        return f"{place}: {self.kind}, {self.actual} in place of {self.expected} ({self.severity})"


@dataclass(frozen=True, slots=True)
class Row:
    """One field of either schema, and how it differs; without `is_field`, the elements of a list or the values of a map."""

    path: str
    expected: str | None
    actual: str | None
    differences: tuple[SchemaDifference, ...] = ()
    is_field: bool = True


class SchemaComparison(list[SchemaDifference]):
    """All differences of two schemas, in the order of the fields; empty where they are equal.

    Printed, it is one table of all fields side by side, in which the differing ones are marked: `!` breaking, `~` widening,
    `.` compatible. Notebooks show the same in colours.

    >>> price = SchemaDifference("price", "type", "BIGINT", "INT", "widening")
    >>> print(SchemaComparison([Row("id", "STRING", "STRING"), Row("price", "BIGINT", "INT", (price,))], expected="Order"))
       field  Order   actual  difference
       -----  ------  ------  --------------
       id     STRING  STRING
    ~  price  BIGINT  INT     widening: type
    """

    def __init__(self, rows: Iterable[Row] = (), *, expected: str = "expected") -> None:
        shown = tuple(rows)
        super().__init__(difference for row in shown for difference in row.differences)
        self._rows = tuple(row for row in shown if row.is_field or row.differences)
        self._expected = expected

    @property
    def breaking(self) -> list[SchemaDifference]:
        """The differences for which some value may not fit, or be changed."""
        return [difference for difference in self if difference.severity == "breaking"]

    @property
    def blocking(self) -> list[SchemaDifference]:
        """The differences for which a write that must obey the model is refused."""
        return [difference for difference in self if difference.blocks_write]

    @property
    def is_compatible(self) -> bool:
        """Whether every value fits, as it is or once it is cast: nothing is breaking."""
        return not self.breaking

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [(" ", *self._heads), *((_mark(row), *_cells(row)) for row in self._rows)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        rows.insert(1, (" ", *("-" * width for width in widths[1:])))
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _repr_html_(self) -> str:
        """The table for notebooks; names and types are text there, whatever they hold."""
        head = "".join(f'<th style="text-align:left">{html.escape(cell)}</th>' for cell in self._heads)
        lines = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
        for row in self._rows:
            colour = _COLOURS.get(_worst(row) or "", "")
            style = f' style="background-color:{colour};color:#000"' if colour else ""
            cells = "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in _cells(row))
            lines.append(f"<tr{style}>{cells}</tr>")
        return "".join([*lines, "</tbody></table>"])

    @property
    def _heads(self) -> tuple[str, str, str, str]:
        return "field", self._expected, "actual", "difference"


def _worst(row: Row) -> Severity | None:
    severities = {difference.severity for difference in row.differences}
    return next((severity for severity in _BY_WEIGHT if severity in severities), None)


def _mark(row: Row) -> str:
    worst = _worst(row)
    return _MARKS[worst] if worst else ""


def _cells(row: Row) -> tuple[str, str, str, str]:
    kinds = [(severity, [d.kind for d in row.differences if d.severity == severity]) for severity in _BY_WEIGHT]
    said = "; ".join(f"{severity}: {', '.join(of_it)}" for severity, of_it in kinds if of_it)
    return one_line(row.path or "(order)"), one_line(row.expected or "-"), one_line(row.actual or "-"), said


def one_line(text: str) -> str:
    """The text on one line, with nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
