"""Whether there is a Java that Spark can run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from spark_dynamo.errors import ConfigurationError

__all__ = ["OLDEST_JAVA", "check_java"]

OLDEST_JAVA = 17  # what Spark 4 asks for

_HINT = (
    "Install one (Debian and Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) or set "
    "JAVA_HOME to its folder"
)
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')  # Java 8 called itself 1.8


def check_java() -> None:
    """Raise ConfigurationError unless the Java that Spark would start is version 17 or newer.

    Spark takes `bin/java` of JAVA_HOME where that variable is set, else the first `java` of PATH.
    """
    home = os.environ.get("JAVA_HOME")
    place = f"JAVA_HOME ({home})" if home else "PATH"
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    version = _version(java) if java else None
    if version is None:
        raise ConfigurationError(
            f"spark_dynamo needs Java {OLDEST_JAVA} or newer, because Spark does, and {place} has no Java that runs. {_HINT}"
        )
    if version < OLDEST_JAVA:
        raise ConfigurationError(
            f"spark_dynamo needs Java {OLDEST_JAVA} or newer, because Spark does, and {place} has Java {version}. {_HINT}"
        )


def _version(java: str) -> int | None:
    """The major version that `java -version` tells, None where it can't be run or tells none."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stderr + answer.stdout)
    return int(found[1]) if found else None
