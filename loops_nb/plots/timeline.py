"""Checkpoints of runs over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loops_nb.config.zones import display_zone
from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, many, size
from loops_nb.plots.canvas import SMALL, Canvas, Drawing, Scale
from loops_nb.plots.floats import ignore_float_errors
from loops_nb.plots.labels import label
from loops_nb.plots.marks import Marks
from loops_nb.plots.markup import number, percent, tag
from loops_nb.plots.moments import heading_of, period, time_scale
from loops_nb.plots.picture import Plot
from loops_nb.plots.saved import Saved, by_run, saved_in, targets_of
from loops_nb.plots.ticks import time_ticks

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

_LEFT, _RIGHT = 2.0, 98.0
_LABEL, _TRACK = 13, 12
_MOST_LANES = 60
_MOST_MARKS = 2000
# Shares of the width within which checkpoints of one run and target are drawn as one, tried until there are few enough.
_GRAINS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
_MOST_TICKS = 7
_TALL = 400


@ignore_float_errors
def timeline(frame: pd.DataFrame, *, time_zone: str = "local", title: str | None = None) -> Plot:
    """Draw the checkpoints of runs over time: a line a run, a mark a checkpoint.

    Marks of different targets have different shapes and colours, and the area of a mark is the size of the checkpoint.  Pointing at one
    shows its URI, time and size.

    Parameters
    ----------
    frame
        A frame of checkpoints with the columns run_id, target and created_at; base_model, size_bytes (bytes), checkpoint_id and uri are
        used where they are there.
    time_zone
        Zone of all times, as in the setting of that name: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
    title
        Another title.

    Returns
    -------
    Plot
        Its table has a row for each checkpoint with a time, the run that began last first, oldest first in a run.  Columns: run_id,
        base_model, target, checkpoint_id, created_at, size_bytes and uri, as far as the frame has them.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, or has lost a column that is needed.
    ConfigError
        If there is no such time zone.
    """
    zone = display_zone(time_zone)
    found = saved_in(frame, "timeline", needs=("created_at",), has_times=True)
    timed = [one for one in found if one.at is not None]
    runs = {run: sorted(ones, key=lambda one: one.at or 0.0) for run, ones in by_run(timed).items()}
    ordered = [one for ones in runs.values() for one in ones]
    kept = ("run_id", "base_model", "target", "checkpoint_id", "created_at", "size_bytes", "uri")
    table = frame[[name for name in kept if name in frame.columns]].iloc[[one.row for one in ordered]].reset_index(drop=True)
    called = title or (f"Checkpoints of {many(len(runs), 'run')} over time" if runs else "Checkpoints over time")
    notes = _notes(found, ordered, runs, zone)
    return Plot(
        title=called,
        table=table,
        notes=notes,
        words=_words(ordered, zone, time_zone),
        things="checkpoint",
        drawing=_drawn(runs, zone) if ordered else None,
    )


def _notes(found: list[Saved], timed: list[Saved], runs: dict[str, list[Saved]], zone: tzinfo | None) -> list[str]:
    gone = len(found) - len(timed)
    left_out = [f"{many(gone, 'checkpoint')} without a time {'is' if gone == 1 else 'are'} left out."] if gone else []
    if not timed:
        return [*(left_out or []), "There are no checkpoints to draw."]
    known = [one.size for one in timed if one.size is not None]
    weight = f", {size(int(sum(known)))} together" if known else ""
    notes = [f"{many(len(timed), 'checkpoint')}{weight}, {period(timed, zone)}."]
    if len(runs) > _MOST_LANES:
        notes.append(f"The {_MOST_LANES} runs that began last are drawn; plot.table has all {len(runs):,}.")
    return [*notes, *left_out]


def _words(ordered: list[Saved], zone: tzinfo | None, time_zone: str) -> Table:
    if not ordered:
        return Table([])
    return Table(
        [
            Field("Run", [one.run_id for one in ordered]),
            Field("Base model", [one.base_model or MISSING for one in ordered], rank=3),
            Field("Target", [one.target for one in ordered]),
            Field("Name", [one.name or MISSING for one in ordered]),
            Field(f"Saved ({heading_of(ordered, zone, time_zone)})", [one.when(zone) for one in ordered], rank=1),
            Field("Size", [one.sized() for one in ordered], is_number=True, rank=2),
        ]
    )


def _drawn(runs: dict[str, list[Saved]], zone: tzinfo | None) -> Drawing:
    lanes = list(runs.items())[:_MOST_LANES]
    shown = [one for _, ones in lanes for one in ones]
    targets = targets_of(shown)
    scale = time_scale(shown, _LEFT, _RIGHT)
    ticks = time_ticks(scale.low, scale.high, zone, _MOST_TICKS)
    marks = Marks(targets, max((one.size for one in shown if one.size is not None), default=None))
    grain = _grain(lanes, scale)
    # Each target has its own line in a lane: what is saved at the same time stands one above the other.
    tracks = {target: _LABEL + _TRACK * (place + 0.75) for place, target in enumerate(targets)}
    lane = math.ceil(max(tracks.values()) + _TRACK * 0.75)
    labels = [label(run, ones, place * lane + _LABEL) for place, (run, ones) in enumerate(lanes)]
    drawn = [
        _track([one for one in ones if one.target == target], place * lane + down, scale, marks, grain, zone)
        for place, (_, ones) in enumerate(lanes)
        for target, down in tracks.items()
    ]
    canvas = Canvas()
    canvas.legend([*marks.legend(), *marks.sizes()])
    height = len(lanes) * lane
    if height > _TALL:
        canvas.height += 22
        canvas.above(ticks, scale, canvas.height)
        canvas.height += 4
    top = canvas.height
    canvas.across(ticks, scale, top, top + height, band=lane - _LABEL - 2, lane=lane)
    inner = [tag("g", *labels, font_size=SMALL), tag("g", *filter(None, drawn), **marks.look())]
    canvas.add(tag("g", *inner, transform=f"translate(0 {number(top)})"))
    bottom = canvas.below(ticks, scale, top + height + 2)
    return Drawing(marks.shapes() + "".join(canvas.parts), math.ceil(bottom))


def _track(ones: list[Saved], down: float, scale: Scale, marks: Marks, grain: float, zone: tzinfo | None) -> str:
    if not ones:
        return ""
    groups = _together(ones, scale, grain)
    first, last = (percent(scale.at(one.at or 0.0)) for one in (ones[0], ones[-1]))
    line = [tag("line", x1=first, x2=last, stroke_opacity=0.5)] if first != last else []
    target = ones[0].target
    drawn = [marks.mark(target, group, percent(scale.at(group[-1].at or 0.0)), _told(group, zone)) for group in groups]
    return tag("g", *line, *drawn, transform=f"translate(0 {number(down)})", **marks.colour(target))


def _told(group: list[Saved], zone: tzinfo | None) -> list[str]:
    last = group[-1]
    if len(group) == 1:
        return [last.called(), last.when(zone), last.sized()]
    known = [one.size for one in group if one.size is not None]
    return [
        f"{many(len(group), 'checkpoint')} close together",
        f"{group[0].called()} {group[0].when(zone)}",
        f"to {last.called()} {last.when(zone)}",
        f"{size(int(max(known)))} the largest" if known else MISSING,
    ]


def _grain(lanes: list[tuple[str, list[Saved]]], scale: Scale) -> float:
    for grain in _GRAINS:
        count = sum(
            len(_together([one for one in ones if one.target == target], scale, grain)) for _, ones in lanes for target in targets_of(ones)
        )
        if count <= _MOST_MARKS:
            return grain
    return _GRAINS[-1]


def _together(ones: list[Saved], scale: Scale, grain: float) -> list[list[Saved]]:
    if not grain:
        return [[one] for one in ones]
    groups: dict[int, list[Saved]] = {}
    for one in ones:
        groups.setdefault(math.floor(scale.at(one.at or 0.0) / grain), []).append(one)
    return list(groups.values())
