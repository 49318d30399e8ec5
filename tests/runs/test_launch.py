"""`launch`: a file as a program, with a run around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table
from tests.servers.spark_driver import CONFIG

pytestmark = pytest.mark.jvm

ROOT = Path(__file__).parents[2]
# launches each file in turn, which says on standard output what it finds; forked, so that the imports are paid for once
LAUNCH = """
import json, os, sys
from spark_dynamo.run_logs.launch import launch
from spark_dynamo.run_logs.settings import RunSettings
codes = {}
for job in sys.argv[1:]:
    child = os.fork()
    if not child:
        break
    codes[job] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
else:
    print("codes " + json.dumps(codes), flush=True)
    os._exit(0)
sys.exit(launch(job, ["--day", "today"], RunSettings(pipeline_id=job)))
"""


@pytest.fixture(scope="module")
def table(local_server: Server) -> RunTable:
    return run_table(local_server)


def run(code: list[str], table: RunTable, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=200,
        env={**os.environ, **table.environment(), "PYTHONPATH": str(ROOT)},
    )


JOBS = {
    "plain.py": "import sys, helper\nprint('plain', sys.argv[1:], __name__, helper.WHAT)\nassert sys.modules['__main__'].__file__",
    "failing.py": "def load():\n    raise ValueError('no rows')\n\nload()",
    "caused.py": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise RuntimeError('worse') from error",
    "syntax.py": "x = 1\nif x\n",
    "exit_2.py": "raise SystemExit(2)",
    "exit_told.py": "import sys\nsys.exit('no input')",
    "exit_0.py": "import sys\nsys.exit(0)",
    "thread.py": (
        "import threading\ndef late():\n    print('late', main_thread.is_alive())\n    raise ValueError('late')\n"
        "main_thread = threading.main_thread()\nthreading.Timer(0.2, late).start()"
    ),
    "pool.py": "from concurrent.futures import ThreadPoolExecutor\nprint(ThreadPoolExecutor(1).submit(int, 7).result())",
    "interrupt.py": "raise KeyboardInterrupt",
    "missing.py": None,
}


def test_files_run_as_python_runs_them(table: RunTable, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WHAT = 'a neighbour'")
    for name, code in JOBS.items():
        if code is not None:
            (tmp_path / name).write_text(code)
    ended = run(["-c", LAUNCH], table, tmp_path, *JOBS)
    codes: dict[str, Any] = json.loads(ended.stdout.partition("codes ")[2])
    assert codes == {
        "plain.py": 0,
        "failing.py": 1,
        "caused.py": 1,
        "syntax.py": 1,
        "exit_2.py": 2,
        "exit_told.py": 1,
        "exit_0.py": 0,
        "thread.py": 0,
        "pool.py": 0,
        "interrupt.py": 130,
        "missing.py": 2,
    }, ended.stderr
    assert "plain ['--day', 'today'] __main__ a neighbour" in ended.stdout
    logs = table.logs()
    found = {name: (log.status.value, log.error_message) for name, log in logs.items()}
    path = tmp_path / "missing.py"
    assert found == {
        "plain.py": ("success", None),
        "failing.py": ("failed", "ValueError: no rows"),
        "caused.py": ("failed", "RuntimeError: worse"),
        "syntax.py": ("failed", "SyntaxError: expected ':' (syntax.py, line 2)"),
        "exit_2.py": ("failed", "SystemExit: 2"),
        "exit_told.py": ("failed", "SystemExit: no input"),
        "exit_0.py": ("success", None),
        "thread.py": ("failed", "ValueError: late"),
        "pool.py": ("success", None),
        "interrupt.py": ("cancelled", "KeyboardInterrupt:"),
    }  # and none of the file that is missing
    for name in ("failing.py", "caused.py", "syntax.py", "interrupt.py", "exit_told.py"):
        expected = run([], table, tmp_path, name).stderr
        assert expected.strip() in ended.stderr, name
    assert f"can't open file '{path}': [Errno 2] No such file or directory" in ended.stderr
    assert "spark_dynamo" not in (logs["failing.py"].error_stack_trace or "")


def test_sessions_of_a_job_are_the_runs_as_soon_as_they_exist(table: RunTable, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(f"""
import sys
from pyspark import SparkContext
from pyspark.sql import SparkSession
from spark_dynamo.run_logs.context import pipeline_run
from spark_dynamo.run_logs.registration import register_run_listener

def builder():
    made = SparkSession.builder.master("local[2]")
    for name, value in {CONFIG!r}.items():
        made = made.config(name, value)
    return made

spark = builder().getOrCreate()
spark.range(7).write.parquet("out")
with register_run_listener(spark, pipeline_id="another") as own:
    pass
own.unregister()  # which the job's own run outlives
assert own.run.status == "running"
with pipeline_run(spark, "inner"):
    spark.read.schema("id long").parquet("out").count()
spark.stop()
spark = builder().getOrCreate()
rows = [row.id for row in spark.read.schema("id long").parquet("out").collect()]
print("rows", sorted(rows), flush=True)
raise SystemExit(len(rows))
""")
    ended = run(["-c", LAUNCH], table, tmp_path, "job.py")
    assert json.loads(ended.stdout.partition("codes ")[2]) == {"job.py": 7}, ended.stderr
    logs: dict[str, PipelineRunLog] = table.logs()
    log, inner = logs["job.py"], logs["inner"]
    assert "another" not in logs
    assert "that of `spark-dynamo run`" in ended.stderr
    assert (log.status, log.error_message) == (RunStatus.FAILED, "SystemExit: 7")
    assert (log.rows_written, log.rows_read, inner.rows_read) == (7, 7, 7)
    assert [stage.stage_name for stage in log.stages] == [f"parquet to {tmp_path}/out", "collect at job.py:24"]
    assert inner.tags["parent_run_id"] == log.run_id
    assert (log.metrics_source, log.metrics_complete) == ("listener", True)
