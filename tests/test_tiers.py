"""A test runs where what it needs is there, and one that says it needs nothing is held to that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INNER = """
import socket, subprocess, sys
import pytest

def listen():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))

def test_listens():
    listen()

def test_starts_java():
    subprocess.run(["java", "-version"])

def test_listens_and_tells_nobody():
    try:
        listen()
    except BaseException:
        pass

def test_starts_java_by_another_process():
    code = "import os, subprocess; subprocess.run([os.environ['JAVA_HOME'] + '/bin/java'])"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_needs_nothing():
    pass

@pytest.mark.server
def test_says_what_it_needs():
    listen()
"""


def test_a_unit_test_that_starts_a_server_or_java_fails(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    command = [sys.executable, "-m", "pytest", "-p", "tests.tiers", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    inner = [*command, "--rootdir", str(tmp_path), "-c", os.devnull, "-W", "ignore"]
    done = subprocess.run(inner, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    failed = {line.split("::")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {
        "test_listens",
        "test_starts_java",
        "test_listens_and_tells_nobody",
        "test_starts_java_by_another_process",
    }, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "a test of the unit tier listens at ('127.0.0.1', 0): mark it `server` or `jvm`" in done.stdout
