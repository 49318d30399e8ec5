"""OpenTelemetry's metrics and spans of operations, where the application uses it.

Names and attributes are OpenTelemetry's semantic conventions for database clients and DynamoDB.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import TracerProvider

    from spark_dynamo.telemetry.operations import Operation

NAME = "spark_dynamo"
logger = logging.getLogger(__name__)
_DURATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)  # seconds, as the conventions advise
_API = ("opentelemetry.metrics", "opentelemetry.trace")


class Span(NamedTuple):
    """An operation's span, and what takes it away again as the current one."""

    span: OtelSpan
    current: AbstractContextManager[Any]


class Instruments:
    """The metrics and the tracer of one pair of providers, None standing for the global one."""

    def __init__(self, meter_provider: MeterProvider | None, tracer_provider: TracerProvider | None) -> None:
        from opentelemetry import metrics, trace

        self._trace = trace
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations",
            explicit_bucket_boundaries_advisory=list(_DURATION_BUCKETS),
        )
        self._errors = meter.create_counter(
            "spark_dynamo.operation.errors", unit="{error}", description="Operations on DynamoDB that failed"
        )
        self._units = meter.create_counter(
            "spark_dynamo.operation.consumed_units",
            unit="{capacity_unit}",
            description="Capacity units that operations on DynamoDB consumed",
        )
        self._retries = meter.create_counter(
            "spark_dynamo.operation.retries", unit="{request}", description="Requests to DynamoDB that were sent again"
        )
        self._items = meter.create_counter(
            "spark_dynamo.operation.items", unit="{item}", description="Items that operations on DynamoDB read or wrote"
        )

        self._run_metrics = meter.create_up_down_counter(
            "spark_dynamo.run.metric", unit="1", description="Numbers that runs told of themselves, by their names"
        )

    def count_run_metric(self, value: float, attributes: dict[str, str]) -> None:
        """Count a number that a run told of itself."""
        self._run_metrics.add(value, attributes)

    def begin(self, operation: Operation) -> Span | None:
        """A span that is the current one until `end`, so that the requests made in it belong to it."""
        table = operation.table
        span = self._tracer.start_span(
            f"{operation.operation} {table}" if table else operation.operation,
            kind=self._trace.SpanKind.CLIENT,
            attributes=_attributes(operation),
        )
        if not span.is_recording():
            return None
        if table:
            span.set_attribute("aws.dynamodb.table_names", [table])
        if operation.pipeline:
            span.set_attribute("spark_dynamo.pipeline.id", operation.pipeline)
        current = self._trace.use_span(span, record_exception=False, set_status_on_exception=False)
        current.__enter__()
        return Span(span, current)

    def end(self, operation: Operation, span: Span | None) -> None:
        """Count what the operation took, and end its span. The error's text stays out: it may hold values of items."""
        try:
            self._count(operation)
        finally:
            if span is not None:
                self._end_span(operation, span)

    def _count(self, operation: Operation) -> None:
        attributes = _attributes(operation)
        if operation.error:
            attributes["error.type"] = operation.error
            self._errors.add(1, attributes)
        self._duration.record((operation.duration_ms or 0.0) / 1000, attributes)
        if operation.units:
            self._units.add(operation.units, attributes)
        if operation.retries:
            self._retries.add(operation.retries, attributes)
        if operation.items:
            self._items.add(operation.items, attributes)

    def _end_span(self, operation: Operation, span: Span) -> None:
        span.current.__exit__(None, None, None)
        span.span.set_attributes(
            {
                "db.response.returned_rows": operation.items,
                "spark_dynamo.operation.consumed_units": operation.units,
                "spark_dynamo.operation.retries": operation.retries,
            }
        )
        if operation.error:
            span.span.set_attribute("error.type", operation.error)
            span.span.set_status(self._trace.StatusCode.ERROR, operation.error)
        span.span.end()


def _attributes(operation: Operation) -> dict[str, str]:
    attributes = {"db.system.name": "aws.dynamodb", "db.operation.name": operation.operation}
    if operation.table:
        attributes["db.collection.name"] = operation.table
    return attributes


_instruments: Instruments | None = None
_is_unusable = False  # what the application has imported is none that this module can speak to


def instruments_in_use() -> Instruments | None:
    """The instruments, or None where the application has not imported OpenTelemetry: then nobody could look at them."""
    global _instruments, _is_unusable
    if _instruments is None and not _is_unusable and all(module in sys.modules for module in _API):
        try:
            _instruments = Instruments(None, None)
        except Exception:  # another version's API; an operation must not fail for that
            _is_unusable = True
            logger.warning("Metrics and spans are left out: this OpenTelemetry can't be used", exc_info=True)
    return _instruments


def run_metric(name: str, value: Any, unit: str | None, *, pipeline: str) -> None:
    """Tell OpenTelemetry, where it is in use, of a number that a run of that pipeline told of itself; never raises.

    One metric has them all, as their names are users': which it is stands in its attributes.
    """
    instruments = instruments_in_use()
    if instruments is None:
        return
    attributes = {"spark_dynamo.metric.name": name, "spark_dynamo.pipeline.id": pipeline}
    if unit is not None:
        attributes["spark_dynamo.metric.unit"] = unit
    try:
        instruments.count_run_metric(value if isinstance(value, int) else float(value), attributes)
    except Exception:
        logger.debug("Metric %s can't be told to OpenTelemetry", name, exc_info=True)


def use_providers(meter_provider: MeterProvider | None = None, tracer_provider: TracerProvider | None = None) -> None:
    """Send metrics and spans to these providers instead of OpenTelemetry's global ones; None: the global one.

    Needs the package `opentelemetry-api`.
    """
    global _instruments
    _instruments = Instruments(meter_provider, tracer_provider)
