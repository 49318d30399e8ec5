"""Writes on a standalone cluster, whose workers and whole executors die in the middle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.servers.faulty import faulty_server
from tests.servers.spark_classes import java_options
from tests.servers.spark_cluster import Cluster, spark_cluster
from tests.servers.spark_driver import Driver, kill, spark_driver
from tests.source.killed_workers import WRITES, survives

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="which processes write is read from /proc")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with spark_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def driver(cluster: Cluster) -> Iterator[Driver]:
    settings = {
        "spark.master": cluster.master,
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": java_options(),
    }
    with spark_driver(settings) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("name", ["puts"])
def test_workers_are_killed_in_the_middle_of_a_write(
    local_server: Server, driver: Driver, tmp_path: Path, name: str
) -> None:
    with faulty_server(local_server.endpoint) as proxy:
        survives(driver, local_server, proxy, WRITES[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True], ids=["task", "stage"])
def test_all_executors_are_killed_in_the_middle_of_a_write(
    local_server: Server, cluster: Cluster, driver: Driver, tmp_path: Path, shuffled: bool
) -> None:
    """What they have written counts, whether Spark runs tasks again or, as a shuffle is lost with them, whole stages."""
    killed: set[int] = set()

    def kill_executors(_: set[int]) -> None:
        killed.update(cluster.executors())
        kill(killed)

    with faulty_server(local_server.endpoint) as proxy:
        # tasks of a stage that runs again have no attempt before them; they learn of it when one of them fails
        write = WRITES["inserts" if shuffled else "inserts of which some exist"]
        write = replace(write, deaths=(60,))
        survives(driver, local_server, proxy, write, tmp_path, end=kill_executors, shuffled=shuffled)
    assert killed
    assert (driver.run(_LATER_STAGE_ATTEMPTS) > 0) == shuffled


_LATER_STAGE_ATTEMPTS = """
stages = map(spark.sparkContext.statusTracker().getStageInfo, range(1000))
result = sum(stage.currentAttemptId for stage in stages if stage)
"""
