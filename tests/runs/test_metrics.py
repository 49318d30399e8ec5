"""A run's own metrics: they add up exactly, in the runs around it too, and what can't be counted gets a sentence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pyspark.sql import SparkSession

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ValidationError
from spark_dynamo.metadata.models import RunMetric
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
from spark_dynamo.run_logs.context import pipeline_run
from spark_dynamo.run_logs.metrics import RunMetrics
from spark_dynamo.run_logs.process import close_recorders
from spark_dynamo.run_logs.registration import register_run_listener
from spark_dynamo.source.datasource import register
from spark_dynamo.telemetry import use_providers
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table


@pytest.fixture(scope="module")
def table(server: Server) -> Iterator[RunTable]:
    yield run_table(server)
    assert close_recorders()


def told(run: Any) -> dict[str, tuple[Decimal, str | None]]:
    """The metrics of a run."""
    assert run.flush()
    held = run.snapshot().custom_metrics
    return {name: (metric.value, metric.unit) for name, metric in held.items()}


# ------------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([12, 3], "15"),
        ([0.1, 0.2], "0.3"),
        ([Decimal("0.000000000000000001"), 10**19], "10000000000000000000.000000000000000001"),
        ([5, -7.5], "-2.5"),
        ([0], "0"),
        ([-0.0, Decimal("1E+3"), Decimal("0.50000000000000000000000000000")], "1000.5"),
        ([99_999_999_999_999_999_999], "99999999999999999999"),
        ([np.int64(2**62), np.int64(2**62)], str(2**63)),
        ([np.float32(0.5), np.float64(0.25), np.array(1)], "1.75"),
    ],
)
def test_numbers_add_up_without_loss(values: list[Any], total: str) -> None:
    metrics = RunMetrics()
    for value in values:
        metrics.add("x", value, "rows")
    assert metrics.snapshot() == {"x": RunMetric(value=Decimal(total), unit="rows")}
    assert str(metrics.snapshot()["x"].value) == total, "as the column has it"


@pytest.mark.parametrize(
    ("name", "value", "unit", "sentence"),
    [
        ("x", float("nan"), None, "Metric 'x' is nan: give a finite number"),
        ("x", Decimal("sNaN"), None, "Metric 'x' is sNaN: give a finite number"),
        ("x", float("-inf"), None, "Metric 'x' is -inf: give a finite number"),
        ("x", True, None, "Metric 'x' is True: give a number, as 1 to count it; run.check keeps"),
        ("x", np.bool_(False), None, "Metric 'x' is False: give a number"),
        ("x", "12", None, "Metric 'x' is '12', of type str: give an int, a float or a Decimal"),
        ("x", None, None, "Metric 'x' is None, of type NoneType"),
        ("x", Fraction(1, 3), None, r"Metric 'x' is Fraction\(1, 3\), of type Fraction"),
        ("x", 1j, None, "of type complex"),
        ("x", [1], None, r"Metric 'x' is \[1\], of type list"),
        ("x", 10**20, None, "it has room for 20 digits before the point and 18 behind it. Round it"),
        ("x", 10**6000, None, "is a whole number of more digits: it has room for 20 digits"),
        ("x", 1e30, None, r"Metric 'x' is 1e\+30: it has room"),
        ("x", 1e-19, None, "Metric 'x' is 1e-19: it has room"),
        ("x", Decimal("1E-999999"), None, "it has room"),
        ("x", Decimal(f"1.{'0' * 100}1"), None, "it has room"),
        ("", 1, None, "The name of a metric is '': give a text of 1 to 255 characters"),
        ("n" * 256, 1, None, "characters left out.*give a text of 1 to 255"),
        (7, 1, None, "The name of a metric is 7"),
        (None, 1, None, "The name of a metric is None"),
        ("x", 1, "", "The unit of metric 'x' is '': give a text of 1 to 63 characters, as in 'rows', or leave it out"),
        ("x", 1, 7, "The unit of metric 'x' is 7"),
        (
            "rows",
            1,
            "bytes",
            "Metric 'rows' is counted in 'rows', and now in 'bytes': each unit needs a name of its own",
        ),
        ("full", 1, None, "Metric 'full' would add up to 100000000000000000000: it has room"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_of_a_metric_gets_a_sentence(name: Any, value: Any, unit: Any, sentence: str) -> None:
    metrics = RunMetrics()
    metrics.add("rows", 1, "rows")
    metrics.add("full", 10**20 - 1, None)
    before = metrics.snapshot()
    with pytest.raises(ValidationError, match=sentence):
        metrics.add(name, value, unit)
    assert metrics.snapshot() == before


def test_a_unit_is_told_once_at_least() -> None:
    metrics = RunMetrics()
    for unit in (None, "rows", None):
        metrics.add("x", 1, unit)
    assert metrics.snapshot() == {"x": RunMetric(value=Decimal(3), unit="rows")}


def test_a_run_has_so_many_names_at_most() -> None:
    metrics = RunMetrics()
    for number in range(1_000):
        metrics.add(f"m{number}", 1, None)
    with pytest.raises(ValidationError, match="Metric 'one more' would be one more than the 1,000 that a run may have"):
        metrics.add("one more", 1, None)
    metrics.add("m7", 1, None)
    assert metrics.snapshot()["m7"].value == 2


# --------------------------------------------------------------------------------------------------------- runs


def test_metrics_are_in_the_row(table: RunTable) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        assert run.metric("rows_rejected", 12, unit="rows")
        assert run.flush()
        assert table.log(run.run_id).custom_metrics == {"rows_rejected": RunMetric(value=Decimal(12), unit="rows")}
        assert run.metric("rows_rejected", 3)
        assert run.metric("most", Decimal("99999999999999999999.9999999999999999990000"))
        assert run.metric("money ⚖ \udce9", Decimal("1.50"), "EUR")
    assert run.flush()
    log = table.log(run.run_id)
    assert log == run.snapshot()
    assert {name: (metric.value, metric.unit) for name, metric in log.custom_metrics.items()} == {
        "rows_rejected": (Decimal(15), "rows"),
        "most": (Decimal("99999999999999999999.999999999999999999"), None),
        "money ⚖ \\udce9": (Decimal("1.5"), "EUR"),
    }


def test_the_runs_around_one_have_its_metrics_too(table: RunTable) -> None:
    with pipeline_run(None, "outer", config=table.config()) as outer:
        outer.metric("rows", 1, "rows")
        with pipeline_run(None, "middle", config=table.config()) as middle:
            with pipeline_run(None, "inner", config=table.config()) as inner:
                inner.metric("rows", 10, "rows")
                inner.metric("inner only", 5)
            middle.metric("rows", 100, "rows")
        with pipeline_run(None, "other", config=table.config()) as other:
            other.metric("rows", 1000, "rows")
    assert told(inner) == {"rows": (10, "rows"), "inner only": (5, None)}
    assert told(middle) == {"rows": (110, "rows"), "inner only": (5, None)}
    assert told(other) == {"rows": (1000, "rows")}
    assert told(outer) == {"rows": (1111, "rows"), "inner only": (5, None)}
    assert table.log(outer.run_id).custom_metrics == outer.snapshot().custom_metrics


def test_threads_add_up_in_a_run_and_in_runs_of_their_own(table: RunTable) -> None:
    met = threading.Barrier(4)

    def work(number: int) -> None:
        met.wait()
        for _ in range(250):
            outer.metric("shared", 1)
        with pipeline_run(None, "inner", config=table.config(), parent_run_id=outer.run_id) as inner:
            inner.metric("own", number)

    with pipeline_run(None, "outer", config=table.config()) as outer, ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert told(outer) == {"shared": (1000, None), "own": (6, None)}


def test_a_body_goes_on_where_a_metric_can_not_be_counted(table: RunTable, caplog: pytest.LogCaptureFixture) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        assert not run.metric("share", float("nan"))
        for _ in range(3):
            assert not run.metric("share", float("nan"))
        assert not run.metric("ok", True)
        assert not run.metric(None, 1)  # type: ignore[arg-type]
        run.metric("rows", 1, "rows")
        assert not run.metric("rows", 1, "bytes")
        run.metric("share", 0.5)
    assert not run.metric("late", 1)
    assert told(run) == {"rows": (1, "rows"), "share": (Decimal("0.5"), None)}
    messages = [message["message"] for message in table.log(run.run_id).log_messages]
    assert [message.partition(":")[0] for message in messages] == [
        "Metric 'share' is nan",
        "Metric 'ok' is True",
        "The name of a metric is None",
        "Metric 'rows' is counted in 'rows', and now in 'bytes'",
    ]
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned[:4] == [f"Run {run.run_id}: {message}" for message in messages]
    assert warned[4:] == [f"Run {run.run_id} has ended: what it is told now is not noted (Counted)"]


def test_a_unit_that_another_run_has_is_told_where_both_meet(table: RunTable) -> None:
    with pipeline_run(None, "outer", config=table.config()) as outer:
        outer.metric("size", 1, "rows")
        with pipeline_run(None, "inner", config=table.config()) as inner:
            assert inner.metric("size", 2, "bytes")
    assert (told(inner), told(outer)) == ({"size": (2, "bytes")}, {"size": (1, "rows")})
    (message,) = outer.snapshot().log_messages
    assert message["message"].startswith("Metric 'size' is counted in 'rows', and now in 'bytes'")


def test_many_long_names_are_cut_to_an_item_and_that_is_said(table: RunTable) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        for number in range(1_000):
            run.metric(f"{number:03}{'ü' * 250}", 1)
    assert run.flush(20)
    log = table.log(run.run_id)
    assert 100 < len(log.custom_metrics) < 1_000
    assert "custom_metrics from" in log.log_messages[-1]["message"]


def test_opentelemetry_is_told_once_of_each_number(table: RunTable) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    use_providers(meters)
    try:
        with pipeline_run(None, "outer", config=table.config()), pipeline_run(None, "in", config=table.config()) as run:
            run.metric("rows_rejected", 12, "rows")
            run.metric("rows_rejected", Decimal("0.5"))
            run.metric("rows_rejected", "x")  # type: ignore[arg-type]
            run.metric("change", np.int64(-3))
        data = reader.get_metrics_data()
        assert data is not None
        metrics = [m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]
        (found,) = [metric for metric in metrics if metric.name == "spark_dynamo.run.metric"]
        name, unit = "spark_dynamo.metric.name", "spark_dynamo.metric.unit"
        points = {(p.attributes[name], p.attributes.get(unit)): p.value for p in found.data.data_points}
        assert points == {("rows_rejected", "rows"): 12, ("rows_rejected", None): 0.5, ("change", None): -3}
        assert {p.attributes["spark_dynamo.pipeline.id"] for p in found.data.data_points} == {"in"}
    finally:
        use_providers()
        meters.shutdown()


@pytest.mark.slow
def test_a_session_s_run_has_the_metrics_of_the_runs_in_it(spark: SparkSession, table: RunTable) -> None:
    register(spark)
    with register_run_listener(spark, pipeline_id="session", config=table.config()) as listener:
        with pipeline_run(spark, "inner", config=table.config()) as inner:
            inner.metric("rows_rejected", spark.range(7).count(), "rows")
        listener.run.metric("rows_rejected", 1)
    assert (told(inner), told(listener.run)) == ({"rows_rejected": (7, "rows")}, {"rows_rejected": (8, "rows")})
    frame = spark.read.format("dynamo-meta").options(**table.config().spark_options()).load("pipeline_run_logs")
    row = frame.where(frame.run_id == listener.run_id).selectExpr("custom_metrics['rows_rejected'] AS metric").first()
    assert row is not None
    assert (row["metric"]["value"], row["metric"]["unit"]) == (8, "rows")


# ---------------------------------------------------------------------------------------------- messages, secrets


def test_messages_have_details(table: RunTable) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        run.log("loaded", "warning", file="a.csv", rows=3, day={"of": [1, None]}, time="noon", time_=2)
        run.log(message="plain", level="info")
    assert run.flush()
    first, second = table.log(run.run_id).log_messages
    assert first.pop("time") < second.pop("time")
    assert first == {
        "level": "warning",
        "message": "loaded",
        "file": "a.csv",
        "rows": 3,
        "day": {"of": [1, None]},
        "time_": "noon",
        "time__": 2,
    }
    assert second == {"level": "info", "message": "plain"}


def test_texts_of_a_run_have_no_secret_that_is_known(table: RunTable) -> None:
    config = DynamoDBConfig(
        endpoint_url=table.server.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        aws_session_token="the-token-of-the-session",
        table_prefix=table.prefix,
    )
    hidden = "a hidden text"
    settings = {"db": {"password": hidden}, "limit": 10}
    leak = f"{hidden} and the-token-of-the-session and jdbc:x://me:word@host"
    with (
        pytest.raises(ValueError, match=hidden),
        pipeline_run(None, "sales", config=config, config_snapshot=settings) as run,
    ):
        run.log(leak, detail=leak, token="also hidden")
        run.check("rows", passed=False, expected=leak, actual={"x": [leak]}, error_message=leak)
        with run.stage("load"):
            raise ValueError(leak)
    assert run.flush()
    stored = str(table.item(run.run_id))
    for secret in (hidden, "the-token", "word@host", "also hidden"):
        assert secret not in stored
    log = table.log(run.run_id)
    stars = "**********"
    masked = f"{stars} and {stars} and jdbc:x://me:{stars}@host"
    assert log.error_message == log.stages[0].error_message == f"ValueError: {masked}"
    assert log.log_messages[0]["message"] == log.data_quality_results[0].expected_value == masked
    assert "raise ValueError(leak)" in (log.error_stack_trace or "")


def test_a_run_log_that_is_created_directly_has_no_secret(table: RunTable) -> None:
    runs = PipelineRunLogsRepository(table.config())
    snapshot = {"db": {"password": "a hidden text"}, "note": "it is a hidden text", "limit": 10}
    made = runs.create_run_log("direct", "sales", config_snapshot=snapshot)
    assert made.config_snapshot == {"db": {"password": "**********"}, "note": "it is **********", "limit": 10}
    assert snapshot["note"] == "it is a hidden text"
    runs.add_log_message("direct", "password=hidden", url="http://me:hidden@host")
    runs.add_stage("direct", "load")
    runs.end_stage("direct", "load", "failed", "password=hidden")
    runs.update_run_status("direct", "failed", "token=hidden")
    stored = str(table.item("direct"))
    assert "hidden" not in stored
    assert runs.get_or_raise("direct").error_message == "token=**********"
    with pytest.raises(ValidationError, match="config_snapshot: Input should be a valid dictionary"):
        runs.create_run_log("wrong", "sales", config_snapshot="x")
