"""What the pictures share: figures that show themselves in notebooks, texts that can always be drawn, axes of time.

Figures are made without pyplot, whose backend and open figures belong to the user.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

from matplotlib import dates, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

from spark_dynamo.reports.formatting import line_text, short_count, zone_text

__all__ = [
    "INK",
    "MUTED",
    "Picture",
    "clean",
    "count_axis",
    "drawable",
    "empty_picture",
    "plain_text",
    "set_labels",
    "set_title",
    "time_axis",
    "time_place",
    "time_unit",
]

_dates: Any = dates  # its functions carry no types

INK, MUTED = "#222222", "#767676"
_MISSING = "□"  # in place of a character that no font has


class Picture(Figure):
    """A matplotlib Figure that a notebook shows, whether pyplot is in use or not."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=110)
        return data.getvalue()


def empty_picture(message: str) -> Picture:
    """A picture of nothing but a sentence."""
    picture = Picture(figsize=(6, 1.2), facecolor="white")
    picture.text(0.5, 0.5, message, ha="center", va="center", color=MUTED, fontsize=12)
    return picture


def drawable(text: str, longest: int) -> str:
    """A text in one line, cut where it is too long, of characters that matplotlib's fonts have."""
    return "".join(
        letter if letter.isascii() or _has_glyph(letter, tuple(FontProperties().get_family())) else _MISSING
        for letter in line_text(text, longest)
    )


@cache
def _has_glyph(letter: str, families: tuple[str, ...]) -> bool:
    for family in families:
        try:
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # there is no such font
            continue
        if get_font(path).get_char_index(ord(letter)):
            return True
    return False


def plain_text(text: Text) -> Text:
    """A text of a picture in which a dollar sign is a dollar sign and begins no formula."""
    text.set_parse_math(False)
    return text


def set_title(axes: Axes, title: str) -> None:
    """A title at the left, in one line."""
    plain_text(axes.set_title(drawable(title, 90), loc="left", fontsize=11, fontweight="bold", color=INK))


def set_labels(axes: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Names along the vertical axis."""
    axes.set_yticks(places, [""] * len(places))
    for tick in axes.get_yticklabels():
        plain_text(tick)
        tick.set_fontsize(9)
    axes.yaxis.set_major_formatter(ticker.FixedFormatter(list(labels)))


def clean(axes: Axes, grid: str) -> None:
    """An axes without a frame, with fine lines along one axis."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis=grid, color="#e3e3e3", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors=INK)


def time_axis(axes: Axes, zone: tzinfo, times: Sequence[datetime]) -> None:
    """Times of a zone along the horizontal axis, which names the zone; around a single one a few minutes."""
    locator = _dates.AutoDateLocator(tz=zone, minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    formatter = _dates.ConciseDateFormatter(locator, tz=zone)
    # where ticks are seconds apart, each tells its minute: "23:04  05" reads as 23:05
    formatter.formats[5], formatter.zero_formats[5], formatter.offset_formats[5] = (
        "%H:%M:%S.%f",
        "%H:%M:%S.%f",
        "%Y-%b-%d",
    )
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel(f"time ({zone_text(zone)})", fontsize=9, color=MUTED)
    if times and max(times) == min(times):
        place = time_place(times[0])
        axes.set_xlim(place - 5 / 1_440, place + 5 / 1_440)


def time_place(time: datetime) -> float:
    """Where a time is on an axis of times, in days."""
    return float(_dates.date2num(time))


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit for durations of up to so many seconds, as seconds and name.

    >>> time_unit(90), time_unit(600), time_unit(40_000)
    ((1.0, 's'), (60.0, 'min'), (3600.0, 'h'))
    """
    for size, name, most in ((1.0, "s", 180), (60.0, "min", 3 * 3_600), (3_600.0, "h", 72 * 3_600)):
        if seconds <= most:
            return size, name
    return 86_400.0, "d"


def count_axis(axes: Axes) -> None:
    """Counts along the vertical axis, from 0 up, short."""
    axes.yaxis.set_major_locator(ticker.MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: short_count(value)))
