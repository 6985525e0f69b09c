"""Messages between a panel of curves and its pages: metadata, charts, appended points and requests.

`loops_nb.panels.protocol` has the messages that every panel shares. Each chart of a view is a stream of its own and
plots one `ChartSpec`: it gets that as a whole `ChartUpdate`, and then what is added to the end of its lines as
`ChartAppend`. A view asks for the charts that are in sight, and drops those that are not.

Points travel as base64 of little-endian floats, ``x`` relative to the chart's ``origin``; NaN among ``y`` is a gap.
They have 32 bits, or 64 where 32 cannot represent the values of a line.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from loops_nb.charts.series import Axis
from loops_nb.live import Health
from loops_nb.panels.protocol import FromAnyPage, Heartbeat
from loops_nb.tracking.bands import BandKind

#: A number; ``NaN``, ``Infinity`` and ``-Infinity`` by name, for which JSON has no numbers; None where there is no
#: value.
Number = float | str | None


class CurveRun(Struct, kw_only=True, frozen=True):
    """An experiment that is drawn.

    Parameters
    ----------
    id, name, run_id : str
        Its own id, its name, unique within the panel, and the run that it belongs to, if any.
    label : str
        Its name as recorded, which several experiments may share.
    style : int
        Index of its line style; it stays the same while other experiments come and go.
    tags : list of str
        What it was tagged with.
    began, last_at : float
        Epoch milliseconds of its beginning and of its newest point.
    color : str, default ""
        Its color by a parameter, as ``#rrggbb``; empty for that of its style.
    """

    id: str
    name: str
    label: str
    run_id: str | None
    style: int
    tags: list[str]
    began: float
    last_at: float | None
    color: str = ""


class CurveMark(Struct, kw_only=True, frozen=True):
    """A saved checkpoint or a note.

    Parameters
    ----------
    run : str
        The experiment's id.
    kind : str
        ``save`` or ``note``.
    step, at, tokens : float or None
        Its position on each axis; ``at`` in epoch milliseconds.
    name, uri : str
        Of the checkpoint; the name is the text of a note.
    target : str
        ``trainer`` or ``sampler``: what can load the checkpoint.
    """

    run: str
    kind: Literal["save", "note"]
    step: int | None
    at: float
    tokens: float | None
    name: str
    uri: str = ""
    target: str = ""


class ParamRow(Struct, kw_only=True, frozen=True):
    """A parameter that differs: its value in each experiment, None where it has none."""

    name: str
    values: list[str | None]


class CurvesMetadata(Struct, kw_only=True, frozen=True):
    """Everything but the points.

    Parameters
    ----------
    runs : list of CurveRun
        The experiments, oldest first.
    keys : list of str
        Metric keys, the most important first.
    marks : list of CurveMark
        Oldest first.
    params : list of ParamRow
        Parameters that differ; values in the order of ``runs``.
    same_params, more_params : int
        How many parameters are the same everywhere, and how many differ and are left out.
    more_runs, more_marks, more_keys : int
        How many are left out; a search finds the other keys.
    newer_runs : int
        How many experiments began after the shown ones, where none were named: they are shown on request.
    missing : list of str
        Names and ids that were asked for and do not exist yet.
    waiting : str
        What is missing, and what exists instead, and what the source says of itself, in words.
    how : str
        How values come, to be said where there are none; empty where the training records them.
    is_named : bool
        Whether the experiments were named; otherwise they are the newest.
    color_by : str
        The parameter that colors the lines; empty if none does.
    colors : list of tuple
        The legend of these colors: each as ``#rrggbb``, with its value.
    """

    runs: list[CurveRun]
    keys: list[str]
    marks: list[CurveMark]
    params: list[ParamRow]
    same_params: int = 0
    more_params: int = 0
    more_runs: int = 0
    more_marks: int = 0
    more_keys: int = 0
    newer_runs: int = 0
    missing: list[str] = field(default_factory=list)
    waiting: str = ""
    how: str = ""
    is_named: bool = False
    color_by: str = ""
    colors: list[tuple[str, str]] = field(default_factory=list)


class ChartSpec(Struct, kw_only=True, frozen=True):
    """What a view plots.

    Parameters
    ----------
    key : str, default ""
        Metric key; empty for the most important one.
    axis : str, default "step"
        The x axis.
    smoothing : float, default 0.0
        Weight of the former average in the moving average, from 0 (none) to less than 1.
    low, high : float or None, default None
        The visible range of the x axis; None for all of it, which then grows with new points.
    columns : int, default 600
        Width in pixels.
    group_by : str, default ""
        What experiments are grouped by, as in `loops_nb.tracking.groups.group_experiments`; empty: they are not.
    band : str, default "std"
        The band of a group, as in `loops_nb.tracking.bands.band`.
    baseline : str, default ""
        Id of the experiment that the others, or whose group the other groups, are compared with.
    against : str, default "difference"
        How: ``difference`` or ``ratio``.
    """

    key: str = ""
    axis: Axis = "step"
    smoothing: float = 0.0
    low: float | None = None
    high: float | None = None
    columns: int = 600
    group_by: str = ""
    band: BandKind = "std"
    baseline: str = ""
    against: Literal["difference", "ratio"] = "difference"


class LineStats(Struct, kw_only=True, frozen=True):
    """Statistics of a series; steps are the experiment's, whatever the x axis is."""

    count: int
    odd: int
    last: Number
    last_step: int
    low: Number
    low_step: int
    high: Number
    high_step: int


class CurveLine(Struct, kw_only=True, omit_defaults=True):
    """The line of one experiment, or the points that are appended to it.

    Parameters
    ----------
    run : int
        Index of the experiment in ``CurvesMetadata.runs``, or of the line in ``ChartData.compared``.
    x, y : bytes
        The points.
    sx, sy : bytes
        Those of the smoothed line, if smoothing was asked for.
    lo, hi : bytes
        The band of a group, at the same ``x``.
    wide : bool, default False
        Whether ``y``, ``sy``, ``lo`` and ``hi`` are 64-bit floats.
    odd : list of tuple
        Values that are not finite: position, kind (0 NaN, 1 infinity, 2 minus infinity) and count.
    stats : LineStats or None
        Of the whole series; None where appended points are all that is new, so that the page can count them.
    step : int or None, default None
        Of the one point that is appended, where the page counts it and the x axis is another one.
    keep : int or None, default None
        So many points of the line stay before those that are appended; None for all.
    """

    run: int
    x: bytes = b""
    y: bytes = b""
    sx: bytes = b""
    sy: bytes = b""
    lo: bytes = b""
    hi: bytes = b""
    wide: bool = False
    odd: list[tuple[float, int, int]] = field(default_factory=list)
    stats: LineStats | None = None
    step: int | None = None
    keep: int | None = None


class BestRuns(Struct, kw_only=True, omit_defaults=True):
    """The best experiments in one direction.

    Parameters
    ----------
    runs : list of int
        Index of the best one, or of all that tie.
    words : str, default ""
        Their label.
    left_out : list of int
        Those that were not compared, because their newest value is not finite.
    """

    runs: list[int] = field(default_factory=list)
    words: str = ""
    left_out: list[int] = field(default_factory=list)


class ComparedName(Struct, kw_only=True, frozen=True):
    """A line of a group, or of an experiment against a baseline.

    Parameters
    ----------
    id, label : str
        What it stays known by, and its name in the legend.
    style : int
        Index of its line style.
    members : list of str
        Ids of its experiments.
    color : str, default ""
        Its color by a parameter; empty for that of its style.
    """

    id: str
    label: str
    style: int
    members: list[str]
    color: str = ""


class ChartData(Struct, kw_only=True):
    """A whole chart.

    Parameters
    ----------
    spec : ChartSpec
        The request, with its key filled in.
    origin : float
        What every ``x`` is relative to.
    first, last : float or None
        Bounds of all points on the x axis; None if there are none.
    lines : list of CurveLine
        One for each experiment with points of the key.
    unknown : int, default 0
        How many experiments have no point with a position on this axis.
    mode : str or None, default None
        Which values of the key are better, ``min`` or ``max``; None where its name does not tell.
    best : list of BestRuns
        The best where low values are better, and where high ones are.
    compared : list of ComparedName or None
        What the lines are where they are those of groups, or against a baseline.
    notes : list of str
        Sentences about these.
    """

    spec: ChartSpec
    origin: float
    first: float | None
    last: float | None
    lines: list[CurveLine]
    unknown: int = 0
    mode: Literal["min", "max"] | None = None
    best: list[BestRuns] = field(default_factory=list)
    compared: list[ComparedName] | None = None
    notes: list[str] = field(default_factory=list)


class CurvesSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything: for a page that opens, and for a notebook that saves the state of its widgets.

    Parameters
    ----------
    now : float
        The kernel's clock.
    title, line : str
        The heading, and the line of code that opens the same panel.
    metadata : CurvesMetadata
        Everything but the points.
    chart : ChartData or None
        What a new view shows first; None if there is nothing to plot.
    seq : int
        Sequence number of the chart in the stream `ALL_VIEWS`.
    health : Health
        ``live``; ``failing`` while the store cannot be read; ``over`` after the panel was closed.
    spec : ChartSpec
        What a new view plots, also before there is a chart.
    enlarged : str, default ""
        The key of the one chart that a new view shows; empty for all metrics side by side.
    """

    now: float
    title: str
    line: str
    metadata: CurvesMetadata
    chart: ChartData | None
    seq: int
    health: Health
    spec: ChartSpec
    enlarged: str = ""


class MetadataUpdate(Struct, kw_only=True, tag_field="type", tag="metadata"):
    """The metadata or the health changed."""

    now: float
    metadata: CurvesMetadata
    health: Health


class ChartUpdate(Struct, kw_only=True, tag_field="type", tag="chart"):
    """The whole chart of a stream; None if there is nothing to plot."""

    stream: str
    seq: int
    now: float
    chart: ChartData | None


class ChartAppend(Struct, kw_only=True, tag_field="type", tag="append", omit_defaults=True):
    """Points that are appended to the lines of a stream; ``last`` and ``best`` as in `ChartData`."""

    stream: str
    base: int
    seq: int
    now: float
    lines: list[CurveLine]
    last: float | None = None
    best: list[BestRuns] = field(default_factory=list)


class FoundKeys(Struct, kw_only=True, tag_field="type", tag="found_keys"):
    """The first keys that a view's search found, and how many there are."""

    view: str
    text: str
    now: float
    keys: list[str]
    total: int


class SetChart(Struct, kw_only=True, tag_field="type", tag="set_chart"):
    """What a chart of a view plots from now on; it is sent.

    Parameters
    ----------
    view : str
        The view.
    spec : ChartSpec
        What it plots.
    stream : str, default ""
        The chart's stream: the view's name, or that with a slash and a name of the chart.  Empty for the view's name.
    charts : int, default 1
        How many charts share the bytes of the view.
    """

    view: str
    spec: ChartSpec
    stream: str = ""
    charts: int = 1


class DropCharts(Struct, kw_only=True, tag_field="type", tag="drop_charts"):
    """Charts of a view that are out of sight: nothing more is sent to their streams."""

    view: str
    streams: list[str]


class SearchKeys(Struct, kw_only=True, tag_field="type", tag="search_keys"):
    """Search the metric keys for all words of a text."""

    view: str
    text: str


class ShowNewest(Struct, kw_only=True, tag_field="type", tag="show_newest"):
    """Show the newest experiments in place of the shown ones."""


#: Kernel to page, and page to kernel.
CurvesToPage = CurvesSnapshot | MetadataUpdate | ChartUpdate | ChartAppend | FoundKeys | Heartbeat
CurvesFromPage = FromAnyPage | SetChart | DropCharts | SearchKeys | ShowNewest
