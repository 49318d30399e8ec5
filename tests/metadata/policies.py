"""Models whose unions need a policy, in a module that option `model` can name."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from spark_dynamo.metadata.repositories import AsyncDynamoRepository, BaseDynamoRepository
from spark_dynamo.schema.policy import SchemaPolicy

MODEL = f"{__name__}:Setting"


class File(BaseModel):
    kind: Literal["file"] = "file"
    path: str


class Topic(BaseModel):
    kind: Literal["topic"] = "topic"
    name: str
    partitions: int | None = None


class Undecided(BaseModel):
    name: str
    value: int | str | bool | None = None
    source: File | Topic | None = None


class Setting(Undecided):
    schema_policy: ClassVar[SchemaPolicy] = SchemaPolicy(scalar_unions="variant", model_unions="merge")


class Settings(BaseDynamoRepository[Setting]):
    table_name = "settings"
    model_class = Setting
    primary_key = "name"


class AsyncSettings(AsyncDynamoRepository[Setting]):
    table_name = "settings"
    model_class = Setting
    primary_key = "name"


class UndecidedSettings(BaseDynamoRepository[Undecided]):
    table_name = "settings"
    model_class = Undecided
    primary_key = "name"


SETTINGS: list[Any] = [
    Setting(name="a", value=7, source=File(path="/x")),
    Setting(name="b", value="7", source=Topic(name="t", partitions=3)),
    Setting(name="c", value=True, source=Topic(name="u")),
    Setting(name="d"),
]
