"""What a panel and its page say to each other.

The same structs make the TypeScript types of the page (``js/contract.py`` writes ``js/src/contract.ts``), the fixtures that both test
suites read, and the static report.  Times are epoch milliseconds by the kernel's clock; ``now`` of a message tells the page that clock.

One writer sends: a `Snapshot` when a page asks for one, a `Change` for everything after it, a `Tick` when there was nothing to say, and a
`Picture` to pages that show one.  A change raises ``seq`` by one, snapshots and ticks repeat the newest; a page that finds a ``base``
which is not its own ``seq`` has lost a message and asks again.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field, to_builtins

Cell = str | int | float | bool | None
#: The cells of a row, in the order of its kind's columns; the first is its id.
Row = tuple[Cell, ...]
ViewName = Literal["fleet", "run", "samplers", "deployments", "checkpoints"]
TableName = Literal["runs", "samplers", "deployments", "checkpoints"]
#: What is drawn of checkpoints, and the curves of a run.
PlotName = Literal["timeline", "sizes", "drift", "curves"]
#: How a state feels, said by a sign and a word beside the colour.
Tone = Literal["good", "busy", "idle", "bad", "over", "unknown"]


class Health(Struct, kw_only=True, frozen=True):
    """How fresh the data is, and why it is not fresher.

    Parameters
    ----------
    state
        ``starting``: nothing came yet.  ``live``.  ``failing``: the service does not answer; the last good data stays.  ``paused``: by the
        person.  ``over``: nothing can change any more, or the panel was closed or frozen.
    looked_at
        When the newest data came; None if none ever did.
    every
        Seconds between two looks now.
    since
        Since when it is failing.
    next_at
        When it is tried again.
    reason, hint
        What is wrong and what to do, in words; for ``over`` why.
    """

    state: Literal["starting", "live", "failing", "paused", "over"]
    looked_at: float | None = None
    every: float = 0.0
    since: float | None = None
    next_at: float | None = None
    reason: str = ""
    hint: str = ""


class Fact(Struct, kw_only=True, frozen=True):
    """One fact of the line above the tables.

    Parameters
    ----------
    label, value
        Words: ``alive``, ``3 of 12 runs``.
    tone
        How it feels.
    code
        What copies when the value is an id or a URI; empty for none.
    """

    label: str
    value: str
    tone: Tone | None = None
    code: str = ""


class Half(Struct, kw_only=True, frozen=True):
    """One part of a run with a state of its own."""

    what: Literal["run", "deployment", "sampler"]
    id: str | None
    status: str | None
    since: float | None
    gpus: str = ""


class Span(Struct, kw_only=True, frozen=True):
    """A state that something was in; ``until`` None is now.  ``exact`` is False when the state was there before the first look."""

    what: Literal["run", "deployment", "sampler"]
    status: str | None
    start: float
    until: float | None
    exact: bool


class RunHead(Struct, kw_only=True, frozen=True):
    """What stands above the checkpoints of a run: its halves, the things it belongs to, and its states since it was first seen."""

    id: str
    name: str | None
    base_model: str | None
    halves: list[Half]
    facts: list[Fact]
    timeline: list[Span]
    finished: bool


class Notice(Struct, kw_only=True, frozen=True):
    """Something ended, or came up: said once, with what to do next.

    Parameters
    ----------
    id
        Unique in the panel.
    at
        When it was seen.
    tone, text, hint
        How it feels, what happened, what to do next.
    about
        Id of what it is about.
    """

    id: str
    at: float
    tone: Tone
    text: str
    hint: str = ""
    about: str = ""


class Act(Struct, kw_only=True, frozen=True):
    """A request of the person's to change something, and what became of it."""

    id: str
    what: Literal["deactivate"]
    table: TableName
    target: str
    state: Literal["doing", "done", "failed"]
    text: str = ""


class Table(Struct, kw_only=True, frozen=True):
    """Rows of one kind, their cells in the order of that kind's columns; ``total`` is greater than their number when the rest follows."""

    rows: list[Row]
    total: int


class TableChange(Struct, kw_only=True, frozen=True):
    """Rows that are new or different, whole, and the ids of those that are gone."""

    rows: list[Row] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    total: int = 0


class Snapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything that a panel shows.

    Parameters
    ----------
    seq
        Its version.
    now
        The kernel's clock.
    view, title
        Which panel, and its heading.
    line
        The line of code that opens the same panel.
    tables
        By name.
    facts
        The summary line.
    run
        Only in a run's panel.
    health
        How fresh it is.
    notices
        Newest first.
    acts
        What was asked for in this panel, newest first.
    notify
        Whether the page may raise a browser notification for a new notice.
    ready
        Whether every listing that the panel stands on has come at least once: "nothing yet" can be told from "not looked yet".
    """

    seq: int
    now: float
    view: ViewName
    title: str
    line: str
    tables: dict[TableName, Table]
    facts: list[Fact]
    run: RunHead | None
    health: Health
    notices: list[Notice]
    acts: list[Act]
    notify: bool
    ready: bool


class Change(Struct, kw_only=True, tag_field="type", tag="change", omit_defaults=True):
    """What is different since ``base``; what is missing is as it was, what is there replaces.

    Only of notices it tells those that are new, newest first: each takes the place of an older one about the same thing.
    """

    base: int
    seq: int
    now: float
    tables: dict[TableName, TableChange] = field(default_factory=dict)
    facts: list[Fact] | None = None
    run: RunHead | None = None
    health: Health | None = None
    notices: list[Notice] | None = None
    acts: list[Act] | None = None
    ready: bool | None = None


class Tick(Struct, kw_only=True, tag_field="type", tag="tick"):
    """A look in which nothing had changed, or a sign of life; ``looked_at`` as in `Health`."""

    seq: int
    now: float
    looked_at: float | None


class Picture(Struct, kw_only=True, tag_field="type", tag="picture", omit_defaults=True):
    """A picture that a view shows; never part of a snapshot, so that no notebook keeps it.

    Parameters
    ----------
    plot
        Which.
    state
        ``drawn``: it is here.  ``unmeasured``: it takes weights that nobody has read yet.  ``doing``: they are being read.  ``failed``.
    svg
        An ``<svg>`` element; empty when there is nothing to draw.
    widget
        Curves are drawn by a widget of their own, whose view the page puts into its own; this is the id of its model.
    text
        What it says in words, what is going to be read, what went wrong, or what to do where a page can show no widget inside of another.
    can_measure
        Whether the page may ask to read weights.
    """

    plot: PlotName
    state: Literal["drawn", "unmeasured", "doing", "failed"]
    svg: str = ""
    widget: str = ""
    text: str = ""
    can_measure: bool = False


class Hello(Struct, kw_only=True, tag_field="type", tag="hello"):
    """A view opened; ``have`` is the version it has (None: nothing), ``view`` its own random id."""

    view: str
    have: int | None = None


class Seen(Struct, kw_only=True, tag_field="type", tag="seen"):
    """Whether a view can be seen now; repeated every ten seconds while it can."""

    view: str
    visible: bool


class Gone(Struct, kw_only=True, tag_field="type", tag="gone"):
    """A view was closed."""

    view: str


class Resync(Struct, kw_only=True, tag_field="type", tag="resync"):
    """A message was lost; asked at most once a second."""

    have: int


class Pause(Struct, kw_only=True, tag_field="type", tag="pause"):
    """Stop looking, or go on."""

    on: bool


class Refresh(Struct, kw_only=True, tag_field="type", tag="refresh"):
    """Look now."""


class Order(Struct, kw_only=True, tag_field="type", tag="order"):
    """Change something; ``id`` is the page's own random id of the request, so that a repeated message acts once."""

    id: str
    what: Literal["deactivate"]
    table: TableName
    target: str


class Draw(Struct, kw_only=True, tag_field="type", tag="draw"):
    """Which picture a view shows now, None for none; it comes, and comes again when its rows change.  With ``measure`` weights are read."""

    view: str
    plot: PlotName | None
    measure: bool = False


#: Kernel to page, and page to kernel.
ToPage = Snapshot | Change | Tick | Picture
FromPage = Hello | Seen | Gone | Resync | Pause | Refresh | Order | Draw


def plain(message: Struct) -> dict[str, Any]:
    """Return a message as JSON has it."""
    found: dict[str, Any] = to_builtins(message)
    return found
