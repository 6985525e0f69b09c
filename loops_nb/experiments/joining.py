"""Listings of the service with what was recorded here beside them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.derived import NOTES_ATTR
from loops_nb.frames.logged import marked_one
from loops_nb.frames.metrics import earlier_steps, place_of_save, told_first, unknown_keys
from loops_nb.steps import step_of
from loops_nb.tracking import TrackingWarning, in_sight

if TYPE_CHECKING:
    from loops_nb.tracking import ExperimentRow, Mark, Series, Store

#: What a value of a run is: its last one, its lowest, its highest.
OF_RUN = ("last", "min", "max")


class _Value(NamedTuple):
    """A value, and the step that it was logged at; None where there is no value."""

    value: float
    step: int | None


class Recorded:
    """What is recorded of runs, each read once.

    Parameters
    ----------
    store
        The file of experiments.
    keys
        Only these; None for all.
    """

    def __init__(self, store: Store, keys: Iterable[str] | None = None) -> None:
        self._store = store
        self._keys = None if keys is None else list(dict.fromkeys(keys))
        self._of: dict[str, list[ExperimentRow]] = {}
        self._series: dict[str, dict[str, Series]] = {}
        self._marks: dict[str, list[Mark]] = {}
        for row in reversed(store.experiments(archived=True)):
            if row.run_id is not None:
                self._of.setdefault(row.run_id, []).append(row)

    def rows(self, run_id: str) -> list[ExperimentRow]:
        """Return the experiments of a run, oldest first; archived ones where it has no others."""
        return in_sight(self._of.get(run_id, ()))

    def series(self, row: ExperimentRow) -> dict[str, Series]:
        """Return the series of an experiment."""
        if row.id not in self._series:
            there = [key.key for key in self._store.keys(row.id)]
            wanted = there if self._keys is None else [key for key in self._keys if key in there]
            self._series[row.id] = {key: self._store.series(row.id, key) for key in wanted}
        return self._series[row.id]

    def marks(self, row: ExperimentRow) -> list[Mark]:
        """Return the marks of an experiment."""
        if row.id not in self._marks:
            self._marks[row.id] = self._store.marks(row.id)
        return self._marks[row.id]

    def unknown(self, rows: Iterable[ExperimentRow], logged: Iterable[str]) -> str:
        """Return what to say of keys that were asked for and are in none of these experiments; empty where each is there."""
        found = set(logged)
        absent = [key for key in self._keys or [] if key not in found]
        return unknown_keys(absent, (key.key for row in rows for key in self._store.keys(row.id))) if absent else ""

    def at_save(self, run_id: str, uri: str | None, name: str | None) -> tuple[int | None, dict[str, _Value]]:
        """Return at which step a checkpoint was saved, and the value of each key there.

        The step is that of the name where the save has no mark.
        """
        step, saved, owner = (step_of(name) if name else None), None, None
        for row in self.rows(run_id):
            for mark in self.marks(row):
                is_it = mark.uri == uri if mark.uri is not None and uri is not None else mark.text == name
                if mark.kind == "save" and mark.step is not None and is_it:
                    step, saved, owner = mark.step, mark, row.id
        if step is None:
            return None, {}
        found: dict[str, tuple[tuple[bool, bool, float, int], _Value]] = {}
        for row in self.rows(run_id):
            saves = [mark for mark in self.marks(row) if mark.kind == "save"] if row.id == owner else []
            for key, series in self.series(row).items():
                place = place_of_save(series, step, saved, saves)
                rank, value = (False, False, -math.inf, 0), _Value(math.nan, None)
                if place is not None:
                    value = _Value(marked_one(float(series.value[place])), int(series.step[place]))
                    # A value of the very step counts most; then the experiment that saved it, the nearest step, and of two the later.
                    rank = (value.step == step, row.id == owner, float(series.step[place]), series.at.item(place))
                if key not in found or rank > found[key][0]:
                    found[key] = rank, value
        return step, {key: value for key, (_, value) in found.items()}

    def of_run(self, run_id: str, which: str) -> dict[str, float]:
        """Return one value of each key of a run, of all its experiments together."""
        together: dict[str, list[Series]] = {}
        for row in self.rows(run_id):
            for key, series in self.series(row).items():
                together.setdefault(key, []).append(series)
        return {key: _one([series for series in found if len(series.value)], which) for key, found in together.items()}


def with_metrics(frame: pd.DataFrame, store: Store, *, kind: str, at: str, keys: Iterable[str] | None) -> pd.DataFrame:
    """Return a frame of runs or checkpoints with columns of what was recorded; what `LoopsAccessor.with_metrics` does.

    A metric of checkpoints that has values of earlier steps, because none was logged at the step of the save, gets a column beside it
    with those steps (Int64), called as the metric and ``_step``.
    """
    recorded = Recorded(store, keys)
    steps: list[int | None] = []
    at_steps: list[dict[str, int | None]] = []
    run_ids = frame["id" if kind == "runs" else "run_id"].tolist()
    if kind == "runs":
        values = [recorded.of_run(run_id, at) if isinstance(run_id, str) else {} for run_id in run_ids]
        added = _words(recorded, run_ids)
    else:
        uris = frame["uri"].tolist() if "uri" in frame else [None] * len(frame)
        names = frame["checkpoint_id"].tolist() if "checkpoint_id" in frame else [None] * len(frame)
        found = [
            recorded.at_save(run_id, _text(uri), _text(name)) if isinstance(run_id, str) else (None, {})
            for run_id, uri, name in zip(run_ids, uris, names, strict=True)
        ]
        steps = [step for step, _ in found]
        values = [{key: one.value for key, one in of.items()} for _, of in found]
        at_steps = [{key: one.step for key, one in of.items()} for _, of in found]
        added = {"step": pd.array(steps, dtype="Int64")}
    logged = dict.fromkeys(key for of in values for key in of)
    _tell_of_nothing(recorded, run_ids, kind, logged)
    notes = []
    for key in logged if keys is not None else told_first(logged):
        name = f"metric:{key}" if key in frame or key in added else key
        added[name] = np.array([of.get(key, np.nan) for of in values], np.float64)
        of_key = [of.get(key) for of in at_steps]
        earlier = sum(at is not None and at != step for at, step in zip(of_key, steps, strict=True))
        if earlier:
            added[f"{name}_step"] = pd.array(of_key, dtype="Int64")
            notes.append(earlier_steps(key, earlier, f"{name}_step"))
    # A step that somebody added already is theirs.
    made = frame.assign(**{name: column for name, column in added.items() if name not in frame})
    made.attrs = {**frame.attrs, NOTES_ATTR: [*frame.attrs.get(NOTES_ATTR, ()), *notes]} if notes else dict(frame.attrs)
    return made


def _tell_of_nothing(recorded: Recorded, run_ids: list[Any], kind: str, logged: Iterable[str]) -> None:
    """Warn of columns that a person waits for in vain: the next line would only say KeyError."""
    if not run_ids:
        return
    rows = [row for run_id in dict.fromkeys(run_ids) if isinstance(run_id, str) for row in recorded.rows(run_id)]
    said = recorded.unknown(rows, logged)
    if not rows:
        said = (
            f"Nothing is recorded of these {kind} on this machine, so no number stands beside them."
            " loops_nb.track(training_client) records a training; %loops experiments lists what is there."
        )
    if said:
        # Of the line that asked: behind this function, `with_metrics`, and the accessor's.
        warnings.warn(said, TrackingWarning, stacklevel=4)


def _words(recorded: Recorded, run_ids: list[Any]) -> dict[str, Any]:
    of = [recorded.rows(run_id) if isinstance(run_id, str) else [] for run_id in run_ids]
    tags = [", ".join(dict.fromkeys(tag for row in rows for tag in row.tags)) or None for rows in of]
    notes = [next((row.notes[-1] for row in reversed(rows) if row.notes), None) for rows in of]
    return {"tags": pd.array(tags, dtype=STRING_DTYPE), "note": pd.array(notes, dtype=STRING_DTYPE)}


def _one(found: list[Series], which: str) -> float:
    if not found:
        return np.nan
    if which == "last":
        return marked_one(float(max(found, key=lambda series: series.at.item(-1)).value[-1]))
    values = np.concatenate([series.value for series in found])
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan
    return float(values.min() if which == "min" else values.max())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
