"""A run's story in place: elements at the end of its lists, and stages that end, while others write to the same run.

DynamoDB appends by itself (`list_append`), so that writers don't overwrite each other. A request whose answer is lost is sent
again, and would append twice: so each asks that the list doesn't have the very element yet (`NOT contains`), also the first
time, as a request may arrive long after it was given up. An element is told from others by all it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from spark_dynamo.errors import ConditionFailedError, ItemNotFoundError, ValidationError, shorten
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo, seconds_between
from spark_dynamo.metadata.repositories.actions import More, Written, updating
from spark_dynamo.metadata.repositories.writing import send, update
from spark_dynamo.metadata.steps import Ask, Steps
from spark_dynamo.schema.attributes import Attribute
from spark_dynamo.wire.equality import is_same

__all__ = ["append", "attributes_of", "end_stage", "put_stage"]

_ATTEMPTS = 5  # at a stage whose place changes meanwhile, as only a writer of the whole list makes it


def append(
    written: Written[PipelineRunLog], run_id: str, name: str, element: Any, changes: Mapping[str, Any]
) -> Steps[None]:
    """Append a validated element to a list of the run, unless it is there already, and set what `changes` says."""
    codec = written.codec
    key = codec.key_of(run_id)
    encoded = codec.encode_values(key, {name: [element]})[name]
    assert encoded is not None
    elements: Sequence[Attribute] = encoded["L"]
    more = More(append={name: elements}, lacks={name: elements})
    action = updating(written, run_id, changes, more=more)
    try:
        yield from send(action)
    except ConditionFailedError as error:
        held = (error.found or {}).get(name, {}).get("L", [])
        if not all(any(is_same(element, other) for other in held) for element in elements):
            raise


def end_stage(
    written: Written[PipelineRunLog], run_id: str, stage_name: str, changes: Mapping[str, Any]
) -> Steps[StageInfo]:
    """Set fields of the newest stage of that name, wherever it stands in its list."""
    codec = written.codec
    for attempt in range(_ATTEMPTS):
        item = yield from attributes_of(written, run_id, ["stages", "current_stage"])
        place, before = _newest(item.get("stages", {}).get("L", []), stage_name)
        if before is None:
            raise ValidationError(
                f"Run {shorten(repr(run_id))} of table '{written.table}' has no stage {shorten(repr(stage_name))}: add it first"
            )
        stage = _ended(written, before, changes)
        (after,) = (codec.encode_values(codec.key_of(run_id), {"stages": [stage]})["stages"] or {})["L"]
        paths: dict[tuple[str | int, ...], Attribute | None] = {
            ("stages", place, name): after["M"].get(name)
            for name in StageInfo.model_fields
            if after["M"].get(name) != before["M"].get(name)
        }
        was_current = item.get("current_stage") == {"S": stage_name}
        more = More(paths=paths, where={("stages", place, "stage_name"): {"S": stage_name}})
        try:
            yield from send(updating(written, run_id, {"current_stage": None} if was_current else {}, more=more))
        except ConditionFailedError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        return stage
    raise AssertionError("the last attempt returns or raises")


def put_stage(written: Written[PipelineRunLog], run_id: str, stage: StageInfo) -> Steps[PipelineRunLog]:
    """Put a validated stage in the place of the newest one of its name, or to the end, and give the run's log as it is then."""
    codec, name = written.codec, stage.stage_name
    if stage.duration_seconds is None:
        stage = stage.model_copy(update={"duration_seconds": seconds_between(stage.start_time, stage.end_time)})
    (encoded,) = (codec.encode_values(codec.key_of(run_id), {"stages": [stage]})["stages"] or {})["L"]
    for attempt in range(_ATTEMPTS):
        item = yield from attributes_of(written, run_id, ["stages", "current_stage"])
        stages = item.get("stages", {}).get("L", [])
        place, before = _newest(stages, name)
        if before is None:  # and nobody has appended another one meanwhile
            more = More(append={"stages": [encoded]}, where={("stages", len(stages)): None})
        else:
            more = More(paths={("stages", place): encoded}, where={("stages", place, "stage_name"): {"S": name}})
        changes: dict[str, Any] = {}
        if stage.status == RunStatus.RUNNING:
            changes["current_stage"] = name
        elif item.get("current_stage") == {"S": name}:
            changes["current_stage"] = None
        try:
            return (yield from update(written, run_id, changes, more=more))
        except ConditionFailedError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _newest(stages: Sequence[Attribute], name: str) -> tuple[int, Attribute | None]:
    for place in range(len(stages) - 1, -1, -1):
        if stages[place].get("M", {}).get("stage_name") == {"S": name}:
            return place, stages[place]
    return -1, None


def _ended(written: Written[PipelineRunLog], before: Attribute, changes: Mapping[str, Any]) -> StageInfo:
    """The stage as it is after the changes; what they leave None stays."""
    given = {name: value for name, value in changes.items() if value is not None}
    stored = {name: held.get("S", held.get("N")) for name, held in before["M"].items()}
    (stage,) = replace(written, zone="UTC").take({"stages": [{**stored, **given}]})[
        "stages"
    ]  # what is stored is in UTC
    found: StageInfo = stage
    return found.model_copy(update={"duration_seconds": seconds_between(found.start_time, found.end_time)})


def attributes_of(written: Written[Any], key: Any, names: Sequence[str]) -> Steps[dict[str, Attribute]]:
    """Some attributes of an item as it is now; ItemNotFoundError where there is none."""
    codec = written.codec
    values = codec.key_of(key)
    placeholders = {f"#n{place}": name for place, name in enumerate([*names, codec.key_names[0]])}
    request = {
        "TableName": written.table,
        "Key": orjson.Fragment(codec.key_texts([values])[0]),
        "ProjectionExpression": ", ".join(placeholders),
        "ExpressionAttributeNames": placeholders,
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
    }
    answer = yield Ask("GetItem", written.table, request)
    item: dict[str, Attribute] | None = orjson.loads(answer.body).get("Item")
    if item is None:
        raise ItemNotFoundError(written.table, codec.shown_key(values))
    return item
