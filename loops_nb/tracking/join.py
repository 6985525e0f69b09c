"""Joins listings of the service with the values recorded on this machine."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from loops_nb.api.step_names import step_of
from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.logged_nan import mark_nan
from loops_nb.tracking.frames import earlier_steps, in_column_order, index_of_save, unknown_keys
from loops_nb.tracking.rows import without_archived
from loops_nb.tracking.warn import TrackingWarning

if TYPE_CHECKING:
    from loops_nb.tracking.rows import ExperimentMark, ExperimentRow, Series
    from loops_nb.tracking.store import ExperimentStore

#: Which value of a run is joined: the last, the lowest or the highest.
RUN_VALUES = ("last", "min", "max")


class _Value(NamedTuple):
    """A value and the step that it was logged at; None without a value."""

    value: float
    step: int | None


class RecordedRuns:
    """Recorded series and marks of runs, each read once.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    keys : iterable of str, optional
        Only these keys; by default all.
    """

    def __init__(self, store: ExperimentStore, keys: Iterable[str] | None = None) -> None:
        self._store = store
        self._keys = None if keys is None else list(dict.fromkeys(keys))
        self._of: dict[str, list[ExperimentRow]] = {}
        self._series: dict[str, dict[str, Series]] = {}
        self._marks: dict[str, list[ExperimentMark]] = {}
        for row in reversed(store.experiments(archived=True)):
            if row.run_id is not None:
                self._of.setdefault(row.run_id, []).append(row)

    def rows(self, run_id: Any) -> list[ExperimentRow]:
        """Return the experiments of a run, oldest first; archived ones only if it has no others."""
        return without_archived(self._of.get(run_id, ()))

    def series(self, row: ExperimentRow) -> dict[str, Series]:
        """Return the series of an experiment."""
        if row.id not in self._series:
            wanted = [key.key for key in self._store.keys(row.id)]
            if self._keys is not None:
                wanted = [key for key in self._keys if key in wanted]
            self._series[row.id] = {key: self._store.series(row.id, key) for key in wanted}
        return self._series[row.id]

    def marks(self, row: ExperimentRow) -> list[ExperimentMark]:
        """Return the marks of an experiment."""
        if row.id not in self._marks:
            self._marks[row.id] = self._store.marks(row.id)
        return self._marks[row.id]

    def unknown(self, rows: Iterable[ExperimentRow], logged: Iterable[str]) -> str:
        """Return the message about requested keys that none of these experiments has; empty if all are there."""
        found = set(logged)
        absent = [key for key in self._keys or [] if key not in found]
        if not absent:
            return ""
        return unknown_keys(absent, (key.key for row in rows for key in self._store.keys(row.id)))

    def at_save(self, run_id: Any, uri: str | None, name: str | None) -> tuple[int | None, dict[str, _Value]]:
        """Return the step of a checkpoint and the value of each key there.

        Without a mark of the save, the step is the one in the name.
        """
        if not isinstance(run_id, str):
            return None, {}
        step, saved, owner = step_of(name or ""), None, None
        for row in self.rows(run_id):
            for mark in self.marks(row):
                if mark.step is not None and _is_save_of(mark, uri, name):
                    step, saved, owner = mark.step, mark, row.id
        if step is None:
            return None, {}
        found: dict[str, tuple[tuple[bool, bool, float, int], _Value]] = {}
        for row in self.rows(run_id):
            saves = [mark for mark in self.marks(row) if mark.kind == "save"] if row.id == owner else []
            for key, series in self.series(row).items():
                index = index_of_save(series, step, saved, saves)
                rank, value = (False, False, -math.inf, 0), _Value(math.nan, None)
                if index is not None:
                    value = _Value(mark_nan(float(series.value[index])), int(series.step[index]))
                    # A value of the same step comes first; then the experiment that saved it, the nearest step, and the
                    # later value.
                    rank = (value.step == step, row.id == owner, float(series.step[index]), series.at.item(index))
                if key not in found or rank > found[key][0]:
                    found[key] = rank, value
        return step, {key: value for key, (_, value) in found.items()}

    def of_run(self, run_id: Any, which: str) -> dict[str, float]:
        """Return one value of each key over all experiments of a run."""
        together: dict[str, list[Series]] = {}
        for row in self.rows(run_id):
            for key, series in self.series(row).items():
                together.setdefault(key, []).append(series)
        return {key: _one([series for series in found if len(series.value)], which) for key, found in together.items()}


def with_metrics(
    frame: pd.DataFrame, store: ExperimentStore, *, kind: str, at: str, keys: Iterable[str] | None
) -> pd.DataFrame:
    """Add recorded values to a frame of runs or checkpoints; see `LoopsAccessor.with_metrics`.

    Parameters
    ----------
    frame : pandas.DataFrame
        Runs or checkpoints.
    store : ExperimentStore
        The file of experiments.
    kind : {"runs", "checkpoints"}
        Kind of the frame.
    at : {"last", "min", "max", "save"}
        Which value: of runs one of `RUN_VALUES`, of checkpoints the one at the save.
    keys : iterable of str or None
        Only these keys; None for all.

    Returns
    -------
    pandas.DataFrame
        A copy with one float64 column per key; runs also get tags and note (string), checkpoints step (Int64).  A
        metric of checkpoints with values of earlier steps also gets an Int64 column of these steps, named after it with
        ``_step``.
    """
    recorded = RecordedRuns(store, keys)
    steps: list[int | None] = []
    at_steps: list[dict[str, int | None]] = []
    run_ids = frame["id" if kind == "runs" else "run_id"].tolist()
    if kind == "runs":
        values = [recorded.of_run(run_id, at) for run_id in run_ids]
        added = _tags_and_notes(recorded, run_ids)
    else:
        uris, names = _texts(frame, "uri"), _texts(frame, "checkpoint_id")
        found = [recorded.at_save(*row) for row in zip(run_ids, uris, names, strict=True)]
        steps = [step for step, _ in found]
        values = [{key: one.value for key, one in of.items()} for _, of in found]
        at_steps = [{key: one.step for key, one in of.items()} for _, of in found]
        added = {"step": pd.array(steps, dtype="Int64")}
        lifetimes = store.lifetimes()
        if lifetimes.keys() & set(uris):
            ends = [lifetimes.get(uri or "") for uri in uris]
            added["expires_at"] = pd.to_datetime(pd.array(ends, dtype="Int64"), unit="ms", utc=True).as_unit("us")
    logged = dict.fromkeys(key for of in values for key in of)
    _warn_of_missing(recorded, run_ids, kind, logged)
    notes = []
    for key in logged if keys is not None else in_column_order(logged):
        name = f"metric:{key}" if key in frame or key in added else key
        added[name] = np.array([of.get(key, np.nan) for of in values], np.float64)
        of_key = [of.get(key) for of in at_steps]
        earlier = sum(at is not None and at != step for at, step in zip(of_key, steps, strict=True))
        if earlier:
            added[f"{name}_step"] = pd.array(of_key, dtype="Int64")
            notes.append(earlier_steps(key, earlier, f"{name}_step"))
    # Columns that the user added before are kept.
    made = frame.assign(**{name: column for name, column in added.items() if name not in frame})
    made.attrs = dict(frame.attrs)
    if notes:
        made.attrs[NOTES_ATTR] = [*frame.attrs.get(NOTES_ATTR, ()), *notes]
    return made


def _warn_of_missing(recorded: RecordedRuns, run_ids: list[Any], kind: str, logged: Iterable[str]) -> None:
    """Warn of columns that are missing: the next line would only raise KeyError."""
    if not run_ids:
        return
    rows = [*chain.from_iterable(map(recorded.rows, dict.fromkeys(run_ids)))]
    message = recorded.unknown(rows, logged)
    if not rows:
        message = (
            f"Nothing is recorded of these {kind} on this machine, so they get no metrics."
            " loops_nb.track(training_client) records a training; %loops experiments lists what is there."
        )
    if message:
        # The line of the caller: below this function, `with_metrics`, and the method of the accessor.
        warnings.warn(message, TrackingWarning, stacklevel=4)


def _tags_and_notes(recorded: RecordedRuns, run_ids: list[Any]) -> dict[str, Any]:
    of = [recorded.rows(run_id) for run_id in run_ids]
    tags = [", ".join(dict.fromkeys(tag for row in rows for tag in row.tags)) or None for rows in of]
    notes = [next((row.notes[-1] for row in reversed(rows) if row.notes), None) for rows in of]
    return {"tags": pd.array(tags, dtype=STRING_DTYPE), "note": pd.array(notes, dtype=STRING_DTYPE)}


def _one(found: list[Series], which: str) -> float:
    if not found:
        return np.nan
    if which == "last":
        return mark_nan(float(max(found, key=lambda series: series.at.item(-1)).value[-1]))
    values = np.concatenate([series.value for series in found])
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan
    return float(values.min() if which == "min" else values.max())


def _is_save_of(mark: ExperimentMark, uri: str | None, name: str | None) -> bool:
    if mark.uri is not None and uri is not None:
        return mark.kind == "save" and mark.uri == uri
    return mark.kind == "save" and mark.text == name


def _texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    if column not in frame:
        return [None] * len(frame)
    return [value if isinstance(value, str) else None for value in frame[column]]
