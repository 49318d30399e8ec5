"""What README says of versions holds: older pyspark does the main things, and each lower bound is enough."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.servers.spark_connect import OWN_PORT
from tests.versions.environments import make_environment

SMOKE = str(Path(__file__).with_name("smoke.py"))


@pytest.mark.jvm
@pytest.mark.parametrize("version", ["4.0", "4.1", "4.2"])
def test_older_pyspark_does_the_main_things(version: str, tmp_path: Path) -> None:
    made = make_environment(tmp_path / "env", "connect,local", f"pyspark=={version}.*")
    # the archive of Spark's classes is that of another version
    options = re.sub(r" -Xshare\S+ -XX:SharedArchiveFile=\S+", "", os.environ["SPARK_SUBMIT_OPTS"])
    for mode, least in {"classic": 12, "connect": 11}.items():
        done = made.run(SMOKE, mode, SPARK_SUBMIT_OPTS=options, **OWN_PORT)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        assert done.stdout.count("works: ") >= least, done.stdout


@pytest.mark.slow
def test_the_oldest_of_all_dependencies_is_enough(tmp_path: Path) -> None:
    made = make_environment(tmp_path / "env", "test", "--resolution", "lowest-direct")
    # old versions warn of what came after them
    done = made.run("-m", "pytest", "-q", "-m", "unit", "-W", "default", "-p", "no:cacheprovider", "-n", "2")
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(r"\d{4,} passed", done.stdout), done.stdout[-1000:]
