"""Model of the panel of experiments: the rows that a filter admits, their columns, and sparklines of some of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from loops_nb.panels.experiments.columns import NEEDED, SPARK, columns_of, facts_of, getter, metric_keys
from loops_nb.panels.experiments.messages import SortOrder
from loops_nb.panels.experiments.sparkline import Sparkline
from loops_nb.tracking.leaderboard import Leaderboard, leaderboard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loops_nb.panels.experiments.messages import Choices, ColumnValue, ExperimentColumn
    from loops_nb.panels.messages import Cell, Row
    from loops_nb.tracking.filter_expression import FilterExpression
    from loops_nb.tracking.leaderboard import ExperimentFilter, ExperimentSummary
    from loops_nb.tracking.store import ExperimentStore

#: Cells of columns that are not shown are sent too, as long as all rows together have no more: a column that is chosen
#: is there at once, also while the kernel is busy.
MOST_CELLS = 60_000
#: Series that are kept as sparklines, and seconds that one reading of them may take.
_MOST_SPARKS = 2_000
_SPARK_SECONDS = 0.1
_DEFAULT_SORT = SortOrder(column="created_at", down=True)


class ExperimentModel:
    """The experiments of a panel; used by one thread at a time.

    Parameters
    ----------
    source : ExperimentStore
        Where they are stored.
    selection : ExperimentFilter
        Which experiments.
    metric : str, default ""
        Key of the sparklines; empty for the one that matters most.
    """

    def __init__(self, source: ExperimentStore, selection: ExperimentFilter, metric: str = "") -> None:
        self.columns: list[ExperimentColumn] = []
        self.shared: list[ColumnValue] = []
        self.board: Leaderboard = Leaderboard()
        self.metric: str = metric
        self._source = source
        self._selection = selection
        self._wanted_metric = metric
        self._by_id: dict[str, ExperimentSummary] = {}
        self._sparks: OrderedDict[tuple[str, str], tuple[int, Sparkline]] = OrderedDict()

    def read(self) -> None:
        """Read all but the points.

        Raises
        ------
        LoopsError
            If the file cannot be read, or the filter names what no experiment has.
        """
        self.board = leaderboard(self._source, self._selection)
        rows = self.board.rows
        self._by_id = {one.row.id: one for one in rows}
        self.metric = self._wanted_metric or next(iter(metric_keys(rows)), "")
        self.columns, self.shared = columns_of(rows, self.metric)

    @property
    def last_at(self) -> float | None:
        """When the newest value of any experiment was recorded, in epoch milliseconds."""
        return max((one.row.last_at for one in self.board.rows), default=None)

    def sent_columns(self, choices: Choices) -> list[str]:
        """Return the columns whose cells are sent: those that are shown, and others as far as there is room."""
        names = [column.name for column in self.columns if column.name != SPARK]
        shown = {column.name for column in self.columns if choices.columns.get(column.name, column.shown)}
        wanted = [*NEEDED, *(name for name in names if name in shown)]
        if choices.sort is not None and choices.sort.column in names:
            wanted.append(choices.sort.column)
        room = max(0, MOST_CELLS // max(1, len(self.board.rows)) - len(set(wanted)))
        return list(dict.fromkeys([*wanted, *[name for name in names if name not in wanted][:room]]))

    def rows(self, sent: Sequence[str]) -> dict[str, Row]:
        """Return the cells of all experiments by id."""
        getters = [getter(name) for name in sent]
        return {one.row.id: tuple(get(one) for get in getters) for one in self.board.rows}

    def first_ids(self, choices: Choices, most: int) -> list[str]:
        """Return the ids of the first rows in the chosen order, as a page shows them when it opens."""
        order = choices.sort or _DEFAULT_SORT
        if order.column not in {column.name for column in self.columns}:
            order = _DEFAULT_SORT
        get = getter(order.column)
        found = [(get(one), one.row.id) for one in self.board.rows]
        there = sorted((pair for pair in found if _is_there(pair[0])), key=_sort_key, reverse=order.down)
        return [key for _, key in [*there, *(pair for pair in found if not _is_there(pair[0]))][:most]]

    def matching(self, expression: FilterExpression) -> list[str]:
        """Return the ids of the experiments that match an expression; errors as `Leaderboard.matching`."""
        return [one.row.id for one in self.board.matching(expression)]

    def facts(self, experiment_id: str) -> list[ColumnValue]:
        """Return what is recorded of one experiment, in words."""
        one = self._by_id.get(experiment_id)
        return [] if one is None else facts_of(one)

    def names(self, ids: Iterable[str]) -> list[str]:
        """Return the ids that are experiments here."""
        return [key for key in ids if key in self._by_id]

    def sparks(self, ids: Iterable[str], had: Mapping[str, str]) -> tuple[dict[str, str], bool]:
        """Return the sparklines that differ from those that a page has, and whether others are still to be read.

        Points are read for a limited time: a long series of each of fifty rows would hold up the rows themselves.
        """
        found: dict[str, str] = {}
        until = time.monotonic() + _SPARK_SECONDS
        for key in ids:
            one = self._by_id.get(key)
            of = None if one is None else one.series.get(self.metric)
            if of is None:
                continue
            place = (key, self.metric)
            points, spark = self._sparks.pop(place, (0, None))
            if spark is None or points != of.points:
                if time.monotonic() > until:
                    if spark is not None:
                        self._sparks[place] = points, spark
                    return found, True
                spark = spark or Sparkline()
                spark.extend(self._source.series(key, self.metric, after=spark.mark))
            self._sparks[place] = of.points, spark
            text = spark.text
            if text != had.get(key, ""):
                found[key] = text
        while len(self._sparks) > _MOST_SPARKS:
            self._sparks.popitem(last=False)
        return found, False


def _is_there(cell: Cell) -> bool:
    return cell is not None and cell != "NaN"


def _sort_key(pair: tuple[Cell, str]) -> tuple[bool, Any]:
    cell = pair[0]
    return (True, cell.casefold()) if isinstance(cell, str) else (False, cell)
