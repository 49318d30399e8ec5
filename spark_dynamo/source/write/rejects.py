"""Where rejected rows go: a folder, a bucket or a table. Those of one task appear all together, when it ends well.

A task that runs again replaces what it has published before, so that no row is told of twice.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol
from urllib.request import url2pathname

import pyarrow as pa

from spark_dynamo.aws.batch_write import BatchWriter
from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.s3 import check_bucket, put_object, remove_object
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.errors import DynamoDBWrapperError, OptionError
from spark_dynamo.source.write.reject_lines import ATTRIBUTES, item_of_line

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?(.*)", re.DOTALL)  # one letter would be a drive of Windows
_LINES_AT_ONCE = 1_000
_MARK = ".spark-dynamo-"  # begins the name of the empty file by which machines know a folder that they share


class _Place(Protocol):
    """Where one task's lines are to be published."""

    def new_file(self) -> Path:
        """A file that is not there yet, for lines that may still be discarded."""

    def publish(self, file: Path, count: int) -> None:
        """Publish the lines in the file, in place of those of an earlier run of the task; the file may be used up."""

    def clear(self) -> None:
        """Remove what an earlier run of the task has published."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an option sends rejected rows; Spark pickles it into every task.

    `kind` is folder, s3 or dynamodb. `place` is the folder's path, the bucket or the table. `mark` is the name of a file that the
    driver has seen in the folder, where it is `checked`.

    >>> Destination.parse("badItems", "s3://lake/rejected/orders/")
    Destination(option='badItems', kind='s3', place='lake', prefix='rejected/orders')
    """

    option: str
    kind: str
    place: str
    prefix: str = ""
    mark: str = field(default="", repr=False)

    @classmethod
    def parse(cls, option: str, text: str) -> Destination:
        """From the option's text: a path, `file://`, `s3://bucket/prefix` or `dynamodb://table`; else OptionError.

        A relative path begins at the working directory of the process that calls this.
        """
        found = _SCHEME.match(text)
        scheme, rest = (found[1].lower(), found[2]) if found else ("file", text)
        if scheme == "file":
            path = url2pathname("/" + rest.lstrip("/")) if found else rest
            return cls(option, "folder", str(Path(path).expanduser().absolute()))
        if scheme in ("s3", "s3a"):
            bucket, _, prefix = rest.partition("/")
            if bucket:
                return cls(option, "s3", bucket, prefix.strip("/"))
        if scheme == "dynamodb" and rest.strip("/"):
            return cls(option, "dynamodb", rest.strip("/"))
        raise OptionError(
            option,
            f"must be a folder, file:///folder, s3://bucket/prefix or dynamodb://table to name a place, not '{text}'",
        )

    def __str__(self) -> str:
        if self.kind == "folder":
            return self.place
        return f"{self.kind}://{self.place}" + (f"/{self.prefix}" if self.prefix else "")

    def checked(self, connection: Connection, table_name: str | None = None) -> Destination:
        """This destination; raises `OptionError` where rejected rows can't go there. A folder is made, on this machine, and marked.

        `table_name` is the table that is written: it can't hold its own rejected rows.
        """
        try:
            if self.kind == "folder":
                return replace(self, mark=self._marked_folder())
            if self.kind == "s3":
                check_bucket(connection, self.place)
            else:
                self._check_table(connection, table_name)
        except OSError as error:
            problem = f"names folder '{self.place}', which can't be written: {error.strerror or error}"
            raise OptionError(self.option, problem) from error
        except OptionError:
            raise
        except DynamoDBWrapperError as error:
            raise OptionError(self.option, f"names '{self}', and {error.message.removesuffix('.')}") from error
        return self

    def open(self, connection: Connection, *, write_id: str, partition: int, repeated: bool = False) -> Rejects:
        """What takes one task's rejected rows; nothing is made before the first.

        `write_id` is the same for all tasks of a write and for each of their runs, `partition` the task's number. `repeated`
        says that the task may have run before; then also what it published is removed where this run rejects nothing. Raises
        `OptionError` for a folder that is not the one the driver has checked, as on another machine's own disk.
        """
        name = f"part-{partition:05d}-{self.option}.jsonl"
        if self.kind == "folder":
            if self.mark and not Path(self.place, self.mark).exists():
                raise OptionError(
                    self.option,
                    f"names folder '{self.place}', and where this task runs that is not the driver's; give a folder that all "
                    "machines share, or s3://bucket/prefix or dynamodb://table",
                )
            return Rejects(_Folder(Path(self.place) / write_id, name), self, repeated=repeated)
        if self.kind == "s3":
            key = "/".join(filter(None, (self.prefix, write_id, name)))
            return Rejects(_Bucket(connection, self.place, key), self, repeated=repeated)
        return Rejects(_Table(connection, self.place, f"{write_id}/{name}"), self, repeated=repeated)

    def _marked_folder(self) -> str:
        """Make the folder, and a mark unless it has one; the mark's name."""
        folder = Path(self.place)
        if folder.exists() and not folder.is_dir():
            raise OptionError(
                self.option, f"names '{self.place}', which is no folder; name one that is, or is to be made"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for mark in folder.glob(f"{_MARK}*"):
            return mark.name
        mark = folder / f"{_MARK}{uuid.uuid4().hex}"
        mark.touch()
        return mark.name

    def _check_table(self, connection: Connection, table_name: str | None) -> None:
        table = describe_table(dynamodb_client(connection), self.place)
        if table_name in (self.place, table.name, table.arn):
            raise OptionError(self.option, f"names '{self}', the table that is written; give another one")
        for key in table.keys:
            if key.type != "S" or key.name in (*ATTRIBUTES, "item_gzip", "stored_gzip"):
                raise OptionError(
                    self.option,
                    f"names '{self}', whose key '{key.name}' is of type {key.type}; a table of rejected rows needs keys of type S "
                    f"with other names than {', '.join(ATTRIBUTES)}",
                )


class Rejects:
    """The rejected rows of one task, as lines of JSON; threads may add to it.

    The lines lie in a file until they are published, so that memory does not grow with them. Leaving the `with` block discards
    those that are not. `OptionError` where that file can't be written, as on a full disk.
    """

    def __init__(self, place: _Place, destination: Destination, *, repeated: bool = False) -> None:
        self.count = 0
        self._destination = destination
        self._place = place
        self._repeated = repeated
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._path: Path | None = None

    def add(self, line: bytes) -> None:
        """Add a line, which is JSON without a line break."""
        with self._lock, self._writing():
            if self._file is None:
                self._path = self._place.new_file()
                self._file = _own_file(self._path)
            self._file.write(line + b"\n")
            self.count += 1

    def publish(self) -> None:
        """Make the lines seen, all at once; a second call does nothing."""
        with self._lock:
            if self._file is not None:
                with self._writing():
                    self._file.close()
                assert self._path is not None
                self._place.publish(self._path, self.count)
                self._forget()
            elif self._repeated and not self.count:
                self._place.clear()

    def discard(self) -> None:
        """Throw the lines away, unless they are published."""
        with self._lock:
            self._forget()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f" in {self._path}" if self._path else ""
            self._forget()
            raise OptionError(
                self._destination.option,
                f"names '{self._destination}', and a rejected row can't be kept for it{where}: {error.strerror or error}; "
                "make room there, or name another place",
            ) from error

    def _forget(self) -> None:
        if self._file is not None and self._path is not None:
            with suppress(OSError):  # of a full disk, on which the rest finds no room
                self._file.close()
            self._path.unlink(missing_ok=True)
        self._file = self._path = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


@dataclass(frozen=True, slots=True)
class _Folder:
    folder: Path
    name: str

    def new_file(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".{self.name}.{uuid.uuid4().hex}"  # Spark doesn't read names that begin with a dot

    def publish(self, file: Path, count: int) -> None:
        file.replace(self.folder / self.name)

    def clear(self) -> None:
        (self.folder / self.name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Bucket:
    connection: Connection
    bucket: str
    key: str

    def new_file(self) -> Path:
        return _temporary_file()

    def publish(self, file: Path, count: int) -> None:
        put_object(self.connection, self.bucket, self.key, file)

    def clear(self) -> None:
        remove_object(self.connection, self.bucket, self.key)


@dataclass(frozen=True, slots=True)
class _Table:
    connection: Connection
    table: str
    origin: str

    def new_file(self) -> Path:
        return _temporary_file()

    def publish(self, file: Path, count: int) -> None:
        keys = [key.name for key in describe_table(dynamodb_client(self.connection), self.table).keys]
        with file.open("rb") as lines, Flight(Requests(self.connection, self.table)) as flight:
            writer = BatchWriter(flight, keys)
            items = self._items(lines, keys)
            while texts := list(islice(items, _LINES_AT_ONCE)):
                writer.send(pa.array(texts, pa.string()))

    def clear(self) -> None:
        """Nothing: the same rows are the same items, and others of an earlier run stay."""

    def _items(self, lines: IO[bytes], keys: list[str]) -> Iterator[str]:
        seen: Counter[int] = Counter()  # rows that are equal in every way are items of their own
        for line in lines:
            line = line.rstrip(b"\n")
            fingerprint = hash(line)
            yield item_of_line(line, keys, f"{self.origin}/{seen[fingerprint]}").decode()
            seen[fingerprint] += 1


def _own_file(path: Path) -> IO[bytes]:
    """A new file that nobody but this user may read: rows are in it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _temporary_file() -> Path:
    return Path(tempfile.gettempdir()) / f"spark-dynamo-rejects-{os.getpid()}-{uuid.uuid4().hex}"
