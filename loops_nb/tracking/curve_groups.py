"""Curves of experiments or groups of them, read from the store: members, bands, and a baseline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from loops_nb.errors import InvalidArgumentError, TrackingError, one_line
from loops_nb.frames.columns import is_secondary_metric
from loops_nb.render.formatting import first_and_more, many
from loops_nb.tracking.bands import MOST_PLACES, Band, BandKind, MemberCurve, band, band_kind, member_curve
from loops_nb.tracking.baseline import BaselineCurve, BaselineRow, against_baseline, baseline_table
from loops_nb.tracking.groups import ExperimentGroup, ExperimentGroups, group_experiments
from loops_nb.tracking.metric_mode import infer_mode
from loops_nb.tracking.rows import without_archived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from loops_nb.tracking.rows import ExperimentRow, Series
    from loops_nb.tracking.store import ExperimentStore

    Floats = npt.NDArray[np.float64]

#: The x axis: steps, tokens so far, seconds since the experiment began, or the clock (epoch seconds).
Axis = Literal["step", "tokens", "elapsed", "clock"]
AXES: tuple[Axis, ...] = get_args(Axis)
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class GroupCurve:
    """The curve of a group, or of one experiment, for one metric.

    Parameters
    ----------
    label : str
        Name of the group or the experiment, unique among those drawn.
    ids : tuple of str
        Ids of its experiments.
    members : tuple of MemberCurve
        The curve of each of them that has values.
    band : Band
        Center, band and number of members on a grid.
    against : BaselineCurve or None
        The center against the baseline; None without one.
    """

    label: str
    ids: tuple[str, ...]
    members: tuple[MemberCurve, ...]
    band: Band
    against: BaselineCurve | None

    @property
    def curve(self) -> MemberCurve:
        """The curve that stands for the group: its only member with all points, or else the center of the band."""
        return self.members[0] if len(self.members) == 1 else self.band.curve


@dataclass(frozen=True, slots=True)
class MetricGroups:
    """The curves of one metric.

    Parameters
    ----------
    key : str
        Its key.
    groups : tuple of GroupCurve
        Those with values, in the order of `GroupedCurves.groups`.
    baseline : GroupCurve or None
        The baseline, which may be one of the groups too; None if it has no values of this metric.
    """

    key: str
    groups: tuple[GroupCurve, ...]
    baseline: GroupCurve | None

    def table(self, mode: Literal["min", "max"] | None = None) -> list[BaselineRow]:
        """Return last and best value of each group, and its difference and ratio to the baseline (NaN without one).

        Parameters
        ----------
        mode : {"min", "max"}, optional
            Which values are better; by default inferred from the key.
        """
        base = MemberCurve(np.empty(0), np.empty(0)) if self.baseline is None else self.baseline.curve
        curves = [(group.label, group.curve) for group in self.groups]
        return baseline_table(curves, base, mode=mode or infer_mode(self.key))


class GroupedCurves(NamedTuple):
    """Curves of several metrics.

    Parameters
    ----------
    axis : {"step", "tokens", "elapsed", "clock"}
        What x is.
    kind : {"std", "minmax", "quartiles"}
        What the bands are.
    by : tuple of str
        What was grouped by; empty if each experiment stands for itself.
    groups : tuple of ExperimentGroup
        The groups, or one for each experiment.
    rows : tuple of ExperimentRow
        All experiments in them.
    metrics : tuple of MetricGroups
        The curves.
    baseline : ExperimentGroup or None
        What the others are compared with.
    notes : tuple of str
        Sentences: what was grouped, what is missing, what was left out.
    """

    axis: Axis
    kind: BandKind
    by: tuple[str, ...]
    groups: tuple[ExperimentGroup, ...]
    rows: tuple[ExperimentRow, ...]
    metrics: tuple[MetricGroups, ...]
    baseline: ExperimentGroup | None
    notes: tuple[str, ...]


def curve_axis(axis: object) -> Axis:
    """Return an axis that was checked.

    Raises
    ------
    InvalidArgumentError
        If there is no such axis.
    """
    for known in AXES:
        if axis == known:
            return known
    raise InvalidArgumentError(
        f"axis is one of {', '.join(AXES)}, not {axis!r:.40}.", argument="axis", hint='For example axis="tokens"'
    )


def grouped_curves(
    store: ExperimentStore,
    experiments: Iterable[str],
    keys: str | Iterable[str] | None = None,
    *,
    group_by: str | Iterable[str] | None = None,
    kind: str = "std",
    axis: str = "step",
    baseline: str | None = None,
    most: int = MOST_PLACES,
    smooth: Callable[[Floats], Floats] | None = None,
) -> GroupedCurves:
    """Read the curves of experiments, grouped, with bands and a baseline.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.
    keys : str or iterable of str, optional
        Keys of metrics, or shell patterns of them (``eval/*``); by default all but durations.
    group_by : str or iterable of str, optional
        As in `loops_nb.tracking.groups.group_experiments`; by default each experiment stands for itself.
    kind : {"std", "minmax", "quartiles"}, default "std"
        What the bands are, as in `loops_nb.tracking.bands.band`.
    axis : {"step", "tokens", "elapsed", "clock"}, default "step"
        What x is.
    baseline : str, optional
        Label of a group, or name, id or run of an experiment, that the others are compared with.
    most : int, default 1000
        Number of places of a grid at most.
    smooth : callable, optional
        Applied to the values of each series in the order in which they came.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used, or none of the experiments has a parameter to group by.
    TrackingError
        If there is no such experiment or baseline, none of them has a metric, or the file cannot be read.

    Examples
    --------
    >>> found = grouped_curves(store, metrics.ids("lr-*"), "loss", group_by="lr")
    >>> [(group.label, group.band.members) for group in found.metrics[0].groups]
    [('lr=0.0001', 3), ('lr=0.001', 3)]
    """
    used_axis, used_kind = curve_axis(axis), band_kind(kind)
    stored = {row.id: row for row in store.experiments(archived=True)}
    # One that is not there is asked for by itself, for the error.
    rows = [stored.get(key) or store.experiment(key) for key in dict.fromkeys(experiments)]
    found = group_experiments(rows, group_by) if group_by is not None else _alone(rows)
    notes = list(found.notes)
    base = None if baseline is None else _baseline(baseline, found, list(stored.values()))
    reader = _Reader(store, used_axis, smooth)
    drawn = _keys(store, rows, keys, notes)
    metrics = []
    for key in drawn:
        base_curve = None if base is None else reader.group(base, key, used_kind, most)
        if base_curve is None and base is not None:
            notes.append(f"The baseline {one_line(base.label, limit=60)} has no values of {one_line(key, limit=60)}.")
        groups = [reader.group(group, key, used_kind, most, base_curve) for group in found.groups]
        metrics.append(MetricGroups(key, tuple(group for group in groups if group is not None), base_curve))
        missing = sum(not reader.has(row.id, key) for row in rows)
        if missing:
            has = "has" if missing == 1 else "have"
            of = "on this axis" if used_axis == "tokens" else ""
            notes.append(
                f"{many(missing, 'experiment')} {has} no values of {one_line(key, limit=60)} {of}".rstrip() + "."
            )
    return GroupedCurves(
        used_axis, used_kind, found.by, found.groups, tuple(rows), tuple(metrics), base, tuple(dict.fromkeys(notes))
    )


def _alone(rows: Sequence[ExperimentRow]) -> ExperimentGroups:
    counts = Counter(row.label for row in rows)
    labels = [row.label if counts[row.label] == 1 else f"{row.label} [{row.id}]" for row in rows]
    groups = (ExperimentGroup(label, {}, (row.id,)) for label, row in zip(labels, rows, strict=True))
    return ExperimentGroups((), tuple(groups), ())


def _baseline(name: str, found: ExperimentGroups, rows: Sequence[ExperimentRow]) -> ExperimentGroup:
    for group in found.groups:
        if group.label == name:
            return group
    named = [row for row in rows if row.id == name] or [row for row in rows if name in (row.run_id, row.name)]
    ids = tuple(row.id for row in without_archived(named))
    if not ids:
        labels = first_and_more([one_line(group.label, limit=60) for group in found.groups], _MOST_NAMED)
        raise TrackingError(
            f"The baseline {name!r:.60} is neither a group here nor an experiment on this machine.",
            hint=f"There is {labels}." if found.groups else "%loops experiments lists what is recorded.",
        )
    same = next((group for group in found.groups if set(group.ids) == set(ids)), None)
    return same or ExperimentGroup(name, {}, ids)


def _keys(
    store: ExperimentStore, rows: Sequence[ExperimentRow], keys: str | Iterable[str] | None, notes: list[str]
) -> list[str]:
    there = list(dict.fromkeys(key.key for row in rows for key in store.keys(row.id)))
    shown = sorted(there, key=lambda key: key != "loss")
    if keys is None:
        main = [key for key in shown if not is_secondary_metric(key)]
        if main and len(main) < len(shown):
            left = first_and_more([one_line(key, limit=60) for key in shown if key not in main], _MOST_NAMED)
            notes.append(f"Durations are left out unless they are named: {left}.")
        return main or shown
    wanted = [keys] if isinstance(keys, str) else list(dict.fromkeys(keys))
    found: list[str] = []
    for key in wanted:
        matches = [key] if key in there else [each for each in shown if fnmatchcase(each, key)]
        if not matches and rows:
            these = "this experiment" if len(rows) == 1 else "these experiments"
            known = first_and_more([one_line(each, limit=60) for each in shown], _MOST_NAMED)
            raise TrackingError(
                f"Nothing was logged as {key!r:.60} in {these}.",
                hint=f"There is {known}." if there else "They have no values yet.",
            )
        found += matches
    return list(dict.fromkeys(found))


class _Reader:
    """Reads each series once, also where an experiment is in several groups."""

    def __init__(self, store: ExperimentStore, axis: Axis, smooth: Callable[[Floats], Floats] | None) -> None:
        self._store = store
        self._axis = axis
        self._smooth = smooth
        self._began = {row.id: row.created_at for row in store.experiments(archived=True)}
        self._curves: dict[tuple[str, str], MemberCurve] = {}

    def group(
        self, group: ExperimentGroup, key: str, kind: BandKind, most: int, base: GroupCurve | None = None
    ) -> GroupCurve | None:
        members = tuple(curve for one in group.ids if len((curve := self._curve(one, key)).x))
        if not members:
            return None
        found = band(members, kind=kind, most=most)
        curve = members[0] if len(members) == 1 else found.curve
        against = None if base is None else against_baseline(curve, base.curve, most=most)
        return GroupCurve(group.label, group.ids, members, found, against)

    def has(self, experiment_id: str, key: str) -> bool:
        return len(self._curve(experiment_id, key).x) > 0

    def _curve(self, experiment_id: str, key: str) -> MemberCurve:
        place = (experiment_id, key)
        if place not in self._curves:
            series = self._store.series(experiment_id, key)
            values = series.value
            if self._smooth is not None and len(values):
                values = self._smooth(values)
            breaks = np.zeros(len(values), dtype=bool)
            breaks[1:] = series.attempt[1:] != series.attempt[:-1]
            x = axis_values(series, self._axis, self._began.get(experiment_id, 0))
            self._curves[place] = member_curve(x, values, breaks)
        return self._curves[place]


def axis_values(series: Series, axis: Axis, began: int) -> Floats:
    """Return where the points of a series are along an axis.

    Parameters
    ----------
    series : Series
        The points.
    axis : {"step", "tokens", "elapsed", "clock"}
        The axis; ``elapsed`` and ``clock`` are in seconds.
    began : int
        When its experiment began, in milliseconds since 1970.
    """
    if axis == "tokens":
        return series.tokens
    if axis == "step":
        return series.step.astype(np.float64)
    at = series.at - began if axis == "elapsed" else series.at
    found: Floats = at / 1000.0
    return found
