"""The pictures of runs: what is in them, for any runs; that they can be drawn without a warning."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.reports.figures import Picture, drawable
from spark_dynamo.reports.runs import Runs
from spark_dynamo.reports.status import LOOKS
from spark_dynamo.reports.timeline import timeline
from spark_dynamo.reports.trend import duration_points, row_points, trend
from tests.runs.report.logs import NOW, made, nightly, of_every_kind
from tests.runs.report.test_looks import left_open
from tests.tiers import quick

PARIS = ZoneInfo("Europe/Paris")


def newest_first(logs: list[PipelineRunLog]) -> list[PipelineRunLog]:
    return list(Runs(logs))


def drawn_timeline(logs: list[PipelineRunLog], aligned: bool | Literal["day"] | None = None) -> Picture:
    return drawn(timeline(newest_first(logs), PARIS, NOW, aligned))


def drawn_trend(logs: list[PipelineRunLog]) -> Picture:
    return drawn(trend(newest_first(logs), PARIS, NOW))


def drawn(picture: Picture) -> Picture:
    """The same, after it was drawn once; a warning would be an error."""
    picture.savefig(io.BytesIO(), format="png", dpi=40)
    return picture


def texts(picture: Figure) -> list[str]:
    return [text.get_text() for text in picture.findobj(Text) if text.get_visible() and text.get_text()]


SCENES: dict[str, list[PipelineRunLog]] = {
    "none": [],
    "one": [made()],
    "one without stages": [made(stages=[])],
    "one that takes no time": [made(seconds=0, stages=[])],
    "one that is lost at once": [made(status="lost", seconds=None)],
    "every kind": of_every_kind(),
    "a night each": nightly(50),
    "too many": [log.model_copy(update={"stages": []}) for log in nightly(80)],
    "many pipelines": [log for name in ("a", "b" * 90, "c$_{", "夜間", "e", "f") for log in nightly(5, name)],
    "the same moment": [made("a"), made("b")],
}


@cache
def scene_of(draw: Callable[[list[PipelineRunLog]], Picture], scene: str) -> Picture:
    return draw(SCENES[scene])


@pytest.mark.parametrize("scene", quick(6, SCENES))
@pytest.mark.parametrize("draw", [drawn_timeline, drawn_trend])
def test_any_runs_can_be_drawn(scene: str, draw: Callable[[list[PipelineRunLog]], Picture]) -> None:
    picture = scene_of(draw, scene)
    assert isinstance(picture, Figure)
    assert ("No runs" in texts(picture)) == (scene == "none")


def bars(picture: Figure, status: RunStatus) -> int:
    """How many bars are filled as that status is."""
    fill = colors.to_rgba(LOOKS[status].fill)
    return sum(patch.get_facecolor() == fill for patch in picture.axes[0].patches)


def test_a_timeline_has_each_run_and_stage() -> None:
    picture = scene_of(drawn_timeline, "every kind")
    labels = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert len(labels) == 7
    assert "sales  12:10:00" in labels
    assert "orders & <b>returns</b>  12:15:00" in labels
    found = texts(picture)
    for expected in ("14 min 00 s", "20 min 00 s so far", "end unknown", "read a", "time (Europe/Paris)"):
        assert expected in found
    # two stages of the first run, one that succeeded of the failed one, three of the running one
    assert bars(picture, RunStatus.SUCCESS) == 6
    assert bars(picture, RunStatus.FAILED) == 1
    assert [text.get_text() for text in picture.legends[0].get_texts()] == [
        *("success", "failed", "running", "pending", "cancelled", "lost", "skipped")
    ]


def test_stages_at_the_same_time_don_t_hide_each_other() -> None:
    (running,) = [log for log in of_every_kind() if log.status is RunStatus.RUNNING]
    picture = drawn_timeline([running, made()])
    stages = [patch for patch in picture.axes[0].patches if patch.get_facecolor()[3] == 1 and patch.get_fill()]
    boxes = [patch.get_bbox() for patch in stages]
    overlaps = [
        (a, b)
        for place, a in enumerate(boxes)
        for b in boxes[place + 1 :]
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1e-9 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1e-9
    ]
    assert len(boxes) == 6
    assert overlaps == []


def test_a_single_run_has_a_lane_for_each_stage() -> None:
    picture = drawn_timeline([made(seconds=90)])
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == ["the whole run", "extract", "load"]
    assert "30.0 s" in texts(picture)


def test_runs_of_many_days_are_aligned() -> None:
    nights, aligned = nightly(3), "time since each run's start (min)"
    assert aligned in texts(drawn_timeline(nights))
    assert "time (Europe/Paris)" in texts(drawn_timeline(nights, aligned=False))
    assert "time (Europe/Paris)" in texts(drawn_timeline(of_every_kind()[:2]))
    assert aligned in texts(drawn_timeline(of_every_kind()[:2], aligned=True))


def test_runs_of_many_days_stand_at_their_time_of_day_where_that_is_asked_for() -> None:
    # 08:30, 09:00 and 23:30 in Paris, the first of them before its clocks went back
    starts = [datetime(2026, 10, 24, 6, 30), datetime(2026, 10, 26, 8, 0), datetime(2026, 10, 27, 22, 30)]
    logs = [made(str(at), start_time=at.replace(tzinfo=UTC), seconds=3_600, stages=[]) for at in starts]
    picture = drawn_timeline(logs, aligned="day")
    bars = [patch for patch in picture.axes[0].patches if isinstance(patch, Rectangle) and patch.get_width() > 0.5]
    assert [(bar.get_x(), round(bar.get_width(), 6)) for bar in bars] == [(23.5, 1.0), (9.0, 1.0), (8.5, 1.0)]
    found = texts(picture)
    assert "time of day (Europe/Paris)" in found
    assert {"10:00", "20:00"} <= {*found}
    assert not [text for text in found if text.startswith(("24:", "25:"))]
    assert "time of day (Europe/Paris)" in texts(drawn_timeline(of_every_kind(), aligned="day"))
    with pytest.raises(ConfigurationError, match="aligned 'hour' is none of True, False, None and 'day'"):
        Runs(logs).timeline(aligned="hour")  # type: ignore[arg-type]


def test_too_many_runs_are_cut_and_the_title_says_so() -> None:
    picture = scene_of(drawn_timeline, "too many")
    assert "sales: the newest 60 of 80 runs" in texts(picture)
    assert len(picture.axes[0].get_yticklabels()) == 60


def test_what_is_odd_is_an_outlier() -> None:
    logs = nightly(50)
    durations, limits = duration_points(logs, NOW)
    assert limits is not None
    assert [logs[place].run_id for place, point in enumerate(durations) if point.is_outlier] == [
        "sales-012",
        "sales-031",
    ]
    written, _ = row_points(logs, "rows_written")
    assert [point.value for point in written if point.is_outlier] == [0]
    read, _ = row_points(logs, "rows_read")
    assert not any(point.is_outlier for point in read)


def test_a_run_that_hangs_is_an_outlier_and_one_that_failed_early_is_none() -> None:
    logs = [
        *nightly(10),
        made("early", "failed", seconds=1),
        made("hangs", "running", seconds=None, start_time=NOW - timedelta(hours=2)),
    ]
    durations, _ = duration_points(logs, NOW)
    assert [point.is_outlier for point in durations[-2:]] == [False, True]
    early_rows = made("rows", "failed", rows_written=1)
    assert not row_points([*nightly(10), early_rows], "rows_written")[0][-1].is_outlier


def test_a_trend_names_outliers_units_and_the_zone() -> None:
    found = texts(scene_of(drawn_trend, "a night each"))
    for expected in (
        "20 min 57 s",
        "29 min 33 s",
        "duration (min)",
        "rows read",
        "rows written",
        "time (Europe/Paris)",
        "sales: 50 runs",
        "usual",
    ):
        assert expected in found, expected


def test_a_trend_of_few_runs_knows_no_usual() -> None:
    found = texts(drawn_trend(nightly(4)))
    assert "usual" not in found
    assert "outlier" not in found


def test_a_trend_shows_four_pipelines_and_says_what_is_left_out() -> None:
    picture = scene_of(drawn_trend, "many pipelines")
    assert len(picture.axes) == 12
    assert "The 4 pipelines with the most runs; 2 more are left out" in texts(picture)


def test_a_lost_run_is_in_the_trend() -> None:
    picture = drawn_trend([*nightly(6), made("lost", "lost", seconds=None)])
    assert "lost, end unknown" in texts(picture)
    fill = list(colors.to_rgba(LOOKS[RunStatus.LOST].fill))
    shown = [dots for dots in picture.axes[0].collections if fill in dots.get_facecolor().tolist()]
    assert sum(len(dots.get_offsets()) for dots in shown) == 1


def test_rows_read_and_written_have_a_panel_each() -> None:
    logs = [
        made(f"r{day}", start_time=NOW - timedelta(days=9 - day), rows_read=28_000_000, rows_written=30 + day)
        for day in range(9)
    ]
    _, read, written = drawn_trend(logs).axes
    assert read.get_ylim()[1] > 28_000_000
    assert 38 < written.get_ylim()[1] < 60
    bands = [colors.to_hex(panel.patches[0].get_facecolor()) for panel in (read, written)]
    (usual,) = [
        handle for handle in written.figure.legends[0].legend_handles if handle and handle.get_label() == "usual"
    ]
    assert bands == [colors.to_hex(usual.get_color())] * 2  # type: ignore[attr-defined]


def test_rows_of_runs_that_did_not_succeed_are_marked_beside_the_line() -> None:
    start = NOW - timedelta(days=9)
    logs = [made(f"r{day}", start_time=start + timedelta(days=day), rows_read=1_000 + day) for day in range(6)]
    logs += [
        made("half", "failed", start_time=start + timedelta(days=6), rows_read=17),
        made("now", "running", seconds=None, start_time=start + timedelta(days=7), rows_read=400),
    ]
    _, read = drawn_trend(logs).axes
    (line,) = [line for line in read.lines if len(line.get_xdata()) > 2]
    assert list(line.get_ydata()) == [1_000 + day for day in range(6)]
    marked = {
        colors.to_hex(dots.get_edgecolor()[0]): [float(value) for _, value in dots.get_offsets()]
        for dots in read.collections
        if len(dots.get_offsets()) and not len(dots.get_facecolor())
    }
    assert marked[LOOKS[RunStatus.FAILED].fill] == [17]
    assert marked[LOOKS[RunStatus.RUNNING].fill] == [400]


def test_panels_of_what_is_not_known_have_no_ticks_or_are_left_out() -> None:
    assert len(drawn_trend([made(), made("b")]).axes) == 1
    picture = drawn_trend([made("a", rows_read=5), made("b", pipeline_id="b")])
    assert len(picture.axes) == 4
    assert "rows read are not known" in texts(picture)
    assert list(picture.axes[2].get_yticks()) == []


def test_a_trend_of_many_runs_has_lines_without_marks_and_values_that_don_t_collide() -> None:
    start = NOW - timedelta(days=30)
    slow = {50: 9_000, 52: 9_010, 54: 9_020, 400: 8_000}
    logs = [
        made(
            str(place),
            seconds=slow.get(place, 100 + place % 7),
            start_time=start + timedelta(hours=place),
            rows_read=place % 9,
        )
        for place in range(600)
    ]
    picture = drawn_trend(logs)
    for panel in picture.axes:
        (line,) = [line for line in panel.lines if len(line.get_xdata()) == 600]
        assert line.get_marker() in ("", "None")
        assert line.get_linewidth() < 1
        assert all(len(dots.get_offsets()) < 600 for dots in panel.collections)
    values = [text.get_text() for text in picture.axes[0].texts]
    assert values == ["2 h 30 min", "2 h 13 min"]


def test_a_run_that_ended_before_it_began_is_not_shown_as_lost() -> None:
    picture = drawn_trend([*nightly(6), made("odd", seconds=None, end_time=NOW - timedelta(days=9))])
    assert "end unknown" in texts(picture)
    assert "lost, end unknown" not in texts(picture)


def test_a_stage_left_open_ends_with_its_run() -> None:
    picture = drawn_timeline([left_open()])
    found = texts(picture)
    assert "end unknown" in found
    assert not any("so far" in text for text in found)
    low, high = picture.axes[0].get_xlim()
    assert (high - low) * 86_400 < 180
    assert bars(picture, RunStatus.RUNNING) <= 1  # it fades
    shades = {patch.get_facecolor()[3] for patch in picture.axes[0].patches}
    assert len(shades) > 5


def test_seconds_on_an_axis_tell_their_minute() -> None:
    labels = [
        label.get_text()
        for label in drawn_timeline([made(seconds=22, start_time=NOW - timedelta(seconds=65))])
        .axes[0]
        .get_xticklabels()
    ]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", label) for label in labels), labels
    assert "12:59:00" in labels


def test_one_stale_run_hides_no_others() -> None:
    logs = [made(f"r{hour}", start_time=NOW - timedelta(hours=hour)) for hour in range(1, 9)]
    picture = drawn_timeline([*logs, made("stale", "running", seconds=None, start_time=NOW - timedelta(days=30))])
    assert "time since each run's start (s)" in texts(picture)
    assert "→ 30 d 0 h so far" in texts(picture)
    assert picture.axes[0].get_xlim()[1] < 80


def test_a_single_run_of_many_stages_is_not_aligned() -> None:
    start = NOW - timedelta(hours=2)
    stages = [
        StageInfo(
            stage_name=f"s{place}",
            status=RunStatus.SUCCESS,
            start_time=start + timedelta(seconds=10 * place),
            end_time=start + timedelta(seconds=10 * place + 10),
        )
        for place in range(50)
    ]
    assert "time (Europe/Paris)" in texts(drawn_timeline([made(seconds=500, start_time=start, stages=stages)]))


def test_letters_that_no_font_has_are_boxes() -> None:
    assert drawable("夜a\x1b", 9) == "□a"
    assert drawable("naïve Ωmega", 20) == "naïve Ωmega"


def test_pictures_leave_pyplot_alone(python: Callable[..., Any]) -> None:
    code = """
import sys
from spark_dynamo.reports.runs import Runs
from tests.runs.report.logs import nightly
runs = Runs(nightly(3))
assert "matplotlib" not in sys.modules
assert all(picture._repr_png_().startswith(b"\\x89PNG") for picture in (runs.timeline(), runs.trend()))
print("matplotlib.pyplot" in sys.modules)
"""
    finished = python(code, PYTHONPATH=str(__file__).partition("/tests/")[0])
    assert finished.stdout.strip() == "False", finished.stderr


@pytest.mark.parametrize("picture", ["timeline", "trend"])
def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, picture: str) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'spark-dynamo\[plots\]'"):
        getattr(Runs([made()]), picture)()
