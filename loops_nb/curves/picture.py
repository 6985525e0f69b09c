"""Curves as a picture without a page behind it: an SVG for a saved notebook or a file."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.curves.looks import colour_of, shape_of
from loops_nb.curves.reducing import reduce
from loops_nb.curves.wording import labelled, number, value_ticks
from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, many, roughly
from loops_nb.plots.canvas import SMALL, Canvas, Drawing, Scale, Sign
from loops_nb.plots.floats import ignore_float_errors
from loops_nb.plots.letters import cut
from loops_nb.plots.markup import OWN, hover, percent, tag
from loops_nb.plots.markup import number as place
from loops_nb.plots.picture import Plot
from loops_nb.plots.ticks import Tick, time_ticks, whole_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from loops_nb.curves.history import Axis, History
    from loops_nb.curves.reducing import Reduced
    from loops_nb.curves.source import Floats

_LEFT, _RIGHT = 12.0, 98.0
_LARGEST = sys.float_info.max
_HIGH, _TICKS_UP, _TICKS_ACROSS = 260, 6, 7
#: The drawing is this many units wide, whatever it is on a page.
_WIDE = 1000
#: Points of all lines together; a notebook keeps each twice.
_MOST_POINTS = 2400
#: Marks of its own shape on a line, and on each of many lines.
_BEADS, _FEW_BEADS, _MANY_LINES = 9, 2, 24
#: What a letter beside the axis takes, and in how wide a column all of them are to be seen.
_LETTER, _COLUMN = 6.5, 480
_WORDS_OF_NAME = 200


class Spot(NamedTuple):
    """A checkpoint or a note on a line: where along the axis, and what it says."""

    at: float
    words: str


class Drawn(NamedTuple):
    """A line to draw.

    Parameters
    ----------
    name
        Of its experiment.
    look
        Its number among the looks of lines.
    history
        Its points.
    spots
        Checkpoints and notes.
    """

    name: str
    look: int
    history: History
    spots: Sequence[Spot] = ()


@ignore_float_errors
def picture(
    lines: Sequence[Drawn], *, key: str, axis: Axis, smoothing: float = 0.0, zone: tzinfo | None = None, notes: Sequence[str] = ()
) -> Plot:
    """Draw curves over each other.

    Parameters
    ----------
    lines
        What is drawn.
    key
        What their values are.
    axis
        Along what.
    smoothing
        As in `loops_nb.panels.CurvesPanel`; the raw line stays behind.
    zone
        Whose clock, for the axis of that name; None is the machine's own.
    notes
        What else is to be said; where nothing is drawn, instead of that.

    Returns
    -------
    Plot
        Its table has a row for each line: experiment, key, points, not_finite, newest, newest_step, lowest, lowest_step, highest and
        highest_step.
    """
    import pandas as pd  # noqa: PLC0415 - for the table alone

    rows = [(line.name, key, *_numbers(line.history)) for line in lines]
    names = ("points", "not_finite", "newest", "newest_step", "lowest", "lowest_step", "highest", "highest_step")
    return Plot(
        title=f"{key or 'Curves'} by {_ALONG[axis]}",
        table=pd.DataFrame(rows, columns=["experiment", "key", *names]),
        notes=[*(_notes(lines, key, axis) if lines or not notes else ()), *notes],
        words=_words(lines),
        things="experiment",
        drawing=_drawing(lines, axis, smoothing, zone),
    )


_ALONG: dict[Axis, str] = {"step": "step", "tokens": "tokens", "elapsed": "time since the beginning", "clock": "time"}


def _numbers(history: History) -> tuple[float, ...]:
    found = history.summary
    return (
        found.count,
        found.odd,
        found.last,
        found.last_step,
        found.low,
        found.low_step,
        found.high,
        found.high_step,
    )


def _notes(lines: Sequence[Drawn], key: str, axis: Axis) -> list[str]:
    if not lines:
        return [f"Nothing was recorded of {key}." if key else "Nothing was recorded yet."]
    points = sum(line.history.summary.count for line in lines)
    odd = sum(line.history.summary.odd for line in lines)
    notes = [f"{many(len(lines), 'experiment')}, {many(points, 'point')}."]
    if axis == "tokens":
        unknown = sum(_span(line.history.x(axis)) is None for line in lines)
        if unknown:
            notes.append(f"Of {many(unknown, 'experiment')} no tokens were recorded: exp.log(step=1, loss=0.5, tokens_seen=4096).")
    if odd:
        notes.append(f"{many(odd, 'value')} {'is' if odd == 1 else 'are'} no number: triangles at the edge show where.")
    return notes


def _words(lines: Sequence[Drawn]) -> Table:
    if not lines:
        return Table([])
    found = [line.history.summary for line in lines]
    is_odd = any(each.odd for each in found)
    return Table(
        [
            Field("Experiment", [cut(line.name, SMALL, _WORDS_OF_NAME * 6) for line in lines]),
            Field("Newest", [f"{number(each.last)} @ {each.last_step:,}" for each in found], is_number=True),
            Field("Lowest", [_at(each.low, each.low_step) for each in found], is_number=True),
            Field("Highest", [_at(each.high, each.high_step) for each in found], is_number=True, rank=1),
            Field("Points", [f"{each.count:,}" for each in found], is_number=True, rank=2),
            *([Field("No number", [f"{each.odd:,}" for each in found], is_number=True, rank=1)] if is_odd else []),
        ]
    )


def _at(value: float, step: int) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} @ {step:,}"


def _drawing(lines: Sequence[Drawn], axis: Axis, smoothing: float, zone: tzinfo | None) -> Drawing | None:
    spans = [_span(line.history.x(axis)) for line in lines]
    known = [span for span in spans if span is not None]
    if not known:
        return None
    low, high = min(first for first, _ in known), max(last for _, last in known)
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    most = max(60 if len(lines) <= _MANY_LINES else 24, _MOST_POINTS // len(lines))
    raw = [_reduced(line, axis, low, high, most, 0.0) for line in lines]
    front = [_reduced(line, axis, low, high, most // 2, smoothing) for line in lines] if smoothing else raw
    values = np.concatenate([each.y[np.isfinite(each.y)] for each in raw])
    bottom, top = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = (top / 2 - bottom / 2) * 0.1 or abs(top) * 0.1 or 1.0
    up = _Up(max(bottom - room, -_LARGEST), min(top + room, _LARGEST), _HIGH)
    upward = value_ticks(up.low, up.high, _TICKS_UP) if len(values) else []
    left = max(_LEFT, (max((len(tick.label) for tick in upward), default=0) * _LETTER + 10) / _COLUMN * 100)
    across = Scale(low, high, left, _RIGHT)

    canvas = Canvas()
    canvas.legend([Sign(_sign(line.look), 22, cut(line.name, SMALL, 260)) for line in lines])
    canvas.height += 6
    start = canvas.height
    shapes = [tag("path", id=f"{OWN}-{look}", d=shape_of(look)) for look in sorted({line.look for line in lines})]
    own = tag("path", id=f"{OWN}-save", d="M0-5.5 5.5 0 0 5.5-5.5 0Z") + tag("path", id=f"{OWN}-odd", d="M-4-9h8L0 0Z")
    ticks = _across(axis, low, high, zone)
    canvas.across(ticks, across, start, start + _HIGH)
    inner = [_upward(up, upward, left)]
    curves = []
    for line, behind, shown in zip(lines, raw, front, strict=True):
        if smoothing:
            curves.append(_path(behind, low, high, up, line.look, opacity=0.35, width=1))
        curves.append(_path(shown, low, high, up, line.look, opacity=None, width=1.7))
    inner.append(
        tag(
            "svg",
            *curves,
            x=percent(left),
            y=0,
            width=percent(_RIGHT - left),
            height=_HIGH,
            viewBox=f"0 0 {_WIDE} {_HIGH}",
            preserveAspectRatio="none",
            overflow="visible",
        )
    )
    beads = 0 if len(lines) == 1 else _BEADS if len(lines) <= _MANY_LINES else _FEW_BEADS
    for order, (line, behind, shown) in enumerate(zip(lines, raw, front, strict=True)):
        inner.append(_on_top(line, order, behind, shown, across, up, beads))
    canvas.add(tag("defs", *shapes, own), tag("g", *inner, transform=f"translate(0 {place(start)})"))
    foot = canvas.below(ticks, across, start + _HIGH)
    return Drawing("".join(canvas.parts), math.ceil(foot))


class _Up(NamedTuple):
    """Puts values on the height of the picture."""

    low: float
    high: float
    pixels: float

    def at(self, value: float) -> float:
        # Halves and shares: the largest of floats would overflow otherwise.
        return self.pixels * ((self.high / 2 - value / 2) / (self.high / 2 - self.low / 2))

    def at_all(self, values: Floats) -> Floats:
        """Do the same for many values."""
        placed: Floats = self.pixels * ((self.high / 2 - values / 2) / (self.high / 2 - self.low / 2))
        return placed


def _span(x: Floats) -> tuple[float, float] | None:
    known = x[np.isfinite(x)]
    return (float(known.min()), float(known.max())) if len(known) else None


def _reduced(line: Drawn, axis: Axis, low: float, high: float, most: int, smoothing: float) -> Reduced:
    history = line.history
    y = history.smoothed(smoothing) if smoothing else history.y()
    return reduce(history.x(axis), y, breaks=history.breaks(), low=low, high=high, most=most)


def _across(axis: Axis, low: float, high: float, zone: tzinfo | None) -> list[Tick]:
    if axis == "clock":
        return time_ticks(low, high, zone, _TICKS_ACROSS)
    if axis == "elapsed" and high - low < _TICKS_ACROSS:
        return [Tick(tick.at, f"{tick.label} s") for tick in value_ticks(low, high, _TICKS_ACROSS)]
    ticks = whole_ticks(low, high, _TICKS_ACROSS)
    if axis == "elapsed":
        return [Tick(tick.at, roughly(tick.at)) for tick in ticks]
    step = ticks[1].at - ticks[0].at if len(ticks) > 1 else 1.0
    return labelled([tick.at for tick in ticks], step, 7 if axis == "step" else 3)


def _upward(up: _Up, ticks: Sequence[Tick], left: float) -> str:
    parts = []
    for tick in ticks:
        down = up.at(tick.at)
        parts.append(tag("line", x1=percent(left), x2=percent(_RIGHT), y1=down, y2=down, stroke="currentColor", stroke_opacity=0.16))
        parts.append(tag("text", tick.label, x=percent(left), dx=-6, y=down + 4, text_anchor="end", font_size=SMALL))
    return "".join(parts)


def _sign(look: int) -> str:
    line = tag("path", d="M-10 0h20", stroke=colour_of(look), stroke_width=1.7, fill="none")
    return line + tag("path", d=shape_of(look), fill=colour_of(look))


def _path(found: Reduced, low: float, high: float, up: _Up, look: int, *, opacity: float | None, width: float) -> str:
    drawn, is_down = [], False
    for x, y in zip((found.x - low) / (high - low) * _WIDE, up.at_all(found.y), strict=True):
        if math.isnan(y):
            is_down = False
            continue
        drawn.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}" + ("" if is_down else "h0"))
        is_down = True
    return tag(
        "path",
        d="".join(drawn),
        fill="none",
        stroke=colour_of(look),
        stroke_opacity=opacity,
        stroke_width=width,
        stroke_linejoin="round",
        stroke_linecap="round",
        vector_effect="non-scaling-stroke",
    )


def _on_top(line: Drawn, order: int, raw: Reduced, front: Reduced, across: Scale, up: _Up, beads: int) -> str:
    """Draw what keeps its shape however wide the picture is: beads, the best value, saves, and where something was no number."""
    marks = []
    fine = np.flatnonzero(np.isfinite(front.y))
    if len(fine):
        low, high = across.low, across.high
        for bead in range(beads):
            wanted = low + (high - low) * (bead + 0.3 + 0.1 * (order % 7)) / beads
            near = fine[int(np.argmin(np.abs(front.x[fine] - wanted)))]
            if abs(float(front.x[near]) - wanted) <= (high - low) / beads / 2:
                marks.append(_use(str(line.look), across.at(float(front.x[near])), up.at(float(front.y[near]))))
    for spot in line.spots:
        if not len(fine) or not across.low <= spot.at <= across.high:
            continue
        near = fine[int(np.argmin(np.abs(front.x[fine] - spot.at)))]
        told = hover([spot.words])
        marks.append(
            _use(
                "save",
                across.at(spot.at),
                up.at(float(front.y[near])),
                told,
                fill_opacity=0.35,
                stroke=colour_of(line.look),
                stroke_width=1.5,
            )
        )
    marks += [
        _use("odd", across.at(odd.x), 0, hover([f"{line.name}: {('NaN', 'infinite', 'minus infinite')[odd.kind]}, {odd.many} times"]))
        for odd in raw.odd
    ]
    return tag("g", *marks, fill=colour_of(line.look)) if marks else ""


def _use(name: str, across: float, down: float, *inner: str, **attributes: str | float) -> str:
    return tag("use", *inner, href=f"#{OWN}-{name}", x=percent(across), y=down, **attributes)
