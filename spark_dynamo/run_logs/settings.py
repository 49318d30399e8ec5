"""What a run begins with: `RunSettings`, checked before anything starts."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.config.layers import known_secrets
from spark_dynamo.errors import ConfigurationError, shorten
from spark_dynamo.errors.masking import masked, secrets_of
from spark_dynamo.metadata.models import LogLevel, PipelineRunLog, RunStatus
from spark_dynamo.run_logs.plain_values import plain, text
from spark_dynamo.run_logs.recorder import LEASE_SECONDS
from spark_dynamo.run_logs.run import PARENT_TAG, Run

__all__ = ["PARENT_PIPELINE_TAG", "PARENT_TAG", "RunSettings"]

PARENT_PIPELINE_TAG = "parent_pipeline_id"  # beside `PARENT_TAG`
_LONGEST_LEASE = 7 * 86_400.0  # seconds
_LONGEST_TTL = 100 * 366 * 86_400.0
_LONGEST_KEY = {"run_id": 2048, "pipeline_id": 2048, "trigger_type": 10_000}  # bytes


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What is said of a run before it begins; `pipeline_run` tells what each of it means.

    Raises ConfigurationError where one of them can't be used.

    >>> RunSettings(pipeline_id="sales", ttl=3600).ttl
    datetime.timedelta(seconds=3600)
    """

    pipeline_id: str
    trigger_type: str = "manual"
    config: DynamoDBConfig | None = None
    created_by: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    pipeline_version: str | None = None
    config_snapshot: Mapping[str, Any] = field(default_factory=dict)
    ttl: timedelta | float | None = None
    log_level: LogLevel | str = LogLevel.INFO
    run_id: str | None = None
    parent_run_id: str | None = None
    lease_seconds: float = LEASE_SECONDS

    def __post_init__(self) -> None:
        _check_key("pipeline_id", self.pipeline_id)
        _check_key("trigger_type", self.trigger_type)
        if self.run_id is not None:
            _check_key("run_id", self.run_id)
        if self.log_level not in list(LogLevel):
            raise ConfigurationError(f"log_level {shorten(repr(self.log_level))} is none of {', '.join(LogLevel)}")
        _check_seconds("lease_seconds", self.lease_seconds, _LONGEST_LEASE)
        if self.ttl is not None:
            seconds = self.ttl.total_seconds() if isinstance(self.ttl, timedelta) else self.ttl
            _check_seconds("ttl", seconds, _LONGEST_TTL)
            object.__setattr__(self, "ttl", timedelta(seconds=seconds))
        for name in ("tags", "config_snapshot"):
            if not isinstance(getattr(self, name), Mapping):
                raise ConfigurationError(f"{name} is a {_type_name(getattr(self, name))}: give a dict")
        if self.config is not None and not isinstance(self.config, DynamoDBConfig):
            raise ConfigurationError(f"config is a {_type_name(self.config)}: give a DynamoDBConfig")

    def open(self, *, outer: Run | None = None) -> Run:
        """A new run that begins now, within `outer` if that is given; its row is on its way.

        Raises ConfigurationError where the configuration can't be used.
        """
        config = self.config or DynamoDBConfig()
        return Run(
            self._first_log(config, self._parent_tags(outer)),
            Connection.from_config(config),
            config.get_table_name("pipeline_run_logs"),
            float(self.lease_seconds),
            outer=outer,
            secrets=self._secrets(config),
        )

    def _secrets(self, config: DynamoDBConfig) -> list[str]:
        """What becomes stars in the run's texts: the secrets that the process signs with, and those of the snapshot."""
        return secrets_of(plain(self.config_snapshot), known_secrets(config))

    def _parent_tags(self, outer: Run | None) -> dict[str, str]:
        if self.parent_run_id:
            return {PARENT_TAG: text(self.parent_run_id)}
        return {} if outer is None else {PARENT_TAG: outer.run_id, PARENT_PIPELINE_TAG: outer.pipeline_id}

    def _first_log(self, config: DynamoDBConfig, parent: dict[str, str]) -> PipelineRunLog:
        now = datetime.now(UTC)
        tags = {text(name): text(value) for name, value in self.tags.items()}
        snapshot = masked(plain(self.config_snapshot), self._secrets(config))
        assert self.ttl is None or isinstance(self.ttl, timedelta)
        return PipelineRunLog(
            run_id=self.run_id or uuid.uuid4().hex,
            pipeline_id=self.pipeline_id,
            trigger_type=self.trigger_type,
            status=RunStatus.RUNNING,
            start_time=now,
            created_at=now,
            updated_at=now,
            created_by=None if self.created_by is None else text(self.created_by),
            pipeline_version=None if self.pipeline_version is None else text(self.pipeline_version),
            log_level=LogLevel(self.log_level),
            environment=config.environment,
            python_version=platform.python_version(),
            tags=tags | parent,
            config_snapshot=snapshot if isinstance(snapshot, dict) else {"config": snapshot},
            expires_at=None if self.ttl is None else now + self.ttl,
        )


def _check_seconds(name: str, value: object, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise ConfigurationError(
            f"{name} {shorten(repr(value))} must be a number of seconds greater than 0, {most:,.0f} at most"
        )


def _type_name(value: object) -> str:
    return type(value).__qualname__


def _check_key(name: str, value: object) -> None:
    longest = _LONGEST_KEY[name]
    if not isinstance(value, str) or not value or len(text(value).encode()) > longest or text(value) != value:
        raise ConfigurationError(f"{name} {shorten(repr(value))} must be a text of 1 to {longest:,} bytes")
