"""Figures as people read them: durations, counts, bytes and times as texts; what is not known is a dash, never 0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal

from spark_dynamo.run_logs.openlineage import is_uuid

__all__ = [
    "UNKNOWN",
    "block_text",
    "bytes_text",
    "count_text",
    "duration_text",
    "line_text",
    "number_text",
    "run_text",
    "short_count",
    "time_text",
    "unreadable_lines",
    "zone_text",
]

UNKNOWN = "–"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_MOST_UNREADABLE = 10
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+"
)  # a terminal's, and what turns text around


def duration_text(seconds: Decimal | float | None) -> str:
    """Seconds in at most two units.

    >>> [duration_text(seconds) for seconds in (None, 0.04, 59.96, 61, 7_380, 100_000)]
    ['–', '0.04 s', '1 min 00 s', '1 min 01 s', '2 h 03 min', '1 d 3 h']
    """
    if seconds is None:
        return UNKNOWN
    exact = float(seconds)
    if exact < 0.095:
        return f"{exact:.2f} s"
    if exact < 59.95:
        return f"{exact:.1f} s"
    whole = round(exact)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def count_text(count: int | None) -> str:
    """A whole number with its thousands apart.

    >>> count_text(1234567), count_text(0), count_text(None)
    ('1,234,567', '0', '–')
    """
    return UNKNOWN if count is None else f"{count:,}"


def number_text(number: Decimal) -> str:
    """A number with its thousands apart, and all of its digits but the zeros at the end.

    >>> number_text(Decimal("1234567.500")), number_text(Decimal("1E+3")), number_text(Decimal("0.00"))
    ('1,234,567.5', '1,000', '0')
    """
    whole, point, decimals = f"{number:,f}".partition(".")
    return (whole + point + decimals).rstrip("0").rstrip(".") if point else whole


def short_count(count: float) -> str:
    """A number in three digits or so, as axes show it.

    >>> [short_count(count) for count in (0, 0.5, 950, 1_500, 336_776, 999_999, 2_000_000_000)]
    ['0', '0.5', '950', '1.5 k', '337 k', '1 M', '2 G']
    """
    return _scaled(count, ("", "k", "M", "G", "T", "P", "E"), "")


def bytes_text(count: int | None) -> str:
    """Bytes in units of thousands.

    >>> bytes_text(999), bytes_text(1_250_000), bytes_text(None)
    ('999 B', '1.25 MB', '–')
    """
    return UNKNOWN if count is None else _scaled(count, ("", "k", "M", "G", "T", "P", "E"), "B")


def _scaled(count: float, prefixes: tuple[str, ...], unit: str) -> str:
    place = 0
    scaled = float(count)
    while abs(scaled) >= 999.5 and place + 1 < len(prefixes):
        scaled, place = scaled / 1_000, place + 1
    return f"{scaled:.3g} {prefixes[place]}{unit}".rstrip()


def time_text(time: datetime | None, zone: tzinfo) -> str:
    """A time to the second in a zone, whose name `zone_text` gives."""
    return UNKNOWN if time is None else time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def zone_text(zone: tzinfo) -> str:
    """A zone's name, as in Europe/London.

    >>> from datetime import UTC
    >>> zone_text(UTC)
    'UTC'
    """
    return str(zone)


def run_text(run_id: str) -> str:
    """A run's id, short: a UUID by its first eight digits, as Git does with commits.

    >>> run_text("5f0c2a9e8b7d4c6fa1b2c3d4e5f60718"), run_text("2026-11-01-nightly")
    ('5f0c2a9e', '2026-11-01-nightly')
    """
    return run_id[:8] if is_uuid(run_id) else line_text(run_id, 24)


def line_text(text: str | None, longest: int) -> str:
    r"""The first line of a text, without control characters, cut where it is longer than so many characters.

    >>> line_text("ValueError: no rows\nin orders", 80), line_text("x" * 9, 5), line_text("a\x1b[31mb", 9)
    ('ValueError: no rows', 'xxxx…', 'a [31mb')
    """
    lines = (text or "").strip().splitlines()
    line = _CONTROL.sub(" ", lines[0]).strip() if lines else ""
    return line if len(line) <= longest else line[: longest - 1] + "…"


def unreadable_lines(unreadable: Mapping[str, str]) -> list[str]:
    """Lines that tell of rows that are no run logs, by their ids: why not.

    >>> unreadable_lines({"r1": "status: not 'done'"})
    ["1 row is no run log: r1: status: not 'done'"]
    >>> unreadable_lines({"r1": "a", "r2": "b"})
    ['2 rows are no run logs:', 'r1: a', 'r2: b']
    """
    told = [f"{line_text(run_id, 200)}: {line_text(why, 300)}" for run_id, why in unreadable.items()]
    if len(told) < 2:
        return [f"1 row is no run log: {line}" for line in told]
    more = [f"… and {len(told) - _MOST_UNREADABLE} more"] if len(told) > _MOST_UNREADABLE else []
    return [f"{count_text(len(told))} rows are no run logs:", *told[:_MOST_UNREADABLE], *more]


def block_text(text: str) -> str:
    r"""A text of several lines, indented as it is, without control characters.

    >>> block_text("a:\n  b\x1b[2J")
    'a:\n  b [2J'
    """
    return "\n".join(_CONTROL.sub(" ", line).rstrip() for line in text.splitlines())
