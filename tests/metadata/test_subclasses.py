"""Repositories that override an operation by a plain method: all others go through it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import PipelineConfig
from spark_dynamo.metadata.repositories import AsyncPipelineConfigRepository, PipelineConfigRepository
from tests.conftest import Server
from tests.metadata.stores import Store, make_store, pipeline


@pytest.fixture(scope="module")
def store(local_server: Server) -> Store:
    return make_store(local_server)


class Noting(PipelineConfigRepository):
    """Notes what it is asked for; the methods have the parameters that callers of it use."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noted: list[str] = []

    def get(self, key: Any, *args: Any, **kwargs: Any) -> PipelineConfig | None:  # type: ignore[override]
        """The pipeline, noted."""
        self.noted.append(f"get {key}")
        return super().get(key, *args, **kwargs)

    def create(self, item: PipelineConfig, **kwargs: Any) -> PipelineConfig:  # type: ignore[override]
        self.noted.append(f"create {item.pipeline_id}")
        return super().create(item.model_copy(update={"created_by": "noting"}), **kwargs)

    def update(self, item: Any, changes: Any = None, **kwargs: Any) -> PipelineConfig:  # type: ignore[override]
        self.noted.append(f"update {item}")
        return super().update(item, changes, **kwargs)


class Mixin:
    """Beside the repositories, not above them."""

    noted: list[str]

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        self.noted.append("mixin")
        return super().get(key, *args, **kwargs)  # type: ignore[misc]


class Mixed(Mixin, Noting):  # type: ignore[misc]
    pass


def test_all_operations_go_through_a_plain_method_that_overrides_one(store: Store) -> None:
    mine = Noting(store.config())
    assert mine.create_pipeline_config("a", "A", "s3", "delta").created_by == "noting"
    mine.create_with_timezone_context(pipeline("b"))
    mine.create(pipeline("c"))
    assert mine.noted == ["create a", "create b", "create c"]
    mine.noted.clear()
    for read in (mine.get, mine.get_or_raise, mine.get_with_timezone, mine.get_by_pipeline_id):
        found = read("a")
        assert found is not None
        assert found.created_by == "noting"
    assert mine.noted == ["get a"] * 4
    mine.noted.clear()
    assert mine.update_pipeline_status("a", False).is_active is False
    assert mine.update("a", {"cpu_cores": 2}).cpu_cores == 2
    assert mine.noted == ["update a"] * 2
    assert {found.pipeline_id for found in mine.list_all_with_timezone()} >= {"a", "b", "c"}
    assert mine.delete("c") is True
    assert Noting.get.__doc__ == "The pipeline, noted."


def test_a_class_between_two_of_them_counts_too(store: Store) -> None:
    store.pipelines.create(pipeline("mixed"), overwrite=True)
    mixed = Mixed(store.config())
    assert mixed.get_or_raise("mixed").pipeline_id == "mixed"
    assert mixed.noted == ["mixin", "get mixed"]


class Awaited(AsyncPipelineConfigRepository):
    async def get(self, key: Any, *args: Any, **kwargs: Any) -> PipelineConfig | None:  # type: ignore[override]
        return await super().get(key, *args, **kwargs)


def test_an_awaited_method_of_ones_own_works_by_itself_and_others_say_how(store: Store) -> None:
    store.pipelines.create(pipeline("awaited"), overwrite=True)
    mine = Awaited(store.config())
    found = asyncio.run(mine.get("awaited"))  # type: ignore[arg-type]
    assert found is not None
    with pytest.raises(ConfigurationError, match=r"Awaited.get is an awaited method of its own.*super\(\).get.steps"):
        asyncio.run(mine.get_or_raise("awaited"))
