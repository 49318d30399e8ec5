"""A Spark Connect server in a process of its own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark

from tests.servers.spark_driver import CONFIG, Family, wait_until

_START_SECONDS = 120.0
# with it `SparkSession.builder.remote("local")` takes a free port, and not always the same one
OWN_PORT = {"SPARK_TESTING": "1"}


@contextmanager
def connect_server(config: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server with two cores and that configuration beside `CONFIG`; at the end nothing of it is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    family = Family()
    home = Path(str(pyspark.__file__)).parent
    with TemporaryDirectory(prefix="spark-connect-") as folder, Path(folder, "log").open("wb") as log:
        settings = {
            **CONFIG,
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
            "spark.sql.warehouse.dir": f"{folder}/warehouse",
            **(config or {}),
        }
        process = subprocess.Popen(
            [
                str(home / "bin" / "spark-submit"),
                "--master",
                "local[2]",
                "--class",
                "org.apache.spark.sql.connect.service.SparkConnectServer",
                *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
                "spark-internal",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**family.environment, "TMPDIR": folder, "SPARK_HOME": str(home)},
            start_new_session=True,
        )

        def is_listening() -> bool:
            assert process.poll() is None, Path(folder, "log").read_text()[-3000:]
            with socket.socket() as attempt:
                return attempt.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_until(is_listening, "the Connect server listens", _START_SECONDS)
            yield f"sc://127.0.0.1:{port}"
        finally:
            process.terminate()
            family.end()
            process.wait()
