"""Cells of a heat map: values of a drift frame by group of modules and checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd

from loops_nb.api.step_names import step_of
from loops_nb.charts.columns import LINE_OF, choice, need, numbers, texts
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

By = Literal["layer", "module_type", "module"]
BY: tuple[By, ...] = get_args(By)
#: The name of the group without a layer or type.
REST = "rest"
_NO_VALUES = {"layer", "step", "modules"}
_USUAL = "relative_change"


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """A checkpoint on its path: a column of cells."""

    checkpoint: str
    step: int | None

    @property
    def label(self) -> str:
        """What stands below the column."""
        return self.checkpoint.rsplit("/", 1)[-1] if self.step is None else f"{self.step:,}"

    @property
    def words(self) -> str:
        """What is said of it."""
        return self.label if self.step is None else f"step {self.label}"


@dataclass(frozen=True, slots=True)
class CheckpointSeries:
    """The checkpoints of a run and target, and what is known at each: NaN or infinite where there is no number for it.

    Parameters
    ----------
    run_id, target, quantity
        What they have in common; None where it is not known.
    stops
        In the order of the frame.
    cells
        Values by group and checkpoint.
    """

    run_id: str | None
    target: str | None
    quantity: str | None
    stops: list[SeriesStep]
    cells: dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class DriftGrid:
    """All paths, on the same groups.

    Parameters
    ----------
    by, value
        What a row is, and which column of the frame a cell is.
    groups
        Rows from the top.
    paths
        One heat map each.
    """

    by: str
    value: str
    groups: list[str]
    paths: list[CheckpointSeries]


def grid_of(frame: pd.DataFrame, value: str | None, by: str | None) -> DriftGrid:
    """Read a frame of drift.

    Raises
    ------
    InvalidArgumentError
        If it is not one, has lost a column that is needed, or has no such column as ``value``.
    """
    need(frame, "drift", "drift", ("checkpoint",))
    has = [name for name in BY if name in frame.columns]
    chosen = _usual(frame, has) if by is None else choice("drift", "by", by, has)
    can = [str(name) for name in frame.columns if name not in _NO_VALUES and pd.api.types.is_numeric_dtype(frame[name])]
    # One value a module is no value of a layer: those are summed up, as far as they have sums.
    is_single = not frame.duplicated(_keys(frame, chosen)).any()
    if not is_single:
        from loops_nb.checkpoints.compare.summary import DriftSummary  # HTTP, which other pictures need not wait for

        can = [name for name in can if name in DriftSummary._fields]
    named = choice("drift", "value", value or (_USUAL if _USUAL in can or not can else can[0]), can)
    need(frame, "drift", "drift", (named,))
    rows = frame if is_single else _summed(frame, chosen)
    return _read(rows, named, chosen)


def _usual(frame: pd.DataFrame, has: list[By]) -> str:
    filled = [name for name in has if bool(frame[name].notna().any())] or has
    if not filled:
        raise InvalidArgumentError(
            f"plot.drift needs one of the columns {', '.join(BY)}, which this frame does not have.",
            argument="frame",
            hint=f"Keep it when selecting columns, or start from {LINE_OF['drift']}",
        )
    return filled[0]


def _keys(frame: pd.DataFrame, by: str) -> list[str]:
    return [name for name in ("run_id", "target", "quantity", "checkpoint", by) if name in frame.columns]


def _summed(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    from loops_nb.checkpoints.compare import summarize_drift
    from loops_nb.checkpoints.compare.drift import DriftRow

    need(frame, "drift", "drift", DriftRow._fields)
    if by == "module":
        raise InvalidArgumentError(
            "plot.drift: this frame has several rows of the same module at the same checkpoint.",
            argument="frame",
            hint="df.drop_duplicates()",
        )
    columns = [_plain(frame[name]) for name in DriftRow._fields]
    rows = [DriftRow(*row) for row in zip(*columns, strict=True)]
    return pd.DataFrame([row._asdict() for row in summarize_drift(rows, "layer" if by == "layer" else "module_type")])


def _plain(column: Any) -> list[Any]:
    """Return values as Python has them: None where a text or a count is missing, NaN where a number is."""
    if pd.api.types.is_float_dtype(column.dtype):
        return [float(value) for value in column.to_numpy(dtype="float64", na_value=math.nan)]
    return [None if gone else value for value, gone in zip(column.tolist(), column.isna().tolist(), strict=True)]


def _read(frame: pd.DataFrame, value: str, by: str) -> DriftGrid:
    paths: dict[tuple[str | None, ...], CheckpointSeries] = {}
    groups: dict[str, float] = {}
    steps = numbers(frame, "step")
    found = pd.to_numeric(frame[value], errors="coerce").to_numpy(dtype="float64", na_value=math.nan)
    columns = [texts(frame, name) for name in ("run_id", "target", "quantity", "checkpoint", by)]
    for run_id, target, quantity, checkpoint, group, step, cell in zip(*columns, steps, found, strict=True):
        path = paths.setdefault((run_id, target, quantity), CheckpointSeries(run_id, target, quantity, [], {}))
        name, label, order = checkpoint or REST, group or REST, 0.0
        if group is None:
            order = math.inf
        elif by == "layer":
            label, order = _layer(group) or REST, _number(group)
        stop = SeriesStep(name, step_of(name.rsplit("/", 1)[-1]) if step is None else int(step))
        if stop not in path.stops:
            path.stops.append(stop)
        path.cells[label, name] = float(cell)
        groups.setdefault(label, order)
    return DriftGrid(by, value, sorted(groups, key=groups.__getitem__), list(paths.values()))


def _layer(text: str) -> str:
    # A column with gaps may have made fractions of the numbers.
    return f"{_number(text):.0f}" if _number(text) < math.inf else text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def finite(values: Iterable[float]) -> list[float]:
    """Return the values that are numbers."""
    return [value for value in values if math.isfinite(value)]
