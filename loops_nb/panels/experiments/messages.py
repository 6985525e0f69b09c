"""Messages between a panel of experiments and its pages: columns, rows, sparklines, filters and curves.

`loops_nb.panels.protocol` has the messages that every panel shares. All views share one stream of rows. A row has a
cell for each column in ``sent``: of many experiments only the columns that are shown are sent. Sparklines are sent for
the rows that a page has on its screen.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from loops_nb.live import Health
from loops_nb.panels.messages import Row
from loops_nb.panels.protocol import FromAnyPage, Heartbeat

#: How a cell is drawn. ``spark``: its row's sparkline. ``number``: a value of a metric. ``value``: a parameter.
ExperimentCell = Literal["id", "name", "text", "state", "age", "duration", "count", "number", "value", "flag", "spark"]
#: Which of a user's lists a column stands in.
ColumnGroup = Literal["experiment", "metric", "parameter"]


class ExperimentColumn(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A column that can be shown.

    Parameters
    ----------
    name, title : str
        Its name in the frame of experiments, and its heading.
    drawn : str
        Its `ExperimentCell`.
    group : str, default "experiment"
        Its `ColumnGroup`.
    shown : bool, default True
        Whether it is shown where the user has not chosen otherwise.
    mode : {"min", "max"} or None, default None
        Which values of a metric are better.
    """

    name: str
    title: str
    drawn: ExperimentCell
    group: ColumnGroup = "experiment"
    shown: bool = True
    mode: Literal["min", "max"] | None = None


class SortOrder(Struct, kw_only=True, frozen=True):
    """The column by which rows are sorted."""

    column: str
    down: bool


class Choices(Struct, kw_only=True, frozen=True):
    """What the user has chosen: columns to show and to hide by name, and the order of rows.

    Parameters
    ----------
    columns : dict of str to bool
        Columns that are shown or hidden whatever their default is.
    sort : SortOrder or None, default None
        None sorts the newest first.
    """

    columns: dict[str, bool] = field(default_factory=dict)
    sort: SortOrder | None = None


class ColumnValue(Struct, kw_only=True, frozen=True):
    """One value of a column in words: the one that all rows share, or that of a single experiment."""

    column: str
    title: str
    value: str


class ExperimentsSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything that a panel of experiments shows.

    Parameters
    ----------
    seq : int
        Its sequence number.
    now : float
        The kernel's clock.
    title, line : str
        Its heading, and the line of code that opens the same panel.
    columns : list of ExperimentColumn
        All columns that can be shown.
    sent : list of str
        Names of the columns whose cells are in a row, in their order; the first is ``id``.
    rows : list of Row
        The experiments.
    total : int
        Their number; greater than that of ``rows`` where only the first are sent.
    shared : list of ColumnValue
        Columns that are not shown by default, because all rows have the same value.
    notes : list of str
        What is left out, in words.
    empty : str
        Why there is no row; empty where there are some.
    metric : str
        Key of the sparklines; empty where nothing was logged.
    sparks : dict of str to str
        Sparklines by id: a character for each span of steps, from 0 (lowest) to z (highest), a space without a value.
    choices : Choices
        What the user has chosen.
    health : Health
        Whether the file of experiments can be read.
    last_at : float or None
        When the newest value of any experiment was recorded.
    """

    seq: int
    now: float
    title: str
    line: str
    columns: list[ExperimentColumn]
    sent: list[str]
    rows: list[Row]
    total: int
    shared: list[ColumnValue]
    notes: list[str]
    empty: str
    metric: str
    sparks: dict[str, str]
    choices: Choices
    health: Health
    last_at: float | None


class ExperimentsChange(Struct, kw_only=True, tag_field="type", tag="change", omit_defaults=True):
    """The difference to state number ``base``; a missing field is unchanged.

    Parameters
    ----------
    rows, removed : list
        Rows that are new or different, and ids of rows that are gone.
    sparks : dict of str to str
        Sparklines that are new or different.
    choices : Choices or None
        What the user has chosen, in answer to `Choose`; a snapshot may be the answer as well.
    """

    base: int
    seq: int
    now: float
    total: int
    rows: list[Row] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    sparks: dict[str, str] = field(default_factory=dict)
    columns: list[ExperimentColumn] | None = None
    shared: list[ColumnValue] | None = None
    notes: list[str] | None = None
    empty: str | None = None
    health: Health | None = None
    last_at: float | None = None
    choices: Choices | None = None


class FilteredExperiments(Struct, kw_only=True, tag_field="type", tag="filtered"):
    """The rows that match the expression of a view.

    Parameters
    ----------
    view, text : str
        The view, and the expression that it asked with.
    ids : list of str
        Ids of the rows that match.
    error : str, default ""
        Why it cannot be read.
    """

    view: str
    text: str
    ids: list[str]
    error: str = ""


class ExperimentCurves(Struct, kw_only=True, tag_field="type", tag="curves"):
    """The curves of some experiments: a widget of their own, whose view the page embeds.

    Parameters
    ----------
    view : str
        The view that asked.
    ids : list of str
        The experiments.
    widget : str
        Id of the widget's model; empty where there is none.
    text : str
        What went wrong, or what to type where a page cannot embed a widget.
    facts : list of ColumnValue
        All that is recorded of a single experiment: parameters, tags, notes, ids.
    """

    view: str
    ids: list[str]
    widget: str
    text: str
    facts: list[ColumnValue] = field(default_factory=list)


class ShowRows(Struct, kw_only=True, tag_field="type", tag="show_rows"):
    """The rows that a view has on its screen, whose sparklines are sent."""

    view: str
    ids: list[str]


class FilterExperiments(Struct, kw_only=True, tag_field="type", tag="filter"):
    """Which rows match an expression; an empty text ends it."""

    view: str
    text: str


class Choose(Struct, kw_only=True, tag_field="type", tag="choose"):
    """Keep what the user has chosen; answered with it."""

    choices: Choices


class OpenCurves(Struct, kw_only=True, tag_field="type", tag="open_curves"):
    """Show the curves of some experiments in a view; without any, end them."""

    view: str
    ids: list[str]


#: Kernel to page, and page to kernel.
ExperimentsToPage = ExperimentsSnapshot | ExperimentsChange | FilteredExperiments | ExperimentCurves | Heartbeat
ExperimentsFromPage = FromAnyPage | ShowRows | FilterExperiments | Choose | OpenCurves
