"""Spark sessions with given settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.integration.settings import S3A_KEYS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger(__name__)


def base_settings(config: DynamoDBConfig, name: str) -> dict[str, str]:
    """What every session gets: its name, and the configuration's region and keys for S3A."""
    settings = {"spark.app.name": name, "spark.hadoop.fs.s3a.endpoint.region": config.region_name}
    if config.endpoint_url is None:  # keys for a local server are none for S3
        for setting, field in S3A_KEYS.items():
            if (secret := getattr(config, field)) is not None:
                settings[setting] = secret.get_secret_value()
    return settings


def session_with(settings: Mapping[str, str]) -> SparkSession:
    """The running session with the settings that it can still take, the log names the others; else a new one with all."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    spark = SparkSession.getActiveSession()
    if spark is None:
        builder = SparkSession.builder
        for name, value in settings.items():
            builder = builder.config(name, value)
        spark = builder.getOrCreate()
    else:
        refused = []
        for name, value in settings.items():
            try:
                if name != "spark.app.name" and spark.conf.get(name, None) != value:
                    spark.conf.set(name, value)
            except PySparkException:  # a setting of the application, not of the session
                refused.append(name)
        if refused:
            _log.warning(
                "The running Spark session can't take %s any more: stop it before another one is made",
                ", ".join(refused),
            )
    return spark
