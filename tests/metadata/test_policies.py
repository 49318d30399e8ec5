"""A model's own policy holds wherever the model does: repositories, option `model`, DataFrames, and back."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_dynamo.aws.tables import KeyAttribute, create_table, wait_until_active
from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.values import to_dataframe, to_models
from spark_dynamo.source.datasource import DynamoDataSource, register
from tests.conftest import Server
from tests.metadata.policies import MODEL, SETTINGS, AsyncSettings, File, Setting, Settings, Topic, UndecidedSettings
from tests.metadata.stores import Store


@pytest.fixture
def store(server: Server) -> Store:
    store = Store(server, f"t{uuid.uuid4().hex[:12]}")
    create_table(server.client, store.name("settings"), partition_key=KeyAttribute("name", "S"))
    wait_until_active(server.client, store.name("settings"))
    return store


def by_name(settings: Any) -> list[Setting]:
    return sorted(settings, key=lambda setting: str(setting.name))


def test_a_repository_keeps_the_members_of_unions(store: Store) -> None:
    settings = Settings(store.config())
    assert [settings.create(setting) for setting in SETTINGS[:2]] == SETTINGS[:2]
    settings.batch_put(SETTINGS[2:])
    assert settings.batch_get("abcd") == SETTINGS
    assert by_name(settings.list_all()) == by_name(asyncio.run(AsyncSettings(store.config()).list_all())) == SETTINGS
    assert store.item("settings", name={"S": "a"}) == {
        "name": {"S": "a"},
        "value": {"N": "7"},
        "source": {"M": {"kind": {"S": "file"}, "path": {"S": "/x"}}},
    }
    changed = settings.update("a", {"value": "seven", "source": Topic(name="n")})
    assert changed == settings.get("a") == Setting(name="a", value="seven", source=Topic(name="n"))
    whole = settings.update(Setting(name="b", value=False, source=File(path="/y")))
    assert whole == settings.get_or_raise("b")
    assert [found.name for found in by_name(settings.list_all(filter="source.kind = 'topic'"))] == ["a", "c"]


def test_without_a_policy_a_repository_says_where_one_belongs(local_server: Server) -> None:
    undecided = UndecidedSettings(Store(local_server, "t").config())
    with pytest.raises(
        SchemaError, match=r"'value': is one of int, str, bool.*`schema_policy: ClassVar\[SchemaPolicy\]` in the model"
    ):
        undecided.get("a")


def test_option_model_reads_and_checks_by_the_models_policy(local_server: Server) -> None:
    table = local_server.create("name:S")
    source = DynamoDataSource({**local_server.options, "model": MODEL, "table": table})
    assert {field.name: field.dataType.simpleString() for field in source.schema()} == {
        "name": "string",
        "value": "variant",
        "source": "struct<kind:string,path:string,name:string,partitions:bigint>",
    }
    without = DynamoDataSource({**local_server.options, "model": "tests.metadata.policies:Undecided", "table": table})
    with pytest.raises(SchemaError, match="in the model, or an argument"):
        without.schema()


@pytest.mark.slow
def test_items_are_the_same_by_repository_and_by_dataframe(spark: SparkSession, store: Store) -> None:
    register(spark)
    options = {**store.config().spark_options(), "model": MODEL, "table": store.name("settings")}
    written = to_dataframe(spark, SETTINGS, Setting)
    written.write.format("dynamo-meta").options(**options).mode("append").save()
    settings = Settings(store.config())
    assert by_name(settings.list_all()) == SETTINGS, "a repository reads what Spark wrote"
    before = [store.item("settings", name={"S": setting.name}) for setting in SETTINGS]
    for setting in SETTINGS:
        settings.create(setting, overwrite=True)
    assert [store.item("settings", name={"S": setting.name}) for setting in SETTINGS] == before
    frame = spark.read.format("dynamo-meta").options(**options).load()
    assert by_name(to_models(frame, Setting)) == SETTINGS, "Spark reads what a repository wrote"
