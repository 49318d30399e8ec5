"""What each operation on DynamoDB took: one structured log record, and where OpenTelemetry is in use, metrics and a span.

>>> with operation("GetItem", table="dev_pipeline_config", pipeline="sales") as observed:
...     observed.units += 0.5
...     observed.items += 1

The record is one of level DEBUG of the logger `spark_dynamo.telemetry`; handlers are the application's. OpenTelemetry is
in use where the application has imported it: this package never does so by itself, and costs next to nothing without.
It gets what runs count of their own as well (`run_metric`).
"""

from __future__ import annotations

from spark_dynamo.telemetry.operations import Operation, debug_logging, facts, operation
from spark_dynamo.telemetry.providers import run_metric, use_providers

__all__ = ["Operation", "debug_logging", "facts", "operation", "run_metric", "use_providers"]
