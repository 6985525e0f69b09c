"""DataFrames of grouped curves: one row per place of each curve, or one per group with its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.errors import one_line
from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.attributes import EMPTY_ATTR, KIND_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import first_and_more
from loops_nb.tracking.bands import BAND_WORDS, CENTER_WORDS
from loops_nb.tracking.baseline import against_baseline
from loops_nb.tracking.curve_groups import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from loops_nb.tracking.curve_groups import GroupCurve, GroupedCurves, MetricGroups

GROUP_CURVES = register_kind(
    Kind(
        "group_curves",
        many=(),
        one=(),
        columns=(
            Column("key", Dtype.WORD, (), "Key of the metric."),
            Column("group", Dtype.WORD, (), "Label of the group, or name of the experiment."),
            Column("axis", Dtype.WORD, (), "What x is; elapsed and clock are in seconds.", AXES),
            Column("x", Dtype.NUMBER, (), "Place along the axis."),
            Column("center", Dtype.NUMBER, (), "Mean of the members there, for quartiles their median."),
            Column("low", Dtype.NUMBER, (), "Lower edge of the band."),
            Column("high", Dtype.NUMBER, (), "Upper edge of the band."),
            Column("members", Dtype.COUNT, (), "Number of members with a value there."),
            Column("difference", Dtype.NUMBER, (), "Center minus that of the baseline; missing outside its range."),
            Column("ratio", Dtype.NUMBER, (), "Center divided by that of the baseline; missing outside its range."),
        ),
    )
)
GROUP_RESULTS = register_kind(
    Kind(
        "group_results",
        many=(),
        one=(),
        columns=(
            Column("group", Dtype.STRING, (), "Label of the group, or name of the experiment."),
            Column("experiments", Dtype.COUNT, (), "Number of experiments with values of the metric."),
            Column("key", Dtype.WORD, (), "Key of the metric."),
            Column("last", Dtype.NUMBER, (), "Last value of the curve of the group."),
            Column("last_x", Dtype.NUMBER, (), "Where that is along the axis."),
            Column("best", Dtype.NUMBER, (), "Best value; missing if lower or higher being better is not known."),
            Column("best_x", Dtype.NUMBER, (), "Where that is along the axis."),
            Column("at", Dtype.NUMBER, (), "Last place that it has in common with the baseline."),
            Column("difference", Dtype.NUMBER, (), "Value minus that of the baseline, at that place."),
            Column("ratio", Dtype.NUMBER, (), "Value divided by that of the baseline, at that place."),
            Column("best_difference", Dtype.NUMBER, (), "Best value minus that of the baseline."),
            Column("best_ratio", Dtype.NUMBER, (), "Best value divided by that of the baseline."),
        ),
    )
)
_MOST_NAMED = 6
_NOTHING = "Nothing was logged for these experiments yet, or nothing under these keys."


def group_curves_frame(found: GroupedCurves) -> pd.DataFrame:
    """Return the curves of groups as they are drawn.

    Returns
    -------
    pandas.DataFrame
        One row per place of each curve.  Columns key, group, axis (category), x, center, low, high (float64), members
        (Int64), difference and ratio (float64, missing without a baseline and outside its range).
    """
    parts = [(metric, group) for metric in found.metrics for group in metric.groups]
    sizes = np.array([len(group.band.x) for _, group in parts], np.int64)
    against = [_against(metric, group) for metric, group in parts]

    def joined(arrays: Sequence[Any], dtype: Any = np.float64) -> Any:
        return np.concatenate([np.empty(0, dtype), *arrays])

    members = joined([group.band.counts for _, group in parts], np.int64)
    frame = pd.DataFrame(
        {
            "key": _category([metric.key for metric, _ in parts], sizes, ()),
            "group": _category([group.label for _, group in parts], sizes, ()),
            "axis": _category([found.axis] * len(parts), sizes, AXES),
            "x": joined([group.band.x for _, group in parts]),
            "center": joined([group.band.center for _, group in parts]),
            "low": joined([group.band.low for _, group in parts]),
            "high": joined([group.band.high for _, group in parts]),
            "members": pd.arrays.IntegerArray(members, np.zeros(len(members), np.bool_)),
            "difference": joined([difference for difference, _ in against]),
            "ratio": joined([ratio for _, ratio in against]),
        },
        copy=False,
    )
    band = f"center is the {CENTER_WORDS[found.kind]}, low and high are {BAND_WORDS[found.kind]}."
    _describe(frame, GROUP_CURVES, [*found.notes, *_incomplete(found), *([band] if found.by else [])])
    return frame


def _incomplete(found: GroupedCurves) -> list[str]:
    """Say which curves end with fewer members than they have, and which have only values that are not finite."""
    keys_of: dict[str, list[str]] = {}
    without: dict[str, list[str]] = {}
    for metric in found.metrics:
        key = one_line(metric.key, limit=60)
        # A training that was NaN or infinite from its first step on is a curve without any place.
        drawn = [group for group in metric.groups if len(group.band.x)]
        ends = [(group.label, int(group.band.counts[-1]), len(group.members)) for group in drawn]
        fewer = [f"{one_line(label, limit=60)} ({count} of {most})" for label, count, most in ends if count < most]
        if fewer:
            keys_of.setdefault(first_and_more(fewer, _MOST_NAMED), []).append(key)
        empty = [one_line(group.label, limit=60) for group in metric.groups if not len(group.band.x)]
        if empty:
            without.setdefault(first_and_more(empty, _MOST_NAMED), []).append(key)
    return [
        *(
            f"Not all members have the last places of {first_and_more(keys, _MOST_NAMED)}: {groups}."
            for groups, keys in keys_of.items()
        ),
        *(
            f"Every value of {first_and_more(keys, _MOST_NAMED)} is NaN or infinite, so there is no curve: {groups}."
            for groups, keys in without.items()
        ),
    ]


def _against(metric: MetricGroups, group: GroupCurve) -> tuple[Any, Any]:
    if metric.baseline is None:
        nothing = np.full(len(group.band.x), np.nan)
        return nothing, nothing
    compared = against_baseline(group.curve, metric.baseline.curve, grid=group.band.x)
    return compared.difference, compared.ratio


def group_results_frame(found: GroupedCurves, *, mode: Literal["min", "max"] | None = None) -> pd.DataFrame:
    """Return last and best values of groups, and their differences and ratios to the baseline.

    Parameters
    ----------
    found : GroupedCurves
        The curves.
    mode : {"min", "max"}, optional
        Which values are better; by default inferred from each key.

    Returns
    -------
    pandas.DataFrame
        One row per group and metric.  Columns group (string), experiments (Int64), key (category), last, last_x, best,
        best_x, at, difference, ratio, best_difference and best_ratio (float64; those of the baseline are missing
        without one).
    """
    parts = [
        (metric.key, group, row)
        for metric in found.metrics
        for group, row in zip(metric.groups, metric.table(mode), strict=True)
    ]
    numbers = ("last", "last_x", "best", "best_x", "at", "difference", "ratio", "best_difference", "best_ratio")
    frame = computed_frame(
        GROUP_RESULTS,
        {
            "group": [group.label for _, group, _ in parts],
            "experiments": [len(group.members) for _, group, _ in parts],
            "key": [key for key, _, _ in parts],
            **{name: [getattr(row, name) for _, _, row in parts] for name in numbers},
        },
    )
    notes = [*found.notes, *_incomplete(found)]
    if found.by:
        notes.append(f"The values of a group are those of its {CENTER_WORDS[found.kind]} curve.")
    if found.baseline is not None:
        notes.append(
            f"The baseline is {found.baseline.label}. difference and ratio are taken at the last place that both have."
        )
    _describe(frame, GROUP_RESULTS, notes)
    return frame


def _describe(frame: pd.DataFrame, kind: Kind, notes: Sequence[str]) -> None:
    frame.attrs[KIND_ATTR] = kind.name
    frame.attrs[EMPTY_ATTR] = _NOTHING
    if len(frame) and notes:
        frame.attrs[NOTES_ATTR] = list(notes)


def _category(texts: Sequence[str], sizes: Any, words: Sequence[str]) -> Any:
    known = list(dict.fromkeys([*words, *texts]))
    codes = np.repeat(np.array([known.index(text) for text in texts], np.int32), sizes)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(pd.Index(known, dtype=STRING_DTYPE)))
