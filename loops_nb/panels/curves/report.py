"""Static report of a curves panel: a plot, a table of values, and the parameters that differ."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from loops_nb.charts.curves import CurvePoint, CurveSeries, curves
from loops_nb.charts.ema import ExponentialMovingAverage
from loops_nb.charts.number_format import nothing_recorded
from loops_nb.errors import LoopsError
from loops_nb.panels.curves.best import told_best
from loops_nb.panels.curves.comparison import is_compared
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS
from loops_nb.render.formatting import MISSING, many
from loops_nb.render.tables import Field, Table, as_text, page, rows_html, sentence
from loops_nb.tracking.metric_mode import infer_mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.charts import Plot
    from loops_nb.charts.series import Axis
    from loops_nb.panels.curves.controller import CurvesController
    from loops_nb.panels.curves.messages import ChartSpec, CurveMark, CurveRun, CurvesMetadata
    from loops_nb.panels.curves.model import CurveModel
    from loops_nb.tracking import ExperimentStore

_WIDTH = 120
_MOST_PARAMS = 20


def plot_of(model: CurveModel, spec: ChartSpec) -> Plot:
    """Draw what a panel shows as a picture that needs no page."""
    key = model.key(spec.key)
    if key in model.all_keys() and (is_compared(spec) or model.metadata.color_by):
        # A parameter that nothing has yet: the page says so.
        with suppress(LoopsError):
            return grid_of(model, spec, [key])
    drawn = [_drawn(model, run, key, spec.axis) for run in model.metadata.runs] if key else []
    lines = [line for line in drawn if len(line.history)]
    return curves(
        lines, key=key, axis=spec.axis, smoothing=spec.smoothing, notes=_instead(model, key, is_empty=not lines)
    )


def grid_of(model: CurveModel, spec: ChartSpec, keys: str | Sequence[str] | None) -> Plot:
    """Draw metrics, each in axes of its own, grouped and compared; keys may be patterns.

    Raises
    ------
    TrackingError
        If nothing is recorded of one.
    """
    from loops_nb.charts.curve_grid import curve_grid  # matplotlib
    from loops_nb.tracking.curve_groups import grouped_curves

    weight = spec.smoothing
    found = grouped_curves(
        # It is asked for what every source has.
        cast("ExperimentStore", model.source),
        [run.id for run in model.metadata.runs],
        keys,
        group_by=spec.group_by or None,
        kind=spec.band,
        axis=spec.axis,
        baseline=spec.baseline or None,
        smooth=(lambda values: ExponentialMovingAverage(weight).extend(values)) if weight else None,
    )
    color_by = model.metadata.color_by or None
    return curve_grid(found, color_by=color_by, against=spec.against, smoothing=weight)


def report_of(controller: CurvesController, *, live: bool) -> dict[str, str]:
    """Return the report as HTML and as text."""
    plot, head = _read(controller)
    parts = _parts(controller, plot, head)
    if controller.line:
        parts.append(sentence("To see it live, type in a notebook:", code=controller.line))
    return {
        "text/html": page(parts, classes=REPORT_CLASS, style=ONE_OF_TWO if live else ""),
        "text/plain": _text(controller, plot, head, _WIDTH),
    }


def report_parts(controller: CurvesController) -> list[str]:
    """Return the pieces of HTML of the report, for that of another panel."""
    return _parts(controller, *_read(controller))


def _parts(controller: CurvesController, plot: Plot, head: CurvesMetadata) -> list[str]:
    is_unread = _is_unread(controller, head)
    shown = sentence(controller.read_error) if is_unread else plot._repr_mimebundle_()["text/html"]
    parts = [sentence(controller.title, is_heading=True), shown]
    if head.more_marks:
        parts.append(sentence(_older_marks(head)))
    params = _params(head)
    if params.fields:
        parts += rows_html(params, "Parameters that differ")
    return parts


def heading_of(controller: CurvesController) -> dict[str, str]:
    """Return what stands in place of a live report before its picture is drawn."""
    parts = [sentence(controller.title, is_heading=True)]
    return {"text/html": page(parts, classes=REPORT_CLASS, style=ONE_OF_TWO), "text/plain": controller.title}


def text_report_of(controller: CurvesController, *, width: int) -> str:
    """Return the report as text; nothing is drawn, so matplotlib is not imported."""
    plot, head = _read(controller)
    return _text(controller, plot, head, width)


def _text(controller: CurvesController, plot: Plot, head: CurvesMetadata, width: int) -> str:
    text = [controller.title, controller.read_error if _is_unread(controller, head) else repr(plot)]
    if head.more_marks:
        text.append(_older_marks(head))
    params = _params(head)
    if params.fields:
        text += ["", "Parameters that differ", as_text(params, width)]
    return "\n".join(text)


def _read(controller: CurvesController) -> tuple[Plot, CurvesMetadata]:
    return controller.read(lambda model: (plot_of(model, controller.first_spec), model.metadata))


def _is_unread(controller: CurvesController, head: CurvesMetadata) -> bool:
    # What cannot be read is not what is not there.
    return bool(controller.read_error) and not head.runs


def _instead(model: CurveModel, key: str, *, is_empty: bool) -> list[str]:
    """Return what there is in place of what was asked for in vain."""
    head = model.metadata
    waiting = head.waiting or (nothing_recorded(head.missing, []) if head.missing else "")
    notes = [waiting] if waiting else []
    notes += _not_drawn(head)
    if is_empty and head.keys:
        notes.append(nothing_recorded([key], model.all_keys()))
    return [*told_best(model.lines(key), head, infer_mode(key)), *notes]


def _older_marks(head: CurvesMetadata) -> str:
    return f"{many(head.more_marks, 'older mark')} not drawn."


def _not_drawn(head: CurvesMetadata) -> list[str]:
    shown, more = len(head.runs), head.more_runs + head.newer_runs
    if not more:
        return []
    if head.is_named:
        return [f"{shown:,} of {shown + more:,} experiments are drawn, the newest, so that none is called the best."]
    if head.newer_runs:
        newer = f"{head.newer_runs:,} of the others began later: panel.show_newer() shows the newest."
        return [f"{shown} of {shown + more:,} experiments shown. {newer}"]
    return [f"{shown} newest of {shown + more:,} experiments shown; others when they are named."]


def _drawn(model: CurveModel, run: CurveRun, key: str, axis: Axis) -> CurveSeries:
    marks = ((mark, _at(mark, run, axis)) for mark in model.metadata.marks if mark.run == run.id)
    points = [
        CurvePoint(at, f"{mark.name}: {mark.uri}" if mark.uri else mark.name) for mark, at in marks if at is not None
    ]
    return CurveSeries(run.name, run.style, model.history(run.id, key), points)


def _at(mark: CurveMark, run: CurveRun, axis: Axis) -> float | None:
    return {"step": mark.step, "tokens": mark.tokens, "elapsed": (mark.at - run.began) / 1000, "clock": mark.at / 1000}[
        axis
    ]


def _params(head: CurvesMetadata) -> Table:
    if not head.params:
        return Table([])
    rows = head.params[:_MOST_PARAMS]
    fields = [Field("Parameter", [row.name for row in rows])]
    fields += [
        Field(run.name, [_cell(row.values[place]) for row in rows], rank=place) for place, run in enumerate(head.runs)
    ]
    more = len(head.params) - len(rows) + head.more_params
    return Table(fields, [f"{many(more, 'more parameter')} that differ: %loops params"] if more else [])


def _cell(value: str | None) -> str:
    return MISSING if value is None else value
