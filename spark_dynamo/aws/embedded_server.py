"""How the Python processes that Spark starts find the embedded server of the process that started them.

Spark plans reads and writes in processes of its own, with the environment that the JVM had when it began. A server that is
started later is therefore announced in a small file named after the process that Spark's processes descend from; they walk
up their ancestors until they find one. Nothing is looked at where nothing was ever announced.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Announcement:
    """An embedded server: its address and the region that its tables are in."""

    endpoint_url: str
    region: str


def announce(announcement: Announcement | None) -> None:
    """Make this process's embedded server known to its descendants; None takes the announcement back."""
    root = _root_process()
    file = _folder() / f"{root}.json"
    if announcement is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(mode=0o700, exist_ok=True)
    _check_owner(file.parent)
    draft = file.with_suffix(f".{os.getpid()}.draft")
    draft.write_text(json.dumps({**asdict(announcement), "started": _started(root)}))
    draft.replace(file)


def find_announcement() -> Announcement | None:
    """The embedded server of this process or of the nearest ancestor that has one."""
    folder = _folder()
    if not folder.is_dir():
        return None
    _check_owner(folder)
    announced = {file.stem: file for file in folder.glob("*.json")}
    if not announced:
        return None
    for process in _ancestors():
        file = announced.get(str(process))
        if file is None:
            continue
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:  # taken back in this moment
            continue
        if found.pop("started") == _started(process):  # else a dead process had the same number
            return Announcement(**found)
    return None


def _root_process() -> int:
    """The process that Spark's processes descend from: this one, or the JVM where spark-submit started this one."""
    return os.getppid() if "PYSPARK_GATEWAY_PORT" in os.environ else os.getpid()


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"spark-dynamo-{os.getuid()}"


def _check_owner(folder: Path) -> None:
    """Another user of the machine must not be able to redirect anybody's reads and writes."""
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to somebody else or others may write to it; remove it")


def _ancestors() -> Iterator[int]:
    process = os.getpid()
    while process > 0:
        yield process
        process = _parent(process)


def _parent(process: int) -> int:
    try:
        if Path("/proc/self/stat").exists():
            return int(_stat(process)[1])
        answer = subprocess.run(["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True, check=True)  # noqa: S603, S607
        return int(answer.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0


def _started(process: int) -> str:
    """When the process began, in whatever form the system has; empty where it doesn't say."""
    try:
        return _stat(process)[19]
    except (OSError, IndexError):
        return ""


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold spaces and brackets."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
