"""What users hand in, as an item can hold it, and logs that are too large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from spark_dynamo.metadata.models import LogLevel, PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.plain_values import LARGEST_LOG, fit, plain, text
from spark_dynamo.wire.sizes import item_size
from tests.runs.tables import ITEMS


class Login(BaseModel):
    user: str
    password: SecretStr


@dataclass
class Point:
    x: int
    y: Any


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def log_of(**given: Any) -> PipelineRunLog:
    return PipelineRunLog(run_id="r", pipeline_id="p", status=RunStatus.FAILED, trigger_type="t", **given)


def item_of(log: PipelineRunLog) -> dict[str, Any]:
    item: dict[str, Any] = orjson.loads(ITEMS.encode([log])[0].as_py())
    return item


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (1e200, "1e+200"),
        (10**38, str(10**38)),
        (10**38 - 1, 10**38 - 1),
        (Decimal("NaN"), "NaN"),
        (Decimal("1E-50"), "1E-50"),
        (np.int64(7), 7),
        (np.float64(0.5), 0.5),
        (RunStatus.LOST, "lost"),
        (datetime(2026, 11, 1, tzinfo=UTC), "2026-11-01T00:00:00+00:00"),
        (Path("a/b"), "a/b"),
        (Login(user="u", password=SecretStr("p")), {"user": "u", "password": "**********"}),
        (Point(1, (2, {3})), {"x": 1, "y": [2, [3]]}),
        ({"": 1, None: 2}, {'""': 1, "None": 2}),
        (object(), "<builtins.object>"),
        (b"secret", "<builtins.bytes>"),
        ("\ud800", "\\ud800"),
    ],
)
def test_values_become_what_an_item_can_hold(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_a_value_without_a_text_has_one_all_the_same() -> None:
    assert text(Rude()) == f"<{__name__}.Rude without a text>"


def test_a_value_that_holds_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "builtins.list" in repr(plain(loop))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_a_user_hands_in_is_an_item(value: object) -> None:
    assert item_of(log_of(config_snapshot={"given": plain(value)}))["config_snapshot"]


def test_a_log_that_fits_stays_as_it_is() -> None:
    log = log_of(error_stack_trace="x" * 300_000)
    assert fit(log) == (log, "")


def test_a_long_stack_loses_its_middle_and_nothing_else_changes() -> None:
    log = log_of(error_stack_trace="begin" + "x" * 900_000 + "end", error_message="short", config_snapshot={"a": 1})
    shorter, cut = fit(log)
    assert shorter.error_stack_trace is not None
    assert shorter.error_stack_trace.startswith("begin")
    assert shorter.error_stack_trace.endswith("end")
    assert "characters left out]…" in shorter.error_stack_trace
    assert cut.startswith("Shortened to fit into an item of DynamoDB: error_stack_trace from 900,008 bytes to 225,0")
    assert shorter.log_messages[-1] == {"time": log.updated_at.isoformat(), "level": "warning", "message": cut}
    assert shorter.model_copy(update={"error_stack_trace": None, "log_messages": []}) == log.model_copy(
        update={"error_stack_trace": None}
    )


def test_many_messages_lose_those_in_the_middle() -> None:
    messages = [{"time": "t", "level": LogLevel.INFO.value, "message": f"message {number}"} for number in range(20_000)]
    shorter, cut = fit(log_of(log_messages=messages))
    assert shorter.log_messages[0] == messages[0]
    assert shorter.log_messages[-2] == messages[-1]
    assert "log_messages from 20,000 elements" in cut


@given(
    st.fixed_dictionaries(
        {
            "stack": st.integers(0, 600_000),
            "stages": st.integers(0, 3_000),
            "stage_error": st.integers(0, 200_000),
            "entries": st.integers(0, 20_000),
            "message": st.sampled_from(["x", "ü", "漢"]),
        }
    )
)
def test_any_log_fits_into_an_item_and_is_a_log_still(sizes: dict[str, Any]) -> None:
    letter = sizes["message"]
    stages = [StageInfo(stage_name=f"stage {number}", status=RunStatus.SUCCESS) for number in range(sizes["stages"])]
    if stages:
        stages[0].error_message = letter * sizes["stage_error"]
    log = log_of(
        error_stack_trace=letter * sizes["stack"],
        stages=stages,
        config_snapshot={f"key {number}": number for number in range(sizes["entries"])},
    )
    shorter, cut = fit(log)
    assert item_size(item_of(shorter)) <= LARGEST_LOG
    assert bool(cut) == (shorter != log)


def test_a_smaller_limit_cuts_more() -> None:
    shorter, cut = fit(log_of(error_stack_trace="x" * 300_000, config_snapshot={"a": "y" * 100_000}), 20_000)
    assert item_size(item_of(shorter)) <= 20_000
    assert "config_snapshot" in cut


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (None, "success", None),
        (SystemExit(), "success", None),
        (SystemExit(0), "success", None),
        (SystemExit(1), "failed", "SystemExit: 1"),
        (SystemExit("no input"), "failed", "SystemExit: no input"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt:"),
        (GeneratorExit(), "cancelled", "GeneratorExit:"),
        (RuntimeError("[SPARK_JOB_CANCELLED] Job 0 cancelled"), "cancelled", None),
        (orjson.JSONDecodeError("no JSON", "", 0), "failed", "orjson.JSONDecodeError: no JSON"),
        (ValueError(Rude()), "failed", "ValueError: <builtins.ValueError without a text>"),
    ],
)
def test_exceptions_say_how_a_run_ended(error: BaseException | None, status: str, message: str | None) -> None:
    failure = failure_of(error)
    assert failure.status == status
    assert (failure.message or "").startswith(message or "")
    assert (failure.stack is None) == (status == "success")
