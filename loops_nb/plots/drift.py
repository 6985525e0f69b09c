"""How weights move: a heat map of layers and steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import pandas as pd

from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, many
from loops_nb.plots.canvas import NARROW, SMALL, Canvas, Drawing
from loops_nb.plots.colours import ramp
from loops_nb.plots.floats import ignore_float_errors
from loops_nb.plots.grid import By, Grid, Path, Stop, finite, grid_of
from loops_nb.plots.letters import cut, cut_paths, width
from loops_nb.plots.markup import OWN, hover, percent, safe, tag
from loops_nb.plots.picture import Plot

_Thing = TypeVar("_Thing")
_RIGHT = 99.0
_WIDEST_LABEL = 34.0
_WIDEST_CELL = 12.0
_LONGEST_NAME = 80.0
_PANEL_LABEL = 17
_HIGHEST, _LOWEST = 22, 5
# Modules are told apart by their names alone, so there must be room for each.
_TALLEST = {"layer": 360, "module_type": 360, "module": 1400}
_A_ROW = 13
_MOST_PANELS, _MOST_ROWS, _MOST_COLUMNS, _MOST_CELLS, _LEAST_COLUMNS = 12, 300, 100, 20_000, 4
# Cells that each say their value when pointed at.
_MOST_TOLD = 3000
_MOST_IN_WORDS = 12
# From this ratio between the largest and the middle value on, most cells would look the same.
_LOGARITHMIC = 8
_BAR, _BAR_HEIGHT, _STOPS = 180, 10, 12
_LONG = 1_000_000
_WORDS = {
    "norm": "norm",
    "change": "change since the checkpoint before",
    "relative_change": "relative change since the checkpoint before",
    "cosine": "cosine to the checkpoint before",
    "change_from_first": "change since the first checkpoint",
    "relative_change_from_first": "relative change since the first checkpoint",
    "cosine_to_first": "cosine to the first checkpoint",
    "path_length": "length of the path from the first checkpoint",
}
_PLURAL = {"layer": "layers", "module_type": "types of module", "module": "modules"}
_SINGULAR = {"layer": "layer", "module_type": "type", "module": "module"}


@ignore_float_errors
def drift(frame: pd.DataFrame, *, value: str | None = None, by: By | None = None, title: str | None = None) -> Plot:
    """Draw how weights move along the steps of training: a heat map for each run and target, all in the same colours.

    Where a cell stands for several modules, norms and changes are those of all their weights together (as in ``drift(by=...)``).

    Parameters
    ----------
    frame
        A frame of drift, as of modules or summed up.
    value
        Its column that the colours tell; left out, ``relative_change``.
    by
        What a row is: ``"layer"``, ``"module_type"`` or ``"module"``; left out, the first of these that the frame knows.
    title
        Another title.

    Returns
    -------
    Plot
        Its table has a row for each cell.  Columns: run_id, target, quantity, checkpoint, step (Int64), the column ``by`` (string), and
        the column ``value`` (float64).

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of drift, has lost a column that is needed, or has no such column as ``value`` or ``by``.
    """
    grid = grid_of(frame, value, by)
    called = _WORDS.get(grid.value, grid.value.replace("_", " "))
    table = _table(grid)
    numbers = finite(table[grid.value].tolist())
    colours = Colours.of(numbers)
    notes, drawing = _drawn(grid, colours) if grid.paths else (["There are no checkpoints to draw."], None)
    return Plot(
        title=title or f"Drift: {called}",
        table=table,
        notes=[*_seen(grid, table, colours), *notes],
        words=_in_words(grid),
        things="row",
        drawing=drawing,
    )


@dataclass(frozen=True, slots=True)
class Colours:
    """Gives numbers their colours: dark for the least, light for the largest.

    Parameters
    ----------
    low, high
        The least and the largest.
    is_log
        Equal ratios look equally far apart, not equal differences.
    """

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, numbers: list[float]) -> Colours | None:
        """Return the colours for some numbers; None if there are none."""
        if not numbers:
            return None
        low, high = min(numbers), max(numbers)
        return cls(low, high, low > 0 and high / median(numbers) >= _LOGARITHMIC)

    def of_value(self, value: float) -> str:
        """Return the colour of a number."""
        low, high, at = (self._straight(number) for number in (self.low, self.high, value))
        return ramp((at - low) / (high - low)) if high > low else ramp(0.5)

    def between(self, share: float) -> float:
        """Return the number whose colour stands at a share of the scale."""
        low, high = self._straight(self.low), self._straight(self.high)
        at = low + (high - low) * share
        return min(max(math.exp(at), self.low), self.high) if self.is_log else 2 * at

    def _straight(self, value: float) -> float:
        # Halves, because the difference of two very large numbers may be none.
        return math.log(value) if self.is_log else value / 2


def _table(grid: Grid) -> pd.DataFrame:
    rows = [
        (path.run_id, path.target, path.quantity, stop.checkpoint, stop.step, group, path.cells[group, stop.checkpoint])
        for path in grid.paths
        for stop in path.stops
        for group in grid.groups
        if (group, stop.checkpoint) in path.cells
    ]
    table = pd.DataFrame(rows, columns=["run_id", "target", "quantity", "checkpoint", "step", grid.by, grid.value])
    return table.astype({"step": "Int64", grid.value: "float64"})


def _seen(grid: Grid, table: pd.DataFrame, colours: Colours | None) -> list[str]:
    if not grid.paths:
        return []
    stops = sum(len(path.stops) for path in grid.paths)
    across = f"{many(stops, 'checkpoint')} of {many(len({path.run_id for path in grid.paths}), 'run')}"
    rows = f"{len(grid.groups):,} {_PLURAL[grid.by] if len(grid.groups) != 1 else _SINGULAR[grid.by]}"
    notes = [f"{across} and {rows}."]
    if colours is not None:
        tops = table.loc[table[grid.value] == colours.high].iloc[0]
        where = f"{_SINGULAR[grid.by]} {tops[grid.by]} of {tops['checkpoint']}"
        notes[0] += f" From {_said(colours.low)} to {_said(colours.high)} ({where})."
        if colours.is_log:
            notes.append("The colours are logarithmic: equal ratios look equally far apart.")
    missing = sum(len(path.stops) for path in grid.paths) * len(grid.groups) - len(table) + int(table[grid.value].isna().sum())
    endless = len(table) - len(finite(table[grid.value].fillna(0.0).tolist()))
    if missing:
        first = " The first checkpoint of a run has none before it." if grid.value in {"change", "relative_change", "cosine"} else ""
        notes.append(f"Hatched: {many(missing, 'cell')} without a value.{first}")
    if endless:
        notes.append(f"Hatched too: {many(endless, 'cell')} where nothing became something, so that the share of it is infinite.")
    return notes


def _in_words(grid: Grid) -> Table:
    labels = list(dict.fromkeys(stop for path in grid.paths for stop in path.stops))
    columns = list(dict.fromkeys(stop.label for stop in sorted(labels, key=lambda stop: (stop.step is None, stop.step or 0))))
    shown = _spread(columns, _MOST_IN_WORDS)
    rows = [(path, group) for path in grid.paths for group in grid.groups]
    if not rows:
        return Table([])
    at = {(place, stop.label): stop.checkpoint for place, path in enumerate(grid.paths) for stop in path.stops}
    places = {id(path): place for place, path in enumerate(grid.paths)}
    fields = [
        Field("Run", [path.run_id or MISSING for path, _ in rows]),
        Field("Target", [path.target or MISSING for path, _ in rows]),
        Field(_SINGULAR[grid.by].capitalize(), [group for _, group in rows], is_number=grid.by == "layer"),
        *(
            Field(
                label,
                [_said(path.cells.get((group, at.get((places[id(path)], label), "")), math.nan)) for path, group in rows],
                is_number=True,
                rank=1,
            )
            for label in shown
        ),
    ]
    if len({path.target for path in grid.paths}) == 1:
        del fields[1]
    if len({path.run_id for path in grid.paths}) == 1:
        del fields[0]
    rest = [f"{len(shown)} of {len(columns)} steps; plot.table has all."] if len(shown) < len(columns) else []
    return Table(fields, rest)


def _drawn(grid: Grid, colours: Colours | None) -> tuple[list[str], Drawing]:
    paths, groups = grid.paths[:_MOST_PANELS], grid.groups[:_MOST_ROWS]
    most = max(_LEAST_COLUMNS, min(_MOST_COLUMNS, _MOST_CELLS // (len(groups) * len(paths))))
    columns = [_spread(path.stops, most) for path in paths]
    is_told = sum(map(len, columns)) * len(groups) <= _MOST_TOLD
    notes = []
    if len(grid.paths) > len(paths):
        notes.append(f"The first {len(paths)} of {len(grid.paths)} runs and targets are drawn; plot.table has all.")
    if len(grid.groups) > len(groups):
        notes.append(f"The first {len(groups)} of {len(grid.groups):,} {_PLURAL[grid.by]} are drawn; plot.table has all.")
    if any(len(stops) < len(path.stops) for stops, path in zip(columns, paths, strict=True)):
        notes.append(f"At most {most} checkpoints of a run are drawn, evenly spread; plot.table has all.")
    most_wide = NARROW * _WIDEST_LABEL / 100 - 14
    words = cut_paths(groups, SMALL, most_wide) if grid.by == "module" else [cut(group, SMALL, most_wide) for group in groups]
    left = min(_WIDEST_LABEL, (max(width(word, SMALL) for word in words) + 14) / NARROW * 100)
    # A few columns need not fill the page, but each needs room for what stands below it.
    named = max(width(cut(stop.label, SMALL, _LONGEST_NAME), SMALL) for stops in columns for stop in stops) + 10
    wide = min(max(_WIDEST_CELL, named / NARROW * 100), (_RIGHT - left) / max(map(len, columns)))
    tall = min(_HIGHEST, max(_LOWEST, _TALLEST[grid.by] / len(groups)))
    gaps = any(
        not math.isfinite(path.cells.get((group, stop.checkpoint), math.nan))
        for path, stops in zip(paths, columns, strict=True)
        for stop in stops
        for group in groups
    )
    if not is_told:
        notes.append("There are too many cells for each to say its value when pointed at; plot.table has them.")

    def body(*, told: bool) -> tuple[str, float]:
        canvas = Canvas()
        _legend(canvas, colours, has_gaps=gaps)
        for path, stops in zip(paths, columns, strict=True):
            canvas.add(_panel_label(path, grid, canvas.height + 11))
            box = _Box(left, canvas.height + _PANEL_LABEL, wide * len(stops), tall * len(groups))
            canvas.add(*_cells(path, stops, groups, box, colours, told=_SINGULAR[grid.by] if told else None))
            canvas.add(_row_labels(words, box, tall), _column_labels(stops, box, grid.by))
            canvas.height = box.top + box.high + 26
        return _defs() + "".join(canvas.parts), canvas.height

    plain, height = body(told=False)
    return notes, Drawing(body(told=True)[0] if is_told else plain, math.ceil(height), plain)


@dataclass(frozen=True, slots=True)
class _Box:
    """Where the cells of a panel lie: across in shares of the width, down in pixels."""

    left: float
    top: float
    wide: float
    high: float


def _cells(path: Path, stops: list[Stop], groups: list[str], box: _Box, colours: Colours | None, *, told: str | None) -> list[str]:
    frame: dict[str, str | float] = {"x": percent(box.left), "y": box.top, "width": percent(box.wide), "height": box.high}
    values = [[path.cells.get((group, stop.checkpoint), math.nan) for stop in stops] for group in groups]
    cells = _of_one_colour(values, colours) if told is None else _each(values, groups, stops, colours, told)
    # Cells have widths in shares, so they lie on a sheet of their own that is stretched; what is under it shows where there are none.
    sheet = tag(
        "svg",
        *cells,
        viewBox=f"0 0 {len(stops)} {len(groups)}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
        stroke_width=1,
        stroke="#000",
        **frame,
    )
    under = tag("rect", fill=f"url(#{OWN}-h)", **frame)
    edge = tag("rect", fill="none", stroke="currentColor", stroke_opacity=0.45, pointer_events="none", **frame)
    return [under, sheet if cells else "", edge]


def _each(values: list[list[float]], groups: list[str], stops: list[Stop], colours: Colours | None, called: str) -> list[str]:
    """Draw each cell by itself, with what it says when it is pointed at."""
    rows = []
    for down, (group, row) in enumerate(zip(groups, values, strict=True)):
        cells = []
        for across, (stop, value) in enumerate(zip(stops, row, strict=True)):
            shown = _colour(value, colours)
            told = hover([f"{called} {group}, {stop.words}: {_said(value)}"])
            cells.append(tag("path", told, d=f"M{across} 0h1", stroke=shown, stroke_opacity=None if shown else 0))
        rows.append(tag("g", *cells, transform=f"translate(0 {down + 0.5:g})"))
    return rows


def _of_one_colour(values: list[list[float]], colours: Colours | None) -> list[str]:
    """Draw all cells of a colour in one piece."""
    pieces: dict[str, list[str]] = {}
    for down, row in enumerate(values):
        drawn = [_colour(value, colours) for value in row]
        across = 0
        while across < len(row):
            until = across + 1
            while until < len(row) and drawn[until] == drawn[across]:
                until += 1
            shown = drawn[across]
            if shown is not None:
                pieces.setdefault(shown, []).append(f"M{across} {down + 0.5:g}h{until - across}")
            across = until
    return [tag("path", d="".join(piece), stroke=shown) for shown, piece in pieces.items()]


def _colour(value: float, colours: Colours | None) -> str | None:
    return colours.of_value(value) if colours is not None and math.isfinite(value) else None


def _row_labels(words: list[str], box: _Box, tall: float) -> str:
    every = _every(math.ceil(_A_ROW / tall))
    drawn = [
        tag("text", safe(word), x=percent(box.left), dx=-6, y=box.top + (place + 0.5) * tall + 4)
        for place, word in enumerate(words)
        if place % every == 0
    ]
    return tag("g", *drawn, font_size=SMALL, text_anchor="end")


def _column_labels(stops: list[Stop], box: _Box, by: str) -> str:
    room = NARROW * box.wide / 100
    words = [cut(stop.label, SMALL, _LONGEST_NAME) for stop in stops]
    widest = max(width(word, SMALL) for word in words) + 8
    every = _every(math.ceil(len(stops) * widest / max(room, widest)))
    down = box.top + box.high + 13
    drawn = [
        tag("text", safe(word), x=percent(box.left + box.wide * (place + 0.5) / len(stops)), y=down)
        for place, word in enumerate(words)
        if place % every == 0
    ]
    corner = tag("text", f"{_SINGULAR[by]} / step", x=percent(box.left), dx=-6, y=down, text_anchor="end", fill_opacity=0.75)
    is_narrow = width(f"{_SINGULAR[by]} / step", SMALL) + 8 > NARROW * box.left / 100
    return tag("g", *drawn, "" if is_narrow else corner, font_size=SMALL, text_anchor="middle")


def _panel_label(path: Path, grid: Grid, down: float) -> str:
    name = cut(path.run_id or path.stops[0].checkpoint, SMALL, NARROW * 0.6)
    more = [path.target] if path.target else []
    if len({one.quantity for one in grid.paths}) > 1 and path.quantity:
        more.append(path.quantity)
    inner = tag("tspan", safe(name), font_weight="bold")
    if path is grid.paths[0]:
        more.append(f"{_PLURAL[grid.by]} down, steps across")
    rest = ", ".join(more)
    inner += tag("tspan", safe(rest), dx=8, fill_opacity=0.75)
    return tag("text", inner, y=down, font_size=SMALL)


def _legend(canvas: Canvas, colours: Colours | None, *, has_gaps: bool) -> None:
    across = 0.0
    if colours is not None:
        edge: dict[str, str | float] = {"stroke": "currentColor", "stroke_opacity": 0.45}
        canvas.add(tag("rect", x=0.5, y=1, width=_BAR, height=_BAR_HEIGHT, fill=f"url(#{OWN}-c)", **edge))
        ends = ((0.0, None), (0.5, "middle"), (1.0, "end")) if colours.high > colours.low else ((0.5, "middle"),)
        for share, anchor in ends:
            words = _said(colours.between(share))
            canvas.add(tag("text", words, x=_BAR * share, y=_BAR_HEIGHT + 13, font_size=SMALL, text_anchor=anchor))
        across = _BAR + 24
    if has_gaps:
        canvas.add(
            tag(
                "rect", x=across + 0.5, y=1, width=18, height=_BAR_HEIGHT, fill=f"url(#{OWN}-h)", stroke="currentColor", stroke_opacity=0.45
            ),
            tag("text", "no value", x=across + 24, y=_BAR_HEIGHT, font_size=SMALL),
        )
    canvas.height = _BAR_HEIGHT + 22


def _defs() -> str:
    stops = [tag("stop", offset=percent(100 * place / _STOPS), stop_color=ramp(place / _STOPS)) for place in range(_STOPS + 1)]
    strokes = tag("path", d="M0 6L6 0", stroke="currentColor", stroke_opacity=0.4)
    return tag(
        "defs",
        tag("linearGradient", *stops, id=f"{OWN}-c"),
        tag("pattern", strokes, id=f"{OWN}-h", width=6, height=6, patternUnits="userSpaceOnUse"),
    )


def _every(least: int) -> int:
    """Return how manieth label is shown, so that layers are counted in numbers that people count in."""
    return next((every for every in (1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200) if every >= least), least)


def _spread(things: list[_Thing], most: int) -> list[_Thing]:
    """Return at most so many, evenly spread, the first and the last among them."""
    if len(things) <= most:
        return things
    return [things[round(place * (len(things) - 1) / (most - 1))] for place in range(most)]


def _said(value: float) -> str:
    return MISSING if math.isnan(value) else "infinite" if math.isinf(value) else f"{value:.3g}" if abs(value) < _LONG else f"{value:.3e}"
