"""What a write did, told to the driver that logs its run: Spark passes on nothing of what a Python writer commits.

The driver that waits for receipts has made a folder for them, by the application's name, among the temporary files. What commits a
write runs on the driver's machine, and leaves a small file there; where nobody waits, it leaves none.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISDIR

from pyspark import TaskContext

_APPLICATION, _EXECUTION = "spark.app.id", "spark.sql.execution.id"  # local properties of a task of Spark SQL
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Execution:
    """The SQL execution that a task belongs to."""

    application: str
    number: int

    @classmethod
    def of_task(cls, task: TaskContext) -> Execution | None:
        """That of a running task; None for a job outside of Spark SQL."""
        application, number = (task.getLocalProperty(name) for name in (_APPLICATION, _EXECUTION))
        return cls(application, int(number)) if application and number else None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a write did: items written, rows that are not for their condition or their content, and a sentence of all it counted."""

    items: int
    rows_failed: int
    sentence: str
    is_whole: bool


def wait_for_receipts(application: str) -> None:
    """Make the folder for the receipts of an application."""
    _folder(application).mkdir(mode=0o700, exist_ok=True)


def wait_no_more(application: str) -> None:
    """Remove the folder and what is in it."""
    shutil.rmtree(_folder(application), ignore_errors=True)


def leave_receipt(execution: Execution, receipt: Receipt) -> None:
    """Leave a receipt where somebody waits for it. Never raises: the rows are written."""
    folder = _folder(execution.application)
    try:
        if not _is_own(folder):
            return
        hidden, shown = (folder / f"{start}{execution.number}-{uuid.uuid4()}.json" for start in (".", ""))
        hidden.write_text(json.dumps(asdict(receipt)))
        hidden.rename(shown)  # whole, or not there
    except OSError:
        logger.debug("The run that this write belongs to is not told what it did", exc_info=True)


def take_receipts(execution: Execution) -> Iterator[Receipt]:
    """The receipts of an execution, which are gone then."""
    folder = _folder(execution.application)
    if not _is_own(folder):
        return
    for file in folder.glob(f"{execution.number}-*.json"):
        yield Receipt(**json.loads(file.read_text()))
        file.unlink(missing_ok=True)


def _folder(application: str) -> Path:
    return Path(tempfile.gettempdir(), f"spark-dynamo-receipts-{Path(application).name}")


def _is_own(folder: Path) -> bool:
    """Whether it is a folder of this user's, and no other user's trap."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    return S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
