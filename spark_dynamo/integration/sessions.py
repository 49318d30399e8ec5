"""Spark sessions with given settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.integration.settings import S3A_KEYS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_HADOOP = "spark.hadoop."


def base_settings(config: DynamoDBConfig, name: str) -> dict[str, str]:
    """What every session gets: its name, and the region and keys for S3A that the configuration names."""
    settings = {"spark.app.name": name}
    if config.names_region:
        settings["spark.hadoop.fs.s3a.endpoint.region"] = config.region_name
    if config.endpoint_url is None:  # keys for a local server are none for S3
        for setting, field in S3A_KEYS.items():
            if (secret := getattr(config, field)) is not None:
                settings[setting] = secret.get_secret_value()
    return settings


def session_with(settings: Mapping[str, str]) -> SparkSession:
    """The running session with the settings that it can still take, the log names the others; else a new one with all.

    A running session takes settings of Hadoop, as S3A's keys, by Hadoop's own names; file systems that are open keep theirs.
    """
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
                own = name.removeprefix(_HADOOP)  # `spark.hadoop.` counts for a session that begins only
                if own != name and spark.conf.get(own, None) != value:
                    spark.conf.set(own, value)
            except PySparkException:  # a setting of the application, not of the session
                refused.append(name)
        if refused:
            logger.warning(
                "The running Spark session can't take %s any more: stop it before another one is made",
                ", ".join(refused),
            )
    return spark
