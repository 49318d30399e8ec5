"""Runs as a pandas frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin

import pandas as pd

from spark_dynamo.metadata.models import PipelineRunLog

__all__ = ["frame"]

_DTYPES: Mapping[Any, str] = MappingProxyType({bool: "boolean", int: "Int64", Decimal: "float64"})


def frame(logs: Sequence[PipelineRunLog], zone: tzinfo) -> pd.DataFrame:
    """A row a run and a column a field, typed by the model even where no run has a value."""
    dumped = [log.model_dump() for log in logs]
    columns = {}
    for name, field in PipelineRunLog.model_fields.items():
        kind = _kind(field.annotation, zone)
        values = [row[name] for row in dumped]
        if isinstance(kind, pd.DatetimeTZDtype):
            columns[name] = pd.Series(pd.to_datetime(values, utc=True).as_unit("us")).dt.tz_convert(zone)
        else:
            columns[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(columns)


def _kind(annotation: Any, zone: tzinfo) -> Any:
    """The dtype of a field's column; what is no scalar stays an object."""
    for inner in get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,):
        found = get_args(inner)[0] if hasattr(inner, "__metadata__") else inner
        if found is datetime:
            return pd.DatetimeTZDtype("us", zone)
        if found in _DTYPES:
            return _DTYPES[found]
        if isinstance(found, type) and issubclass(found, str):
            return "string"
    return "object"
