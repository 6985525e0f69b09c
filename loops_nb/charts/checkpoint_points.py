"""Checkpoints of a frame as the charts need them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.api.step_names import step_of
from loops_nb.api.uri import format_uri
from loops_nb.charts.columns import moments, need, numbers, texts
from loops_nb.charts.ticks import EARLIEST, LATEST
from loops_nb.errors import one_line
from loops_nb.render.formatting import MISSING, many, moment, size

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckpointPoint:
    """A checkpoint.

    Parameters
    ----------
    row
        Its place in the frame.
    run_id, base_model, target, name, uri
        As in the listing; None where missing.
    at
        When it was saved, in seconds since 1970; None where it is missing, or no calendar of ours knows it.
    size
        In bytes; None where it is not known.
    step
        The training step in its name.
    """

    row: int
    run_id: str
    base_model: str | None
    target: str
    name: str | None
    uri: str | None
    at: float | None
    size: float | None
    step: int | None

    def called(self) -> str:
        """Return its URI, or what there is of it, as one line."""
        return one_line(self.uri or self.name or self.run_id)

    def sized(self) -> str:
        """Return its size in words."""
        return MISSING if self.size is None else size(int(self.size))

    def when(self, zone: tzinfo | None) -> str:
        """Return when it was saved, in words."""
        return MISSING if self.at is None else moment(datetime.fromtimestamp(self.at, UTC), zone)


#: Bytes; a larger number is no size, and its logarithm would only flatten the others.
_LARGEST_SIZE = 2.0**63 - 1024
_TABLE = ("run_id", "base_model", "target", "checkpoint_id", "created_at", "size_bytes", "uri")


def checkpoint_points(
    frame: pd.DataFrame, plot: str, *, needs: tuple[str, ...], has_times: bool
) -> list[CheckpointPoint]:
    """Return the checkpoints of a frame, in its order.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, or has lost a column that is needed.
    """
    need(frame, plot, "checkpoints", ("run_id", "target", *needs))
    names = texts(frame, "checkpoint_id")
    columns = zip(
        texts(frame, "run_id"),
        texts(frame, "base_model"),
        texts(frame, "target"),
        names,
        texts(frame, "uri"),
        moments(frame, "created_at", plot) if has_times else [None] * len(names),
        numbers(frame, "size_bytes"),
        numbers(frame, "step"),
        strict=True,
    )
    return [
        CheckpointPoint(
            row,
            run_id or UNKNOWN,
            base_model,
            target or UNKNOWN,
            name,
            uri or (format_uri(run_id, target or "", name) if run_id and name else None),
            _within(at, EARLIEST, LATEST),
            _within(weight, 0.0, _LARGEST_SIZE),
            step_of(name or "") if step is None else int(step),
        )
        for row, (run_id, base_model, target, name, uri, at, weight, step) in enumerate(columns)
    ]


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


def table_of(frame: pd.DataFrame, points: list[CheckpointPoint]) -> pd.DataFrame:
    """Return the rows of some checkpoints, with the columns of a plot's table."""
    kept = [name for name in _TABLE if name in frame.columns]
    return frame[kept].iloc[[point.row for point in points]].reset_index(drop=True)


def by_run(found: list[CheckpointPoint]) -> dict[str, list[CheckpointPoint]]:
    """Return checkpoints by their run, the run that began last first; runs without times come last."""
    runs: dict[str, list[CheckpointPoint]] = {}
    for one in found:
        runs.setdefault(one.run_id, []).append(one)
    began = {
        run: min((one.at for one in ones if one.at is not None), default=-float("inf")) for run, ones in runs.items()
    }
    return dict(sorted(runs.items(), key=lambda item: -began[item[0]]))


def targets_of(found: list[CheckpointPoint]) -> list[str]:
    """Return the targets in the order in which they are drawn."""
    usual = ["trainer", "sampler"]
    seen = {one.target for one in found}
    return [*(target for target in usual if target in seen), *sorted(seen.difference(usual))]


def base_model_of(points: list[CheckpointPoint]) -> str:
    """Return the base model of a run; empty where it is not known."""
    return next((point.base_model for point in points if point.base_model), "")


def describe_run(run: str, points: list[CheckpointPoint]) -> list[str]:
    """Return what a run says when it is pointed at, in lines."""
    known = [point.size for point in points if point.size is not None]
    together = f", {size(int(sum(known)))} together" if known else ""
    return [
        one_line(run),
        *filter(None, [one_line(base_model_of(points))]),
        f"{many(len(points), 'checkpoint')}{together}",
    ]
