"""AWS's own DynamoDB Local, fetched once from Maven Central and run in memory for the time of a `with` block.

It holds nothing but what a test puts into it. It has no option for the address it listens on, so for that time its
port is open on every interface of the host.
"""

import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

VERSION = "2.6.1"
# The native SQLite libraries that get loaded are resources inside this jar, for Linux and macOS, x86_64 and aarch64.
JAR_SHA256 = "a28d8b4919999b7dee6ffa9fd4e9a08744460657a9bd3e3499e3aad00e1f2cc4"
# Of one line `<name> <sha256>\n` per jar, sorted by name.
MANIFEST_SHA256 = "3935369d6c24e0c2d7d058db3c490246862e48e8faeaa2a15079f75d5553156a"

_MAIN_CLASS = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_OLDEST_JAVA = 17
_FETCH_SECONDS = 600
_START_SECONDS = 60
_STOP_SECONDS = 10

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>spark-dynamo</groupId>
  <artifactId>dynamodb-local</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>com.amazonaws</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

# Runs in a fresh interpreter that then becomes java: `preexec_fn` would fork the test process itself, and Python warns
# of that where threads run. Linux only. The setting survives exec; the parent may have ended before it was made.
_DIE_WITH_PARENT = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent process has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - a state of the host, not an error of ours
    """DynamoDB Local can't be had on this host; the message says why."""


class ChecksumError(Exception):
    """A jar of DynamoDB Local is not the one that is pinned, so none of them is run."""


def require(get: Callable[[], T]) -> T:
    """Return what `get` returns; where that is `Unavailable`, skip the test, or fail it where `CI` is `true`.

    In a fixture: `with ExitStack() as stack: yield require(lambda: stack.enter_context(dynamodb_local()))`.
    """
    try:
        return get()
    except Unavailable as error:
        reason = f"DynamoDB Local is unavailable: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (a failure, not a skip, because CI is true)", pytrace=False)
    pytest.skip(reason)


def fetch() -> list[Path]:
    """Return DynamoDB Local's jars, sorted by name, with their checksums verified; the first call fetches them.

    Raises `Unavailable` where `mvn` can't fetch them, `ChecksumError` where they are not the pinned ones.
    """
    home = _cache_folder()
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{home.name}-") as folder:
            fetched = Path(folder, "jars")
            _copy_dependencies(Path(folder, "pom.xml"), fetched)
            _verify(fetched)
            try:
                fetched.rename(home)
            except OSError:
                # another process may have been quicker; what it fetched is verified below
                if not home.is_dir():
                    raise
    return _verify(home)


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Run DynamoDB Local, in memory, on a free port; yields its endpoint, `http://127.0.0.1:<port>`.

    All regions and credentials see the same tables. An access key ID of letters and digits is all that it asks for.
    """
    java = _java()
    jars = fetch()
    with tempfile.TemporaryDirectory(prefix="dynamodb-local-") as folder, Path(folder, "output").open("w+b") as output:
        port = _free_port()
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())),
                *(java, "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
                f"-Dorg.sqlite.tmpdir={folder}",  # where it unpacks its native library; it never deletes it
                *("-cp", os.pathsep.join(map(str, jars)), _MAIN_CLASS),
                *("-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
        try:
            _wait_until_ready(process, port, Path(output.name))
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return Path(root or Path.home() / ".cache", "spark_dynamo", f"dynamodb-local-{VERSION}")


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise Unavailable(f"there is no `java` on the PATH; install Java {_OLDEST_JAVA} or newer.")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    # macOS has a `java` that only says that there is none
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None:
        raise Unavailable(f"`java -version` does not tell a version but {answer.stderr.strip()!r}.")
    if int(version[1]) < _OLDEST_JAVA:
        raise Unavailable(f"it needs Java {_OLDEST_JAVA} or newer, and `java` is version {version[1]}.")
    return java


def _copy_dependencies(pom: Path, target: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise Unavailable("there is no `mvn` on the PATH to fetch it with; install Apache Maven.")
    pom.write_text(_POM)
    command = [mvn, "-q", "-B", "-f", str(pom), _COPY_DEPENDENCIES, "-DincludeScope=runtime", "-DincludeTypes=jar"]
    try:
        subprocess.run(
            [*command, f"-DoutputDirectory={target}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`mvn` did not fetch it within {_FETCH_SECONDS} s.") from None
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stdout.splitlines() if "ERROR" in line]
        raise Unavailable(f"`mvn` could not fetch it: {' '.join(errors[:1]) or error.stdout.strip()}") from None


def _verify(folder: Path) -> list[Path]:
    jars = sorted(folder.glob("*.jar"), key=lambda jar: jar.name)
    checksums = {jar.name: _sha256(jar) for jar in jars}
    main_jar = f"DynamoDBLocal-{VERSION}.jar"
    manifest = "".join(f"{name} {checksum}\n" for name, checksum in checksums.items())
    for what, pinned, found in (
        (main_jar, JAR_SHA256, checksums.get(main_jar)),
        (f"the manifest of its {len(jars)} jars", MANIFEST_SHA256, hashlib.sha256(manifest.encode()).hexdigest()),
    ):
        if found != pinned:
            raise ChecksumError(
                f"DynamoDB Local {VERSION} in {folder}: the SHA-256 of {what} is {found}, and {pinned} is pinned. "
                "Delete that folder, and the jars in Maven's own repository, to fetch them anew."
            )
    return jars


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _free_port() -> int:
    with socket.socket() as listener:
        # on every interface, as the server will
        listener.bind(("", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        answers = _answers(port)
        # asked after the answer, which may come from another server that was quicker to take the port
        if process.poll() is not None:
            raise RuntimeError(
                f"DynamoDB Local ended at its start with status {process.returncode}, and wrote:\n{output.read_text()}"
            )
        if answers:
            return
        time.sleep(0.05)
    raise RuntimeError(
        f"DynamoDB Local did not answer on port {port} within {_START_SECONDS} s, and wrote:\n{output.read_text()}"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)
    try:
        connection.request("GET", "/")
        # any status will do: without a signature it is 400
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
