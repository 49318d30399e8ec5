"""What operations tell of themselves: log records, and metrics and spans where the application uses OpenTelemetry."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import aws_attributes
from opentelemetry.semconv.attributes import db_attributes, error_attributes
from opentelemetry.semconv.metrics.db_metrics import DB_CLIENT_OPERATION_DURATION
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from spark_dynamo.errors import ItemNotFoundError, RequestFailedError
from spark_dynamo.telemetry import debug_logging, operation, providers, use_providers

HIDDEN = "the-hidden-text"
REFUSED = ClientError({"Error": {"Code": "ThrottlingException", "Message": HIDDEN}}, "GetItem")


@dataclass
class Collected:
    """What an application's exporters get."""

    reader: InMemoryMetricReader
    exporter: InMemorySpanExporter
    tracers: TracerProvider

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric by its name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        metrics = [m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]
        return {metric.name: list(metric.data.data_points) for metric in metrics}


@pytest.fixture
def collected() -> Iterator[Collected]:
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    meters, tracers = MeterProvider([reader]), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    use_providers(meters, tracers)
    yield Collected(reader, exporter, tracers)
    use_providers()
    meters.shutdown()
    tracers.shutdown()


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    caplog.set_level(logging.DEBUG, logger="spark_dynamo")
    names = ("operation", "table", "pipeline", "duration_ms", "units", "retries", "items", "error")
    return lambda: [{name: getattr(record, name, None) for name in names} for record in caplog.records]


def test_an_operation_leaves_one_record(records: Any, caplog: pytest.LogCaptureFixture) -> None:
    with operation("Query", table="dev_orders", pipeline="sales") as observed:
        observed.units += 1.5
        observed.units += 0.5
        observed.retries += 1
        observed.items += 25
    (record,) = records()
    assert record.pop("duration_ms") == round(observed.duration_ms, 3) >= 0
    assert record == {
        "operation": "Query",
        "table": "dev_orders",
        "pipeline": "sales",
        "units": 2.0,
        "retries": 1,
        "items": 25,
        "error": None,
    }
    (logged,) = caplog.records
    assert (logged.name, logged.levelno, logged.filename) == (
        "spark_dynamo.telemetry",
        logging.DEBUG,
        "test_telemetry.py",
    )
    assert logged.funcName == "test_an_operation_leaves_one_record"
    assert logged.getMessage().startswith("Query on table 'dev_orders' succeeded after ")
    assert logged.getMessage().endswith(" ms: 25 items, 2.0 units, 1 retries")


def test_units_that_no_answer_told_are_unknown_and_not_0(records: Any, caplog: pytest.LogCaptureFixture) -> None:
    with operation("ListTables"):
        pass
    assert records()[0]["units"] is None
    assert records()[0]["table"] is None
    assert "unknown units" in caplog.text


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (REFUSED, "ThrottlingException"),
        (RequestFailedError(HIDDEN, REFUSED, code="ValidationException"), "ValidationException"),
        (ItemNotFoundError(HIDDEN, {"id": HIDDEN}), "ItemNotFoundError"),
        (SystemExit(2), "SystemExit"),
        (KeyboardInterrupt(HIDDEN), "KeyboardInterrupt"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_passes_through_and_is_named_without_its_text(
    records: Any, caplog: pytest.LogCaptureFixture, collected: Collected, error: BaseException, name: str
) -> None:
    with pytest.raises(type(error)) as caught, operation("GetItem", table="t") as observed:
        raise error
    assert caught.value is error
    assert observed.error == name
    assert records()[0]["error"] == name
    assert f"GetItem on table 't' failed after {observed.duration_ms:.1f} ms" in caplog.text
    span = collected.spans["GetItem t"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})[error_attributes.ERROR_TYPE] == name
    (point,) = collected.points()["spark_dynamo.operation.errors"]
    assert point.value == 1
    assert point.attributes["error.type"] == name
    assert HIDDEN not in f"{caplog.text} {span.to_json()} {collected.points()}"


def test_without_debug_nothing_is_logged_and_no_handler_is_touched(caplog: pytest.LogCaptureFixture) -> None:
    package, root = logging.getLogger("spark_dynamo"), logging.getLogger()
    level, handlers = package.level, list(root.handlers)
    package.setLevel(logging.INFO)
    try:
        with operation("GetItem", table="t"):
            pass
        assert caplog.records == []
        debug_logging()
        assert (package.level, package.handlers, package.propagate, root.handlers) == (
            logging.DEBUG,
            [],
            True,
            handlers,
        )
    finally:
        package.setLevel(level)


def test_metrics_follow_opentelemetrys_conventions(collected: Collected) -> None:
    for units in (0.5, 2.0):
        with operation("GetItem", table="orders", pipeline="sales") as observed:
            observed.units += units
            observed.retries += 2
            observed.items += 1
    with operation("Scan", table="orders") as observed:
        observed.units += 128
    points = collected.points()
    durations = {point.attributes["db.operation.name"]: point for point in points[DB_CLIENT_OPERATION_DURATION]}
    assert durations["GetItem"].attributes == {
        db_attributes.DB_SYSTEM_NAME: "aws.dynamodb",
        db_attributes.DB_OPERATION_NAME: "GetItem",
        db_attributes.DB_COLLECTION_NAME: "orders",
    }
    assert durations["GetItem"].count == 2
    assert 0 < durations["GetItem"].sum < 1
    assert durations["GetItem"].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    units = {
        point.attributes["db.operation.name"]: point.value for point in points["spark_dynamo.operation.consumed_units"]
    }
    assert units == {"GetItem": 2.5, "Scan": 128.0}
    assert [point.value for point in points["spark_dynamo.operation.retries"]] == [4]
    assert [point.value for point in points["spark_dynamo.operation.items"]] == [2]
    assert "spark_dynamo.operation.errors" not in points


def test_a_span_follows_opentelemetrys_conventions(collected: Collected) -> None:
    with operation("Query", table="orders", pipeline="sales") as observed:
        observed.units += 1.5
        observed.items += 3
        observed.retries += 1
    span = collected.spans["Query orders"]
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        db_attributes.DB_SYSTEM_NAME: "aws.dynamodb",
        db_attributes.DB_OPERATION_NAME: "Query",
        db_attributes.DB_COLLECTION_NAME: "orders",
        aws_attributes.AWS_DYNAMODB_TABLE_NAMES: ("orders",),
        "db.response.returned_rows": 3,
        "spark_dynamo.pipeline.id": "sales",
        "spark_dynamo.operation.consumed_units": 1.5,
        "spark_dynamo.operation.retries": 1,
    }
    assert span.events == ()


def test_operations_within_others_and_beside_them_keep_their_places(collected: Collected) -> None:
    tracer = collected.tracers.get_tracer("application")
    with tracer.start_as_current_span("job") as job:
        with operation("BatchGetItem", table="orders"), tracer.start_as_current_span("HTTP"):
            pass
        with operation("PutItem"):
            pass
        assert get_current_span() is job
    spans = collected.spans
    parents = {name: span.parent.span_id if span.parent else None for name, span in spans.items()}
    number = {name: span.context.span_id for name, span in spans.items() if span.context}
    assert parents["job"] is None
    assert parents["BatchGetItem orders"] == parents["PutItem"] == number["job"]
    assert parents["HTTP"] == number["BatchGetItem orders"]


def test_tasks_that_take_turns_in_one_thread_do_not_mix(collected: Collected) -> None:
    tracer = collected.tracers.get_tracer("application")

    async def one(name: str) -> None:
        with operation("GetItem", table=name):
            await asyncio.sleep(0)
            with tracer.start_as_current_span(f"within {name}"):
                await asyncio.sleep(0)

    async def several() -> None:
        await asyncio.gather(*(one(f"t{n}") for n in range(20)))

    asyncio.run(several())
    spans = collected.spans
    for n in range(20):
        parent, outer = spans[f"within t{n}"].parent, spans[f"GetItem t{n}"].context
        assert parent is not None
        assert outer is not None
        assert parent.span_id == outer.span_id


def test_threads_count_together(collected: Collected) -> None:
    def work() -> None:
        for _ in range(100):
            with operation("PutItem", table="t") as observed:
                observed.units += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = collected.points()
    assert points["spark_dynamo.operation.consumed_units"][0].value == 800
    assert points[DB_CLIENT_OPERATION_DURATION][0].count == 800
    assert len(collected.exporter.get_finished_spans()) == 800


class BrokenProcessor(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("broken")


class LateProcessor(SpanProcessor):
    def on_end(self, span: Any) -> None:
        raise RuntimeError("broken")


@pytest.mark.parametrize("processor", [BrokenProcessor(), LateProcessor()])
def test_no_trouble_of_whoever_looks_on_reaches_the_operation(records: Any, processor: SpanProcessor) -> None:
    tracers = TracerProvider()
    tracers.add_span_processor(processor)
    use_providers(None, tracers)
    try:
        with operation("GetItem", table="t") as observed:
            observed.items += 1
    finally:
        use_providers()
    assert not get_current_span().is_recording()
    told = [record for record in records() if record["operation"] == "GetItem"]
    assert [record["items"] for record in told] == [1]


OLD = """
import logging, sys
import opentelemetry.trace
from opentelemetry import metrics
metrics.get_meter = None  # as another version's API might be
from spark_dynamo.telemetry import operation
for _ in range(2):
    with operation("GetItem") as observed:
        pass
print(observed.duration_ms > 0)
"""


def test_an_api_that_cannot_be_used_is_told_of_once(python: Callable[..., Any]) -> None:
    finished = python(OLD)
    assert finished.stdout.strip() == "True", finished.stderr
    assert finished.stderr.count("Metrics and spans are left out") == 1


ABSENT = """
import sys
sys.modules["opentelemetry"] = None
import spark_dynamo.aws.client
from spark_dynamo.telemetry import operation
with operation("GetItem", table="t") as observed:
    observed.units += 1
assert observed.duration_ms is not None
print([name for name in sys.modules if name.startswith("opentelemetry.")])
"""
LATE = """
import sys
from spark_dynamo.telemetry import operation
with operation("GetItem", table="before"):
    assert not [name for name in sys.modules if name.startswith("opentelemetry")], "this package imports it by itself"
from opentelemetry import metrics, trace
with operation("GetItem", table="without providers"):
    pass
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
metrics.set_meter_provider(MeterProvider([reader]))
tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracers)
with operation("GetItem", table="after"):
    pass
print([span.name for span in exporter.get_finished_spans()])
print(reader.get_metrics_data().resource_metrics[0].scope_metrics[0].scope.name)
"""


def test_where_the_api_is_not_installed_everything_works_without(python: Callable[..., Any]) -> None:
    finished = python(ABSENT)
    assert finished.stdout.strip() == "[]", finished.stderr


def test_global_providers_are_found_whenever_they_are_set(python: Callable[..., Any]) -> None:
    finished = python(LATE)
    assert finished.stdout.splitlines() == ["['GetItem after']", "spark_dynamo"], finished.stderr


@pytest.mark.parametrize("is_imported", [False, True], ids=["without the API", "without providers"])
def test_an_operation_costs_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_imported: bool
) -> None:
    """At most 20 µs, where a request takes thousands of them."""
    monkeypatch.setattr(providers, "_instruments", None)
    if not is_imported:
        monkeypatch.setattr(providers, "_API", ("opentelemetry.nothing",))
    caplog.set_level(logging.INFO, logger="spark_dynamo.telemetry")
    quickest = float("inf")
    for _ in range(20):
        started = perf_counter()
        for _ in range(200):
            with operation("GetItem", table="orders") as observed:
                observed.units += 0.5
                observed.items += 1
        quickest = min(quickest, (perf_counter() - started) / 200)
    assert (providers._instruments is not None) == is_imported
    assert quickest < 20e-6
