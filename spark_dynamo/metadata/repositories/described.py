"""What a repository is of: its table, model and keys, and what each call needs of them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from spark_dynamo.aws.client import Connection
from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.access import Access
from spark_dynamo.metadata.caching.base import Cache
from spark_dynamo.metadata.codec import Codec, codec_of
from spark_dynamo.metadata.repositories.actions import Written
from spark_dynamo.metadata.repositories.calls import adopt_plain_methods
from spark_dynamo.metadata.zones import shown
from spark_dynamo.timezones import validate_timezone_string

__all__ = ["Described"]

T = TypeVar("T", bound=BaseModel)


class Described(ABC, Generic[T]):
    """A repository as its class and its constructor describe it, without the operations; see `Operations`."""

    is_async: bool
    version_attribute: str | None = None
    updated_attribute: str | None = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        adopt_plain_methods(cls)

    def __init__(self, config: DynamoDBConfig | None = None, *, cache: Cache | None = None) -> None:
        self._config = config
        self.cache = cache
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.table_name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_config": self.config, "cache": self.cache, "_connection": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    # ------------------------------------------------------------------------------------------- what a subclass says

    @property
    @abstractmethod
    def table_name(self) -> str:
        """The table's logical name."""

    @property
    @abstractmethod
    def model_class(self) -> type[T]:
        """The model of the table's items, a class that derives from `pydantic.BaseModel`."""

    @property
    @abstractmethod
    def primary_key(self) -> str:
        """The name of the field that is the partition key."""

    @property
    def sort_key(self) -> str | None:
        """The name of the field that is the sort key; None where the table has none."""
        return None

    # --------------------------------------------------------------------------------------------- where and as what

    @property
    def config(self) -> DynamoDBConfig:
        """The configuration; made of the environment on first use where none was given."""
        if self._config is None:
            self._config = DynamoDBConfig()
        return self._config

    @property
    def physical_table_name(self) -> str:
        """The table's name in DynamoDB."""
        return self.config.get_table_name(self.table_name)

    @property
    def codec(self) -> Codec[T]:
        """The forms of the model's items in the table."""
        if not (isinstance(self.model_class, type) and issubclass(self.model_class, BaseModel)):
            raise ConfigurationError(
                f"model_class of {type(self).__name__} is no class that derives from pydantic.BaseModel"
            )
        keys = (self.primary_key, *([self.sort_key] if self.sort_key else []))
        return codec_of(self.model_class, self.physical_table_name, keys)

    def access(self) -> Access:
        """The way to the server for one call."""
        with self._lock:
            if self._connection is None:
                self._connection = Connection.from_config(self.config)
        return Access(self._connection, self.cache)

    def shown(self, models: Sequence[T], user_timezone: str | None) -> list[T]:
        """The models with their times in that zone, or in the configuration's; UTC, as they are stored, stays as it is."""
        zone = self.shown_zone(user_timezone)
        return list(models) if zone == "UTC" else [shown(model, zone) for model in models]

    def shown_zone(self, user_timezone: str | None) -> str:
        """The zone in which a call shows times; ConfigurationError where there is no such zone."""
        return (
            validate_timezone_string(user_timezone)
            if user_timezone
            else self.config.get_timezone_manager().user_timezone
        )

    def taken_zone(self, current_timezone: str | None) -> str:
        """The zone in which a call takes times that have none; ConfigurationError where there is no such zone."""
        if current_timezone:
            return validate_timezone_string(current_timezone)
        return self.config.get_timezone_manager().default_timezone

    def written(self, current_timezone: str | None) -> Written[T]:
        """What the parts of a write have in common."""
        return Written(
            self.codec,
            self.physical_table_name,
            self.taken_zone(current_timezone),
            self.version_attribute,
            self.updated_attribute,
            None if current_timezone is None else self.taken_zone(current_timezone),
        )
