"""Messages between a panel of tables and its pages: snapshots, changes, plots and requests.

`loops_nb.panels.protocol` has the messages that every panel shares and describes sequence numbers. The structs become
the TypeScript types of the page (``js/contract.py``), the fixtures of both test suites, and the static report.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

# At run time: msgspec resolves the annotations.
from loops_nb.live import Health, Span
from loops_nb.panels.protocol import FromAnyPage, Heartbeat

Cell = str | int | float | bool | None
#: The cells of a row, in the order of its table's columns; the first is its id.
Row = tuple[Cell, ...]
ViewName = Literal["fleet", "run", "samplers", "deployments", "checkpoints", "dashboard"]
TableName = Literal["runs", "samplers", "deployments", "checkpoints"]
#: Plots of checkpoints, and the curves, samples and system metrics of a run.
PlotName = Literal["timeline", "sizes", "drift", "curves", "samples", "system"]
#: The kind of a state, shown by an icon and a word beside the colour.
Tone = Literal["good", "busy", "idle", "bad", "over", "unknown"]
CommandName = Literal["deactivate", "plan_deletion", "delete", "plan_deployment", "deploy"]
#: These change nothing.
PLANS: frozenset[CommandName] = frozenset({"plan_deletion", "plan_deployment"})
CommandState = Literal["running", "done", "failed"]


class Fact(Struct, kw_only=True, frozen=True):
    """One labelled value of the summary line.

    Parameters
    ----------
    label, value : str
        Such as ``alive`` and ``3 of 12 runs``.
    tone : str or None, default None
        Its `Tone`.
    code : str, default ""
        What the page copies when the value is an id or a URI.
    """

    label: str
    value: str
    tone: Tone | None = None
    code: str = ""


class RunPart(Struct, kw_only=True, frozen=True):
    """A run, its deployment or its sampler, each with a state of its own."""

    what: Literal["run", "deployment", "sampler"]
    id: str | None
    status: str | None
    since: float | None
    gpus: str = ""


class RunSummary(Struct, kw_only=True, frozen=True):
    """What a run's panel shows above its checkpoints: the run's parts, related ids and states so far."""

    id: str
    name: str | None
    base_model: str | None
    parts: list[RunPart]
    facts: list[Fact]
    timeline: list[Span]
    finished: bool


class Notice(Struct, kw_only=True, frozen=True):
    """Something ended or came up: announced once, with what to do next.

    Parameters
    ----------
    id : str
        Unique within the panel.
    at : float
        When it was noticed.
    tone : str
        Its `Tone`.
    text, hint : str
        What happened, and what to do next.
    about : str, default ""
        Id of what it is about.
    """

    id: str
    at: float
    tone: Tone
    text: str
    hint: str = ""
    about: str = ""


class HardwareChoice(Struct, kw_only=True, frozen=True):
    """An instance type that a checkpoint can be deployed on.

    Parameters
    ----------
    id, name : str
        Its id, and what it is called, with its GPUs.
    price : str, default ""
        What a node costs, such as ``$6.67 an hour``; empty where that is not listed.
    """

    id: str
    name: str
    price: str = ""


class DeploymentPlan(Struct, kw_only=True, frozen=True):
    """What can be chosen for a deployment.

    Parameters
    ----------
    name : str
        A name for the new model.
    taken : list of str
        Names of the models that there are.
    hardware : list of HardwareChoice
        In the order of the service.
    """

    name: str
    taken: list[str]
    hardware: list[HardwareChoice]


class CommandStatus(Struct, kw_only=True, frozen=True):
    """A `Command` of a page, and what became of it.

    Parameters
    ----------
    id, what, table, target : str
        As in the command.
    state : str
        ``running``, ``done`` or ``failed``.
    text, hint : str, default ""
        What happened, and more about it; of a plan the question, and what uses the things that it names.
    code : str, default ""
        Lines of code for the next step, such as those that call a deployed model.
    plan : DeploymentPlan or None, default None
        Only of the plan of a deployment.
    """

    id: str
    what: CommandName
    table: TableName
    target: str
    state: CommandState
    text: str = ""
    hint: str = ""
    code: str = ""
    plan: DeploymentPlan | None = None


class TableRows(Struct, kw_only=True, frozen=True):
    """Rows of one table; ``total`` is greater than their number where only the first rows are sent."""

    rows: list[Row]
    total: int


class TableChange(Struct, kw_only=True, frozen=True):
    """Whole rows that are new or different, and the ids of removed rows."""

    rows: list[Row] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    total: int = 0


class PanelSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything that a panel shows.

    Parameters
    ----------
    seq : int
        Its sequence number.
    now : float
        The kernel's clock.
    view, title : str
        Kind of the panel, and its heading.
    line : str
        The line of code that opens the same panel.
    tables : dict of str to TableRows
        By name of the table.
    facts : list of Fact
        The summary line.
    run : RunSummary or None
        Only in a run's panel.
    health : Health
        How fresh the data is.
    notices : list of Notice
        Newest first.
    commands : list of CommandStatus
        Requests of this panel's pages, newest first.
    notify : bool
        Whether the page may raise a browser notification for a new notice.
    ready : bool
        Whether every listing of the panel has arrived at least once, so that an empty table means "none yet".
    selected_runs : list of str or None, default None
        Only in a dashboard: the runs whose checkpoints and curves are shown; empty for all.
    curves : PlotStatus or None, default None
        Only in a dashboard: the widget with its curves, or why there is none.
    """

    seq: int
    now: float
    view: ViewName
    title: str
    line: str
    tables: dict[TableName, TableRows]
    facts: list[Fact]
    run: RunSummary | None
    health: Health
    notices: list[Notice]
    commands: list[CommandStatus]
    notify: bool
    ready: bool
    selected_runs: list[str] | None = None
    curves: PlotStatus | None = None


class PanelChange(Struct, kw_only=True, tag_field="type", tag="change", omit_defaults=True):
    """The difference to state number ``base``: a missing field is unchanged, another replaces the old value.

    ``notices`` has only new ones, newest first; each replaces an older one about the same thing.
    """

    base: int
    seq: int
    now: float
    tables: dict[TableName, TableChange] = field(default_factory=dict)
    facts: list[Fact] | None = None
    run: RunSummary | None = None
    health: Health | None = None
    notices: list[Notice] | None = None
    commands: list[CommandStatus] | None = None
    ready: bool | None = None
    selected_runs: list[str] | None = None


class PlotStatus(Struct, kw_only=True, tag_field="type", tag="plot", omit_defaults=True):
    """A plot that a view shows; part of a snapshot, which notebooks save, only where it is a widget of a dashboard.

    Parameters
    ----------
    plot : str
        Its `PlotName`.
    state : str
        ``drawn``; ``unmeasured``: it needs weights that were not read yet; ``running``: they are being read;
        ``failed``.
    svg : str, default ""
        An ``<svg>`` element; empty when there is nothing to draw.
    widget : str, default ""
        Curves are a widget of their own, whose view the page embeds; this is its model id.
    text : str, default ""
        A description, what is going to be read, the error, or what to do where a page cannot embed a widget.
    can_measure : bool, default False
        Whether the page may ask to read weights.
    """

    plot: PlotName
    state: Literal["drawn", "unmeasured", "running", "failed"]
    svg: str = ""
    widget: str = ""
    text: str = ""
    can_measure: bool = False


class SetPolling(Struct, kw_only=True, tag_field="type", tag="set_polling"):
    """Pause the polling of the service, or resume it."""

    paused: bool


class Refresh(Struct, kw_only=True, tag_field="type", tag="refresh"):
    """Poll the service now."""


class Command(Struct, kw_only=True, tag_field="type", tag="command"):
    """Change something at the service; ``id`` is made by the page, so that a repeated message acts once.

    A deletion is two commands with one ``id``: ``plan_deletion``, and ``delete`` when the plan was shown and confirmed;
    a deployment is ``plan_deployment`` and ``deploy``, which has the id of the instance type and the name of the new
    model.
    """

    id: str
    what: CommandName
    table: TableName
    target: str
    hardware: str = ""
    name: str = ""


class SelectPlot(Struct, kw_only=True, tag_field="type", tag="select_plot"):
    """Which plot a view shows, None for none; sent again when its rows change; ``measure`` reads weights."""

    view: str
    plot: PlotName | None
    measure: bool = False


class SelectRuns(Struct, kw_only=True, tag_field="type", tag="select_runs"):
    """Of a dashboard: show the checkpoints and curves of these runs alone; of all, if there are none."""

    ids: list[str]


#: Kernel to page, and page to kernel.
ToPage = PanelSnapshot | PanelChange | Heartbeat | PlotStatus
FromPage = FromAnyPage | SetPolling | Refresh | Command | SelectPlot | SelectRuns
