"""What a panel of curves leaves behind in a notebook's file: the picture it began with, its numbers, and the parameters that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.curves.picture import Drawn, Spot, picture
from loops_nb.curves.wording import nothing_of
from loops_nb.drawing.tables import Field, Table, as_text, page, rows_html, sentence
from loops_nb.drawing.wording import MISSING, many
from loops_nb.experiments.direction import known_mode
from loops_nb.panels.curves_best import told_best
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS

if TYPE_CHECKING:
    from loops_nb.curves.history import Axis
    from loops_nb.panels.curves_book import Book
    from loops_nb.panels.curves_core import CurvesCore
    from loops_nb.panels.curves_wire import CurveHead, CurveMark, CurveRun, Look
    from loops_nb.plots import Plot

_WIDTH = 120
_MOST_PARAMS = 20


def plot_of(book: Book, look: Look) -> Plot:
    """Draw what a panel shows as a picture that needs no page."""
    key = book.key(look.key)
    drawn = [_drawn(book, run, key, look.axis) for run in book.head.runs] if key else []
    lines = [line for line in drawn if len(line.history)]
    return picture(lines, key=key, axis=look.axis, smoothing=look.smoothing, notes=_instead(book, key, is_empty=not lines))


def report_of(core: CurvesCore, *, live: bool, width: int = _WIDTH) -> dict[str, str]:
    """Return the report as HTML and as text."""
    plot, head = core.reading(lambda book: (plot_of(book, core.first), book.head))
    shown = plot._repr_mimebundle_()
    params = _params(head)
    if core.trouble and not head.runs:
        # What cannot be read is not what is not there.
        shown = {"text/html": sentence(core.trouble), "text/plain": core.trouble}
    parts = [sentence(core.title, is_heading=True), shown["text/html"]]
    if head.more_marks:
        parts.append(sentence(_older_marks(head)))
    if params.fields:
        parts += rows_html(params, "Parameters that differ")
    if core.line:
        parts.append(sentence("To see it live, type in a notebook:", code=core.line))
    text = [core.title, shown["text/plain"], *([_older_marks(head)] if head.more_marks else [])]
    if params.fields:
        text += ["", "Parameters that differ", as_text(params, width)]
    return {"text/html": page(parts, classes=REPORT_CLASS, style=ONE_OF_TWO if live else ""), "text/plain": "\n".join(text)}


def _instead(book: Book, key: str, *, is_empty: bool) -> list[str]:
    """Return what there is in place of what was asked for in vain."""
    head = book.head
    notes = [head.waiting or nothing_of(head.missing, [])] if head.missing else []
    notes += _not_drawn(head)
    if is_empty and head.keys:
        notes.append(nothing_of([key], book.all_keys()))
    return [*told_best(book.lines(key), head, known_mode(key)), *notes]


def _older_marks(head: CurveHead) -> str:
    return f"{many(head.more_marks, 'older mark')} not drawn."


def _not_drawn(head: CurveHead) -> list[str]:
    shown, more = len(head.runs), head.more_runs + head.newer_runs
    if not more:
        return []
    if head.is_named:
        return [f"{shown:,} of {shown + more:,} experiments are drawn, the newest, so that none is called the best."]
    if head.newer_runs:
        newer = f"{head.newer_runs:,} of the others began later: panel.show_newer() shows the newest."
        return [f"{shown} of {shown + more:,} experiments shown. {newer}"]
    return [f"{shown} newest of {shown + more:,} experiments shown; others when they are named."]


def _drawn(book: Book, run: CurveRun, key: str, axis: Axis) -> Drawn:
    marks = ((mark, _at(mark, run, axis)) for mark in book.head.marks if mark.run == run.id)
    spots = [Spot(at, f"{mark.name}: {mark.uri}" if mark.uri else mark.name) for mark, at in marks if at is not None]
    return Drawn(run.name, run.look, book.history(run.id, key), spots)


def _at(mark: CurveMark, run: CurveRun, axis: Axis) -> float | None:
    return {"step": mark.step, "tokens": mark.tokens, "elapsed": (mark.at - run.began) / 1000, "clock": mark.at / 1000}[axis]


def _params(head: CurveHead) -> Table:
    if not head.params:
        return Table([])
    rows = head.params[:_MOST_PARAMS]
    fields = [Field("Parameter", [row.name for row in rows])]
    fields += [Field(run.name, [_cell(row.values[place]) for row in rows], rank=place) for place, run in enumerate(head.runs)]
    more = len(head.params) - len(rows) + head.more_params
    return Table(fields, [f"{many(more, 'more parameter')} that differ: %loops params"] if more else [])


def _cell(value: str | None) -> str:
    return MISSING if value is None else value
