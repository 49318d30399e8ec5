"""What commands write: JSON and CSV for programs, tables for people, and nothing that a terminal would obey."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

from spark_dynamo.commands.options import take_raw
from spark_dynamo.commands.output import Rows, escape, show, show_record, to_json

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Status(StrEnum):
    DONE = "done"


NESTED = {"list": [1, {"b": b"\x00"}], "set": {"b", "a"}}
ROW = {
    "text": 'a "quoted", text',
    "number": Decimal("12345678901234567890123456789012345678"),
    "cents": Decimal("1.50"),
    "whole": 2**80,
    "flag": True,
    "nothing": None,
    "when": datetime(2026, 11, 1, 10, 30, tzinfo=UTC),
    "day": date(2026, 11, 1),
    "status": Status.DONE,
    "nested": NESTED,
}


def test_json_is_one_array_with_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    show([ROW, {"text": "b"}], [*ROW], "json", "A title for people")
    printed = capsys.readouterr().out
    first, second = json.loads(printed, parse_float=Decimal)
    assert first == {
        **ROW,
        "number": 12345678901234567890123456789012345678,
        "when": "2026-11-01T10:30:00+00:00",
        "day": "2026-11-01",
        "nested": {"list": [1, {"b": "AA=="}], "set": ["a", "b"]},
    }
    assert '"cents":1.50' in printed
    assert second == dict.fromkeys(ROW) | {"text": "b"}
    assert len(printed.splitlines()) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), '"nan"'),
        ([float("inf"), None], '["inf",null]'),
        (Decimal("NaN"), '"NaN"'),
        (Decimal("1E-130"), "1E-130"),
        ({"a": [-(2**64)]}, '{"a":[-18446744073709551616]}'),
        (timedelta(seconds=90), "90.0"),
        ({Decimal(2), Decimal(1)}, "[1,2]"),
        ("\x7f\x9b\u202e\x1b", r'"\u007f\u009b\u202e\u001b"'),
    ],
)
def test_values_that_json_has_no_plain_form_for(value: object, text: str) -> None:
    assert to_json(value) == text
    json.loads(text)


def test_csv_is_read_back_by_the_csv_module(capsys: pytest.CaptureFixture[str]) -> None:
    show([ROW, {"text": "two\nlines"}], [*ROW], "csv")
    header, first, second = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == [*ROW]
    read = dict(zip(header, first, strict=True))
    assert (read["text"], read["number"], read["cents"]) == (ROW["text"], str(ROW["number"]), "1.50")
    assert (read["flag"], read["nothing"], read["status"]) == ("true", "", "done")
    assert read["when"] == "2026-11-01T10:30:00+00:00"
    assert json.loads(read["nested"]) == {"list": [1, {"b": "AA=="}], "set": ["a", "b"]}
    assert second == ["two\nlines", *[""] * (len(ROW) - 1)]


@pytest.fixture
def raw() -> Iterator[None]:
    """As a command that was given `--raw`."""
    take_raw(True)
    yield
    take_raw(False)


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize("text", ["a\rb", "\r", "a\r\n", "\n\r\nb", "a,b", 'a"\r', "=1+1", "\x1b[2J"])
def test_raw_csv_has_each_text_as_it_is_and_quotes_whatever_ends_a_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show([{"a": text, "b": "x"}, {"a": "y"}], ["a", "b"], "csv")
    printed = capsys.readouterr().out
    assert list(csv.reader(io.StringIO(printed, newline=""))) == [["a", "b"], [text, "x"], ["y", ""]]
    assert printed.endswith("\ny,\n")


def csv_cells(value: object, capsys: pytest.CaptureFixture[str], column: str = "a") -> list[str]:
    """Header and value of one cell in a pipe."""
    show([{column: value, "b": None}], [column, "b"], "csv")
    return [row[0] for row in csv.reader(io.StringIO(capsys.readouterr().out, newline=""))]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+a", "-a", "@SUM(A1)", "=", "\t=1", "\r=1", "\n=1", "\uff1d1", "+1+1", "-2+3*cmd|' /C x'!A0", "+1 2"],
)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert csv_cells(text, capsys)[1][0] == "'"
    assert csv_cells("x", capsys, text)[0][0] == "'"


@pytest.mark.parametrize(
    "value",
    [-5, Decimal("-1.50"), Decimal("-1E-30"), -2.5e-7, "-5", "+49", float("-inf"), "a=b", "a@b.example", "'=", ""],
)
def test_numbers_and_other_texts_have_no_apostrophe(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert csv_cells(value, capsys)[1] == str(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9bb\x00", "a\\x9bb\\x00"),
        ("a\u202eb", "a\\u202eb"),
        ("a\rb", "a\\rb"),
        ("two\r\nlines\tand\nmore", "two\r\nlines\tand\nmore"),
    ],
)
def test_csv_in_a_pipe_has_nothing_that_a_terminal_obeys(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert csv_cells(text, capsys)[1] == shown
    assert csv_cells("x", capsys, text)[0] == shown


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    for output, expected in (("json", "[]\n"), ("csv", "a,b\n"), ("table", "a  b\n-  -\n")):
        show([], ["a", "b"], output)  # type: ignore[arg-type]
        assert capsys.readouterr().out == expected


def test_a_table_in_a_pipe_has_a_line_for_each_row_whatever_its_width(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"id": "a" * 300, "n": 1}, {"id": "漢字", "n": 1000}], ["id", "n"], "table", "Title\x1b[2J")
    assert capsys.readouterr().out.splitlines() == [
        "Title\\x1b[2J",
        f"{'id':300}     n",
        f"{'-' * 300}  ----",
        f"{'a' * 300}     1",
        f"{'漢字':298}  1000",
    ]


def test_a_record_in_a_pipe_has_a_line_for_each_value_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    show_record({"id": "a\nb", "n": None, "longer": 1}, "table")
    assert capsys.readouterr().out == "id      a\\nb\nlonger  1\n"


def test_json_is_written_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    with Rows("json") as rows:
        assert capsys.readouterr().out == "["
        rows.add([])
        rows.add([{"id": "a"}])
        assert capsys.readouterr().out == '\n{"id":"a"}'
        rows.add_texts(['{"id":"\x9b"}'])
    assert capsys.readouterr().out == ',\n{"id":"\\u009b"}\n]\n'


def test_json_lines_are_one_object_to_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Rows("jsonl") as rows:
        rows.begin(["n", "id"])
        rows.add([{"id": "a\nb", "n": Decimal("1.50")}, {"id": "\x9b"}])
        rows.add([])
        rows.add_texts(['{"id":{"S":"c"}}'])
    lines = ['{"n":1.50,"id":"a\\nb"}', '{"n":null,"id":"\\u009b"}', '{"id":{"S":"c"}}']
    assert capsys.readouterr().out == "".join(f"{line}\n" for line in lines)
    show([], ["id"], "jsonl")
    show_record({"id": "a"}, "jsonl")
    assert capsys.readouterr().out == '{"id":"a"}\n'


def test_json_that_broke_off_is_no_json() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), write_through=True))
        written = sys.stdout
        with pytest.raises(RuntimeError), Rows("json") as rows:
            rows.add([{"id": "a"}])
            raise RuntimeError
        text = written.buffer.getvalue().decode()  # type: ignore[attr-defined]
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def on_a_terminal(output: str, columns: int) -> str:
    """What a real terminal of that width gets for two rows with control characters."""
    code = (
        "from spark_dynamo.commands.output import show\n"
        "rows = [{'id': 'a\\x1b[2Jb\\x9b', 'note': 'word ' * 9, **{f'c{n}': 'x' * 15 for n in range(6)}}, {'id': 'c'}]\n"
        f"show(rows, list(rows[0]), {output!r}, 'Ti\\x07tle')"
    )
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=True, timeout=60)
        os.close(theirs)
        chunks = []
        while chunk := _read(ours):
            chunks.append(chunk)
    finally:
        os.close(ours)
    return _STYLE.sub("", b"".join(chunks).decode().replace("\r\n", "\n"))


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_no_control_character_reaches_a_terminal(output: str) -> None:
    shown = on_a_terminal(output, 300)
    assert {letter for letter in shown if not letter.isprintable()} == {"\n"}
    assert ("a\\u001b[2Jb\\u009b" if output == "json" else "a\\x1b[2Jb\\x9b") in shown


def test_a_wide_table_in_a_narrow_terminal_is_one_record_after_the_other() -> None:
    shown = on_a_terminal("table", 60).splitlines()
    assert max(map(len, shown)) <= 60
    assert [line.split() for line in shown if line.startswith("c0")] == [["c0", "x" * 15]]
    assert sum(line.startswith(("1 ─", "2 ─")) for line in shown) == 2


def test_a_table_that_nearly_fits_is_folded() -> None:
    shown = on_a_terminal("table", 150).splitlines()
    assert max(map(len, shown)) <= 150
    assert sum("word" in line for line in shown) > 1
    assert shown[1].split() == ["id", "note", *(f"c{number}" for number in range(6))]


@pytest.mark.parametrize("text", ["plain", "\x1b", "é漢", "\u202e", "\n\t", "\x00"])
def test_escaped_text_is_printable(text: str) -> None:
    assert escape(text).isprintable()


def test_output_needs_no_rich_for_programs(python: Callable[..., Any]) -> None:
    done = python(
        "from spark_dynamo.commands.output import show; import sys; show([{'a': 1}], ['a'], 'json');"
        "print([name for name in ('rich', 'pyarrow', 'boto3', 'pydantic') if name in sys.modules])"
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
