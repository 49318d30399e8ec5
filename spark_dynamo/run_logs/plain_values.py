"""Values of the user's as a run log can hold them, and a log that is too large for an item, made to fit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, SecretStr

from spark_dynamo.metadata.models import LogLevel, PipelineRunLog

__all__ = ["LARGEST_LOG", "fit", "plain", "text"]

LARGEST_LOG = 380_000  # bytes; an item may have 409,600, and the lease and what others have put there need room too
_DEEPEST = 16
_MOST_DIGITS = 38
_SHORTEST_TEXT = 256  # characters
_MANY_ENTRIES = 16  # a map of as many is cut by leaving out entries; models in a log have fewer
_FIXED = frozenset({"run_id", "pipeline_id", "status", "trigger_type", "start_time", "created_at", "updated_at"})
_NOTE = 2_000  # bytes for the message that says what was cut


def text(value: object) -> str:
    """A value's `str`, with what is no Unicode (lone surrogates, as in odd file names) as escapes; never raises.

    >>> text("caf\\udce9")
    'caf\\\\udce9'
    """
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:  # a foreign __str__ may do anything
        return f"<{_type_name(value)} without a text>"


def plain(value: Any, depth: int = 0) -> Any:
    """A copy of a value in texts, numbers, truths, None, lists and dicts, as DynamoDB can hold it.

    What no number of DynamoDB holds (NaN, more than 38 digits) becomes its text, a time its ISO text, a secret its stars,
    and any other object only the name of its type, since its `repr` may show secrets or even start a Spark job.

    >>> plain({"day": date(2026, 11, 1), "rows": (1, float("nan")), 7: {"a"}})
    {'day': '2026-11-01', 'rows': [1, 'nan'], '7': ['a']}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value, depth)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | PurePath | UUID | SecretStr):
        return text(value)
    if depth < _DEEPEST:
        return _container(value, depth + 1)
    return f"<{_type_name(value)}>"


def _number(value: float | Decimal) -> Any:
    if isinstance(value, int):
        return int(value) if abs(value) < 10**_MOST_DIGITS else str(value)
    if isinstance(value, float):
        fits = math.isfinite(value) and (value == 0 or 1e-130 <= abs(value) < 1e126)
        return float(value) if fits else str(value)
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):  # NaN or infinite
        return str(value)
    whole = max(len(digits) + exponent, 1) + max(0, -exponent)
    return value if whole <= _MOST_DIGITS else str(value)


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, BaseModel):
        return {text(name): plain(getattr(value, name), depth) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), depth) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {text(name) or '""': plain(entry, depth) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(element, depth) for element in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(element, depth) for element in value), key=repr)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return plain(value.item(), depth)
    return f"<{_type_name(value)}>"


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def fit(log: PipelineRunLog, largest: int = LARGEST_LOG) -> tuple[PipelineRunLog, str]:
    """The log itself where it fits into an item, else a shorter one; and a sentence that says what was cut, else "".

    The largest attribute is halved, from its middle, until the whole fits; the sentence is the log's last message then.

    >>> log = PipelineRunLog(run_id="r", pipeline_id="p", status="failed", trigger_type="x", error_message="e" * 500_000)
    >>> shorter, cut = fit(log)
    >>> len(shorter.error_message), shorter.log_messages[-1]["message"] == cut
    (250031, True)
    """
    attributes = log.model_dump()
    sizes = {name: _size(value) for name, value in attributes.items()}
    if _whole(sizes) <= largest:
        return log, ""
    before = {name: _measure(value) for name, value in attributes.items()}
    candidates = set(sizes) - _FIXED
    cut: set[str] = set()
    while _whole(sizes) > largest - _NOTE and candidates:
        name = max(candidates, key=lambda candidate: (sizes[candidate], candidate))
        shorter = _halved(attributes[name])
        size = _size(shorter)
        if size >= sizes[name]:
            candidates.remove(name)
            continue
        attributes[name], sizes[name] = shorter, size
        cut.add(name)
    told = "; ".join(f"{name} from {before[name]} to {_measure(attributes[name])}" for name in sorted(cut))
    sentence = f"Shortened to fit into an item of DynamoDB: {told}"
    note = {"time": log.updated_at.isoformat(), "level": LogLevel.WARNING.value, "message": sentence}
    attributes["log_messages"] = [*attributes["log_messages"], note]
    return PipelineRunLog.model_validate(attributes), sentence


def _whole(sizes: Mapping[str, int]) -> int:
    return sum(len(name) + size for name, size in sizes.items())


def _size(value: Any) -> int:
    """At least as many bytes as DynamoDB counts for a plain value."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return 3 + sum(1 + len(name.encode()) + _size(entry) for name, entry in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + _size(element) for element in value)
    return 1 if value is None or isinstance(value, bool) else 32  # a time's text; numbers have less


def _measure(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value):,} elements of {_size(value):,} bytes"
    return f"{_size(value):,} bytes"


def _halved(value: Any) -> Any:
    """About half of a value, without its middle; the value itself where it has no half."""
    if isinstance(value, str):
        return value if len(value) < _SHORTEST_TEXT else _without_middle(value)
    if isinstance(value, list):
        if len(value) >= 4 and not _is_uneven(map(_size, value)):
            quarter = len(value) // 4
            return [*value[:quarter], *value[-quarter:]]
        return _with_largest_halved(value, list(range(len(value))), lambda shorter: list(shorter.values()))
    if isinstance(value, Mapping):
        if len(value) >= _MANY_ENTRIES and not _is_uneven(map(_size, value.values())):
            return dict(list(value.items())[: len(value) // 2])
        return _with_largest_halved(value, list(value), dict)
    return value


def _is_uneven(sizes: Iterable[int]) -> bool:
    """Whether one of many takes up more than half of the whole."""
    listed = list(sizes)
    return max(listed) > sum(listed) / 2


def _with_largest_halved(value: Any, places: list[Any], made: Callable[[dict[Any, Any]], Any]) -> Any:
    if not places:
        return value
    largest = max(places, key=lambda place: _size(value[place]))
    return made({place: _halved(value[place]) if place == largest else value[place] for place in places})


def _without_middle(value: str) -> str:
    kept = len(value) // 4
    return f"{value[:kept]}…[{len(value) - 2 * kept:,} characters left out]…{value[-kept:]}"
