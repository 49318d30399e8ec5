"""How runs look in notebooks and terminals, and what is said of them."""

from __future__ import annotations

import io
import re
from datetime import UTC, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import DataQualityResult, PipelineRunLog, RunMetric, RunStatus, StageInfo
from spark_dynamo.reports.html import MOST_SHOWN, runs_html, sparkline
from spark_dynamo.reports.outliers import usual
from spark_dynamo.reports.rows import pipeline_sums, run_rows
from spark_dynamo.reports.run_terminal import run_view
from spark_dynamo.reports.runs import Runs
from spark_dynamo.reports.status import (
    LOOKS,
    as_lost,
    is_overdue,
    rows_field,
    seconds_of,
    stage_seconds,
    trouble,
)
from spark_dynamo.reports.terminal import runs_text, runs_view
from tests.runs.report.logs import NOW, made, nightly, of_every_kind

PARIS = ZoneInfo("Europe/Paris")
VOID = {"br", "path", "circle"}
SCENES = {
    "none": [],
    "one": [made()],
    "every kind": of_every_kind(),
    "a night each": nightly(50),
    "many": [log for name in "abcdefghijklmno" for log in nightly(12, name)],
}


class Page(HTMLParser):
    """What a page says, and what is in it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.said: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


@pytest.mark.parametrize("scene", SCENES)
def test_html_is_whole_and_harmless(scene: str) -> None:
    source = runs_html(Runs(SCENES[scene]), PARIS, NOW)
    page = Page(source)
    assert {"script", "link", "img", "iframe", "style", "object"}.isdisjoint(page.tags)
    assert {"src", "href", "onclick", "onload"}.isdisjoint(page.attributes)
    assert "url(" not in source
    assert "http" not in source.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert page.tags.count("tr") - page.tags.count("thead") >= min(len(SCENES[scene]), MOST_SHOWN)


def test_html_escapes_what_users_wrote() -> None:
    source = runs_html(Runs(of_every_kind()), PARIS, NOW)
    assert "<script>" not in source
    assert "<b>returns</b>" not in source
    said = " ".join(Page(source).said)
    assert "ValueError: price < 0 in <script>alert(1)</script>; check 'rows' failed" in said
    assert "orders & <b>returns</b>" in said


def test_html_says_what_an_operator_asks() -> None:
    said = Page(runs_html(Runs(nightly(50)), PARIS, NOW)).said
    for expected in (
        "50 runs of sales",
        "newest first; times in Europe/Paris",
        "48 of 50",
        "11 min 01 s",
        "1,417,379",
        "sales-049",
        "2.7× usual",
        "AnalysisException: [TABLE_NOT_FOUND] orders",
    ):
        assert expected in said, expected
    assert "2026-11-21 12:40:27" in said


def test_a_long_list_is_cut_and_says_so() -> None:
    said = Page(runs_html(Runs(SCENES["many"]), PARIS, NOW)).said
    assert f"and {len(SCENES['many']) - MOST_SHOWN} older ones" in said
    assert "and 3 more pipelines" in said


def test_a_notebook_and_a_terminal_get_the_same_runs() -> None:
    runs = Runs(of_every_kind(), timezone="Europe/Paris")
    assert "times in Europe/Paris" in runs._repr_html_()
    assert "times in Europe/Paris" in printed(runs)
    assert repr(runs).startswith("Runs(7 newest first, times in Europe/Paris)")


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("status", RunStatus)
def test_a_status_can_be_read_on_its_ground(status: RunStatus) -> None:
    low, high = sorted(map(luminance, (LOOKS[status].fill, LOOKS[status].text)))
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA


# what is seen without green-sensitive and without red-sensitive cones: Machado, Oliveira and Fernandes (2009)
DEFICIENCIES = {
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
}


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_statuses_are_told_apart_without_all_cones(deficiency: str) -> None:
    """By their fill where they have the same hatch; by glyph and name always."""

    def seen(fill: str) -> list[float]:
        parts = [int(fill[place : place + 2], 16) for place in (1, 3, 5)]
        return [sum(weight * part for weight, part in zip(row, parts, strict=True)) for row in DEFICIENCIES[deficiency]]

    for one, other in combinations(LOOKS.values(), 2):
        if one.hatch == other.hatch:
            distance = sum((a - b) ** 2 for a, b in zip(seen(one.fill), seen(other.fill), strict=True)) ** 0.5
            assert distance > 40, (one, other)
    assert len({look.glyph for look in LOOKS.values()}) == len(LOOKS)


def test_a_sparkline_begins_at_0_and_leaves_gaps() -> None:
    source = sparkline([10, None, 5, 0], [RunStatus.SUCCESS, RunStatus.RUNNING, RunStatus.FAILED, RunStatus.SUCCESS])
    assert re.findall(r'd="([^"]*)"', source) == ["M3.0 4.0h2M118.7 14.0L176.0 24.0"]
    assert source.count("<circle") == 2
    assert "rows of 4 runs: from 0 to 10, last 0" in source
    assert sparkline([None], [RunStatus.RUNNING]) == "–"
    assert "NaN" not in sparkline([0], [RunStatus.SUCCESS])


def test_a_sparkline_draws_runs_between_gaps() -> None:
    source = sparkline([1, None, 3], [RunStatus.SUCCESS] * 3, "rows read")
    assert re.findall(r' d="([^"]*)"', source) == ["M3.0 17.3h2M175.0 4.0h2"]
    assert 'stroke-linecap="round"' in source
    assert "rows read of 3 runs: from 1 to 3, last 3" in source


def test_a_pipeline_s_rows_are_of_one_field() -> None:
    logs = [
        made(f"r{night}", start_time=NOW - timedelta(days=9 - night), rows_read=9_000, rows_written=written)
        for night, written in enumerate([5, None, 7, 8, None])
    ]
    (found,) = pipeline_sums(logs)
    assert (found.rows_name, found.rows) == ("rows written", (5, None, 7, 8, None))
    assert ">rows written</span>" in runs_html(Runs(logs), PARIS, NOW)
    assert "  rows written ▅ ▇█ " in printed(runs_view(Runs(logs), PARIS, NOW))
    assert rows_field([made(rows_read=3), made(rows_read=3), made(rows_written=3)]) == "rows_read"
    assert rows_field([made(total_records_processed=3)]) == "total_records_processed"


def test_long_words_of_an_error_are_folded() -> None:
    assert re.search(
        r"overflow-wrap:anywhere[^<]*<span[^>]*>E{99}", runs_html(Runs([made(error_message="E" * 999)]), PARIS, NOW)
    )


def printed(shown: object, width: int = 120) -> str:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(shown)
    return text.getvalue()


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_of_any_width_shows_runs(scene: str, width: int) -> None:
    shown = printed(runs_view(Runs(SCENES[scene]), PARIS, NOW), width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    assert len(shown.splitlines()) >= len(SCENES[scene])


def test_a_terminal_shows_whole_ids() -> None:
    assert "5f0c2a9e8b7d4c6fa1b2c3d4e5f60718" in printed(runs_view(Runs(of_every_kind()), PARIS, NOW), 160)


def test_one_run_is_shown_whole() -> None:
    (failed,) = [log for log in of_every_kind() if log.status is RunStatus.FAILED]
    log = failed.model_copy(
        update={
            "log_messages": [
                {
                    "time": NOW.isoformat(),
                    "level": "warning",
                    "message": "late [red]data[/red]\x1b[2J",
                    "id": "x9",
                    "part": 7,
                }
            ],
            "custom_metrics": {
                "rows [b]rejected[/b]\x1b[2J": RunMetric(value=Decimal("1234567.50"), unit="rows"),
                **{f"m{number}": RunMetric(value=number) for number in range(60)},
            },
            "tags": {"team": "x"},
            "input_data_size_bytes": 1_250_000,
            "metrics_complete": False,
        }
    )
    shown = printed(run_view(log, PARIS, NOW), 140)
    for expected in (
        "✗ failed",
        "orders & <b>returns</b>",
        "2026-11-22 12:15:00 Europe/Paris",
        "5 min 00 s",
        "check $prices$",
        "late [red]data[/red] [2J  part=7",
        "rows [b]rejected[/b] [2J  1,234,567.5  rows",
        "… 21 more",
        '  File "job.py", line 7',
        "1.25 MB",
        "team=x",
        "incomplete: events were dropped",
    ):
        assert expected in shown, expected
    assert "\x1b" not in shown


def test_at_80_columns_every_figure_is_whole() -> None:
    lines = printed(runs_view(Runs(of_every_kind()), PARIS, NOW), 80).splitlines()
    for expected in (
        "rows in 5,000,000",
        "rows out 4,999,000",
        "started 2026-11-22 12:10:00",
        "took 20 min 00 s so far",
        "5f0c2a9e8b7d4c6fa1b2c3d4e5f60718",
        "'rows' failed",
    ):
        assert any(expected in line for line in lines), expected
    wide = printed(runs_view(Runs(of_every_kind()), PARIS, NOW), 150)
    assert re.search(r"✓ success +sales +2026-11-22 12:10:00 +14 min 00 s +5,000,000 +4,999,000 +5f0c2a9e8b7d", wide)


def test_messages_are_in_the_zone_that_is_asked_for() -> None:
    times = [NOW.isoformat(), "2026-11-22T12:00:01", "noon"]
    log = made(
        log_messages=[{"time": time, "level": "info", "message": f"m{place}"} for place, time in enumerate(times)]
    )
    shown = printed(run_view(log, ZoneInfo("Asia/Tokyo"), NOW))
    assert re.findall(r"(.*?) +info  (m\d)", shown) == [
        ("2026-11-22 21:00:00", "m0"),
        ("2026-11-22 21:00:01", "m1"),
        ("noon", "m2"),
    ]


def left_open() -> PipelineRunLog:
    """A run that failed in two minutes, three days ago, and a stage of which nobody has told the end."""
    start = NOW - timedelta(days=3)
    times = [
        ("extract", "success", start, start + timedelta(seconds=40)),
        ("load", "running", start + timedelta(seconds=40), None),
    ]
    stages = [
        StageInfo(stage_name=name, status=status, start_time=begin, end_time=end) for name, status, begin, end in times
    ]
    return made("half", "failed", seconds=120, start_time=start, stages=stages)


def test_a_stage_left_open_in_an_ended_run_grows_no_longer() -> None:
    log = left_open()
    assert stage_seconds(log.stages[1], log, NOW) is None
    assert stage_seconds(log.stages[0], log, NOW) == 40
    shown = printed(run_view(log, UTC, NOW))
    assert re.search(r"load +2026-11-19 12:00:40 +end unknown", shown)
    assert "so far" not in shown


def test_a_running_run_says_what_it_is_at() -> None:
    (running,) = [log for log in of_every_kind() if log.status is RunStatus.RUNNING]
    shown = printed(run_view(running, UTC, NOW), 400)
    assert "20 min 00 s so far  in join" in shown
    assert "2026-11-22 12:01:00" in shown  # alive until


def test_text_of_many_runs_is_cut() -> None:
    assert runs_text(Runs(nightly(50)), UTC, NOW).endswith("… and 30 older ones")
    assert runs_text([], UTC, NOW) == "Runs(no runs)"


def test_trouble_is_one_line() -> None:
    assert trouble(made()) == ""
    failed = DataQualityResult(check_name="nulls", passed=False)
    assert trouble(made(data_quality_results=[failed, failed], data_quality_passed=False)) == (
        "check 'nulls' and 1 more failed"
    )
    assert trouble(made(data_quality_passed=False)) == "a check failed"
    assert trouble(made(total_records_failed=3)) == "3 records failed"
    assert trouble(made(status="failed")) == "stage 'load' failed"
    assert len(trouble(made(error_message="x" * 9_999))) == 200


def test_seconds_that_are_not_known_are_no_zeros() -> None:
    assert seconds_of(made(status="lost", seconds=None), NOW) is None
    assert seconds_of(made(status="running", seconds=None, start_time=NOW - timedelta(seconds=9)), NOW) == 9
    assert seconds_of(made(status="running", seconds=None, start_time=NOW + timedelta(seconds=9)), NOW) == 0
    backwards = made(seconds=None, start_time=NOW, end_time=NOW - timedelta(seconds=3))
    assert seconds_of(backwards) is None
    assert run_rows([backwards], UTC, NOW)[0].took == "–"


def test_an_overdue_run_is_as_reap_would_mark_it() -> None:
    overdue = made(status="running", seconds=None, lease_expires_at=NOW - timedelta(seconds=1), lease_owner="host:7")
    assert is_overdue(overdue, NOW)
    assert not is_overdue(overdue.model_copy(update={"lease_expires_at": None}), NOW)
    assert not is_overdue(overdue.model_copy(update={"status": RunStatus.SUCCESS}), NOW)
    lost = as_lost(overdue)
    assert (lost.status, lost.error_message) == (
        RunStatus.LOST,
        "Lost: the driver host:7 said nothing more, and its lease ran out at 2026-11-22T11:59:59.000000+00:00",
    )


def test_a_remark_says_what_is_unusual() -> None:
    normal = [made(f"r{number}", seconds=100 + number) for number in range(9)]

    def remark(log: PipelineRunLog) -> str:
        return run_rows([log, *normal], UTC, NOW)[0].remark

    assert remark(made("slow", seconds=300)) == "2.9× usual"
    assert remark(made("quick", seconds=10)) == "0.097× usual"
    assert remark(made("failed", "failed", seconds=10)) == ""
    assert remark(made("hangs", "running", seconds=None, start_time=NOW - timedelta(hours=3))) == "104× usual"
    assert remark(made("usual", seconds=108)) == ""
    assert remark(made("late", seconds=108, tags={"sla_minutes": "1.5"})) == "SLA 1 min 30 s"
    assert remark(made("slow", seconds=300, tags={"sla_minutes": "4"})) == "2.9× usual, SLA 4 min 00 s"
    assert remark(made("in time", seconds=108, tags={"sla_minutes": "2"})) == ""
    assert remark(made("failed", "failed", seconds=99, tags={"sla_minutes": "1"})) == "SLA 1 min 00 s"


@pytest.mark.parametrize("sla", ["", "soon", "0", "-1", "NaN", "Infinity", "1e999999999"])
def test_an_sla_that_is_none_is_no_remark(sla: str) -> None:
    assert run_rows([made(seconds=300, tags={"sla_minutes": sla})], UTC, NOW)[0].remark == ""


def test_a_drop_in_rows_is_seen_in_every_table() -> None:
    normal = [made(f"r{number}", rows_read=1_000 + number, rows_written=900 + number) for number in range(9)]

    def remarks(**fields: Any) -> tuple[str, str]:
        row = run_rows([made("odd", **fields), *normal], UTC, NOW)[0]
        return row.rows_in_remark, row.rows_out_remark

    assert remarks(rows_read=1_001, rows_written=0) == ("", "0× usual")
    assert remarks(rows_read=100, rows_written=905) == ("0.1× usual", "")
    assert remarks(rows_read=9_000, rows_written=9_000) == ("", "")  # growth is none
    assert remarks() == ("", "")
    assert remarks(status="failed", rows_read=1, rows_written=0) == ("", "")
    assert run_rows([made("few", rows_read=0), *normal[:3]], UTC, NOW)[0].rows_in_remark == ""
    odd = [made("odd", rows_read=1_001, rows_written=0, start_time=NOW), *normal]
    assert "0× usual" in Page(runs_html(Runs(odd), UTC, NOW)).said
    assert re.search(r"^ +0× usual +$", printed(runs_view(Runs(odd), UTC, NOW), 150), re.MULTILINE)
    assert "rows out 0 0× usual" in printed(runs_view(Runs(odd), UTC, NOW), 70)


def test_a_run_tells_its_place_its_configuration_and_its_relatives() -> None:
    log = made(
        seconds=2_000,
        pipeline_version="2.1",
        tags={"parent_run_id": "p-7", "parent_pipeline_id": "nightly", "sla_minutes": "30"},
        monitoring_urls={"spark_ui": "http://driver:4040", "grafana": "https://g/x"},
        config_snapshot={
            "script": "/jobs/a.py",
            "db": {"password": "hidden-in-here"},
            "depth": 2,
            "control\x1b[2J": "x",
        },
    )
    children = [made("c1", "failed", pipeline_id="load"), made("c2", "running", seconds=None, start_time=NOW)]
    shown = printed(run_view(log, UTC, NOW, children), 200)
    for expected in (
        r"longer than its SLA of 30 min 00 s",
        r"version +2\.1 ",
        r"parent +nightly p-7 ",
        r"Spark UI +http://driver:4040 ",
        r"grafana +https://g/x ",
        r"script +/jobs/a\.py",
        r"depth +2",
        r'db +{"password": "\*+"}',
        r"Runs within it\n",
        r"✗ +load +2026-11-22 11:00:00 +1 min 00 s +c1",
        r"▶ +sales +2026-11-22 12:00:00 +0\.00 s so far +c2",
    ):
        assert re.search(expected, shown), expected
    assert "hidden-in-here" not in shown
    assert "\x1b" not in shown
    many = printed(run_view(made(config_snapshot={f"s{number}": number for number in range(25)}), UTC, NOW), 100)
    assert "… 5 more settings" in many


def test_a_lost_run_tells_when_it_was_last_seen() -> None:
    (lost,) = [log for log in of_every_kind() if log.status is RunStatus.LOST]
    assert re.search(r"last seen +2026-11-22 11:26:00", printed(run_view(lost, UTC, NOW)))  # its stage began
    message = {"time": "2026-11-22T11:31:00+00:00", "level": "info", "message": "x"}
    told = lost.model_copy(update={"log_messages": [message, {"time": "noon"}, {}]})
    assert re.search(r"last seen +2026-11-22 11:31:00", printed(run_view(told, UTC, NOW)))
    assert "last seen" not in printed(run_view(made(), UTC, NOW))


@given(
    st.lists(st.floats(90, 110), min_size=5, max_size=40),
    st.lists(st.floats(10_000, 1e9), max_size=4),
)
def test_wild_values_are_outliers_and_move_no_limits(normal: list[float], wild: list[float]) -> None:
    wild = wild[: (len(normal) - 1) // 2]
    found = usual([*normal, *wild])
    assert found is not None
    assert 0 <= found.low <= 110
    assert found.high < 10_000
    assert all(map(found.is_outlier, wild))
    assert found.low <= found.median <= found.high


def test_equal_values_are_usual() -> None:
    found = usual([60.0] * 5)
    assert found is not None
    assert not found.is_outlier(65)
    assert found.is_outlier(67)
    mostly = usual([60.0] * 9 + [600.0])
    assert mostly is not None
    assert mostly.is_outlier(600)


def test_runs_are_a_sequence_newest_first() -> None:
    logs = nightly(5)
    runs = Runs(logs, timezone="Asia/Tokyo")
    assert [log.run_id for log in runs] == [f"sales-00{number}" for number in (4, 3, 2, 1, 0)]
    assert runs[0] is logs[4]
    assert isinstance(runs[1:3], Runs)
    assert str(runs[1:3].timezone) == "Asia/Tokyo"
    assert logs[2] in runs
    with pytest.raises(ConfigurationError, match="Invalid timezone 'Mars/Base'"):
        Runs([], timezone="Mars/Base")


def test_a_frame_has_typed_columns() -> None:
    runs = Runs([*nightly(3), made("open", "running", seconds=None)], timezone="Europe/Paris")
    frame = runs.to_pandas()
    assert list(frame.columns) == list(PipelineRunLog.model_fields)
    assert len(frame) == 4
    assert str(frame["start_time"].dtype) == "datetime64[us, Europe/Paris]"
    assert frame["start_time"][0] == runs[0].start_time
    assert str(frame["rows_read"].dtype) == "Int64"
    assert frame["rows_read"][0] is pd.NA
    assert frame["rows_read"][1] == runs[1].rows_read
    assert str(frame["duration_seconds"].dtype) == "float64"
    assert frame["status"].tolist() == [log.status.value for log in runs]
    assert frame["stages"][1] == runs[1].model_dump()["stages"]
    empty = Runs([], timezone="Europe/Paris").to_pandas()
    assert empty.empty
    assert empty.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
