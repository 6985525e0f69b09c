"""DataFrames of experiments: one row per experiment, point (long), step (wide), mark, checkpoint or parameter.

The wide frame has all points, too: if a key has several points of one attempt and step, ``repeat`` counts them from 1.
A logged NaN and a cell without a value are both NaN there; listings distinguish them (`loops_nb.frames.logged_nan`).  A
key with the name of one of the frame's own columns gets the prefix ``metric:``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.api.models import CHECKPOINT_TARGETS
from loops_nb.errors import TrackingError, one_line
from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.attributes import EMPTY_ATTR, KIND_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind, is_secondary_metric
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.frames.logged_nan import mark_nan, mark_nans
from loops_nb.frames.params import param_cell
from loops_nb.render.formatting import first_few
from loops_nb.tracking.params import flat_params, free_name
from loops_nb.tracking.rows import MARK_KINDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.tracking.rows import ExperimentMark, ExperimentRow, Series
    from loops_nb.tracking.store import ExperimentStore

_EXPERIMENT = Column("experiment", Dtype.WORD, (), "Id of the experiment.")
_NAME = Column("name", Dtype.WORD, (), "Name of the experiment; several may have the same.")
_RUN = Column("run_id", Dtype.WORD, (), "Loops run that it belongs to; missing without one.")
_STEP = Column("step", Dtype.COUNT, (), "Training step, as logged.")
_ATTEMPT = Column(
    "attempt", Dtype.COUNT, (), "1 at first; higher after each resumption and each return to an earlier step."
)
_TOKENS = Column("tokens", Dtype.NUMBER, (), "Tokens trained on until then, if logged.")
_AT = Column("at", Dtype.TIME, (), "When it was recorded.")

METRICS = register_kind(
    Kind(
        "metrics",
        many=(),
        one=(),
        columns=(
            _EXPERIMENT,
            _NAME,
            _RUN,
            Column("key", Dtype.WORD, (), "Key of the value: loss, grad_norm, any name."),
            _STEP,
            Column("value", Dtype.NUMBER, (), "The value; NaN and infinities as logged."),
            _ATTEMPT,
            _TOKENS,
            _AT,
        ),
    )
)
WIDE = register_kind(
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
            Column(
                "repeat", Dtype.COUNT, (), "1 for the first values of a key at this step and attempt, 2 for the second."
            ),
            _TOKENS,
            _AT,
        ),
    )
)
MARKS = register_kind(
    Kind(
        "marks",
        many=(),
        one=(),
        columns=(
            _EXPERIMENT,
            _NAME,
            _RUN,
            Column("kind", Dtype.WORD, (), "A saved checkpoint, or a note.", MARK_KINDS),
            _STEP,
            Column("text", Dtype.STRING, (), "Name of the checkpoint, or the note."),
            Column("uri", Dtype.STRING, (), "bt:// URI of the checkpoint, if known."),
            Column("target", Dtype.WORD, (), "What can load the checkpoint.", CHECKPOINT_TARGETS),
            _ATTEMPT,
            _AT,
        ),
    )
)
BEST = register_kind(
    Kind(
        "best",
        many=(),
        one=(),
        columns=(
            Column(
                "checkpoint", Dtype.STRING, (), "Name of the checkpoint; missing for an experiment without checkpoints."
            ),
            Column(
                "value",
                Dtype.NUMBER,
                (),
                "The metric at the step of the checkpoint, or else at the last step before it.",
            ),
            _STEP,
            Column(
                "metric_step",
                Dtype.COUNT,
                (),
                "Step at which the value was logged; differs from step if nothing was logged there.",
            ),
            Column("uri", Dtype.STRING, (), "bt:// URI of the checkpoint, if known."),
            Column("target", Dtype.WORD, (), "What can load the checkpoint.", CHECKPOINT_TARGETS),
            Column("metric", Dtype.WORD, (), "The requested key."),
            _EXPERIMENT,
            _NAME,
            _RUN,
            _ATTEMPT,
            _AT,
        ),
    )
)
PARAMS = register_kind(
    Kind(
        "params",
        many=(),
        one=(),
        columns=(
            Column("parameter", Dtype.STRING, (), "Name of the parameter."),
            Column("differs", Dtype.FLAG, (), "Whether the values of the experiments differ."),
        ),
    )
)
ENVIRONMENTS = register_kind(
    Kind(
        "environments",
        many=(),
        one=(),
        columns=(
            Column("entry", Dtype.STRING, (), "What it is: git.commit, python, host, argv, packages.NAME."),
            Column("differs", Dtype.FLAG, (), "Whether it is not the same in all experiments."),
        ),
    )
)
_MAX_NAMES = 3
_SEVERAL = 2
_MAX_KEYS = 12
_NOTHING = "Nothing was logged for these experiments yet, or nothing under these keys."


def no_experiments(store: ExperimentStore) -> str:
    """Return the message for an empty listing: no experiments, or only archived ones."""
    count = len(store.experiments(archived=True))
    if not count:
        return (
            'No experiments yet. loops_nb.experiment("name").log(loss=0.5) begins one, loops_nb.track(client) follows a'
            " run."
        )
    are, them = ("The only experiment is", "it") if count == 1 else (f"All {count:,} experiments are", "them")
    return (
        f"{are} archived, and nothing of {them} is deleted: %loops experiments --archived shows {them},"
        " %loops archive NAME --undo brings back."
    )


def metrics_frame(
    store: ExperimentStore, experiments: Iterable[str], *, keys: Iterable[str] | None = None, wide: bool = False
) -> pd.DataFrame:
    """Return the logged values: one row per point, or one row per step.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.
    keys : iterable of str, optional
        Only these keys; by default all.
    wide : bool, default False
        One row per step with a column per key, instead of one row per point.

    Returns
    -------
    pandas.DataFrame
        Long: columns experiment, name, run_id, key (category), step (Int64), value (float64), attempt (Int64), tokens
        (float64) and at (datetime64[us, UTC]); the points of each key in order of arrival.  Wide: experiment, name,
        run_id (category), step, attempt, repeat (Int64), tokens (float64), at (datetime64[us, UTC]) and one float64
        column per key, ordered by attempt and step.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    wanted = None if keys is None else list(dict.fromkeys(keys))
    rows = store.experiments_by_id(dict.fromkeys(experiments))
    ids = [row.id for row in rows]
    keys_of = store.keys_by_experiment(ids)
    series_of = store.series_by_experiment(ids, wanted)
    found: Found = []
    for row in rows:
        # In the order in which they are wanted; what was logged for the first time since is left out.
        there = keys_of[row.id] if wanted is None else [key for key in wanted if key in keys_of[row.id]]
        if wide and wanted is None:
            there = in_column_order(there)
        found.append((row, [(key, series_of[row.id][key]) for key in there if key in series_of[row.id]]))
    frame = _wide(found) if wide else _long(found)
    if not rows:
        frame.attrs[EMPTY_ATTR] = no_experiments(store)
        return frame
    unknown = unknown_keys(wanted or [], (key for keys in keys_of.values() for key in keys))
    frame.attrs[EMPTY_ATTR] = unknown or _NOTHING
    if len(frame) and (notes := [*filter(None, [unknown]), *_equal_names(rows)]):
        frame.attrs[NOTES_ATTR] = notes
    return frame


def unknown_keys(wanted: Iterable[str], there: Iterable[str]) -> str:
    """Return the message about keys without values, with the existing ones; empty if all keys have values."""
    known = list(dict.fromkeys(there))
    absent = [key for key in wanted if key not in known]
    if not absent:
        return ""
    instead = "there are no values yet."
    if known:
        instead = f"there is {_listed(in_column_order(known), _MAX_KEYS)}."
    return f"Nothing was logged as {', '.join(repr(one_line(key, limit=60)) for key in absent[:_MAX_KEYS])}; {instead}"


def _listed(names: Sequence[str], limit: int) -> str:
    return first_few([one_line(name, limit=60) for name in names], limit)


def marks_frame(store: ExperimentStore, experiments: Iterable[str]) -> pd.DataFrame:
    """Return the saved checkpoints and the notes of experiments, oldest first.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.

    Returns
    -------
    pandas.DataFrame
        One row per mark.  Columns experiment, name, run_id (category), kind (category: save, note), step (Int64), text,
        uri (string), target (category: trainer, sampler), attempt (Int64) and at (datetime64[us, UTC]).

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    found = [(row, mark) for row in rows for mark in store.marks(row.id)]
    frame = computed_frame(
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
    frame["at"] = times_array(np.array([mark.at for _, mark in found], np.int64))
    frame.attrs[EMPTY_ATTR] = (
        "No checkpoint was saved and no note was written in these experiments." if rows else no_experiments(store)
    )
    return frame


def best_frame(
    store: ExperimentStore, experiments: Iterable[str], metric: str, *, highest: bool = False
) -> pd.DataFrame:
    """Return checkpoints by a metric, the best first.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.
    metric : str
        A key.
    highest : bool, default False
        Whether higher values are better.

    Returns
    -------
    pandas.DataFrame
        One row per saved checkpoint, with the value of the metric at its step, or else at the last step before it; for
        an experiment without checkpoints, one row with its best value.  Columns checkpoint, uri (string), value
        (float64), step, metric_step (step of the value), attempt (Int64), target, metric, experiment, name, run_id
        (category) and at (datetime64[us, UTC]).  NaN values come last.

    Raises
    ------
    TrackingError
        If there is no such experiment, none of them has the metric, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    found: list[dict[str, Any]] = []
    without_saves: list[str] = []
    for row in rows:
        series = store.series(row.id, metric)
        if not len(series.step):
            continue
        saves = [mark for mark in store.marks(row.id) if mark.kind == "save" and mark.step is not None]
        values = [_value_at_save(series, mark, saves) for mark in saves]
        if not saves and not np.isnan(series.value).all():
            without_saves.append(row.label)
            values = [_best_value(series, highest=highest)]
        of_experiment = {"metric": metric, "experiment": row.id, "name": row.name, "run_id": row.run_id}
        found += [{**of_experiment, **value} for value in values]
    check_logged(store, rows, metric)
    found.sort(key=lambda one: (math.isnan(one["value"]), -one["value"] if highest else one["value"]))
    frame = computed_frame(BEST, {column.name: [one.get(column.name) for one in found] for column in BEST.columns})
    frame["at"] = times_array(np.array([one["millis"] for one in found], np.int64))
    frame.attrs[EMPTY_ATTR] = _NOTHING if rows else no_experiments(store)
    if found:
        this, other = ("highest", "min") if highest else ("lowest", "max")
        mode_note = (
            f"The {this} {one_line(metric, limit=60)} is taken as the best; --{other} reverses that, in Python"
            f' mode="{other}".'
        )
        frame.attrs[NOTES_ATTR] = [
            mode_note,
            *_of_earlier_steps(found, metric),
            *_without_saves(without_saves),
            *_equal_names(rows),
        ]
    return frame


def _value_at_save(series: Series, mark: ExperimentMark, saves: Sequence[ExperimentMark]) -> dict[str, Any]:
    index = index_of_save(series, mark.step or 0, mark, saves)
    return {
        "checkpoint": mark.text,
        "uri": mark.uri,
        "target": mark.target,
        "step": mark.step,
        "attempt": mark.attempt,
        "millis": mark.at,
        "value": math.nan if index is None else mark_nan(float(series.value[index])),
        "metric_step": None if index is None else int(series.step[index]),
    }


def _best_value(series: Series, *, highest: bool) -> dict[str, Any]:
    index = int(np.nanargmax(series.value) if highest else np.nanargmin(series.value))
    step = int(series.step[index])
    return {
        "step": step,
        "metric_step": step,
        "attempt": int(series.attempt[index]),
        "millis": int(series.at.item(index)),
        "value": float(series.value[index]),
    }


def check_logged(store: ExperimentStore, rows: Sequence[ExperimentRow], metric: str) -> None:
    """Raise unless one of the experiments has a metric.

    Raises
    ------
    TrackingError
        If there are experiments, and none of them has it.
    """
    keys = dict.fromkeys(key.key for row in rows for key in store.keys(row.id))
    if rows and metric not in keys:
        these = "this experiment" if len(rows) == 1 else "these experiments"
        raise TrackingError(
            f"Nothing was logged as {metric!r:.60} in {these}.",
            hint=f"There is {', '.join(list(keys)[:_MAX_KEYS])}." if keys else "They have no values yet.",
        )


def _equal_names(rows: Sequence[ExperimentRow]) -> list[str]:
    counts = Counter(row.label for row in rows)
    again = [label for label, count in counts.items() if count > 1]
    return [
        (
            f"{counts[label]} experiments are called {one_line(label, limit=60)}: the column experiment, their"
            " id, distinguishes them."
        )
        for label in again[:_MAX_NAMES]
    ]


def _of_earlier_steps(found: Sequence[dict[str, Any]], metric: str) -> list[str]:
    count = sum(one["metric_step"] is not None and one["metric_step"] != one["step"] for one in found)
    return [earlier_steps(metric, count, "metric_step")] if count else []


def earlier_steps(metric: str, count: int, column: str) -> str:
    """Return the note about checkpoints whose value was logged at an earlier step."""
    have = "1 checkpoint has" if count == 1 else f"{count:,} checkpoints have"
    says = f"the column {one_line(column, limit=80)} says which step it is from."
    return f"{have} no {one_line(metric, limit=60)} of the same step: {says}"


def _without_saves(labels: list[str]) -> list[str]:
    if not labels:
        return []
    way = "exp.saved(NAME) marks one where you save, loops_nb.track(training_client) does it by itself."
    return [f"No checkpoint was saved at a step of {_listed(labels, _MAX_NAMES)}: its best step stands instead. {way}"]


def index_of_save(
    series: Series, step: int, mark: ExperimentMark | None = None, saves: Sequence[ExperimentMark] = ()
) -> int | None:
    """Return the index of the point with the value of a checkpoint.

    A point at the step of the checkpoint has precedence over those of earlier steps.  Of several points at that step,
    those of the attempt in which the checkpoint was saved are taken, and of these the last: checkpoints can be
    evaluated afterwards, in any order and more than once.

    Parameters
    ----------
    series : Series
        The points of a key.
    step : int
        Step of the checkpoint.
    mark : ExperimentMark, optional
        Its mark, if the save has one.
    saves : sequence of ExperimentMark, default ()
        All saves of the experiment, oldest first; a step that was saved again after a resumption has several.

    Returns
    -------
    int or None
        None if the series has no point up to the step.
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


def _of_save(
    series: Series, places: npt.NDArray[np.int64], mark: ExperimentMark | None, saves: Sequence[ExperimentMark]
) -> int:
    """Return which of several points at the step of a save is its value: the last, unless the step was saved again."""
    again = [save for save in saves if mark is not None and (save.step, save.target) == (mark.step, mark.target)]
    if mark is None or len(again) < _SEVERAL:
        return int(places[-1])
    if len(places) == len(again):
        return int(places[again.index(mark)])
    times = series.at
    before = places[times[places] <= mark.at]
    return int(before[-1] if len(before) else places[0])


def params_frame(store: ExperimentStore, experiments: Iterable[str]) -> pd.DataFrame:
    """Return the parameters of experiments side by side, those that differ first.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.

    Returns
    -------
    pandas.DataFrame
        One row per parameter.  Columns parameter (string; names as in `loops_nb.tracking.params.flat_params`), differs
        (boolean), and one object column per experiment, named after it, with its id if several have the same name.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    frame = _side_by_side(PARAMS, "parameter", [(row.name, row.id, flat_params(row.params)) for row in rows])
    words = (
        'No parameters. loops_nb.experiment("name", params={"lr": 1e-4}) gives some, %loops params RUN --set '
        "lr=1e-4 too."
    )
    frame.attrs[EMPTY_ATTR] = words if rows else no_experiments(store)
    return frame


def environments_frame(store: ExperimentStore, experiments: Iterable[str], *, starts: bool = False) -> pd.DataFrame:
    """Return what experiments ran in side by side, what differs first.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.
    starts : bool, default False
        A column for each start of an experiment, in place of the newest one.

    Returns
    -------
    pandas.DataFrame
        One row per entry.  Columns entry (string: ``git.commit``, ``git.branch``, ``git.dirty``, ``python``, ``host``,
        ``argv`` and ``packages.NAME``), differs (boolean), and one object column per experiment, named after it, with
        its id if several have the same name.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    columns: list[tuple[str, str, dict[str, Any]]] = []
    resumed = 0
    for row in rows:
        found = [flat_params(of.content) for of in store.environments(row.id)]
        resumed += any(of != found[-1] for of in found)
        if starts and len(found) > 1:
            columns += [(f"{row.name}, start {number}", row.id, of) for number, of in enumerate(found, 1)]
        elif found:
            columns.append((row.name, row.id, found[-1]))
    frame = _side_by_side(ENVIRONMENTS, "entry", columns)
    words = (
        "No environment is recorded of these experiments: they are imported, read from a log, or older, or it is off."
    )
    frame.attrs[EMPTY_ATTR] = words if rows else no_experiments(store)
    if resumed and not starts and len(frame):
        which = "1 experiment was" if resumed == 1 else f"{resumed:,} experiments were"
        frame.attrs[NOTES_ATTR] = [
            f"{which} resumed in another environment; this is that of the newest start, starts=True shows each."
        ]
    return frame


def _side_by_side(kind: Kind, label: str, columns: Sequence[tuple[str, str, dict[str, Any]]]) -> pd.DataFrame:
    """Return values by name, a column for each name, id and values that are given, those that differ first."""
    names = [name for name, _, _ in columns]
    texts = {
        name: [json.dumps(of[name], sort_keys=True, ensure_ascii=False) if name in of else None for _, _, of in columns]
        for name in dict.fromkeys(name for _, _, of in columns for name in of)
    }
    ordered = sorted(texts, key=lambda name: len(set(texts[name])) == 1)
    frame = computed_frame(kind, {label: ordered, "differs": [len(set(texts[name])) > 1 for name in ordered]})
    for name, experiment, of in columns:
        is_clear = names.count(name) == 1 and name not in frame
        called = name if is_clear else free_name(f"{name} ({experiment})", [*frame.columns, *names])
        frame[called] = pd.Series([param_cell(of.get(entry)) for entry in ordered], dtype=object)
    return frame


Found = list[tuple["ExperimentRow", list[tuple[str, "Series"]]]]


def in_column_order(keys: Iterable[str]) -> list[str]:
    """Return keys in the order of their columns: the loss first, durations last."""
    return sorted(keys, key=lambda key: (is_secondary_metric(key), key != "loss"))


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
            "value": mark_nans(joined(lambda series: series.value, np.float64)),
            "attempt": _counts(joined(lambda series: series.attempt, np.int64)),
            "tokens": joined(lambda series: series.tokens, np.float64),
            "at": times_array(joined(lambda series: series.at, np.int64)),
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

    def joined(pick: Callable[[_WideTable], Any], dtype: Any) -> Any:
        return np.concatenate([np.empty(0, dtype), *[pick(table) for _, table in tables]])

    columns = {
        "experiment": _categories([row.id for row, _ in tables], sizes),
        "name": _categories([row.name for row, _ in tables], sizes),
        "run_id": _categories([row.run_id for row, _ in tables], sizes),
        "step": _counts(joined(lambda table: table.step, np.int64)),
        "attempt": _counts(joined(lambda table: table.attempt, np.int64)),
        "repeat": _counts(joined(lambda table: table.repeat, np.int64)),
        "tokens": joined(lambda table: table.tokens, np.float64),
        "at": times_array(joined(lambda table: table.times, np.int64)),
    }
    for key in keys:
        values = [
            table.columns[key] if key in table.columns else np.full(len(table.step), np.nan) for _, table in tables
        ]
        columns[f"metric:{key}" if key in own else key] = np.concatenate(values)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(int(sizes.sum())), copy=False)
    frame.attrs[KIND_ATTR] = WIDE.name
    return frame


class _WideTable:
    """The aligned series of one experiment: one row for each attempt, step and repeat of any of them."""

    def __init__(self, attempt: Any, step: Any, repeat: Any) -> None:
        self.attempt: npt.NDArray[np.int64] = attempt
        self.step: npt.NDArray[np.int64] = step
        self.repeat: npt.NDArray[np.int64] = repeat
        self.tokens: npt.NDArray[np.float64] = np.full(len(step), np.nan)
        self.times: npt.NDArray[np.int64] = np.zeros(len(step), np.int64)
        self.columns: dict[str, npt.NDArray[np.float64]] = {}


def _aligned(all_series: list[tuple[str, Series]]) -> _WideTable:
    if not all_series:
        nothing = np.empty(0, np.int64)
        return _WideTable(nothing, nothing, nothing)
    places = [np.stack([series.attempt.astype(np.int64), series.step, _repeats(series)]) for _, series in all_series]
    first = places[0]
    if all(np.array_equal(first, other) for other in places[1:]) and _is_sorted(first):
        # The usual case: all keys are logged together, step by step.
        table = _WideTable(*first)
        where = [np.arange(first.shape[1])] * len(places)
    else:
        together = np.concatenate(places, axis=1)
        order = np.lexsort(together[::-1])
        ordered = together[:, order]
        is_new = np.r_[True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)]
        row_of = np.empty(len(order), np.int64)
        row_of[order] = np.cumsum(is_new) - 1
        table = _WideTable(*ordered[:, is_new])
        where = np.split(row_of, np.cumsum([place.shape[1] for place in places])[:-1])
    for (key, series), rows in zip(all_series, where, strict=True):
        values = table.columns[key] = np.full(len(table.step), np.nan)
        values[rows] = mark_nans(series.value)
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


def times_array(millis: npt.NDArray[np.int64]) -> Any:
    """Return times, given in milliseconds since 1970, as an array of datetime64[us, UTC]."""
    return pd.DatetimeIndex((millis * 1000).view("M8[us]")).tz_localize("UTC").array
