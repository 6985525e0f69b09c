"""Experiments and their numbers as DataFrames: a row a point (long), a row a step (wide), a row an experiment, a row a mark.

In the wide frame every point has its place too: where a key has several points of one attempt and step, ``repeat`` counts them from 1.
A NaN that was logged and a cell where nothing was logged are both NaN there; listings tell them apart (`loops_nb.frames.logged`).
A key that is called like one of the frame's own columns is ``metric:`` and its name there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.errors import TrackingError, one_line
from loops_nb.frames.arrays import KIND_ATTR, STRING_DTYPE
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.derived import EMPTY_ATTR, NOTES_ATTR, derived, derived_frame, is_aside
from loops_nb.frames.logged import marked, marked_one
from loops_nb.frames.params import param_array, param_cell
from loops_nb.models import CHECKPOINT_TARGETS
from loops_nb.tracking.params import flat_params, free_name
from loops_nb.tracking.rows import MARK_KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.tracking import ExperimentRow, Mark, Series, Store

_EXPERIMENT = Column("experiment", Dtype.WORD, (), "Id of the experiment.")
_NAME = Column("name", Dtype.WORD, (), "Name of the experiment; several may have the same.")
_RUN = Column("run_id", Dtype.WORD, (), "Loops run that it follows; missing without one.")
_STEP = Column("step", Dtype.COUNT, (), "Training step, as it was logged.")
_ATTEMPT = Column("attempt", Dtype.COUNT, (), "1 at first; higher after each resumption and each return to an earlier step.")
_TOKENS = Column("tokens", Dtype.NUMBER, (), "Tokens trained on until then, where that was logged.")
_AT = Column("at", Dtype.TIME, (), "When it was recorded.")

EXPERIMENTS = derived(
    Kind(
        "experiments",
        many=(),
        one=(),
        columns=(
            Column("id", Dtype.STRING, (), "Its own id."),
            Column("name", Dtype.STRING, (), "What the person called it."),
            Column("run_id", Dtype.STRING, (), "Loops run that it follows; missing without one."),
            Column("session_id", Dtype.STRING, (), "Loops session, where known."),
            Column("tags", Dtype.STRING, (), "Its tags, separated by commas; missing without any."),
            Column("keys", Dtype.COUNT, (), "Number of keys that were logged."),
            Column("points", Dtype.COUNT, (), "Number of points of all keys."),
            Column("last_step", Dtype.COUNT, (), "Highest step of any key."),
            Column("note", Dtype.STRING, (), "What was last written down about it."),
            Column("created_at", Dtype.TIME, (), "When it was begun."),
            Column("last_at", Dtype.TIME, (), "When its newest point or mark was recorded."),
            Column("archived", Dtype.FLAG, (), "Whether it was put out of sight."),
        ),
    )
)
METRICS = derived(
    Kind(
        "metrics",
        many=(),
        one=(),
        columns=(
            _EXPERIMENT,
            _NAME,
            _RUN,
            Column("key", Dtype.WORD, (), "What was logged: loss, grad_norm, anything."),
            _STEP,
            Column("value", Dtype.NUMBER, (), "The value; NaN and infinities as they were logged."),
            _ATTEMPT,
            _TOKENS,
            _AT,
        ),
    )
)
WIDE = derived(
    Kind(
        "metrics_wide",
        many=(),
        one=(),
        columns=(
            _EXPERIMENT,
            _NAME,
            _RUN,
            _STEP,
            _ATTEMPT,
            Column("repeat", Dtype.COUNT, (), "1 for the first values of a key at this step and attempt, 2 for the second."),
            _TOKENS,
            _AT,
        ),
    )
)
MARKS = derived(
    Kind(
        "marks",
        many=(),
        one=(),
        columns=(
            _EXPERIMENT,
            _NAME,
            _RUN,
            Column("kind", Dtype.WORD, (), "A checkpoint that was saved, or a note.", MARK_KINDS),
            _STEP,
            Column("text", Dtype.STRING, (), "Name of the checkpoint, or the note."),
            Column("uri", Dtype.STRING, (), "bt:// URI of the checkpoint, where known."),
            Column("target", Dtype.WORD, (), "What can load the checkpoint.", CHECKPOINT_TARGETS),
            _ATTEMPT,
            _AT,
        ),
    )
)
BEST = derived(
    Kind(
        "best",
        many=(),
        one=(),
        columns=(
            Column("checkpoint", Dtype.STRING, (), "Name of the checkpoint; missing where an experiment has saved none."),
            Column("value", Dtype.NUMBER, (), "The metric at the checkpoint: logged at its step, or else at the last step before it."),
            _STEP,
            Column("metric_step", Dtype.COUNT, (), "Step at which the value was logged; other than step where nothing was logged there."),
            Column("uri", Dtype.STRING, (), "bt:// URI of the checkpoint, where known."),
            Column("target", Dtype.WORD, (), "What can load the checkpoint.", CHECKPOINT_TARGETS),
            Column("metric", Dtype.WORD, (), "The key that was asked for."),
            _EXPERIMENT,
            _NAME,
            _RUN,
            _ATTEMPT,
            _AT,
        ),
    )
)
PARAMS = derived(
    Kind(
        "params",
        many=(),
        one=(),
        columns=(
            Column("parameter", Dtype.STRING, (), "Name of the parameter."),
            Column("differs", Dtype.FLAG, (), "Whether the experiments do not all have the same value."),
        ),
    )
)
_MOST_NAMES = 3
_SEVERAL = 2
_MOST_KEYS = 12
_NOTHING = "Nothing was logged for these experiments yet, or nothing under these keys."


def experiments_frame(store: Store, *, archived: bool = False) -> pd.DataFrame:
    """Return the experiments, newest first: one row each.

    Returns
    -------
    pandas.DataFrame
        Columns id, name, run_id, session_id, tags, note (strings), keys, points, last_step (Int64), created_at, last_at
        (datetime64[us, UTC]), archived (boolean), and before the times for each parameter of any of them a column ``params.`` and its
        name as in `loops_nb.tracking.params.flat_params`, with the dtype of `loops_nb.frames.params.param_array`.

    Raises
    ------
    TrackingError
        If the file of experiments cannot be read.
    """
    rows = store.experiments(archived=archived)
    keys = [store.keys(row.id) for row in rows]
    frame = derived_frame(
        EXPERIMENTS,
        {
            "id": [row.id for row in rows],
            "name": [row.name for row in rows],
            "run_id": [row.run_id for row in rows],
            "session_id": [row.session_id for row in rows],
            "tags": [", ".join(row.tags) or None for row in rows],
            "keys": [len(found) for found in keys],
            "points": [sum(key.count for key in found) for found in keys],
            "last_step": [max((key.last_step for key in found), default=None) for found in keys],
            "note": [row.notes[-1] if row.notes else None for row in rows],
            "created_at": [None] * len(rows),
            "last_at": [None] * len(rows),
            "archived": [row.archived for row in rows],
        },
    )
    frame["created_at"] = _times(np.array([row.created_at for row in rows], np.int64))
    frame["last_at"] = _times(np.array([row.last_at for row in rows], np.int64))
    params = [flat_params(row.params) for row in rows]
    names = list(dict.fromkeys(name for of in params for name in of))
    added = {f"params.{name}": param_array([of.get(name) for of in params]) for name in names}
    if added:
        attrs = frame.attrs
        # What a person looks for stands before the times, which are the same for all of a sweep.
        place = frame.columns.get_loc("created_at")
        frame = pd.concat([frame.iloc[:, :place], pd.DataFrame(added), frame.iloc[:, place:]], axis=1)
        frame.attrs = attrs
    if not rows:
        frame.attrs[EMPTY_ATTR] = nothing_here(store)
    return frame


def nothing_here(store: Store) -> str:
    """Return what to say where there is no experiment, or none that is not archived."""
    count = len(store.experiments(archived=True))
    if count:
        is_one = count == 1
        return (
            f"{'The only experiment is' if is_one else f'All {count:,} experiments are'} archived, and nothing of"
            f" {'it' if is_one else 'them'} is deleted: %loops experiments --archived shows {'it' if is_one else 'them'},"
            " %loops archive NAME --undo brings back."
        )
    return 'No experiments yet. loops_nb.experiment("name").log(loss=0.5) begins one, loops_nb.track(client) follows a run.'


def metrics_frame(store: Store, experiments: Iterable[str], *, keys: Iterable[str] | None = None, wide: bool = False) -> pd.DataFrame:
    """Return what was logged: one row a point, or a row a step.

    Parameters
    ----------
    store
        Where it is kept.
    experiments
        Ids of experiments.
    keys
        Only these; None for all.
    wide
        A column a key, instead of a row a point.

    Returns
    -------
    pandas.DataFrame
        Long: columns experiment, name, run_id, key (categories), step (Int64), value (float64), attempt (Int64), tokens (float64), at
        (datetime64[us, UTC]); the points of each key in order of arrival.  Wide: experiment, name, run_id, step, attempt, repeat
        (Int64), tokens, at, and a column (float64) a key, ordered by attempt and step.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    wanted = None if keys is None else list(dict.fromkeys(keys))
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    keys_of = [(row, _keys_of(store, row, wanted)) for row in rows]
    if wide and wanted is None:
        keys_of = [(row, told_first(there)) for row, there in keys_of]
    found = [(row, [(key, store.series(row.id, key)) for key in there]) for row, there in keys_of]
    frame = _wide(found) if wide else _long(found)
    if not rows:
        frame.attrs[EMPTY_ATTR] = nothing_here(store)
        return frame
    said = unknown_keys(wanted or [], (key.key for row in rows for key in store.keys(row.id)))
    frame.attrs[EMPTY_ATTR] = said or _NOTHING
    if len(frame) and (notes := [*filter(None, [said]), *_equal_names(rows)]):
        frame.attrs[NOTES_ATTR] = notes
    return frame


def unknown_keys(wanted: Iterable[str], there: Iterable[str]) -> str:
    """Return what to say of keys that nothing was logged under, with those that there are; empty where each is there."""
    known = list(dict.fromkeys(there))
    absent = [key for key in wanted if key not in known]
    if not absent:
        return ""
    are = ", ".join(one_line(key, limit=60) for key in told_first(known)[:_MOST_KEYS]) + (", ..." if len(known) > _MOST_KEYS else "")
    instead = f"there is {are}." if known else "there are no values yet."
    return f"Nothing was logged as {', '.join(repr(one_line(key, limit=60)) for key in absent[:_MOST_KEYS])}; {instead}"


def marks_frame(store: Store, experiments: Iterable[str]) -> pd.DataFrame:
    """Return the checkpoints saved and the notes written in experiments, oldest first.

    Returns
    -------
    pandas.DataFrame
        Columns experiment, name, run_id (categories), kind (category: save, note), step (Int64), text, uri (strings), target (category:
        trainer, sampler), attempt (Int64) and at (datetime64[us, UTC]).

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    found = [(row, mark) for row in rows for mark in store.marks(row.id)]
    frame = derived_frame(
        MARKS,
        {
            "experiment": [row.id for row, _ in found],
            "name": [row.name for row, _ in found],
            "run_id": [row.run_id for row, _ in found],
            "kind": [mark.kind for _, mark in found],
            "step": [mark.step for _, mark in found],
            "text": [mark.text for _, mark in found],
            "uri": [mark.uri for _, mark in found],
            "target": [mark.target for _, mark in found],
            "attempt": [mark.attempt for _, mark in found],
            "at": [None] * len(found),
        },
    )
    frame["at"] = _times(np.array([mark.at for _, mark in found], np.int64))
    frame.attrs[EMPTY_ATTR] = "No checkpoint was saved and no note was written in these experiments." if rows else nothing_here(store)
    return frame


def best_frame(store: Store, experiments: Iterable[str], metric: str, *, highest: bool = False) -> pd.DataFrame:
    """Return checkpoints by a metric, the best first.

    Parameters
    ----------
    store, experiments
        As in `metrics_frame`.
    metric
        A key.
    highest
        Whether a higher value is a better one.

    Returns
    -------
    pandas.DataFrame
        One row a checkpoint that was saved, with the metric's value at its step, or else at the last step before it; of an experiment
        that has saved none, one row with its best value.  Columns checkpoint, uri (strings), value (float64), step, metric_step (the
        step of the value), attempt (Int64), target, metric, experiment, name, run_id (categories) and at (datetime64[us, UTC]).  Values
        that are no numbers stand last.

    Raises
    ------
    TrackingError
        If there is no such experiment, none of them has the metric, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    found: list[dict[str, Any]] = []
    without: list[str] = []
    for row in rows:
        series = store.series(row.id, metric)
        if not len(series.step):
            continue
        of = {"metric": metric, "experiment": row.id, "name": row.name, "run_id": row.run_id}
        saves = [mark for mark in store.marks(row.id) if mark.kind == "save" and mark.step is not None]
        for mark in saves:
            place = place_of_save(series, mark.step or 0, mark, saves)
            at = {
                "checkpoint": mark.text,
                "uri": mark.uri,
                "target": mark.target,
                "step": mark.step,
                "attempt": mark.attempt,
                "millis": mark.at,
                "value": math.nan if place is None else marked_one(float(series.value[place])),
                "metric_step": None if place is None else int(series.step[place]),
            }
            found.append({**of, **at})
        if not saves and not np.isnan(series.value).all():
            without.append(row.label)
            place = int(np.nanargmax(series.value) if highest else np.nanargmin(series.value))
            best_step = int(series.step[place])
            best = {
                "step": best_step,
                "metric_step": best_step,
                "attempt": int(series.attempt[place]),
                "millis": int(series.at.item(place)),
            }
            found.append({**of, **best, "value": float(series.value[place])})
    if rows and not any(metric == key.key for row in rows for key in store.keys(row.id)):
        there = dict.fromkeys(key.key for row in rows for key in store.keys(row.id))
        raise TrackingError(
            f"Nothing was logged as {metric!r:.60} in {'this experiment' if len(rows) == 1 else 'these experiments'}.",
            hint=f"There is {', '.join(list(there)[:12])}." if there else "They have no values yet.",
        )
    found.sort(key=lambda one: (math.isnan(one["value"]), -one["value"] if highest else one["value"]))
    values = {column.name: [one.get(column.name) for one in found] for column in BEST.columns}
    frame = derived_frame(BEST, values)
    frame["at"] = _times(np.array([one["millis"] for one in found], np.int64))
    frame.attrs[EMPTY_ATTR] = _NOTHING if rows else nothing_here(store)
    if found:
        this, other = ("highest", "min") if highest else ("lowest", "max")
        way = f'The {this} {one_line(metric, limit=60)} is taken as the best; for the other way round --{other}, in Python mode="{other}".'
        frame.attrs[NOTES_ATTR] = [way, *_of_earlier_steps(found, metric), *_without_saves(without), *_equal_names(rows)]
    return frame


def _equal_names(rows: Sequence[ExperimentRow]) -> list[str]:
    labels = [row.label for row in rows]
    again = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    return [
        f"{labels.count(label)} experiments are called {one_line(label, limit=60)}: the column experiment, their id, tells them apart."
        for label in again[:_MOST_NAMES]
    ]


def _of_earlier_steps(found: Sequence[dict[str, Any]], metric: str) -> list[str]:
    count = sum(one["metric_step"] is not None and one["metric_step"] != one["step"] for one in found)
    return [earlier_steps(metric, count, "metric_step")] if count else []


def earlier_steps(metric: str, count: int, column: str) -> str:
    """Return the sentence about checkpoints whose value was logged at an earlier step."""
    checkpoints = f"{count:,} checkpoint{' has' if count == 1 else 's have'}"
    says = f"the column {one_line(column, limit=80)} says which step it is from."
    return f"{checkpoints} no {one_line(metric, limit=60)} of the same step: {says}"


def _without_saves(labels: list[str]) -> list[str]:
    if not labels:
        return []
    names = ", ".join(one_line(label, limit=60) for label in labels[:_MOST_NAMES]) + (", ..." if len(labels) > _MOST_NAMES else "")
    way = "exp.saved(NAME) marks one where you save, loops_nb.track(training_client) does it by itself."
    return [f"No checkpoint was saved at a step of {names}: its best step stands instead. {way}"]


def place_of_save(series: Series, step: int, mark: Mark | None = None, saves: Sequence[Mark] = ()) -> int | None:
    """Return the place of the point that tells the value of a checkpoint.

    A point at the very step of the checkpoint always wins over one of an earlier step.  Where a series has several points at that step,
    the attempt that it was in when the checkpoint was saved decides, and within it the last point: checkpoints can be evaluated
    afterwards, in any order and more than once.

    Parameters
    ----------
    series
        The points of a key.
    step
        Step of the checkpoint.
    mark
        Its mark; None where the save has none.
    saves
        All saves of the experiment, oldest first; a step that was saved again after a resumption has several.

    Returns
    -------
    int or None
        None where the series has no point up to the step.
    """
    before = np.flatnonzero(series.at <= mark.at) if mark is not None else np.empty(0, np.int64)
    attempt = series.attempt[before[-1]] if len(before) else None
    exact = np.flatnonzero(series.step == step)
    if len(exact):
        same = exact[series.attempt[exact] == attempt]
        return _of_save(series, same, mark, saves) if len(same) else int(exact[-1])
    earlier = np.flatnonzero(series.step < step)
    same = earlier[series.attempt[earlier] == attempt]
    earlier = same if len(same) else earlier
    return int(earlier[series.step[earlier] == series.step[earlier].max()][-1]) if len(earlier) else None


def _of_save(series: Series, places: npt.NDArray[np.int64], mark: Mark | None, saves: Sequence[Mark]) -> int:
    """Return which of several points at the step of a save belongs to it: the last one, unless the same step was saved again."""
    again = [save for save in saves if mark is not None and (save.step, save.target) == (mark.step, mark.target)]
    if mark is None or len(again) < _SEVERAL:
        return int(places[-1])
    if len(places) == len(again):
        return int(places[again.index(mark)])
    times = series.at
    before = places[times[places] <= mark.at]
    return int(before[-1] if len(before) else places[0])


def params_frame(store: Store, experiments: Iterable[str]) -> pd.DataFrame:
    """Return the parameters of experiments beside each other: one row a parameter, those that differ first.

    Returns
    -------
    pandas.DataFrame
        Columns parameter (string; names as in `loops_nb.tracking.params.flat_params`), differs (boolean), and one an experiment (object),
        called by its name, with its id where several have the same name.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    names = [row.name for row in rows]
    params = [flat_params(row.params) for row in rows]
    texts = {
        name: [json.dumps(of[name], sort_keys=True, ensure_ascii=False) if name in of else None for of in params]
        for name in dict.fromkeys(name for of in params for name in of)
    }
    ordered = sorted(texts, key=lambda name: len(set(texts[name])) == 1)
    frame = derived_frame(PARAMS, {"parameter": ordered, "differs": [len(set(texts[name])) > 1 for name in ordered]})
    for row, of in zip(rows, params, strict=True):
        is_clear = names.count(row.name) == 1 and row.name not in frame
        called = row.name if is_clear else free_name(f"{row.name} ({row.id})", [*frame.columns, *names])
        frame[called] = pd.Series([param_cell(of.get(name)) for name in ordered], dtype=object)
    words = 'No parameters. loops_nb.experiment("name", params={"lr": 1e-4}) gives some, %loops params RUN --set lr=1e-4 too.'
    frame.attrs[EMPTY_ATTR] = words if rows else nothing_here(store)
    return frame


Found = list[tuple["ExperimentRow", list[tuple[str, "Series"]]]]


def told_first(keys: Iterable[str]) -> list[str]:
    """Return keys in the order in which columns of them stand: the loss first, how long things took last."""
    return sorted(keys, key=lambda key: (is_aside(key), key != "loss"))


def _keys_of(store: Store, row: ExperimentRow, wanted: list[str] | None) -> list[str]:
    there = [key.key for key in store.keys(row.id)]
    return there if wanted is None else [key for key in wanted if key in there]


def _long(found: Found) -> pd.DataFrame:
    parts = [(row, key, series) for row, all_series in found for key, series in all_series]
    sizes = [len(series.step) for _, _, series in parts]
    total = sum(sizes)

    def each(texts: list[str | None]) -> Any:
        return _categories(texts, np.array(sizes, np.int64))

    def joined(pick: Callable[[Series], Any], dtype: Any) -> Any:
        return np.concatenate([np.empty(0, dtype), *[pick(series) for _, _, series in parts]]).astype(dtype, copy=False)

    frame = pd.DataFrame(
        {
            "experiment": each([row.id for row, _, _ in parts]),
            "name": each([row.name for row, _, _ in parts]),
            "run_id": each([row.run_id for row, _, _ in parts]),
            "key": each([key for _, key, _ in parts]),
            "step": _counts(joined(lambda series: series.step, np.int64)),
            "value": marked(joined(lambda series: series.value, np.float64)),
            "attempt": _counts(joined(lambda series: series.attempt, np.int64)),
            "tokens": joined(lambda series: series.tokens, np.float64),
            "at": _times(joined(lambda series: series.at, np.int64)),
        },
        index=pd.RangeIndex(total),
        copy=False,
    )
    frame.attrs[KIND_ATTR] = METRICS.name
    return frame


def _wide(found: Found) -> pd.DataFrame:
    keys = list(dict.fromkeys(key for _, all_series in found for key, _ in all_series))
    own = {column.name for column in WIDE.columns}
    tables = [(row, _aligned(all_series)) for row, all_series in found]
    sizes = np.array([len(table.step) for _, table in tables], np.int64)

    def joined(pick: Callable[[_Table], Any], dtype: Any) -> Any:
        return np.concatenate([np.empty(0, dtype), *[pick(table) for _, table in tables]])

    columns = {
        "experiment": _categories([row.id for row, _ in tables], sizes),
        "name": _categories([row.name for row, _ in tables], sizes),
        "run_id": _categories([row.run_id for row, _ in tables], sizes),
        "step": _counts(joined(lambda table: table.step, np.int64)),
        "attempt": _counts(joined(lambda table: table.attempt, np.int64)),
        "repeat": _counts(joined(lambda table: table.repeat, np.int64)),
        "tokens": joined(lambda table: table.tokens, np.float64),
        "at": _times(joined(lambda table: table.times, np.int64)),
    }
    for key in keys:
        values = [table.columns[key] if key in table.columns else np.full(len(table.step), np.nan) for _, table in tables]
        columns[f"metric:{key}" if key in own else key] = np.concatenate(values)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(int(sizes.sum())), copy=False)
    frame.attrs[KIND_ATTR] = WIDE.name
    return frame


class _Table:
    """The series of one experiment beside each other: a row for each attempt, step and repeat that any of them has."""

    def __init__(self, attempt: Any, step: Any, repeat: Any) -> None:
        self.attempt: npt.NDArray[np.int64] = attempt
        self.step: npt.NDArray[np.int64] = step
        self.repeat: npt.NDArray[np.int64] = repeat
        self.tokens: npt.NDArray[np.float64] = np.full(len(step), np.nan)
        self.times: npt.NDArray[np.int64] = np.zeros(len(step), np.int64)
        self.columns: dict[str, npt.NDArray[np.float64]] = {}


def _aligned(all_series: list[tuple[str, Series]]) -> _Table:
    if not all_series:
        nothing = np.empty(0, np.int64)
        return _Table(nothing, nothing, nothing)
    places = [np.stack([series.attempt.astype(np.int64), series.step, _repeats(series)]) for _, series in all_series]
    first = places[0]
    if all(np.array_equal(first, other) for other in places[1:]) and _is_sorted(first):
        # What is logged together, step by step, is most of what there is.
        table = _Table(*first)
        where = [np.arange(first.shape[1])] * len(places)
    else:
        together = np.concatenate(places, axis=1)
        order = np.lexsort(together[::-1])
        ordered = together[:, order]
        is_new = np.r_[True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)]
        row_of = np.empty(len(order), np.int64)
        row_of[order] = np.cumsum(is_new) - 1
        table = _Table(*ordered[:, is_new])
        where = np.split(row_of, np.cumsum([place.shape[1] for place in places])[:-1])
    for (key, series), rows in zip(all_series, where, strict=True):
        values = table.columns[key] = np.full(len(table.step), np.nan)
        values[rows] = marked(series.value)
        table.tokens[rows] = np.fmax(table.tokens[rows], series.tokens)
        table.times[rows] = np.maximum(table.times[rows], series.at)
    return table


def _repeats(series: Series) -> npt.NDArray[np.int64]:
    count = len(series.step)
    order = np.lexsort((series.step, series.attempt))
    step, attempt = series.step[order], series.attempt[order]
    is_new = np.r_[True, (step[1:] != step[:-1]) | (attempt[1:] != attempt[:-1])]
    places = np.arange(count)
    found = np.empty(count, np.int64)
    found[order] = places - np.maximum.accumulate(np.where(is_new, places, 0)) + 1
    return found


def _is_sorted(places: npt.NDArray[np.int64]) -> bool:
    attempt, step, repeat = places
    later = np.diff(attempt)
    further = np.diff(step)
    return bool(((later > 0) | ((later == 0) & ((further > 0) | ((further == 0) & (np.diff(repeat) > 0))))).all())


def _categories(texts: Sequence[str | None], sizes: npt.NDArray[np.int64]) -> Any:
    words = list(dict.fromkeys(text for text in texts if text is not None))
    code_of: dict[str | None, int] = {None: -1, **{word: code for code, word in enumerate(words)}}
    codes = np.repeat(np.array([code_of[text] for text in texts], np.int32), sizes)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(pd.Index(words, dtype=STRING_DTYPE)))


def _counts(numbers: npt.NDArray[np.int64]) -> Any:
    return pd.arrays.IntegerArray(numbers, np.zeros(len(numbers), np.bool_))


def _times(millis: npt.NDArray[np.int64]) -> Any:
    return pd.DatetimeIndex((millis * 1000).view("M8[us]")).tz_localize("UTC").array
