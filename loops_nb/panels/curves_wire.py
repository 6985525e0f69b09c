"""What a panel of curves and its page say to each other.

As in `loops_nb.panels.wire`, the same structs make the TypeScript of the page (``js/contract.py`` writes ``js/src/curves/contract.ts``).
Each view on a page looks at one picture of its own: which key, along which axis, how far in.  It gets that as a `Curve`, and then what
comes to its right end as `Tail`; a tail whose ``base`` is not the newest number that the view has is proof of a lost message.

Points travel as base64 of little-endian floats, ``x`` less the curve's ``origin``; NaN among ``y`` is a gap.  They have 32 bits, but
for the values of a line that those cannot tell.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from loops_nb.curves.history import Axis

#: A number; what is none by its name (``NaN``, ``Infinity``, ``-Infinity``), for JSON has no word for it; None where there is nothing.
Number = float | str | None


class CurveRun(Struct, kw_only=True, frozen=True):
    """An experiment that is drawn.

    Parameters
    ----------
    id, name, run_id
        Its own id, what it is called here, unlike any other, and the run that it belongs to, if any.
    label
        What people call it, which may be the name of several.
    look
        Which of the looks of a line it has; it keeps that whatever else comes and goes.
    tags
        What it was tagged with.
    began, last_at
        Epoch milliseconds of its beginning and of its newest point.
    """

    id: str
    name: str
    label: str
    run_id: str | None
    look: int
    tags: list[str]
    began: float
    last_at: float | None


class CurveMark(Struct, kw_only=True, frozen=True):
    """A save or a note.

    Parameters
    ----------
    run
        The experiment's id.
    kind
        Which of the two.
    step, at, tokens
        Where it lies on each axis; ``at`` in epoch milliseconds.
    name, uri
        Of the checkpoint, or the text of the note.
    target
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


class CurveHead(Struct, kw_only=True, frozen=True):
    """Everything but the points.

    Parameters
    ----------
    runs
        The experiments, oldest first.
    keys
        What can be drawn, what matters most first.
    marks
        Saves and notes, oldest first.
    params
        Parameters that differ; values in the order of ``runs``.
    same_params, more_params
        How many are the same everywhere, and how many differ and are not told.
    more_runs, more_marks, more_keys
        How many there are beyond those that are told; of keys a search finds the others.
    newer_runs
        How many experiments began after those that are shown, where none were named: they are shown on request.
    missing
        What was asked for and is not there yet.
    waiting
        What is awaited, and what there is instead, in words; empty where nothing is.
    is_named
        Whether the experiments were named, in place of the newest.
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
    is_named: bool = False


class Look(Struct, kw_only=True, frozen=True):
    """What a view looks at.

    Parameters
    ----------
    key
        What is drawn; empty for the first that there is.
    axis
        Along what.
    smoothing
        How much of the former average stays at each value: 0 for none, less than 1.
    low, high
        The part that is seen; None for all, to which new points come.
    columns
        How many pixels it is wide.
    """

    key: str = ""
    axis: Axis = "step"
    smoothing: float = 0.0
    low: float | None = None
    high: float | None = None
    columns: int = 600


class LineStats(Struct, kw_only=True, frozen=True):
    """A series in numbers; steps are those of the experiment, whatever lies along the axis."""

    count: int
    odd: int
    last: Number
    last_step: int
    low: Number
    low_step: int
    high: Number
    high_step: int


class CurveLine(Struct, kw_only=True, omit_defaults=True):
    """The line of one experiment, or what comes to its end.

    Parameters
    ----------
    run
        Its place among the runs of the head.
    x, y
        The points.
    sx, sy
        Those of the smoothed line, if one was asked for.
    wide
        Whether ``y`` and ``sy`` have 64 bits each.
    odd
        What is no number: where, 0 for NaN, 1 and 2 for infinitely high and low, how many.
    stats
        All of the series in numbers.
    """

    run: int
    x: bytes = b""
    y: bytes = b""
    sx: bytes = b""
    sy: bytes = b""
    wide: bool = False
    odd: list[tuple[float, int, int]] = field(default_factory=list)
    stats: LineStats | None = None


class Best(Struct, kw_only=True, omit_defaults=True):
    """Which experiment is the best in one direction.

    Parameters
    ----------
    runs
        Places of the winner, or of all that tie.
    words
        What stands beside them.
    left_out
        Places of those that were not compared, because their newest value is NaN or infinite.
    """

    runs: list[int] = field(default_factory=list)
    words: str = ""
    left_out: list[int] = field(default_factory=list)


class Curve(Struct, kw_only=True):
    """A whole picture.

    Parameters
    ----------
    look
        What it was asked for, its key filled in.
    origin
        What every ``x`` is counted from.
    first, last
        Bounds of all there is along the axis; None if there is nothing.
    unknown
        How many experiments have no point that can be put on this axis.
    mode
        Which values of the key are better: ``min`` or ``max``; None where its name does not tell.
    best
        The best where low values are better, and where high ones are.
    """

    look: Look
    origin: float
    first: float | None
    last: float | None
    lines: list[CurveLine]
    unknown: int = 0
    mode: Literal["min", "max"] | None = None
    best: list[Best] = field(default_factory=list)


class CurvesSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything: for a page that opens, and for a notebook that keeps the state of its widgets.

    Parameters
    ----------
    now
        The kernel's clock.
    title, line
        The heading, and the line of code that opens the same panel.
    head
        Everything but the points.
    curve
        The picture that a view begins with; None if there is nothing to draw.
    seq
        Its number.
    state, reason
        ``live``; ``failing`` while the store cannot be read, ``over`` when the panel was closed, with the reason in words.
    """

    now: float
    title: str
    line: str
    head: CurveHead
    curve: Curve | None
    seq: int
    state: Literal["live", "failing", "over"]
    reason: str = ""


class HeadNews(Struct, kw_only=True, tag_field="type", tag="head"):
    """Another head, or another state."""

    now: float
    head: CurveHead
    state: Literal["live", "failing", "over"]
    reason: str = ""


class Drawn(Struct, kw_only=True, tag_field="type", tag="curve"):
    """A picture for one view; None if there is nothing to draw."""

    view: str
    seq: int
    now: float
    curve: Curve | None


class Tail(Struct, kw_only=True, tag_field="type", tag="tail", omit_defaults=True):
    """What comes to the end of the lines of one view; ``last`` and ``best`` as in `Curve`."""

    view: str
    base: int
    seq: int
    now: float
    lines: list[CurveLine]
    last: float | None = None
    best: list[Best] = field(default_factory=list)


class FoundKeys(Struct, kw_only=True, tag_field="type", tag="keys"):
    """What the search of one view found: the first keys, and how many there are."""

    view: str
    text: str
    now: float
    keys: list[str]
    total: int


class Pulse(Struct, kw_only=True, tag_field="type", tag="pulse"):
    """A sign of life, with the newest number of each view."""

    now: float
    seqs: dict[str, int]


class LookAt(Struct, kw_only=True, tag_field="type", tag="look"):
    """A view opened, or looks at something else; the picture comes."""

    view: str
    look: Look


class ViewSeen(Struct, kw_only=True, tag_field="type", tag="seen"):
    """Whether a view can be seen now; repeated every ten seconds while it can."""

    view: str
    visible: bool


class ViewGone(Struct, kw_only=True, tag_field="type", tag="gone"):
    """A view was closed."""

    view: str


class FindKeys(Struct, kw_only=True, tag_field="type", tag="find"):
    """A view searches the keys for all words of a text."""

    view: str
    text: str


class ShowNewer(Struct, kw_only=True, tag_field="type", tag="newer"):
    """The newest experiments are to be shown in place of those that are."""

    view: str


CurvesToPage = CurvesSnapshot | HeadNews | Drawn | Tail | FoundKeys | Pulse
CurvesFromPage = LookAt | ViewSeen | ViewGone | FindKeys | ShowNewer
