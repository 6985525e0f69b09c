"""Tools about experiments: what is recorded on this machine; they need no connection."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer, frame_rows, notes_of
from loops_nb.agents.arguments import Experiments, Limit, Metric, Metrics, Mode, Texts
from loops_nb.agents.connection import agent_tool, experiments
from loops_nb.cli.json_rows import plain
from loops_nb.tracking.group_frames import group_results_frame
from loops_nb.tracking.leaderboard import ExperimentFilter, ExperimentSummary, leaderboard
from loops_nb.tracking.metric_mode import infer_mode, unknown_mode

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.tracking.bands import MemberCurve
    from loops_nb.tracking.rows import SeriesSummary

#: Curves of one answer; each has points for about a kilobyte.
_MOST_CURVES = 12
_MOST_POINTS = 50
_MOST_COMPARED = 10
_NONFINITE = ("NaN", "Infinity", "-Infinity")


@agent_tool
def loops_leaderboard(
    metric: Metric = "loss",
    mode: Mode = None,
    experiments_matching: Experiments = None,
    where: Annotated[
        str | None,
        Field(
            max_length=500,
            description="Expression over parameters, metrics and columns: lr < 1e-3 and lora.rank == 16, state == "
            "'crashed', best.loss < 2.",
        ),
    ] = None,
    tags: Annotated[Texts | None, Field(max_length=20, description="Only experiments with all of these tags.")] = None,
    project: Annotated[str | None, Field(max_length=200, description="Only experiments of this project.")] = None,
    limit: Limit = 10,
) -> str:
    """Rank experiments by the best value of a metric, best first, with parameters, state and the run they belong to.

    Experiments are what training code recorded on this machine; run_id links one to a run of the service.  Compare
    metric.last with metric.min or max: a run may have become worse again, or ended with NaN.
    """
    used = mode or infer_mode(metric)
    if used is None:
        raise unknown_mode(metric)
    selection = ExperimentFilter(
        where=where,
        tags=tags or (),
        names=experiments_matching or (),
        project=project,
        sort=f"min.{metric}" if used == "min" else f"-max.{metric}",
    )
    found = leaderboard(experiments().store, selection)
    return answer(
        AnswerSection(
            f"experiments, the {'lowest' if used == 'min' else 'highest'} value of the metric first",
            [summary_row(one, metric) for one in found.rows[:limit]],
            len(found.rows),
            "Narrow with experiments_matching, where, tags or project, or raise limit (at most 100).",
        ),
        AnswerSection("notes", [*found.notes, *([found.empty] if found.empty else [])]),
    )


@agent_tool
def loops_curves(
    experiments_matching: Experiments = None,
    metrics: Metrics = None,
    axis: Annotated[
        Literal["step", "tokens", "elapsed", "clock"],
        Field(description="What x is: steps, tokens so far, seconds since the start, or seconds since 1970."),
    ] = "step",
    max_points: Annotated[int, Field(ge=4, le=_MOST_POINTS, description="Most points of a curve.")] = _MOST_POINTS,
) -> str:
    """Read the curves of metrics, each reduced to a few points that keep its shape, peaks and spikes.

    Each curve has its lowest and highest value with their x, and where it was NaN or infinite.
    """
    store = experiments()
    found = store.grouped_curves(metrics, experiments_matching, axis=axis)
    ids = {row.id: row for row in found.rows}
    curves = [
        {
            "metric": of.key,
            "experiment": group.ids[0],
            "name": ids[group.ids[0]].name,
            "run_id": ids[group.ids[0]].run_id,
            **_curve(group.members[0], max_points),
        }
        for of in found.metrics
        for group in of.groups
    ]
    return answer(
        AnswerSection(
            f"curves, x is {axis}",
            curves[:_MOST_CURVES],
            len(curves),
            "Narrow with metrics or experiments_matching, or lower max_points.",
            "No values are recorded on this machine.",
        ),
        AnswerSection("notes", found.notes),
    )


@agent_tool
def loops_compare_experiments(
    experiments_to_compare: Annotated[
        Texts,
        Field(
            min_length=2,
            max_length=_MOST_COMPARED,
            description="Experiments by id, name, run id or pattern; the first is the baseline.",
        ),
    ],
    metrics: Metrics = None,
) -> str:
    """Compare experiments: only those parameters and versions that differ, and last and best value of each metric.

    Answers why one is better than another: other parameters, another commit, other packages, or another length.
    """
    recorded = experiments()
    rows = recorded.find(experiments_to_compare)
    ids = [row.id for row in rows[:_MOST_COMPARED]]
    known = {one.row.id: one for one in leaderboard(recorded.store, ExperimentFilter(archived=True)).rows}
    results = group_results_frame(recorded.grouped_curves(metrics, ids, baseline=ids[0]))
    return answer(
        AnswerSection(
            "experiments, the baseline first",
            [{**summary_row(known[one]), "params": None, "metrics": None} for one in ids],
            len(rows),
            f"At most {_MOST_COMPARED} are compared; name fewer.",
        ),
        AnswerSection(
            "last and best values, with differences to the baseline",
            # A field that is called a key is taken for a secret.
            frame_rows(results.rename(columns={"key": "metric"})),
            narrow="Name fewer metrics.",
            empty="Nothing was logged.",
        ),
        AnswerSection(
            "parameters that differ, values in the order of the experiments",
            _differing(recorded.params(ids)),
            narrow="Compare fewer experiments.",
            empty="All that are recorded are the same.",
        ),
        AnswerSection(
            "environment that differs (commit, packages, host), values in the order of the experiments",
            _differing(recorded.environment(ids)),
            narrow="Compare fewer experiments.",
            empty="All that is recorded is the same.",
        ),
        AnswerSection("notes", notes_of(results)),
    )


def summary_row(one: ExperimentSummary, metric: str | None = None) -> dict[str, Any]:
    """Return an experiment as a row; of its metrics one, or all."""
    row = one.row
    metrics = {key: _series_row(of) for key, of in one.series.items() if metric in {None, key}}
    return {
        "id": row.id,
        "name": row.name,
        "run_id": row.run_id,
        "state": one.state,
        "metric": metrics.get(metric) if metric else None,
        "last_step": one.last_step,
        "checkpoints": one.saves,
        "params": one.params or None,
        "summary": one.summary or None,
        "tags": list(row.tags) or None,
        "note": row.notes[-1] if row.notes else None,
        "project": row.project,
        "began": f"{datetime.fromtimestamp(row.created_at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "metrics": metrics if metric is None else None,
        "other_metrics": [key for key in one.series if key != metric] or None if metric else None,
    }


def _series_row(of: SeriesSummary) -> dict[str, Any]:
    # Without a last value it was NaN, which the file has as none.
    last = "NaN" if of.last_value is None else of.last_value
    return {"last": last, "min": of.min_value, "max": of.max_value, "points": of.points, "last_step": of.last_step}


def _curve(curve: MemberCurve, most: int) -> dict[str, Any]:
    """Return a curve that is reduced to a number of points, and where it is extreme or no number."""
    import numpy as np

    from loops_nb.charts.downsample import downsample  # numpy

    x, y = curve
    found = downsample(x, y, low=float(x[0]), high=float(x[-1]), most=most)
    shown = np.isfinite(found.y)
    points = [(float(at), float(value)) for at, value in zip(found.x[shown], found.y[shown], strict=True)][:most]
    odd = [{"x": one.x, "value": _NONFINITE[one.kind], "times": one.times} for one in found.nonfinite]
    row: dict[str, Any] = {"points": len(x), "nonfinite": odd or None}
    if points:
        low, high = int(np.nanargmin(y)), int(np.nanargmax(y))
        row |= {
            "min": {"x": float(x[low]), "value": float(y[low])},
            "max": {"x": float(x[high]), "value": float(y[high])},
            "last": float(y[-1]) if np.isfinite(y[-1]) else "not a number",
            "x": [at for at, _ in points],
            "y": [value for _, value in points],
        }
    return row


def _differing(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what differs in a frame of values side by side, each with the values in the order of its columns."""
    name, _, *columns = frame.columns
    return [
        {str(row[name]): [plain(row[column]) for column in columns]}
        for row in frame[frame["differs"].astype(bool)].to_dict("records")
    ]
