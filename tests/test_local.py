"""The embedded local DynamoDB: found without options, by every process of Spark, and gone without a trace."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

import spark_dynamo as sd
from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.embedded_server import Announcement, announce, find_announcement
from spark_dynamo.aws.tables import KeyAttribute, create_table
from spark_dynamo.errors import ConfigurationError
from spark_dynamo.local.dynoxide_engine import CRATE_VERSION
from spark_dynamo.source.location import find
from spark_dynamo.source.options.source_options import SourceOptions
from tests.conftest import Server
from tests.servers.dynoxide import required_dynoxide

pytestmark = pytest.mark.server


@pytest.fixture(params=["moto", "dynoxide"])
def engine(request: pytest.FixtureRequest) -> Any:
    """The name of each program that can serve."""
    if request.param == "dynoxide":
        required_dynoxide()
    return request.param


def answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_reads_and_writes_find_it_though_the_session_was_first(spark: SparkSession) -> None:
    for round_ in range(2):  # the second server has another port, and nothing of the first's tables
        with sd.local_dynamodb() as server:
            create_table(server.client(), "found", partition_key=KeyAttribute("id", "S"))
            spark.sql(f"SELECT 'round {round_}' id").write.format("dynamo-meta").mode("append").save("found")
            (row,) = spark.read.format("dynamo-meta").schema("id STRING").load("found").collect()
            assert row.id == f"round {round_}"
    with pytest.raises(AnalysisException, match="No AWS region is known|No AWS credentials were found"):
        spark.read.format("dynamo-meta").schema("id STRING").load("found").collect()


@pytest.mark.slow
def test_driver_code_finds_it_and_the_metadata_tables_too(spark: SparkSession) -> None:
    with sd.local_dynamodb() as server:
        names = sd.create_tables()
        assert names == ["dev_pipeline_config", "dev_table_config", "dev_pipeline_run_logs"]
        assert sorted(server.client().list_tables()["TableNames"]) == sorted(names)
        assert spark.read.format("dynamo-meta").load("pipeline_run_logs").count() == 0


def test_it_listens_on_loopback_only(engine: Any) -> None:
    with sd.local_dynamodb(engine=engine) as server:
        port = int(server.endpoint_url.rpartition(":")[2])
        assert server.endpoint_url == f"http://127.0.0.1:{port}"
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in addresses - {"127.0.0.1"}:
            with socket.socket() as other, pytest.raises(OSError, match="refused"):
                other.connect((address, port))


def test_it_cleans_up_after_an_exception(engine: Any) -> None:
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="on purpose"), sd.local_dynamodb(engine=engine) as server:
        assert answers(server.endpoint_url)
        raise RuntimeError("on purpose")
    assert not answers(server.endpoint_url)
    assert find_announcement() is None
    assert set(threading.enumerate()) <= before
    server.stop()  # a second time does no harm


def test_a_second_one_gives_way_to_the_first_again(engine: Any) -> None:
    with sd.local_dynamodb(engine=engine) as first:
        with sd.local_dynamodb(engine=engine) as second:
            assert Connection().located().endpoint_url == second.endpoint_url
        assert Connection().located().endpoint_url == first.endpoint_url


def test_an_endpoint_in_the_environment_is_used_instead(monkeypatch: pytest.MonkeyPatch, moto_server: Any) -> None:
    monkeypatch.setenv("DYNAMODB_ENDPOINT_URL", moto_server.endpoint)
    with sd.local_dynamodb() as server:
        assert server.endpoint_url == moto_server.endpoint
        assert server.client().list_tables()
    assert answers(moto_server.endpoint)


@pytest.mark.parametrize("named_by", ["AWS_DEFAULT_REGION", ".env"])
def test_tables_are_made_in_the_region_that_reads_look_in(
    named_by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if named_by == ".env":
        Path(".env").write_text("AWS_REGION=eu-west-1\n")
    else:
        monkeypatch.setenv(named_by, "eu-west-1")
    with sd.local_dynamodb() as server:
        names = sd.create_tables()
        found = find(SourceOptions({"path": "pipeline_run_logs"}))
        assert (found.name, found.connection.region, server.region) == (names[2], "eu-west-1", "eu-west-1")
        assert sorted(server.client().list_tables()["TableNames"]) == sorted(names)


@pytest.mark.parametrize("named_by", ["AWS_ENDPOINT_URL", ".env"])
def test_reads_and_the_server_agree_on_where_it_is(
    named_by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moto_server: Server
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")  # no other test has made a client for AWS there
    prefix = f"t{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("DYNAMODB_TABLE_PREFIX", prefix)
    if named_by == ".env":
        Path(".env").write_text(f"DYNAMODB_ENDPOINT_URL={moto_server.endpoint}\n")
    else:
        monkeypatch.setenv(named_by, moto_server.endpoint)
    with sd.local_dynamodb() as server:
        assert (server.is_own, server.endpoint_url, find_announcement()) == (False, moto_server.endpoint, None)
        sd.create_tables()
        assert find(SourceOptions({"path": "pipeline_run_logs"})).name == f"{prefix}_dev_pipeline_run_logs"
        assert server.client().describe_table(TableName=f"{prefix}_dev_pipeline_run_logs")


def test_what_names_a_place_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with sd.local_dynamodb():
        for place in (Connection(endpoint_url="http://x"), Connection(profile="p"), Connection(role_arn="arn")):
            assert place.located() == place
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://y")
        assert Connection().located() == Connection()


def test_an_announcement_of_a_dead_process_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_dynamo.aws import embedded_server

    announce(Announcement("http://127.0.0.1:9", "us-east-1"))
    try:
        assert find_announcement() is not None
        monkeypatch.setattr(embedded_server, "_started", lambda process: "another time")
        assert find_announcement() is None
    finally:
        announce(None)


def test_a_taken_port_is_one_sentence(engine: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 can't be used: .* Choose another one"):
            sd.local_dynamodb(port, engine=engine)


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_port_that_is_none_is_one_sentence(port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 can't be used: .*0-65535. Choose"):
        sd.local_dynamodb(port)


def test_moto_missing_is_one_sentence(python: Callable[..., Any]) -> None:
    finished = python(
        "import sys; sys.modules['moto'] = None; import spark_dynamo as sd; sd.local_dynamodb(engine='moto')"
    )
    assert "ConfigurationError: The embedded DynamoDB needs moto: pip install 'spark-dynamo[local]'" in finished.stderr


def test_the_command_runs_one_in_the_foreground(engine: Any) -> None:
    command = [sys.executable, "-c", "from spark_dynamo.cli import main; main()", "local", "--port", "0"]
    with subprocess.Popen([*command, "--engine", engine], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith(f"Local DynamoDB ({engine} "), told
        endpoint = ""
        while not endpoint:
            line = process.stdout.readline()
            assert line, "the command ended early"
            found = re.search(r"DYNAMODB_ENDPOINT_URL=(\S+)", line)
            endpoint = found[1] if found else ""
        connection = Connection("us-east-1", endpoint, access_key_id="local", secret_access_key="local")
        assert dynamodb_client(connection).list_tables()["TableNames"] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert not answers(endpoint)


def test_auto_takes_dynoxide_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = required_dynoxide()
    caplog.set_level("INFO", "spark_dynamo.local")
    with sd.local_dynamodb() as server:
        assert server.engine.startswith("dynoxide ")
        assert repr(server) == f"LocalDynamoDB({server.engine}, {server.endpoint_url})"
    assert server.engine == "unknown"  # it is gone

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with sd.local_dynamodb() as server:
        assert server.engine.startswith("dynoxide ")

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with sd.local_dynamodb() as server:
        assert server.engine.startswith("moto ")
    with pytest.raises(ConfigurationError, match=f"no `dynoxide` on the PATH .* --version {CRATE_VERSION} --locked"):
        sd.local_dynamodb(engine="dynoxide")
    assert [record.getMessage().split()[2] for record in caplog.records] == ["dynoxide", "dynoxide", "moto"]


def test_a_dynoxide_that_does_not_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "dynoxide").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "dynoxide").chmod(0o755)
    with pytest.raises(ConfigurationError, match=f"{tmp_path}/dynoxide does not serve on port .* Try `{tmp_path}"):
        sd.local_dynamodb()


def test_an_engine_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="engine='dynamo' is not known: 'auto', 'moto' and 'dynoxide' are"):
        sd.local_dynamodb(engine="dynamo")  # type: ignore[arg-type]


def test_a_fork_leaves_the_server_to_its_parent(python: Callable[..., Any], engine: Any) -> None:
    code = f"""
import os, sys
import spark_dynamo as sd
with sd.local_dynamodb(engine={engine!r}) as server:
    child = os.fork()
    if not child:
        server.stop()
        sys.exit(0)  # with all that happens at exit
    os.waitpid(child, 0)
    print(server.client().list_tables()["TableNames"])
"""
    finished = python(code)
    assert finished.stdout == "[]\n", finished.stderr


def test_a_proxy_in_the_environment_does_no_harm(python: Callable[..., Any]) -> None:
    code = "import spark_dynamo as sd\nwith sd.local_dynamodb() as server: print(len(sd.create_tables()))"
    finished = python(code, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")
    assert finished.stdout == "3\n", finished.stderr


def test_a_local_endpoint_needs_no_keys(python: Callable[..., Any], moto_server: Any) -> None:
    code = "import spark_dynamo as sd\nprint(len(sd.create_tables(sd.DynamoDBConfig(table_prefix='no-keys'))))"
    finished = python(code, DYNAMODB_ENDPOINT_URL=moto_server.endpoint)
    assert finished.stdout == "3\n", finished.stderr


def test_a_failure_is_one_sentence_whole(python: Callable[..., Any]) -> None:
    code = (
        "import sys; sys.modules['moto'] = None; from spark_dynamo.cli import main;"
        "sys.argv = ['spark-dynamo', 'local', '--engine=moto']; main()"
    )
    finished = python(code)
    assert finished.returncode == 1
    assert finished.stderr == (
        "The embedded DynamoDB needs moto: pip install 'spark-dynamo[local]', or set DYNAMODB_ENDPOINT_URL\n"
    )
