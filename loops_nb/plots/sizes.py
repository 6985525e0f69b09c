"""Sizes of checkpoints along the steps or along time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import pandas as pd

from loops_nb.config.zones import display_zone
from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, many, size
from loops_nb.plots.canvas import FAINT, SMALL, Canvas, Drawing, Scale
from loops_nb.plots.columns import choice
from loops_nb.plots.floats import ignore_float_errors
from loops_nb.plots.labels import label
from loops_nb.plots.marks import Marks
from loops_nb.plots.markup import number, percent, safe, tag
from loops_nb.plots.moments import heading_of, time_scale
from loops_nb.plots.picture import Plot
from loops_nb.plots.saved import Saved, by_run, saved_in, targets_of
from loops_nb.plots.ticks import Tick, byte_powers, byte_ticks, time_ticks, whole_ticks

if TYPE_CHECKING:
    from datetime import tzinfo

Along = Literal["step", "time"]
_LEFT, _RIGHT = 14.0, 98.0
_LABEL = 21
_MOST_PANELS = 40
_MOST_TICKS = 6
# The more runs there are, the lower each one's panel: how many at most, and its height.
_HEIGHTS = ((1, 180), (3, 110), (8, 72))
_LOWEST = 46
_A_TICK = 36
_UNITS_ACROSS = 1000
# From this ratio on the smaller ones would all lie on the ground.
_LOGARITHMIC = 200
_RADIUS = 3.5
_SPARE = 1.03


@ignore_float_errors
def sizes(frame: pd.DataFrame, *, along: Along | None = None, time_zone: str = "local", title: str | None = None) -> Plot:
    """Draw the sizes of checkpoints: a panel a run on one scale, a line a target.

    Parameters
    ----------
    frame
        A frame of checkpoints with the columns run_id, target and size_bytes (bytes), and checkpoint_id (whose name tells the step) or
        created_at; base_model and uri are used where they are there.
    along
        ``"step"`` or ``"time"``; left out, the steps if most names tell one.
    time_zone
        Zone of all times, as in the setting of that name.
    title
        Another title.

    Returns
    -------
    Plot
        Its table has a row for each checkpoint that is drawn, the run that began last first.  Columns: run_id, base_model, target,
        checkpoint_id, step (Int64), created_at, size_bytes and uri, as far as the frame has them.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, or has lost a column that is needed.
    ConfigError
        If there is no such time zone.
    """
    zone = display_zone(time_zone)
    columns = frame.columns if isinstance(frame, pd.DataFrame) else ()
    has_times = along == "time" or "created_at" in columns
    place = ["created_at"] if along == "time" else [] if has_times or "step" in columns else ["checkpoint_id"]
    needs = ("size_bytes", *place)
    found = saved_in(frame, "sizes", needs=needs, has_times=has_times)
    way = _way(found) if along is None else choice("sizes", "along", along, ("step", "time"))
    placed = [one for one in found if one.size is not None and _place(one, way) is not None]
    runs = {run: sorted(ones, key=lambda one: _place(one, way) or 0.0) for run, ones in by_run(placed).items()}
    ordered = [one for ones in runs.values() for one in ones]
    return Plot(
        title=title or f"Sizes of checkpoints along {'the steps' if way == 'step' else 'time'}",
        table=_table(frame, ordered),
        notes=_notes(found, ordered, len(runs), way),
        words=_words(ordered, way, zone, time_zone),
        things="checkpoint",
        drawing=_drawn(runs, way, zone) if ordered else None,
    )


def _way(found: list[Saved]) -> str:
    with_step = sum(one.step is not None for one in found)
    with_time = sum(one.at is not None for one in found)
    return "step" if with_step * 2 >= len(found) or not with_time else "time"


def _place(one: Saved, way: str) -> float | None:
    return one.at if way == "time" else None if one.step is None else float(one.step)


def _table(frame: pd.DataFrame, ordered: list[Saved]) -> pd.DataFrame:
    kept = ("run_id", "base_model", "target", "checkpoint_id", "created_at", "size_bytes", "uri")
    table = frame[[name for name in kept if name in frame.columns]].iloc[[one.row for one in ordered]].reset_index(drop=True)
    before = [name for name in kept[:4] if name in table.columns]
    table.insert(len(before), "step", [one.step for one in ordered])
    return table.astype({"step": "Int64"})


def _notes(found: list[Saved], ordered: list[Saved], runs: int, way: str) -> list[str]:
    notes = []
    unsized = sum(one.size is None for one in found)
    unplaced = len(found) - unsized - len(ordered)
    if ordered:
        known = [one.size for one in ordered if one.size is not None]
        low, high = size(int(min(known))), size(int(max(known)))
        span = low if low == high else f"{low} to {high}"
        notes.append(f"{many(len(ordered), 'checkpoint')} of {many(runs, 'run')}, {span} each, {size(int(sum(known)))} together.")
        if _is_logarithmic(known):
            notes.append("The scale is logarithmic: equal distances are equal ratios.")
    if runs > _MOST_PANELS:
        notes.append(f"The {_MOST_PANELS} runs that began last are drawn; plot.table has all {runs:,}.")
    if unsized:
        notes.append(f"{many(unsized, 'checkpoint')} without a size {'is' if unsized == 1 else 'are'} left out.")
    if unplaced:
        other = ' (along="time" shows them)' if way == "step" and any(one.at is not None for one in found if one.step is None) else ""
        lacking = "whose name tells no step" if way == "step" else "without a time"
        notes.append(f"{many(unplaced, 'checkpoint')} {lacking} {'is' if unplaced == 1 else 'are'} left out{other}.")
    return notes if ordered else [*notes, "There are no checkpoints to draw."]


def _words(ordered: list[Saved], way: str, zone: tzinfo | None, time_zone: str) -> Table:
    if not ordered:
        return Table([])
    if way == "time":
        where = Field(f"Saved ({heading_of(ordered, zone, time_zone)})", [one.when(zone) for one in ordered])
    else:
        where = Field("Step", [f"{one.step:,}" for one in ordered], is_number=True)
    return Table(
        [
            Field("Run", [one.run_id for one in ordered]),
            Field("Target", [one.target for one in ordered]),
            Field("Name", [one.name or MISSING for one in ordered], rank=1),
            where,
            Field("Size", [one.sized() for one in ordered], is_number=True),
        ]
    )


def _drawn(runs: dict[str, list[Saved]], way: str, zone: tzinfo | None) -> Drawing:
    panels = list(runs.items())[:_MOST_PANELS]
    shown = [one for _, ones in panels for one in ones]
    across, ticks = _across(shown, way, zone)
    known = [one.size for one in shown if one.size is not None]
    tall = next((height for most, height in _HEIGHTS if len(panels) <= most), _LOWEST)
    up, levels = _up(known, tall)
    marks = Marks(targets_of(shown), None, fixed=_RADIUS)
    canvas = Canvas()
    canvas.legend(marks.legend())
    for run, ones in panels:
        top = canvas.height + _LABEL
        canvas.add(tag("g", label(run, ones, canvas.height + _LABEL - 5), font_size=SMALL))
        canvas.across(ticks, across, top, top + tall)
        canvas.add(*_panel(ones, top, across, up, levels, marks, way, zone))
        canvas.height = top + tall + 8
    canvas.height = canvas.below(ticks, across, canvas.height - 8)
    if way == "step":
        canvas.height += 14
        canvas.add(tag("text", "step", x=percent(_RIGHT), y=canvas.height - 4, font_size=SMALL, text_anchor="end", fill_opacity=0.75))
    return Drawing(marks.shapes() + "".join(canvas.parts), math.ceil(canvas.height))


def _across(shown: list[Saved], way: str, zone: tzinfo | None) -> tuple[Scale, list[Tick]]:
    if way == "time":
        scale = time_scale(shown, _LEFT, _RIGHT)
        return scale, time_ticks(scale.low, scale.high, zone, _MOST_TICKS)
    steps = [float(one.step) for one in shown if one.step is not None]
    low, high = (min(0.0, *steps), max(steps) * _SPARE) if len(set(steps)) > 1 else (steps[0] - 1, steps[0] + 1)
    return Scale(low, high, _LEFT, _RIGHT), whole_ticks(low, high, _MOST_TICKS)


def _is_logarithmic(known: list[float]) -> bool:
    return min(known) >= 1 and max(known) / min(known) >= _LOGARITHMIC


def _up(known: list[float], tall: float) -> tuple[Scale, list[Tick]]:
    """Return the scale from the ground of a panel (in pixels up) and its marks."""
    most = max(2, int(tall // _A_TICK))
    if _is_logarithmic(known):
        low, high = math.log10(min(known)) - 0.1, math.log10(max(known)) + 0.1
        powers = byte_powers(10**low, 10**high)
        return Scale(low, high, 0, tall), powers[:: max(1, math.ceil(len(powers) / (most + 1)))]
    high = max(known) * 1.08 or 1.0
    return Scale(0, high, 0, tall), byte_ticks(high, most)


def _panel(
    ones: list[Saved], top: float, across: Scale, up: Scale, levels: list[Tick], marks: Marks, way: str, zone: tzinfo | None
) -> list[str]:
    known = [one.size for one in ones if one.size is not None]
    is_log = up.low > 0 and bool(known) and up.high < 30  # noqa: PLR2004
    ground = top + up.right

    def high(value: float) -> float:
        return ground - up.at(math.log10(value) if is_log else value)

    lines = [tag("line", x1=percent(_LEFT), x2=percent(_RIGHT), y1=high(t.at), y2=high(t.at)) for t in levels]
    words = [tag("text", safe(t.label), x=percent(_LEFT), dx=-6, y=high(t.at) + 4) for t in levels]
    parts = [
        tag("g", *lines, stroke="currentColor", stroke_opacity=FAINT) if lines else "",
        tag("g", *words, font_size=SMALL, text_anchor="end") if words else "",
    ]
    for target in targets_of(ones):
        line = [one for one in ones if one.target == target]
        placed = [(across.at(_place(one, way) or 0.0), high(one.size or 0.0)) for one in line]
        drawn = [
            marks.mark(target, [one], percent(x), [one.called(), *_where(one, way, zone), one.sized()], down=y)
            for one, (x, y) in zip(line, placed, strict=True)
        ]
        # Lines have no shares of the width, so they lie on a sheet of their own that is stretched.
        span = _RIGHT - _LEFT
        path = "L".join(f"{number((x - _LEFT) / span * _UNITS_ACROSS)} {number(y - top)}" for x, y in placed)
        sheet = tag(
            "svg",
            tag("path", d=f"M{path}", fill="none", vector_effect="non-scaling-stroke", stroke_width=1.5, stroke_opacity=0.7),
            x=percent(_LEFT),
            y=top,
            width=percent(span),
            height=up.right,
            viewBox=f"0 0 {_UNITS_ACROSS} {number(up.right)}",
            preserveAspectRatio="none",
            overflow="visible",
        )
        parts.append(tag("g", sheet if len(line) > 1 else "", *drawn, **marks.look(), **marks.colour(target)))
    return parts


def _where(one: Saved, way: str, zone: tzinfo | None) -> list[str]:
    return [one.when(zone)] if way == "time" else [f"step {one.step:,}"]
