"""A small Spark session of the demo's own, without the noise that Spark makes when it starts."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from pyspark.sql import SparkSession

from spark_dynamo.demo.story import Story

__all__ = ["quiet_session"]

_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "spark.app.name": "spark-dynamo demo",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # a short run gains nothing from plans and machine code that are worked at for long
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.adaptive.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.master": "local[2]",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
)


@contextmanager
def quiet_session(story: Story) -> Iterator[SparkSession]:
    """A session that is stopped at the end, whose greetings are hidden and whose errors are not.

    The JVM and its Python workers keep the standard error that they are started with, so they get a file. What it holds
    when the session stands are greetings; what comes later are errors, which are shown at the end.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers' Python
    with tempfile.TemporaryFile() as said:
        greetings = 0
        try:
            with story.stage("Start Spark"), _standard_error_to(said.fileno()):
                spark = _session()
            greetings = said.seek(0, os.SEEK_END)
            try:
                yield spark
            finally:
                spark.stop()
        finally:
            said.seek(greetings)
            sys.stderr.write(said.read().decode(errors="replace"))


def _session() -> SparkSession:
    builder = SparkSession.builder
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@contextmanager
def _standard_error_to(target: int) -> Iterator[None]:
    """Processes that are started meanwhile have that file descriptor as their standard error."""
    own = os.dup(2)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)
