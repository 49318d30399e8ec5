"""Connections of configurations with debug logging let the package's logger speak; afterwards it is as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def level_of_the_logger() -> Iterator[None]:
    logger = logging.getLogger("spark_dynamo")
    level = logger.level
    yield
    logger.setLevel(level)
