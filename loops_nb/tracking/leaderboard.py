"""DataFrame of experiments, filtered and sorted: one row per experiment with its state, parameters and best values.

Only the experiments and the summaries that each write keeps up to date are read, no points.
"""

from __future__ import annotations

import difflib
import math
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from loops_nb.config.time_text import EXAMPLES, age_of_text, time_of_text
from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.frames.logged_nan import mark_nan
from loops_nb.frames.params import param_array, param_cell
from loops_nb.render.formatting import first_few, many
from loops_nb.tracking.entries import now
from loops_nb.tracking.experiment_state import STATES, state_of
from loops_nb.tracking.filter_expression import FilterExpression
from loops_nb.tracking.frames import in_column_order, no_experiments, times_array
from loops_nb.tracking.metric_mode import infer_mode
from loops_nb.tracking.params import flat_params

if TYPE_CHECKING:
    from loops_nb.tracking.rows import ExperimentRow, SeriesSummary
    from loops_nb.tracking.store import ExperimentStore

EXPERIMENTS = register_kind(
    Kind(
        "experiments",
        many=(),
        one=(),
        columns=(
            Column("id", Dtype.STRING, (), "Id of the experiment."),
            Column("name", Dtype.STRING, (), "Name of the experiment."),
            Column("state", Dtype.WORD, (), "Whether it is logged to, and how it ended.", STATES),
            Column("run_id", Dtype.STRING, (), "Loops run that it belongs to; missing without one."),
            Column("session_id", Dtype.STRING, (), "Loops session, if known."),
            Column("tags", Dtype.STRING, (), "Tags, separated by commas; missing without any."),
            Column("keys", Dtype.COUNT, (), "Number of logged keys."),
            Column("points", Dtype.COUNT, (), "Number of points of all keys."),
            Column("last_step", Dtype.COUNT, (), "Highest step of any key."),
            Column("checkpoints", Dtype.COUNT, (), "Number of recorded saves."),
            Column("note", Dtype.STRING, (), "Newest note."),
            Column("created_at", Dtype.TIME, (), "When it began."),
            Column("last_at", Dtype.TIME, (), "When its newest point or mark was recorded."),
            Column("archived", Dtype.FLAG, (), "Whether it is hidden from listings."),
        ),
    )
)
#: Other names of columns in filters and for sorting.
_ALIASES = {"started": "created_at", "run": "run_id", "session": "session_id"}
_LOGGED_NAN = mark_nan(math.nan)
_MAX_NAMED = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExperimentFilter:
    """Which experiments a listing has, in which order; its values are checked before anything is read.

    Parameters
    ----------
    where : str, optional
        Expression over columns, parameters and metrics, as in `loops_nb.tracking.filter_expression`.
    tags : str or iterable of str, default ()
        Only experiments with all of these tags.
    names : str or iterable of str, default ()
        Only experiments whose name, id or run matches one of these shell patterns.
    since : str, datetime or timedelta, optional
        Only experiments that began since then: an age (``2d``) or a time, in the local time zone unless it has one.
    project : str, optional
        Only experiments of this project.
    author : str, optional
        Only experiments that this user began, as `loops_nb.tracking.author.current_author` names users.
    sort : str, optional
        Column, parameter, metric or summary value to sort by; with a hyphen before it in descending order.  Experiments
        without a value come last.  By default the newest come first.
    limit : int, optional
        Only so many experiments, the first after sorting.
    archived : bool, default False
        Include archived experiments.

    Raises
    ------
    InvalidArgumentError
        If a value has the wrong type or cannot be read.
    """

    def __init__(
        self,
        *,
        where: str | None = None,
        tags: str | Iterable[str] = (),
        names: str | Iterable[str] = (),
        since: str | datetime | timedelta | None = None,
        project: str | None = None,
        author: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        archived: bool = False,
    ) -> None:
        self.where = where
        #: The parsed expression.
        self.expression: FilterExpression | None = None if where is None else FilterExpression(where)
        self.tags: tuple[str, ...] = _strings(tags, "tags")
        self.names: tuple[str, ...] = _strings(names, "names")
        self.since = since
        #: The earliest begin, in milliseconds since 1970.
        self.begin: int | None = None if since is None else _millis_of(since)
        self.project = project
        self.author = author
        self.sort = sort
        self.limit = limit
        self.archived = archived
        if sort is not None and (not isinstance(sort, str) or not sort.strip().removeprefix("-").strip()):
            raise InvalidArgumentError(
                f"sort must be the name of a column, not {sort!r:.60}.",
                argument="sort",
                hint='For example "best.loss", or "-created_at" for the newest first',
            )
        for argument, value in (("project", project), ("author", author)):
            if value is not None and not isinstance(value, str):
                raise InvalidArgumentError(f"{argument} must be a string, not {value!r:.60}.", argument=argument)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidArgumentError(f"limit must be a whole number from 1, not {limit!r:.40}.", argument="limit")

    @property
    def description(self) -> str:
        """The filters as options of ``%loops experiments``; empty without any."""
        parts = [f"--tag {one_line(tag, limit=60)}" for tag in self.tags]
        parts += [f"the name {one_line(name, limit=60)}" for name in self.names]
        if self.project is not None:
            parts.append(f"--project {one_line(self.project, limit=60)}")
        if self.author is not None:
            parts.append(f"--author {one_line(self.author, limit=60)}")
        if self.where is not None:
            parts.append(f'--where "{one_line(self.where, limit=200)}"')
        if self.since is not None:
            parts.append(f"--since {_described(self.since)}")
        return " and ".join(parts)

    def admits(self, row: ExperimentRow) -> bool:
        """Whether an experiment passes all filters but the expression."""
        if not set(self.tags).issubset(row.tags) or (self.begin is not None and row.created_at < self.begin):
            return False
        if self.project is not None and row.project != self.project:
            return False
        if self.author is not None and row.author != self.author:
            return False
        called = [row.name, row.id, row.run_id or ""]
        return not self.names or any(fnmatchcase(name, pattern) for pattern in self.names for name in called)


def experiments_frame(
    store: ExperimentStore, selection: ExperimentFilter | None = None, *, archived: bool = False
) -> pd.DataFrame:
    """Return the experiments, by default the newest first.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    selection : ExperimentFilter, optional
        Which experiments, and their order.
    archived : bool, default False
        Without ``selection``: include archived experiments.

    Returns
    -------
    pandas.DataFrame
        One row per experiment.  Columns id, name, project, author (string; project only if one of the rows has one,
        author of a team's store, and where the rows have several), state
        (category: running, finished, crashed, stale), run_id, session_id, tags, note (string), keys, points, last_step,
        checkpoints (Int64), created_at, last_at (datetime64[us, UTC]), duration (timedelta64[ms], from the begin to the
        newest point or mark) and archived (boolean).  Each summary value has a column ``summary.NAME``, named and typed
        as parameters are, before the metrics.  For each metric, the loss first, ``last.KEY`` and, where its key says
        which values are better (`loops_nb.tracking.metric_mode.infer_mode`), ``best.KEY`` (float64).  Before the times
        one column per
        parameter, named ``params.`` and its name in `loops_nb.tracking.params.flat_params`, with the dtype of
        `loops_nb.frames.params.param_array`.  Metrics, parameters and summary values that none of the rows has have no
        column.

    Raises
    ------
    TrackingError
        If the file of experiments cannot be read.
    InvalidArgumentError
        If an expression or ``sort`` names an unknown column, or compares what has no order.
    """
    found = leaderboard(store, selection or ExperimentFilter(archived=archived))
    frame = _frame(found.rows, is_shared=store.is_shared)
    if not found.rows:
        frame.attrs[EMPTY_ATTR] = found.empty
    elif notes := [*_absent_note(found.absent), *found.notes, *_direction_note(found.rows)]:
        frame.attrs[NOTES_ATTR] = notes
    return frame


def leaderboard(store: ExperimentStore, selection: ExperimentFilter) -> Leaderboard:
    """Return the experiments that a filter admits, in its order; parameters and errors as in `experiments_frame`."""
    everything = _read(store)
    listed = [one for one in everything if selection.archived or not one.row.archived]
    names = _Names(listed, store)
    admitted = [one for one in listed if selection.admits(one.row)]
    if selection.expression is not None and listed:
        admitted = _matching(admitted, selection.expression, names)
    if selection.sort is not None and listed:
        admitted = _sorted(admitted, selection.sort, names)
    found = admitted[: selection.limit]
    if not found:
        return Leaderboard(found, names, empty=_empty_message(store, everything, listed, selection))
    return Leaderboard(found, names, _limit_note(len(found), len(admitted)), absent=_absent_names(listed, found))


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Experiments that a filter admits.

    Parameters
    ----------
    rows : sequence of ExperimentSummary
        In the order of the filter.
    names : _Names
        The names that expressions can use.
    notes : list of str
        Sentences about rows that are left out.
    empty : str, default ""
        Why there is no row.
    absent : list of str
        Names of parameters, summary values and metrics that other experiments have, and none of these.
    """

    rows: Sequence[ExperimentSummary] = ()
    names: _Names = dataclass_field(default_factory=lambda: _Names((), None))
    notes: list[str] = dataclass_field(default_factory=list)
    empty: str = ""
    absent: list[str] = dataclass_field(default_factory=list)

    def matching(self, expression: FilterExpression) -> list[ExperimentSummary]:
        """Return the rows that match an expression.

        Raises
        ------
        InvalidArgumentError
            If it names an unknown column, or compares what has no order.
        """
        return _matching(self.rows, expression, self.names) if self.rows else []

    def column(self, name: str) -> str:
        """Return the column of `experiments_frame` that a name stands for: ``last.loss`` for ``loss``."""
        return self.names.column(name)


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """An experiment with the summaries of its series and its state."""

    row: ExperimentRow
    params: dict[str, Any]
    summary: dict[str, Any]
    series: dict[str, SeriesSummary]
    saves: int
    state: str

    @property
    def last_step(self) -> int | None:
        return max((of.last_step for of in self.series.values()), default=None)


def _read(store: ExperimentStore) -> list[ExperimentSummary]:
    rows = store.experiments(archived=True)
    summaries = store.summaries()
    at, host = now(), platform.node()
    return [
        ExperimentSummary(
            row,
            flat_params(row.params),
            flat_params(row.summary),
            summaries.series.get(row.id, {}),
            summaries.saves.get(row.id, 0),
            state_of(row.last_at, summaries.sessions.get(row.id, ()), at, host),
        )
        for row in rows
    ]


def _value_of_column(name: str) -> Callable[[ExperimentSummary], Any] | None:
    getters: dict[str, Callable[[ExperimentSummary], Any]] = {
        "id": lambda one: one.row.id,
        "name": lambda one: one.row.name,
        "project": lambda one: one.row.project,
        "author": lambda one: one.row.author,
        "state": lambda one: one.state,
        "run_id": lambda one: one.row.run_id,
        "session_id": lambda one: one.row.session_id,
        "tags": lambda one: one.row.tags,
        "keys": lambda one: len(one.series),
        "points": lambda one: sum(of.points for of in one.series.values()),
        "last_step": lambda one: one.last_step,
        "checkpoints": lambda one: one.saves,
        "note": lambda one: one.row.notes[-1] if one.row.notes else None,
        "created_at": lambda one: _EPOCH + timedelta(milliseconds=one.row.created_at),
        "duration": lambda one: timedelta(milliseconds=one.row.last_at - one.row.created_at),
        "last_at": lambda one: _EPOCH + timedelta(milliseconds=one.row.last_at),
        "archived": lambda one: one.row.archived,
    }
    return getters.get(name)


class _Names:
    """The names that filters and sorting can use: columns, parameters, metrics, summary values and the environment."""

    def __init__(self, listed: Sequence[ExperimentSummary], store: ExperimentStore | None) -> None:
        self._store = store
        self._read_environments: dict[str, dict[str, Any]] | None = None
        self._params = dict.fromkeys(name for one in listed for name in one.params)
        self._keys = dict.fromkeys(key for one in listed for key in one.series)
        self._summary = dict.fromkeys(name for one in listed for name in one.summary)

    def getter(self, name: str, argument: str) -> Callable[[ExperimentSummary], Any]:
        """Return the function from an experiment to its value.

        Raises
        ------
        InvalidArgumentError
            If there is no such name, or a parameter and a metric have it.
        """
        own = _value_of_column(name)
        if own is not None:
            return own
        if name in self._params and name in self._keys:
            raise InvalidArgumentError(
                f"{argument}: {name!r:.60} is a parameter and a metric.",
                argument=argument,
                hint=f"Use params.{name} for the parameter, last.{name} or best.{name} for the metric",
            )
        if name in self._keys:
            return _value_of_metric("last", name)
        found = self._value_of(name, self._params, "params") or self._of_prefix(name, argument)
        found = found or self._value_of(name, self._summary, "summary")
        if found is not None:
            return found
        if name in _ALIASES:
            return self.getter(_ALIASES[name], argument)
        entry = name.removeprefix("environment.")
        if any(entry in of for of in self._environments.values()):
            return lambda one: param_cell(self._environments.get(one.row.id, {}).get(entry))
        raise self._unknown(name, argument)

    @property
    def _environments(self) -> dict[str, dict[str, Any]]:
        """What each experiment ran in, by its id; read at the first use, as few filters need it."""
        if self._read_environments is None:
            self._read_environments = {} if self._store is None else _environments(self._store)
        return self._read_environments

    def _of_prefix(self, name: str, argument: str) -> Callable[[ExperimentSummary], Any] | None:
        prefix, dot, rest = name.partition(".")
        if not dot:
            return None
        if prefix == "params":
            return self._value_of(rest, self._params, "params")
        if prefix == "summary":
            return self._value_of(rest, self._summary, "summary")
        if prefix not in {"last", "best", "min", "max"} or rest not in self._keys:
            return None
        which = (infer_mode(rest) or "") if prefix == "best" else prefix
        if not which:
            raise InvalidArgumentError(
                f"{argument}: the name {rest!r:.60} does not tell whether lower or higher is better.",
                argument=argument,
                hint=f"Use min.{rest} or max.{rest}",
            )
        return _value_of_metric(which, rest)

    @staticmethod
    def _value_of(
        name: str, known: Collection[str], field: Literal["params", "summary"]
    ) -> Callable[[ExperimentSummary], Any] | None:
        if name not in known:
            return None
        return lambda one: param_cell(getattr(one, field).get(name))

    def column(self, name: str) -> str:
        """Return the whole name of a column, a parameter, a metric or a summary value: ``params.lr`` for ``lr``."""
        if _value_of_column(name) is None:
            for prefix, known in (("params", self._params), ("last", self._keys), ("summary", self._summary)):
                if name in known:
                    return f"{prefix}.{name}"
        return _ALIASES.get(name, name)

    def _unknown(self, name: str, argument: str) -> InvalidArgumentError:
        best = [f"best.{key}" for key in self._keys if infer_mode(key)]
        own = [*(column.name for column in EXPERIMENTS.columns), "project", "author", "duration"]
        known = [
            *self._params,
            *in_column_order(self._keys),
            *best,
            *(f"summary.{name}" for name in self._summary),
            *own,
            *dict.fromkeys(entry for of in self._environments.values() for entry in of),
        ]
        near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
        # The last part of a dotted name is often all that is remembered.
        near = near or [one for one in known if one.rpartition(".")[2] == name.rpartition(".")[2]][:2]
        listed = first_few([one_line(one, limit=60) for one in known], _MAX_NAMED)
        return InvalidArgumentError(
            f"{argument} names {one_line(name, limit=60)!r}, which is no column, parameter or metric here.",
            argument=argument,
            hint=f"Did you mean {' or '.join(near)}?" if near else f"There is {listed}",
        )


def _environments(store: ExperimentStore) -> dict[str, dict[str, Any]]:
    recorded = store.newest_environments()
    # Most experiments share an object.
    flat = {id(of): flat_params(of) for of in {id(of): of for of in recorded.values()}.values()}
    return {key: flat[id(of)] for key, of in recorded.items()}


def _value_of_metric(which: str, key: str) -> Callable[[ExperimentSummary], float | None]:
    def value(one: ExperimentSummary) -> float | None:
        of = one.series.get(key)
        if of is None:
            return None
        found = {"last": of.last_value, "min": of.min_value, "max": of.max_value}[which]
        return math.nan if found is None else found

    return value


def _matching(
    rows: Sequence[ExperimentSummary], expression: FilterExpression, names: _Names
) -> list[ExperimentSummary]:
    getters = {name: names.getter(name, "where") for name in expression.names}

    def is_match(one: ExperimentSummary) -> bool:
        return expression.matches(lambda name: getters[name](one))

    return [one for one in rows if is_match(one)]


def _sorted(rows: list[ExperimentSummary], sort: str, names: _Names) -> list[ExperimentSummary]:
    name = sort.strip()
    is_descending = name.startswith("-")
    value = names.getter(name.removeprefix("-").strip(), "sort")

    def key(one: ExperimentSummary) -> tuple[str, Any]:
        found = value(one)
        # Kinds of values that have no common order come one after the other.
        is_number = isinstance(found, (bool, int, float))
        return "" if is_number else type(found).__name__, found

    there: list[ExperimentSummary] = []
    missing: list[ExperimentSummary] = []
    for one in rows:
        found = value(one)
        is_missing = found is None or found == () or (isinstance(found, float) and math.isnan(found))
        (missing if is_missing else there).append(one)
    return [*sorted(there, key=key, reverse=is_descending), *missing]


def _frame(found: Sequence[ExperimentSummary], *, is_shared: bool) -> pd.DataFrame:
    rows = [one.row for one in found]
    frame = computed_frame(
        EXPERIMENTS,
        {
            "id": [row.id for row in rows],
            "name": [row.name for row in rows],
            "state": [one.state for one in found],
            "run_id": [row.run_id for row in rows],
            "session_id": [row.session_id for row in rows],
            "tags": [", ".join(row.tags) or None for row in rows],
            "keys": [len(one.series) for one in found],
            "points": [sum(of.points for of in one.series.values()) for one in found],
            "last_step": [one.last_step for one in found],
            "checkpoints": [one.saves or None for one in found],
            "note": [row.notes[-1] if row.notes else None for row in rows],
            "created_at": [None] * len(rows),
            "last_at": [None] * len(rows),
            "archived": [row.archived for row in rows],
        },
    )
    created = np.array([row.created_at for row in rows], np.int64)
    last = np.array([row.last_at for row in rows], np.int64)
    frame["created_at"], frame["last_at"] = times_array(created), times_array(last)
    # Parameters stand before the times, which are much the same for all experiments of a sweep.
    order = frame.columns.tolist()
    arrays = {name: frame[name].array for name in order}
    columns: dict[str, Any] = {}
    for name in order:
        if name == "note":
            columns |= _value_columns(found, "summary") | _metric_columns(found)
        if name == "created_at":
            columns |= _value_columns(found, "params")
        columns[name] = arrays[name]
        if name == "name" and any(row.project for row in rows):
            columns["project"] = pd.array([row.project for row in rows], dtype=STRING_DTYPE)
        authors = [row.author for row in rows] if name == "name" else []
        if len(set(authors)) > 1 or (is_shared and any(authors)):
            columns["author"] = pd.array(authors, dtype=STRING_DTYPE)
        if name == "created_at":
            columns["duration"] = (last - created).view("m8[ms]")
    made = pd.DataFrame(columns, index=frame.index, copy=False)
    made.attrs = frame.attrs
    return made


def _metric_columns(found: Sequence[ExperimentSummary]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key in in_column_order(dict.fromkeys(key for one in found for key in one.series)):
        rows = [one.series.get(key) for one in found]
        columns[f"last.{key}"] = _metric_array(rows, "last_value")
        mode = infer_mode(key)
        if mode is not None:
            columns[f"best.{key}"] = _metric_array(rows, f"{mode}_value")
    return columns


def _metric_array(rows: Sequence[SeriesSummary | None], field: str) -> Any:
    get = attrgetter(field)
    values = [math.nan if row is None else get(row) for row in rows]
    return np.array([_LOGGED_NAN if value is None else value for value in values], np.float64)


def _value_columns(found: Sequence[ExperimentSummary], field: Literal["params", "summary"]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [getattr(one, field) for one in found]
    names = dict.fromkeys(name for row in rows for name in row)
    return {f"{field}.{name}": param_array([row.get(name) for row in rows]) for name in names}


def _absent_names(listed: Sequence[ExperimentSummary], found: Sequence[ExperimentSummary]) -> list[str]:
    if len(listed) == len(found):
        return []
    there = set(_own_names(found))
    return list(dict.fromkeys(name for name in _own_names(listed) if name not in there))


def _absent_note(absent: Sequence[str]) -> list[str]:
    if not absent:
        return []
    shown = first_few([one_line(name, limit=60) for name in absent], _MAX_NAMED)
    return [f"Without a column, as none of these experiments has them: {shown}."]


def usable_names(store: ExperimentStore) -> list[tuple[str, str]]:
    """Return the names that ``where`` and ``sort`` take, each with what it is, for completion.

    A parameter that has the name of a metric or a column stands with its prefix.  Versions of packages, of which there
    are hundreds, are left out.
    """
    rows = store.experiments(archived=True)
    series = store.summaries().series.values()
    own = [*(column.name for column in EXPERIMENTS.columns), "project", "author", "duration"]
    keys = in_column_order(dict.fromkeys(key for of in series for key in of))
    params = dict.fromkeys(name for row in rows for name in flat_params(row.params))
    found = [(f"params.{name}" if name in keys or name in own else name, "parameter") for name in params]
    for key in keys:
        if infer_mode(key) is not None:
            found.append((f"best.{key}", "metric"))
        found.append((f"last.{key}", "metric"))
    summary = dict.fromkeys(name for row in rows for name in flat_params(row.summary))
    entries = dict.fromkeys(name for of in _environments(store).values() for name in of)
    return [
        *found,
        *((f"summary.{name}", "summary value") for name in summary),
        *((name, "column") for name in own),
        *((name, "environment") for name in entries if not name.startswith("packages.")),
    ]


def _own_names(found: Sequence[ExperimentSummary]) -> Iterator[str]:
    """Yield the names of parameters, summary values and metrics."""
    for one in found:
        yield from (f"params.{name}" for name in one.params)
        yield from (f"summary.{name}" for name in one.summary)
        yield from one.series


def _limit_note(shown: int, count: int) -> list[str]:
    return [f"The first {shown:,} of {count:,} experiments; --limit gives more."] if shown < count else []


def _direction_note(found: Sequence[ExperimentSummary]) -> list[str]:
    keys = in_column_order(dict.fromkeys(key for one in found for key in one.series))
    lowest = [key for key in keys if infer_mode(key) == "min"]
    highest = [key for key in keys if infer_mode(key) == "max"]
    parts = [
        f"the {word} of {', '.join(one_line(key, limit=60) for key in of[:_MAX_NAMED])}"
        for word, of in (("lowest", lowest), ("highest", highest))
        if of
    ]
    return [f"last.KEY is the newest value, best.KEY {' and '.join(parts)}."] if parts else []


def _empty_message(
    store: ExperimentStore,
    everything: Sequence[ExperimentSummary],
    listed: Sequence[ExperimentSummary],
    selection: ExperimentFilter,
) -> str:
    if not listed:
        return no_experiments(store)
    tag = selection.tags[0] if selection.tags else ""
    is_tag = selection.description == f"--tag {one_line(tag, limit=60)}"
    # An expression may name what only experiments that are not archived have.
    is_read = selection.archived or selection.expression is not None
    archived = 0 if is_read else sum(selection.admits(one.row) for one in everything)
    if archived:
        count = many(archived, "experiment")
        what = f"have the tag {tag!r:.60}" if is_tag else f"match {selection.description}"
        return f"Only archived experiments {what} ({count}): add --archived to list them."
    if not is_tag:
        count = many(1, "experiment") if len(listed) == 1 else f"all {many(len(listed), 'experiment')}"
        return f"No experiment matches {selection.description}. %loops experiments lists {count}."
    return f"No experiment has the tag {tag!r:.60}. %loops experiments lists them all."


def _millis_of(since: str | datetime | timedelta) -> int:
    found: object = since
    if isinstance(since, str):
        found = age_of_text(since)
        if found is None:
            found = time_of_text(since)
    try:
        if isinstance(found, timedelta):
            found = datetime.now(UTC) - found
        if isinstance(found, datetime):
            return (found.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError:
        pass
    raise InvalidArgumentError(
        f"since must be an age or a time, not {since!r:.40}.",
        argument="since",
        hint=EXAMPLES,
    )


def _described(since: str | datetime | timedelta) -> str:
    if isinstance(since, timedelta):
        return f"{since / timedelta(hours=1):g}h"
    return since.isoformat(timespec="seconds") if isinstance(since, datetime) else one_line(since, limit=40)


def _strings(values: Any, argument: str) -> tuple[str, ...]:
    if isinstance(values, str):
        return (values,)
    found = tuple(values) if isinstance(values, Iterable) else (None,)
    if not all(isinstance(one, str) for one in found):
        raise InvalidArgumentError(f"{argument} must be a string or a list of strings.", argument=argument)
    return found
