"""What a request of a Spark Connect client says before it runs: what kind it is, what it reads and writes, who asked for it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark

__all__ = [
    "call_site",
    "count_written_rows",
    "hides_subqueries",
    "is_query",
    "kind_of",
    "table_written",
    "tables_read",
]

# commands and relations that are no work on data: settings, views, the catalog, what a streaming query is asked for
_WITHOUT_DATA = frozenset(
    {
        "register_function",
        "register_table_function",
        "register_data_source",
        "create_dataframe_view",
        "create_resource_profile_command",
        "get_resources_command",
        "remove_cached_remote_relation_command",
        "write_stream_operation_start",
        "streaming_query_command",
        "streaming_query_manager_command",
        "streaming_query_listener_bus_command",
        "pipeline_command",
        "catalog",
    }
)
# options of this package's writes, and the value with which a row that is not written ends the write
_LEAVING_OUT = {"conditionfailed": "error", "baditems": "error", "duplicates": "error"}
_WRITES = ("write_operation", "write_operation_v2")
_MOST_RELATIONS = 10_000  # that are looked at for the tables of one request
_RELATION = "spark.connect.Relation"
_SUBQUERY = re.compile(r"\(\s*select\b", re.IGNORECASE)
_USER = re.compile(r"://[^/@]*@")  # name and password in an address
_NAME = re.compile(r"[\w.$:/\-\"`\[\]]+")
_OURS = tuple(f"{package}{os.sep}" for package in (Path(str(pyspark.__file__)).parent, Path(__file__).parents[2]))


def kind_of(request: Any) -> str | None:
    """The kind of a request, as `read`, `aggregate`, `write_operation`, `sql_command`; None where it is no work on data.

    A plan so large that the client has compressed it is a `compressed_operation`.
    """
    plan = request.plan
    kind: str | None = plan.WhichOneof("op_type")
    if kind == "root":
        kind = plan.root.WhichOneof("rel_type")
    elif kind == "command":
        kind = plan.command.WhichOneof("command_type")
    return None if kind in _WITHOUT_DATA else kind


def is_query(request: Any) -> bool:
    """Whether the request asks for rows, as against a command."""
    return bool(request.plan.WhichOneof("op_type") == "root")


def tables_read(request: Any) -> set[str]:
    """The tables and paths that the plan itself names; what is behind SQL, views and caches, it doesn't."""
    names: set[str | None] = set()
    for relation in _relations(request):
        if relation.WhichOneof("rel_type") != "read" or relation.read.is_streaming:
            continue
        read = relation.read
        if read.WhichOneof("read_type") == "named_table":
            names.add(_plain(read.named_table.unparsed_identifier))
        else:
            source = read.data_source
            paths = list(source.paths)
            named = _option(source.options, "table", "dbtable")
            names.update([named] if named else paths or [_option(source.options, "path")])
    return {name for name in map(_told, names) if name}


def table_written(request: Any) -> str | None:
    """The table or path that a write names; None where it is none, or has no name."""
    kind = kind_of(request)
    if kind not in _WRITES:
        return None
    write = getattr(request.plan.command, kind)
    if kind == "write_operation_v2":
        return _told(_plain(write.table_name))
    if write.WhichOneof("save_type") == "table":
        return _told(_plain(write.table.table_name))
    return _told(_option(write.options, "table", "dbtable") or write.path or _option(write.options, "path"))


def hides_subqueries(request: Any) -> bool:
    """Whether the plan may have subqueries in its expressions, of whose metrics Spark Connect tells nothing."""
    for relation in _relations(request):
        kind = relation.WhichOneof("rel_type")
        if kind == "with_relations" or (kind == "sql" and _SUBQUERY.search(relation.sql.query)):
            return True
    return False


def count_written_rows(request: Any, name: str) -> bool:
    """Let the server count the rows of a DataFrame's write by an observation of that name; False where it is no such write.

    Spark Connect sends no metrics of writes. An observation counts the rows on their way and changes nothing of them. A write of
    this package's that may leave some out is not counted so: how many, the client is not told.
    """
    kind = kind_of(request)
    if kind not in _WRITES or _may_leave_rows_out(getattr(request.plan.command, kind)):
        return False
    from pyspark.sql.connect import proto
    from pyspark.sql.connect.plan import LogicalPlan

    write = getattr(request.plan.command, kind)
    observed = proto.Relation()
    observed.common.plan_id = LogicalPlan._fresh_plan_id()
    observed.collect_metrics.name = name
    counted = observed.collect_metrics.metrics.add().alias
    counted.name.append("rows")
    counted.expr.unresolved_function.function_name = "count"
    counted.expr.unresolved_function.arguments.add().literal.integer = 1
    observed.collect_metrics.input.CopyFrom(write.input)
    write.input.CopyFrom(observed)
    return True


def _may_leave_rows_out(write: Any) -> bool:
    """Whether a write has an option under which not each row of the frame is an item afterwards."""
    told = {name: _option(write.options, name) for name in _LEAVING_OUT}
    return any(value is not None and value.lower() != _LEAVING_OUT[name] for name, value in told.items())


def call_site(kind: str) -> str:
    """What the innermost caller outside of pyspark and this package asked for, as in `collect at job.py:12`."""
    frame = sys._getframe(1)
    action = kind
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return f"{action} at {Path(code.co_filename).name}:{frame.f_lineno}"
        action = code.co_name
        frame = frame.f_back  # type: ignore[assignment]
    return action


def _relations(request: Any) -> Iterator[Any]:
    """All relations of the plan, at most 10,000."""
    plan = request.plan
    waiting = [plan.root] if is_query(request) else []
    kind = kind_of(request)
    if kind in _WRITES:
        waiting.append(getattr(plan.command, kind).input)
    elif kind == "sql_command":
        waiting.append(plan.command.sql_command.input)
    for _ in range(_MOST_RELATIONS):
        if not waiting:
            return
        relation = waiting.pop()
        yield relation
        inner = relation.WhichOneof("rel_type")
        if inner is None:
            continue
        for field, value in getattr(relation, inner).ListFields():
            if field.message_type is not None and field.message_type.full_name == _RELATION:
                waiting.extend(value if hasattr(value, "append") else [value])


def _option(options: Any, *names: str) -> str | None:
    """The value of the first of the options that is there; their names know no case."""
    given = {name.lower(): value for name, value in options.items()}
    return next((given[name] for name in names if given.get(name)), None)


def _plain(name: str) -> str:
    return name.removeprefix("spark_catalog.")


def _told(name: str | None) -> str | None:
    """The name, if it can be told: no query in place of a table, no password in an address."""
    name = _USER.sub("://", (name or "").strip())
    is_address = "://" in name or name.startswith(("file:", "/"))
    return name if name and not name.startswith("jdbc:") and (is_address or _NAME.fullmatch(name)) else None
