"""dynoxide, a DynamoDB server in Rust on SQLite, as a program of its own: https://github.com/nubo-db/dynoxide.

It starts in milliseconds, is many times as fast as moto, and refuses what AWS refuses. pip can't bring it; cargo can.
It lets every web page read and write, so it listens where no page finds it, and a front that refuses pages stands before it.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.local.front import Front
from spark_dynamo.local.ports import HOST, free_port, hidden_host, listen

CRATE_VERSION = "3.2.0"
INSTALL = (
    f"cargo install dynoxide-rs --version {CRATE_VERSION} --locked --no-default-features "
    "--features native-sqlite,http-server,cli"
)
_START_SECONDS = 30.0
_LOOK_SECONDS = 0.005
_STOP_SECONDS = 10.0
_ATTEMPTS = 5  # at a free port, which somebody else may take first
# The server ends when the pipe from this process does, however that comes about, and the shell when the server does.
_WHILE_PIPED = """
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ read -r _ <&3; kill $server; } &
watch=$!
exec 3<&- </dev/null
wait $server
kill $watch
"""


def cache_folder() -> Path:
    """Where `cargo install --root` puts it for this user, so that it is found without being on the PATH."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "spark_dynamo", f"dynoxide-{CRATE_VERSION}")


def cached_dynoxide() -> Path | None:
    """The program in the cache; None where there is none."""
    found = shutil.which(cache_folder() / "bin" / "dynoxide")
    return Path(found) if found else None


def find_dynoxide() -> Path | None:
    """The program on the PATH, or else the one in the cache; None where there is none."""
    found = shutil.which("dynoxide")
    return Path(found) if found else cached_dynoxide()


class DynoxideEngine:
    """A running server of dynoxide's, with its tables in memory; `behind` is where it listens itself."""

    name = "dynoxide"

    def __init__(self, port: int) -> None:
        """Start it on that port, 0 for a free one; ConfigurationError where the program is missing or does not start."""
        program = find_dynoxide()
        if program is None:
            raise ConfigurationError(
                f"There is no `dynoxide` on the PATH or in {cache_folder()}. Install it: {INSTALL}, or take engine='moto'"
            )
        listening = listen(port)
        for _ in range(_ATTEMPTS):
            host = hidden_host()
            self.behind = host, free_port(0, host)
            self._process = _start(program, *self.behind)
            version = _version_when_ready(self._process, *self.behind)
            if version is not None:
                self.version, self.endpoint_url = version, f"http://{HOST}:{listening.getsockname()[1]}"
                self._front = Front(listening, self.behind)
                return
            self._end_process()
        listening.close()
        host, tried = self.behind
        raise ConfigurationError(
            f"{program} does not serve on port {tried} of {host}. Try `{program} --host {host} --port {tried}`"
        )

    def stop(self) -> None:
        """End it; its tables are gone."""
        self._end_process()  # which ends what the front waits for
        self._front.stop()

    def _end_process(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _start(program: Path, host: str, port: int) -> subprocess.Popen[bytes]:
    command = [str(program), "--host", host, "--port", str(port), "--log", "quiet"]
    return subprocess.Popen(  # noqa: S603 - found on the PATH, or what the user's own cargo made
        ["/bin/sh", "-c", _WHILE_PIPED, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the process that uses it
    )


def _version_when_ready(process: subprocess.Popen[bytes], host: str, port: int) -> str | None:
    """The version, once it answers; None where the program has ended or somebody else answers at its port."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(host, port, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/")
            server, _, version = (connection.getresponse().getheader("Server") or "").partition("/")
            return version if server == "Dynoxide" and process.poll() is None else None
        except (OSError, http.client.HTTPException):
            time.sleep(_LOOK_SECONDS)
        finally:
            connection.close()
    return None
