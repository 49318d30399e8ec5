"""dynoxide, the second DynamoDB server of the tests: compiled once by cargo into this user's cache, then found there.

`python -m tests.servers.dynoxide` compiles it where it is missing, and says so where it can't.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spark_dynamo.local.dynoxide_engine import INSTALL, cache_folder, cached_dynoxide
from spark_dynamo.local.server import LocalDynamoDB

from .requirement import missing

_COMPILE_SECONDS = 1800
# its own profile is made for a small program, and takes three times as long to compile
_QUICK = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}


@contextmanager
def dynoxide_server() -> Iterator[str]:
    """The address of a new server, which ends with the block; where there is no dynoxide, the test is skipped."""
    required_dynoxide()
    with LocalDynamoDB(share=False, engine="dynoxide") as server:
        yield server.endpoint_url


def required_dynoxide() -> Path:
    """The program in the cache; where there is none, the test is skipped, or fails where `CI` is `true`."""
    return cached_dynoxide() or missing(
        f"there is no dynoxide in {cache_folder()}: `make servers` compiles it, with cargo"
    )


def install() -> str | None:
    """Compile it where it is missing; why it can't be had, None where it is there."""
    if cached_dynoxide() is not None:
        return None
    if shutil.which("cargo") is None:
        return "there is no `cargo` on the PATH; install Rust"
    print(f"compiling dynoxide into {cache_folder()}, once; this takes some minutes", flush=True)
    command = [*INSTALL.split(), "--quiet", "--root", str(cache_folder())]
    try:
        subprocess.run(command, env={**_QUICK, **os.environ}, timeout=_COMPILE_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        return f"cargo could not compile it: {error}"
    return None


if __name__ == "__main__":
    if reason := install():
        # not a failure of the set-up: the tests that want it say so, each by its name
        print(f"dynoxide is not there: {reason}", file=sys.stderr)
