"""The embedded DynamoDB in a process of its own, as moto changes the botocore of the process that it is in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SERVER = """
import sys
from spark_dynamo.local import LocalDynamoDB
with LocalDynamoDB(share=False, engine="moto") as server:
    print(server.endpoint_url, flush=True)
    sys.stdin.read()  # until the tests end, however they do
"""


@contextmanager
def moto_server() -> Iterator[str]:
    """The address of a new server, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        assert endpoint, "the embedded server has not started"
        yield endpoint
        assert process.stdin is not None
        process.stdin.close()
