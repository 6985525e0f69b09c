"""How weights move: a heat map of layers and steps."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pandas as pd

from loops_nb.charts.drift_grid import By, CheckpointSeries, DriftGrid, SeriesStep, finite, grid_of
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.plot import Plot, many_axes
from loops_nb.charts.style import COLOR_MAP, INK, SIZE, SMALL, SOFT, STRONG, WIDTH
from loops_nb.charts.ticks import Tick
from loops_nb.render.formatting import MISSING, many
from loops_nb.render.tables import Field, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Hovers

_Thing = TypeVar("_Thing")
#: In points: the widest label of a row, the widest and the highest cell, the lowest row, what is beside and above
#: cells.
_WIDEST_LABEL, _WIDEST_CELL, _HIGHEST, _LOWEST = 170.0, 44.0, 17.0, 4.0
_LONGEST_NAME = 60.0
_PANEL_LABEL, _PANEL_GAP, _RIGHT = 16.0, 8.0, 12.0
#: The bar of colors, and what stands above and below it.
_BAR, _BAR_HEIGHT, _LEGEND = 180.0, 9.0, 42.0
# Modules are distinguished by their names alone, so there must be room for each.
_TALLEST = {"layer": 280.0, "module_type": 280.0, "module": 1100.0}
_A_ROW = 10.5
_MOST_PANELS, _MOST_ROWS, _MOST_COLUMNS, _MOST_CELLS, _LEAST_COLUMNS = 12, 300, 100, 20_000, 4
# Cells that each say their value when pointed at.
_MOST_HOVERS = 3000
_MOST_IN_WORDS = 12
# From this ratio between the largest and the middle value on, most cells would look the same.
_LOGARITHMIC = 8
_LONG = 1_000_000
#: Beyond these matplotlib's own scales of colors would overflow.
_SMALLEST, _LARGEST = 1e-300, 1e300
_ROUNDING = 1e-9
_EVERY = (1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200)
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
def drift(
    frame: pd.DataFrame,
    *,
    value: str | None = None,
    by: By | None = None,
    title: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Plot:
    """Draw how weights move along the steps of training: a heat map for each run and target, all in the same colors.

    All heat maps have the same steps below each other; where a run has no checkpoint at a step its column is empty.
    Where a cell stands for several modules, norms and changes are those of all their weights together (as in
    ``drift(by=...)``).

    Parameters
    ----------
    frame : pandas.DataFrame
        Drift of modules, or summed up.
    value : str, optional
        Its column that the colors show; left out, ``relative_change``.
    by : {"layer", "module_type", "module"}, optional
        What a row is; left out, the first of these that the frame has.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Draw into these axes, one for each run and target; without it into a figure of its own.

    Returns
    -------
    Plot
        Its table has a row for each cell.  Columns: run_id, target, quantity, checkpoint, step (Int64), the column
        ``by`` (string), and the column ``value`` (float64).

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of drift, has lost a column that is needed, has no such column as ``value`` or ``by``, or
        ``ax`` is not one for each heat map.

    Examples
    --------
    >>> moved = loops.checkpoints.drift("k4q95w5")
    >>> moved.loops.plot.drift(value="cosine", by="module_type")
    """
    grid = grid_of(frame, value, by)
    called = _WORDS.get(grid.value, grid.value.replace("_", " "))
    table = _table(grid)
    colors = ColorScale.of(finite(table[grid.value].tolist()))
    chart = _DriftChart(grid, colors, called) if grid.paths else None
    axes = many_axes("drift", ax, len(chart.series) if chart is not None else 0)
    for place, each in enumerate(axes or ()):
        if chart is not None:
            chart.paint(each, place, None)
    notes = chart.notes if chart is not None else ["There are no checkpoints to draw."]
    return Plot(
        title=title or f"Drift: {called}",
        table=table,
        notes=[*_seen(grid, table, colors), *notes],
        words=_in_words(grid),
        things="row",
        draw=None if chart is None else chart.draw,
        axes=axes[0] if axes else None,
    )


@dataclass(frozen=True, slots=True)
class ColorScale:
    """Gives numbers their place on the scale of colors.

    Parameters
    ----------
    low, high : float
        The least and the largest.
    is_log : bool
        Equal ratios look equally far apart, not equal differences.
    """

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, numbers: list[float]) -> ColorScale | None:
        """Return the scale for some numbers; None if there are none."""
        if not numbers:
            return None
        low, high = min(numbers), max(numbers)
        return cls(low, high, low > 0 and high / median(numbers) >= _LOGARITHMIC)

    def share(self, value: float) -> float:
        """Return where a number stands, from 0 (the least) to 1."""
        if not math.isfinite(value):
            return math.nan
        low, high, at = (self._straight(number) for number in (self.low, self.high, value))
        return 0.5 if self.is_flat else (at - low) / (high - low)

    def between(self, share: float) -> float:
        """Return the number that stands at a share of the scale."""
        low, high = self._straight(self.low), self._straight(self.high)
        at = low + (high - low) * share
        return min(max(math.exp(at), self.low), self.high) if self.is_log else 2 * at

    def _straight(self, value: float) -> float:
        # Halves, because the difference of two very large numbers may be none.
        return math.log(value) if self.is_log else value / 2

    @property
    def is_flat(self) -> bool:
        """Whether all numbers are the same but for rounding."""
        return self.high / 2 - self.low / 2 <= _ROUNDING * max(abs(self.low), abs(self.high))

    @property
    def is_extreme(self) -> bool:
        """Whether matplotlib cannot place such numbers itself."""
        known = [abs(value) for value in (self.low, self.high) if value]
        return self.is_flat or not all(_SMALLEST < value < _LARGEST for value in known)

    def ticks(self) -> list[Tick]:
        """Return the ends of the scale and its middle."""
        shares = (0.5,) if self.is_flat else (0.0, 0.5, 1.0)
        found = [(share, self.between(share)) for share in shares]
        return [Tick(share if self.is_extreme else value, format_value(value)) for share, value in found]


def _table(grid: DriftGrid) -> pd.DataFrame:
    rows = [
        (path.run_id, path.target, path.quantity, stop.checkpoint, stop.step, group, path.cells[group, stop.checkpoint])
        for path in grid.paths
        for stop in path.stops
        for group in grid.groups
        if (group, stop.checkpoint) in path.cells
    ]
    table = pd.DataFrame(rows, columns=["run_id", "target", "quantity", "checkpoint", "step", grid.by, grid.value])
    return table.astype({"step": "Int64", grid.value: "float64"})


def _seen(grid: DriftGrid, table: pd.DataFrame, colors: ColorScale | None) -> list[str]:
    if not grid.paths:
        return []
    stops = sum(len(path.stops) for path in grid.paths)
    across = f"{many(stops, 'checkpoint')} of {many(len({path.run_id for path in grid.paths}), 'run')}"
    rows = f"{len(grid.groups):,} {_PLURAL[grid.by] if len(grid.groups) != 1 else _SINGULAR[grid.by]}"
    notes = [f"{across} and {rows}."]
    if colors is not None:
        tops = table.loc[table[grid.value] == colors.high].iloc[0]
        where = f"{_SINGULAR[grid.by]} {tops[grid.by]} of {tops['checkpoint']}"
        notes[0] += f" From {format_value(colors.low)} to {format_value(colors.high)} ({where})."
        if colors.is_log:
            notes.append("The colors are logarithmic: equal ratios look equally far apart.")
    missing = (
        sum(len(path.stops) for path in grid.paths) * len(grid.groups)
        - len(table)
        + int(table[grid.value].isna().sum())
    )
    endless = len(table) - len(finite(table[grid.value].fillna(0.0).tolist()))
    if missing:
        first = (
            " The first checkpoint of a run has none before it."
            if grid.value in {"change", "relative_change", "cosine"}
            else ""
        )
        notes.append(f"Hatched: {many(missing, 'cell')} without a value.{first}")
    if endless:
        notes.append(
            f"Hatched too: {many(endless, 'cell')} where nothing became something, so that the share of it is infinite."
        )
    return notes


def _in_words(grid: DriftGrid) -> Table:
    labels = list(dict.fromkeys(stop for path in grid.paths for stop in path.stops))
    columns = list(
        dict.fromkeys(stop.label for stop in sorted(labels, key=lambda stop: (stop.step is None, stop.step or 0)))
    )
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
                [
                    format_value(path.cells.get((group, at.get((places[id(path)], label), "")), math.nan))
                    for path, group in rows
                ],
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


class _Column(NamedTuple):
    """A step that some series have a checkpoint at; ``number`` counts those of one series at the same step."""

    step: int | None
    label: str
    number: int


class _DriftChart:
    """Heat maps on the same columns and rows."""

    def __init__(self, grid: DriftGrid, colors: ColorScale | None, label: str) -> None:
        self.series = grid.paths[:_MOST_PANELS]
        self._groups = grid.groups[:_MOST_ROWS]
        self._grid = grid
        self._colors = colors
        self._label = label
        cells = len(self._groups) * len(self.series)
        most = max(_LEAST_COLUMNS, min(_MOST_COLUMNS, _MOST_CELLS // cells))
        placed = [_placed(_spread(each.stops, most)) for each in self.series]
        self._columns = sorted({column for each in placed for column in each}, key=_column_order(placed))
        self._placed = placed
        self._has_hovers = sum(map(len, placed)) * len(self._groups) <= _MOST_HOVERS
        self._has_gaps = any(
            value is not None and not math.isfinite(value)
            for place in range(len(self.series))
            for value in itertools.chain.from_iterable(self._values(place))
        )
        self.notes = self._describe(most)

    def _describe(self, most: int) -> list[str]:
        grid, notes = self._grid, []
        if len(grid.paths) > len(self.series):
            total = len(grid.paths)
            notes.append(f"The first {len(self.series)} of {total} runs and targets are drawn; plot.table has all.")
        if len(grid.groups) > len(self._groups):
            rows = f"{len(grid.groups):,} {_PLURAL[grid.by]}"
            notes.append(f"The first {len(self._groups)} of {rows} are drawn; plot.table has all.")
        if any(len(placed) < len(each.stops) for placed, each in zip(self._placed, self.series, strict=True)):
            notes.append(f"At most {most} checkpoints of a run are drawn, evenly spread; plot.table has all.")
        if any(len(placed) < len(self._columns) for placed in self._placed):
            notes.append("Empty columns: steps at which that run has no checkpoint.")
        if not self._has_hovers:
            notes.append("There are too many cells for each to say its value when pointed at; plot.table has them.")
        return notes

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import LINE, PAD, Layout, fix_style
        from loops_nb.charts.text_metrics import text_width

        rows = self._row_labels()
        left = max(text_width(row, SMALL) for row in rows) + 30
        widest = max(text_width(self._column_label(column), SMALL) for column in self._columns) + 10
        cell = min(max(_WIDEST_CELL, widest), (WIDTH - left - _RIGHT) / len(self._columns))
        width, height = cell * len(self._columns), self._row_height * len(self._groups)
        panel = _PANEL_LABEL + height + _PANEL_GAP
        top = PAD + _LEGEND
        page = Layout(top + panel * len(self.series) + 2.2 * LINE + PAD, title)
        hovers: Hovers = {}
        mesh = None
        for place in range(len(self.series)):
            down = top + place * panel + _PANEL_LABEL
            ax = page.axes(left, down, width, height)
            mesh = self.paint(ax, place, hovers)
            self._name_panel(page, place, left, down - 5)
            ax.xaxis.set_label_coords(0.5, -1.9 * LINE / height)
        if mesh is not None:
            self._color_bar(page, mesh, left, PAD)
        if self._has_gaps:
            self._hatch_legend(page, left + (_BAR + 32 if mesh is not None else 0), PAD)
        fix_style(page.figure)
        return page.figure, hovers

    @property
    def _row_height(self) -> float:
        return min(_HIGHEST, max(_LOWEST, _TALLEST[self._grid.by] / len(self._groups)))

    def _row_labels(self) -> list[str]:
        from loops_nb.charts.text_metrics import cut_paths, cut_text

        if self._grid.by == "module":
            return cut_paths(self._groups, SMALL, _WIDEST_LABEL)
        return [cut_text(group, SMALL, _WIDEST_LABEL) for group in self._groups]

    @ignore_float_errors
    def paint(self, ax: Axes, place: int, hovers: Hovers | None) -> Any:
        """Draw a heat map into axes, and return its mesh; without ``hovers`` they are the user's own."""
        import numpy as np
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm, Normalize

        from loops_nb.charts.layout import add_hover, style_axes

        is_own = hovers is not None
        if is_own:
            style_axes(ax, grid="none", is_framed=True)
        values = self._values(place)
        ax.set_xlim(0, len(self._columns))
        ax.set_ylim(len(self._groups), 0)
        self._hatch(ax, values)
        self._label_axes(ax, place, is_own=is_own)
        colors = self._colors
        if colors is None:
            return None
        norm: Normalize = Normalize(0, 1)
        shown = [[math.nan if cell is None else colors.share(cell) for cell in row] for row in values]
        if not colors.is_extreme:
            norm = LogNorm(colors.low, colors.high) if colors.is_log else Normalize(colors.low, colors.high)
            shown = [[cell if cell is not None and math.isfinite(cell) else math.nan for cell in row] for row in values]
        mesh = ax.pcolormesh(
            np.arange(len(self._columns) + 1),
            np.arange(len(self._groups) + 1),
            np.ma.masked_invalid(np.array(shown, dtype=float)),
            cmap=colormaps[COLOR_MAP],
            norm=norm,
            shading="flat",
            edgecolors="none",
            alpha=None,
        )
        # The mesh set limits of its own.
        ax.set_xlim(0, len(self._columns))
        ax.set_ylim(len(self._groups), 0)
        if self._has_hovers:
            add_hover(hovers, mesh, self._hover_texts(place))
        if not is_own and place == len(self.series) - 1:
            self._own_color_bar(ax, mesh)
        return mesh

    def _values(self, place: int) -> list[list[float | None]]:
        """Return rows of values: None where there is no checkpoint, NaN or infinite where it has no value."""
        series, placed = self.series[place], self._placed[place]
        found: list[list[float | None]] = []
        for group in self._groups:
            row: list[float | None] = []
            for column in self._columns:
                stop = placed.get(column)
                row.append(None if stop is None else series.cells.get((group, stop.checkpoint), math.nan))
            found.append(row)
        return found

    def _hover_texts(self, place: int) -> list[list[str | None]]:
        placed, what = self._placed[place], _SINGULAR[self._grid.by]
        texts: list[list[str | None]] = []
        for group, row in zip(self._groups, self._values(place), strict=True):
            said = zip(self._columns, row, strict=True)
            texts.append(
                [
                    None if value is None else f"{what} {group}, {placed[column].words}: {format_value(value)}"
                    for column, value in said
                ]
            )
        return texts

    def _hatch(self, ax: Axes, values: list[list[float | None]]) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        boxes = []
        for down, row in enumerate(values):
            for start, end in _stretches([value is not None and not math.isfinite(value) for value in row]):
                corners = [(start, down), (end, down), (end, down + 1), (start, down + 1), (start, down)]
                boxes.append(Path(corners, closed=True))
        if boxes:
            ax.add_patch(
                PathPatch(
                    Path.make_compound_path(*boxes),
                    facecolor="none",
                    edgecolor=(INK, SOFT),
                    linewidth=0,
                    hatch="/////",
                    clip_on=False,
                )
            )

    def _label_axes(self, ax: Axes, place: int, *, is_own: bool) -> None:
        from loops_nb.charts.layout import axis_label, fit_ticks, set_ticks, width_of

        is_last = place == len(self.series) - 1
        rows = self._row_labels()
        every = _every(math.ceil(_A_ROW / self._row_height)) if is_own else 1
        set_ticks(ax.yaxis, [Tick(at + 0.5, row) for at, row in enumerate(rows) if at % every == 0], is_own=is_own)
        axis_label(ax.yaxis, _SINGULAR[self._grid.by], is_own=is_own)
        columns = [Tick(at + 0.5, self._column_label(column)) for at, column in enumerate(self._columns)]
        fitting = fit_ticks(columns, [tick.at / len(columns) for tick in columns], width_of(ax))
        every = _every(math.ceil(len(columns) / max(len(fitting), 1)))
        shown = [tick for at, tick in enumerate(columns) if at % every == 0]
        set_ticks(ax.xaxis, shown, is_own=is_own)
        if is_own and not is_last:
            ax.tick_params(axis="x", labelbottom=False)
        if is_last or not is_own:
            has_steps = any(column.step is not None for column in self._columns)
            axis_label(ax.xaxis, "step" if has_steps else "checkpoint", is_own=is_own)
        if not is_own:
            ax.set_title(self._name(place)).set_parse_math(False)

    @staticmethod
    def _column_label(column: _Column) -> str:
        from loops_nb.charts.text_metrics import cut_text

        return cut_text(column.label, SMALL, _LONGEST_NAME)

    def _name(self, place: int) -> str:
        series = self.series[place]
        name = series.run_id or series.stops[0].checkpoint
        return ", ".join([name, *self._details(series)])

    def _details(self, series: CheckpointSeries) -> list[str]:
        details = [series.target] if series.target else []
        if len({each.quantity for each in self._grid.paths}) > 1 and series.quantity:
            details.append(series.quantity)
        return details

    def _name_panel(self, page: Any, place: int, left: float, down: float) -> None:
        from loops_nb.charts.text_metrics import cut_text, text_width

        series = self.series[place]
        name = cut_text(series.run_id or series.stops[0].checkpoint, SIZE, WIDTH * 0.5)
        page.text(left, down, name, fontsize=SIZE)
        details = cut_text(", ".join(self._details(series)), SMALL, WIDTH * 0.3)
        page.text(left + text_width(name, SIZE) + 8, down, details, alpha=STRONG)

    def _color_bar(self, page: Any, mesh: Any, left: float, top: float) -> None:
        from loops_nb.charts.layout import LINE, set_ticks, style_axes

        assert self._colors is not None  # noqa: S101 - there is a mesh
        page.text(left, top + SMALL, self._label, alpha=0.85)
        cax = page.axes(left, top + LINE, _BAR, _BAR_HEIGHT)
        bar = page.figure.colorbar(mesh, cax=cax, orientation="horizontal")
        style_axes(cax, grid="none", is_framed=True)
        cax.tick_params(labelleft=False, pad=3)
        bar.outline.set(edgecolor=INK, alpha=SOFT, linewidth=0.8)
        ticks = self._colors.ticks()
        set_ticks(cax.xaxis, ticks, is_own=True)
        for label, side in zip(cax.get_xticklabels(), ("left", "center", "right"), strict=False):
            if len(ticks) > 1:
                label.set_ha(side)

    def _hatch_legend(self, page: Any, left: float, top: float) -> None:
        from loops_nb.charts.layout import LINE, style_axes

        swatch = page.axes(left, top + LINE, 18, _BAR_HEIGHT)
        style_axes(swatch, grid="none", is_framed=True)
        swatch.set(xlim=(0, 1), ylim=(1, 0))
        swatch.tick_params(labelleft=False, labelbottom=False)
        self._hatch(swatch, [[math.nan]])
        page.text(left + 24, top + LINE + SMALL, "no value")

    def _own_color_bar(self, ax: Axes, mesh: Any) -> None:
        from loops_nb.charts.layout import axis_label, set_ticks

        figure, colors = ax.get_figure(), self._colors
        if figure is not None and colors is not None:
            bar = figure.colorbar(mesh, ax=ax)
            set_ticks(bar.ax.yaxis, colors.ticks(), is_own=False)
            axis_label(bar.ax.yaxis, self._label, is_own=False)


def _placed(stops: Sequence[SeriesStep]) -> dict[_Column, SeriesStep]:
    """Return the columns of some checkpoints of one series."""
    found: dict[_Column, SeriesStep] = {}
    times: Counter[tuple[int | None, str]] = Counter()
    for stop in stops:
        key = (stop.step, stop.label)
        found[_Column(*key, times[key])] = stop
        times[key] += 1
    return found


def _column_order(placed: Sequence[dict[_Column, SeriesStep]]) -> Any:
    """Return the order of columns: by step, and those without one as they came, behind."""
    order = {column: place for place, column in enumerate(dict.fromkeys(column for each in placed for column in each))}

    def key(column: _Column) -> tuple[bool, int, int]:
        return (column.step is None, column.step or 0, column.number if column.step is not None else order[column])

    return key


def _stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return from where to where flags are set."""
    found: list[tuple[int, int]] = []
    for at, flag in enumerate(flags):
        if flag and found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        elif flag:
            found.append((at, at + 1))
    return found


def _every(least: int) -> int:
    """Return which multiple of labels is shown: layers are counted in round numbers."""
    return next((every for every in _EVERY if every >= least), least)


def _spread(things: list[_Thing], most: int) -> list[_Thing]:
    """Return at most so many, evenly spread, the first and the last among them."""
    if len(things) <= most:
        return things
    return [things[round(place * (len(things) - 1) / (most - 1))] for place in range(most)]


def format_value(value: float) -> str:
    """Return the value of a cell in three digits."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "infinite"
    return f"{value:.3g}" if abs(value) < _LONG else f"{value:.3e}"
