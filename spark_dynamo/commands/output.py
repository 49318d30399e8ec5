"""Rows on standard output: a table for people, JSON or CSV for programs; nothing else is ever written there.

JSON has every digit of a number, times in ISO 8601, binaries as base64 text, sets as sorted arrays; JSON Lines have one such row
to a line. In CSV, a value with parts
is JSON text; nothing, which JSON calls null, and the empty text look the same there. A text that a spreadsheet would take for a
formula has an apostrophe before it. Characters that a terminal would obey are shown as escapes, in CSV with the exception of line
breaks and tabs where it is piped. With `--raw`, piped CSV has each text as it is.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from spark_dynamo.commands.options import Format, is_raw

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "CLOSED_PIPE",
    "Rows",
    "check_open",
    "console",
    "end_output",
    "escape",
    "show",
    "show_record",
    "to_json",
    "write",
]

CLOSED_PIPE = 128 + 13  # the exit code where the reader of a pipe has gone, as shells count what SIGPIPE ends

_READABLE = 20  # characters: a wider column may be folded down to that
_GAP = 2  # between the columns
# what orjson leaves as it is, and a terminal does not: controls, and marks that turn the direction of text
_MARKS = "\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
_OBEYED = re.compile(f"[{_MARKS}]")
_OBEYED_IN_CSV = re.compile(f"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f{_MARKS}]")
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|inf(?:inity)?)", re.IGNORECASE | re.ASCII)
_INT64 = 2**63


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Format, title: str | None = None) -> None:
    """Write the rows, of which a value that is missing counts as None; the title is for people only.

    >>> show([{"id": "a", "n": Decimal("1.50")}], ["id", "n"], "json")
    [
    {"id":"a","n":1.50}
    ]
    """
    with Rows(output, title) as written:
        written.begin(columns)
        written.add(rows)


def show_record(record: Mapping[str, Any], output: Format, title: str | None = None) -> None:
    """Write one row; the table for people has a line for each of its values, and JSON an array of one object."""
    if output != "table":
        show([record], list(record), output)
        return
    check_open()
    screen = console()
    if title:
        _print_title(screen, title)
    _print_pairs(screen, record)


class Rows:
    """Rows that are written as they come, as a context manager; `begin` says which columns they have, at any time anew.

    Where `begin` is not called, JSON has the rows' own names. A table is printed for each `add`, CSV has one header.
    `has_rows` tells whether any were written.
    """

    def __init__(self, output: Format, title: str | None = None) -> None:
        self._output = output
        self._title = title
        self._columns: Sequence[str] | None = None
        self.has_rows = False

    def __enter__(self) -> Rows:
        if self._output == "json":
            write("[")
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None and self._output == "json":
            write("\n]\n" if self.has_rows else "]\n")
        if kind is None and self._output == "table" and not self.has_rows and self._columns is not None:
            self._print_table([])

    def begin(self, columns: Sequence[str]) -> None:
        """Name the columns of what follows."""
        if self._output == "csv" and self._columns is None:
            write(_csv([columns]))
        self._columns = columns

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows."""
        if not rows:
            return
        if self._output in ("json", "jsonl"):
            self.add_texts(_object(row, self._columns) for row in rows)
            return
        assert self._columns is not None
        if self._output == "csv":
            write(_csv([[_plain(row.get(column)) for column in self._columns] for row in rows]))
        else:
            self._print_table(rows)
        self.has_rows = True

    def add_texts(self, texts: Iterable[str]) -> None:
        """Write rows that are JSON already."""
        joined = ("\n" if self._output == "jsonl" else ",\n").join(texts)
        if joined:
            shown = _OBEYED.sub(_json_escape, joined)
            write(f"{shown}\n" if self._output == "jsonl" else f"{',' if self.has_rows else ''}\n{shown}")
            self.has_rows = True

    def _print_table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        check_open()
        screen = console()
        if self._title:
            _print_title(screen, self._title)
            self._title = None
        assert self._columns is not None
        _print_table(screen, rows, self._columns)


def to_json(value: Any) -> str:
    """A value as compact JSON.

    >>> to_json({"n": Decimal("1.50"), "set": {"b", "a"}, "bytes": b"a"})
    '{"n":1.50,"set":["a","b"],"bytes":"YQ=="}'
    """
    try:
        text = orjson.dumps(value, default=_json_form, option=orjson.OPT_NON_STR_KEYS).decode()
        if "null" in text or isinstance(value, float):  # orjson makes null of NaN and the infinities
            text = orjson.dumps(_without_infinities(value), default=_json_form, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        text = orjson.dumps(_without_infinities(value), default=_json_form, option=orjson.OPT_NON_STR_KEYS).decode()
    return _OBEYED.sub(_json_escape, text)


def escape(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would obey.

    >>> escape("a\\x1b[31m\\n")
    'a\\\\x1b[31m\\\\n'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _object(row: Mapping[str, Any], columns: Sequence[str] | None) -> str:
    return to_json(dict(row) if columns is None else {column: row.get(column) for column in columns})


def _json_form(value: Any) -> Any:
    """What orjson has no form of its own for."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else str(value)
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return str(value)


def _without_infinities(value: Any) -> Any:
    """A value with what would become null, or can't be written, in another form."""
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return {name: _without_infinities(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(inner) for inner in value]
    return value


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _plain(value: Any) -> str:
    """A value in a cell: text as it is, times in ISO 8601, what has parts as JSON."""
    match value:
        case None:
            return ""
        case Enum():
            return str(value.value)
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime() | date() | time():
            return value.isoformat()
        case int() | float() | Decimal():
            return str(value)
        case bytes() | bytearray():
            return b64encode(value).decode()
    return to_json(value)


class _Lines(io.StringIO):
    """Lines that end in \\n, though csv is told \\r\\n: only so does it quote both, before Python 3.13."""

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = _Lines()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_csv_cell(cell) for cell in row])
    return text.getvalue()


def _csv_cell(cell: str) -> str:
    """A cell's text as the one who gets it can take it: no formula, nothing to obey."""
    is_piped = not sys.stdout.isatty()
    if is_piped and is_raw():
        return cell
    if _FORMULA.match(cell) and not is_raw() and not _NUMBER.fullmatch(cell):
        cell = f"'{cell}"
    return _OBEYED_IN_CSV.sub(_text_escape, cell) if is_piped else escape(cell)


def _text_escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def write(text: str) -> None:
    """Write text in UTF-8, whatever the terminal's encoding: this is for programs."""
    check_open()
    buffer = getattr(sys.stdout, "buffer", None)
    try:
        if buffer is None:  # a notebook's, or a test's
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            buffer.write(text.encode())
            buffer.flush()
    except BrokenPipeError:
        _end_of_pipe()


def check_open() -> None:
    """Raise OSError where there is no standard output: for what is asked for to be shown."""
    if sys.stdout is None:  # as `>&-` leaves it
        raise OSError(errno.EBADF, "it is closed")


def _end_of_pipe() -> NoReturn:
    """Nobody reads any more: the command ends without a word, as one that SIGPIPE ends."""
    end_output()
    raise SystemExit(CLOSED_PIPE)


def end_output() -> None:
    """Send what Python may still have for standard output nowhere, lest it fails again at the end of the process."""
    with suppress(OSError, AttributeError), Path(os.devnull).open("wb") as nowhere:  # it may be closed, or a notebook's
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


# ---------------------------------------------------------------------------------------------------- for people


def console(*, markup: bool = False) -> Console:
    """What prints on standard output for people; what its encoding has no characters for is shown as escapes."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            _end_of_pipe()

    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Screen(highlight=False, markup=markup, emoji=False)


def _print_title(console: Console, title: str) -> None:
    """Above a table on a terminal, or in a pipe."""
    console.print(escape(title), style="bold", soft_wrap=True)


def _print_table(console: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table, or one record after the other where the terminal is too narrow for its columns.

    What is no terminal gets each row on a line of its own.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    names = [escape(column) for column in columns]
    cells = [[escape(_plain(row.get(column))) for column in columns] for row in rows]
    by_column = [list(column) for column in zip(names, *cells, strict=True)]
    widths = [max(map(cell_len, column)) for column in by_column]
    is_right = [_are_numbers([row.get(column) for row in rows]) for column in columns]
    if not console.is_terminal:
        for line in (names, ["-" * width for width in widths], *cells):
            padded = map(_padded, line, widths, is_right)
            write((" " * _GAP).join(padded).rstrip() + "\n")
        return
    least = [min(width, _READABLE) for width in widths]
    if sum(least) + _GAP * (len(columns) - 1) > console.width:
        for number, row in enumerate(rows, 1):
            console.rule(f"{number:,}", align="left", style="dim", characters="─")
            _print_pairs(console, {column: row.get(column) for column in columns})
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name, width, right in zip(names, least, is_right, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", min_width=width, overflow="fold")
    for cell_row in cells:
        table.add_row(*map(Text, cell_row))
    console.print(table)


def _print_pairs(console: Console, record: Mapping[str, Any]) -> None:
    """A line for each value that is there, its name before it."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    pairs = [(escape(name), escape(_plain(value))) for name, value in record.items() if value is not None]
    if not console.is_terminal:
        width = max((cell_len(name) for name, _ in pairs), default=0)
        write("".join(f"{_padded(name, width)}{' ' * _GAP}{value}".rstrip() + "\n" for name, value in pairs))
        return
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="bold", max_width=max(_READABLE, console.width // 3), overflow="fold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name), Text(value))
    console.print(grid)


def _padded(text: str, width: int, is_right: bool = False) -> str:
    """The text with blanks to that many columns of a terminal, some of whose characters take two."""
    from rich.cells import cell_len

    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def _are_numbers(values: Sequence[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in there
    )
