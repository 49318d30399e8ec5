"""What standard output is not made for: characters that its encoding lacks, a full disk, a descriptor that is closed."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from spark_dynamo.local.ports import free_port
from tests.conftest import Server
from tests.runs.report.logs import made
from tests.runs.tables import ITEMS, RunTable, run_table, until

pytestmark = pytest.mark.server
COMMAND = [sys.executable, "-c", "from spark_dynamo.cli import main; main()"]


@pytest.fixture(scope="module")
def table(local_server: Server) -> RunTable:
    """One run, of a pipeline with a name that needs more than Latin letters."""
    table = run_table(local_server)
    (item,) = ITEMS.encode([made("r1", pipeline_id="caf\u00e9 \u65e5")]).to_pylist()
    table.server.put(table.name, orjson.loads(item))
    return table


def is_answered(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def in_a_shell(table: RunTable, command: str, redirected: str = "", **environment: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join(COMMAND)} {command} {redirected}"],
        env={**os.environ, **table.environment(), "AWS_REGION": "us-east-1", **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", ["tables list", "tables list -o jsonl", "run r1", "schema pipeline_config --model"])
@pytest.mark.parametrize(
    ("redirected", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed"), (">/dev/full 2>&1", "")]
)
def test_an_output_that_takes_nothing_is_a_sentence_and_an_error(
    table: RunTable, command: str, redirected: str, why: str
) -> None:
    expected = f"Standard output can't be written: {why}\n" if why else ""
    assert in_a_shell(table, command, redirected) == (1, b"", expected.encode())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_help_on_a_full_disk_is_a_sentence(table: RunTable) -> None:
    full = (1, b"", b"Standard output can't be written: No space left on device\n")
    assert in_a_shell(table, "--help", ">/dev/full") == full


@pytest.mark.parametrize(
    ("command", "code"),
    [("tables list", 0), ("run nobody", 1), ("run --pipeline-id x nofile.py", 2), ("runs --last 0", 2)],
)
def test_without_a_standard_error_the_exit_code_tells(table: RunTable, command: str, code: int) -> None:
    found, _, told = in_a_shell(table, command, "2>&-")
    assert (found, told) == (code, b"")


def test_a_server_needs_no_standard_output(table: RunTable) -> None:
    port = free_port()
    command = ["/bin/sh", "-c", f"exec {shlex.join(COMMAND)} local --port {port} >&-"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **table.environment()}) as process:
        try:
            until(lambda: is_answered(port))
            process.send_signal(signal.SIGTERM)
            assert (process.wait(60), process.stderr and process.stderr.read()) == (0, b"")
        finally:
            process.kill()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", ["runs", "run r1"])
def test_a_terminal_that_lacks_characters_gets_escapes(table: RunTable, command: str, encoding: str) -> None:
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, **table.environment(), "PYTHONIOENCODING": encoding, "COLUMNS": "200"}
        done = subprocess.run(
            [*COMMAND, *command.split()], stdout=theirs, stderr=subprocess.PIPE, env=environment, timeout=120
        )
        shown = os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "caf\u00e9 \u65e5".encode(encoding, "backslashreplace") in shown


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_a_pipe_gets_each_character_of_rows_whatever_the_locale(table: RunTable, locale: dict[str, str]) -> None:
    code, rows, told = in_a_shell(table, "runs -o jsonl", **locale)
    assert (code, told) == (0, b"")
    assert json.loads(rows)["pipeline_id"] == "caf\u00e9 \u65e5"
    code, shown, told = in_a_shell(table, "run r1", **locale)  # a picture, which needs what the locale has
    assert (code, told) == (0, b"")
    assert b"caf\\xe9 \\u65e5" in shown
