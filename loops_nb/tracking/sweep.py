"""Which parameter of a sweep mattered: a rank analysis of the parameters of experiments against one metric.

Everything is computed on ranks, so that the scale of a parameter or of the metric (a learning rate, a loss that
diverged) changes nothing. Significance is a permutation test, corrected for the number of parameters (Holm). Where
scikit-learn is installed, an ensemble of trees adds what a parameter does together with others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.errors import one_line
from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.frames.params import param_cell
from loops_nb.render.formatting import first_and_more, is_or_are, many
from loops_nb.tracking.frames import check_logged
from loops_nb.tracking.params import flat_params

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.tracking.rows import SeriesSummary
    from loops_nb.tracking.store import ExperimentStore

SWEEP = register_kind(
    Kind(
        "sweep",
        many=(),
        one=(),
        columns=(
            Column("parameter", Dtype.STRING, (), "Name of the parameter."),
            Column("best", Dtype.STRING, (), "Values in the best quarter; missing if all are equally good."),
            Column("explained", Dtype.NUMBER, (), "Share of the variance of the metric's ranks, from 0 to 1."),
            Column("p_value", Dtype.NUMBER, (), "Of a permutation test, corrected for the number of parameters."),
            Column("importance", Dtype.NUMBER, (), "Share of the ranks' variance that trees lose without it, 0 to 1."),
            Column("importance_low", Dtype.NUMBER, (), "Lower end of its 95 % interval."),
            Column("importance_high", Dtype.NUMBER, (), "Upper end of its 95 % interval."),
            Column("acts_with", Dtype.STRING, (), "Parameter that its effect depends on; missing if none is clear."),
            Column("correlation", Dtype.NUMBER, (), "Rank correlation with the metric; missing for words."),
            Column("correlation_low", Dtype.NUMBER, (), "Lower end of its 95 % interval."),
            Column("correlation_high", Dtype.NUMBER, (), "Upper end of its 95 % interval."),
            Column("values", Dtype.COUNT, (), "Number of different values."),
            Column("experiments", Dtype.COUNT, (), "Number of experiments with the parameter and the metric."),
        ),
    )
)
#: Below so many experiments nothing is claimed.
LEAST_EXPERIMENTS = 8
_LEAST_FOR_INTERVAL = 5
_MOST_GROUPS = 4
_PERMUTATIONS, _LEAST_PERMUTATIONS, _MOST_SHUFFLED = 2000, 200, 2_000_000
_SIGNIFICANT = 0.05
_Z_95 = 1.959964
_MOST_NAMES = 4
_BEST_SHARE = 4
_LEAST_BEST = 2


@dataclass(frozen=True, kw_only=True)
class ParameterEffect:
    """How one parameter goes with the metric.

    Parameters
    ----------
    name : str
        Name of the parameter.
    explained : float
        Adjusted share of the variance of the metric's ranks that the values of the parameter explain, from 0 to 1;
        values that are mostly different are grouped into quarters.  NaN if it cannot be told.
    p_value : float
        Chance of such a share if the parameter made no difference, corrected for the number of parameters.
    correlation, low, high : float
        Spearman's rank correlation with its 95 % interval; NaN for words.
    different, experiments : int
        Number of different values, and of experiments with one.
    best : str
        Values in the best quarter of the experiments; empty if all are equally good.
    importance, importance_low, importance_high : float, default NaN
        Share of the variance of the metric's ranks that an ensemble of trees predicts worse without the parameter, with
        its 95 % interval; NaN without scikit-learn, and with fewer than eight experiments.
    is_important : bool, default False
        Whether chance would seldom make it so important, corrected for the number of parameters.
    acts_with : str, default ""
        Parameter that it acts together with: the effect of the one depends on the other.
    """

    name: str
    explained: float
    p_value: float
    correlation: float
    low: float
    high: float
    different: int
    experiments: int
    best: str
    importance: float = math.nan
    importance_low: float = math.nan
    importance_high: float = math.nan
    is_important: bool = False
    acts_with: str = ""

    @property
    def matters(self) -> bool:
        """Whether it makes a difference that chance would seldom make."""
        return self.p_value < _SIGNIFICANT or self.is_important


@dataclass(frozen=True, kw_only=True)
class SweepData:
    """The experiments of a sweep that have a value of its metric, and the effects of their parameters.

    Parameters
    ----------
    metric : str
        A key.
    highest : bool
        Whether higher values are better.
    names : list of str or None
        Name of each experiment.
    params : list of dict
        Flat parameters of each.
    scores : numpy.ndarray of float64, shape (n,)
        Value of the metric of each; infinite for one that diverged.
    effects : list of ParameterEffect
        Of each parameter that differs, the one that matters most first: by the larger of what it explains and its
        importance.
    missing : int
        Number of experiments without a value, which are left out.
    predicted : float or None
        Share of the variance of the ranks that the trees predict from all parameters; None without trees.
    """

    metric: str
    highest: bool
    names: list[str | None]
    params: list[dict[str, Any]]
    scores: npt.NDArray[np.float64]
    effects: list[ParameterEffect]
    missing: int
    predicted: float | None = None


def sweep_data(
    store: ExperimentStore, experiments: Iterable[str], metric: str, *, highest: bool = False, at: str = "best"
) -> SweepData:
    """Read the parameters and values of experiments, and compute the effect of each parameter.

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
    at : {"best", "last"}, default "best"
        Which value of each experiment is compared.

    Raises
    ------
    TrackingError
        If there is no such experiment, none of them has the metric, or the file cannot be read.
    """
    stored = {row.id: row for row in store.experiments(archived=True)}
    # One that is not there is asked for by itself, for the error.
    rows = [stored.get(key) or store.experiment(key) for key in dict.fromkeys(experiments)]
    summaries = store.summaries().series
    values = [_value(summaries.get(row.id, {}).get(metric), highest=highest, at=at) for row in rows]
    if all(value is None for value in values):
        check_logged(store, rows, metric)
    known = [(row, value) for row, value in zip(rows, values, strict=True) if value is not None]
    params = [flat_params(row.params) for row, _ in known]
    scores = np.array([value for _, value in known], np.float64)
    effects, predicted = with_importance(parameter_effects(params, scores, highest=highest), params, scores)
    return SweepData(
        metric=metric,
        highest=highest,
        names=[row.name for row, _ in known],
        params=params,
        scores=scores,
        effects=effects,
        missing=len(rows) - len(known),
        predicted=predicted,
    )


def sweep_frame(data: SweepData) -> pd.DataFrame:
    """Return the parameters of a sweep by how much they explain of its metric, the most first.

    Returns
    -------
    pandas.DataFrame
        One row per parameter that differs.  Columns parameter, best, acts_with (string), explained, p_value,
        importance, importance_low, importance_high, correlation, correlation_low, correlation_high (float64, rounded to
        four decimals), values, experiments (Int64).  What it shows in words, and what was left out, is in its notes.
    """
    effects = data.effects
    frame = computed_frame(
        SWEEP,
        {
            "parameter": [one.name for one in effects],
            "explained": [_known(one.explained) for one in effects],
            "p_value": [_known(one.p_value) for one in effects],
            "importance": [_known(one.importance) for one in effects],
            "importance_low": [_known(one.importance_low) for one in effects],
            "importance_high": [_known(one.importance_high) for one in effects],
            "acts_with": [one.acts_with or None for one in effects],
            "correlation": [_known(one.correlation) for one in effects],
            "correlation_low": [_known(one.low) for one in effects],
            "correlation_high": [_known(one.high) for one in effects],
            "values": [one.different for one in effects],
            "experiments": [one.experiments for one in effects],
            "best": [one.best or None for one in effects],
        },
    )
    notes = [in_words(effects, data.metric, len(data.scores), highest=data.highest)]
    if data.missing:
        has = "has" if data.missing == 1 else "have"
        metric = one_line(data.metric, limit=60)
        notes.append(
            f"{many(data.missing, 'experiment')} {has} no value of {metric} and {is_or_are(data.missing)} left out."
        )
    notes += _importance_notes(data)
    constant = _constant(data.params)
    if constant and len(data.params) > 1:
        notes.append(f"The same in all: {first_and_more([one_line(name) for name in constant], _MOST_NAMES)}.")
    # Of a frame without rows the text in its place says the first.
    frame.attrs[EMPTY_ATTR] = notes[0]
    frame.attrs[NOTES_ATTR] = notes if effects else notes[1:]
    return frame


def _importance_notes(data: SweepData) -> list[str]:
    """Return what else is to be known of the numbers: how well trees predict, and what cannot be distinguished."""
    from loops_nb.tracking.importance import INSTALL, has_scikit_learn

    notes = []
    count = len(data.scores)
    if data.predicted is not None:
        notes.append(
            f"Trees predict {data.predicted:.0%} of the variance of ranks of experiments that they have not seen;"
            " importance is what they lose without a parameter."
        )
    elif data.effects and count >= LEAST_EXPERIMENTS and not has_scikit_learn():
        notes.append(f"Importance needs scikit-learn, which is not installed: {INSTALL}")
    together = _changed_together(data.params, [one.name for one in data.effects])
    if together:
        names = "; ".join(" and ".join(one_line(name, limit=40) for name in group) for group in together[:2])
        notes.append(f"Changed together, so that which of them matters cannot be known: {names}.")
    return notes


def _changed_together(params: Sequence[dict[str, Any]], names: Sequence[str]) -> list[list[str]]:
    """Return groups of parameters that have the same values for the same experiments."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        codes, found = pd.factorize(pd.Series([_cell(of.get(name)) for of in params]))
        if len(found) < len(params):
            groups.setdefault(tuple(codes.tolist()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _known(value: float) -> float | None:
    """Return a number with as many digits as say something; None for NaN."""
    return None if math.isnan(value) else round(value, 4)


def _value(summary: SeriesSummary | None, *, highest: bool, at: str) -> float | None:
    """Return the value of an experiment; None without one.  NaN is as bad as can be: training diverged."""
    if summary is None:
        return None
    best = summary.max_value if highest else summary.min_value
    found = summary.last_value if at == "last" else best
    if found is None:
        return -math.inf if highest else math.inf
    return found


def parameter_effects(
    params: Sequence[dict[str, Any]], scores: npt.NDArray[np.float64], *, highest: bool = False
) -> list[ParameterEffect]:
    """Return the effect of each parameter that differs, the one that explains most first.

    Parameters
    ----------
    params : sequence of dict
        Flat parameters of each experiment.
    scores : numpy.ndarray of float64, shape (n,)
        Value of the metric of each; infinities allowed, no NaN.
    highest : bool, default False
        Whether higher values are better.

    Examples
    --------
    >>> effects = parameter_effects([{"lr": lr} for lr in range(8)], np.arange(8.0))
    >>> effects[0].name, round(effects[0].correlation, 2)
    ('lr', 1.0)
    """
    constant = set(_constant(params))
    names = [name for name in dict.fromkeys(name for of in params for name in of) if name not in constant]
    found = [_effect(name, params, scores, highest=highest) for name in names]
    corrected = _holm([one.p_value for one in found])
    effects = [
        ParameterEffect(**{**vars(one), "p_value": p_value}) for one, p_value in zip(found, corrected, strict=True)
    ]
    return sorted(effects, key=lambda one: (math.isnan(one.explained), -one.explained, one.p_value, one.name))


def with_importance(
    effects: Sequence[ParameterEffect], params: Sequence[dict[str, Any]], scores: npt.NDArray[np.float64]
) -> tuple[list[ParameterEffect], float | None]:
    """Add the importance of each parameter, and order them by it and by what they explain.

    Parameters
    ----------
    effects : sequence of ParameterEffect
        Effects of the parameters that differ.
    params : sequence of dict
        Flat parameters of each experiment.
    scores : numpy.ndarray of float64, shape (n,)
        Value of the metric of each.

    Returns
    -------
    list of ParameterEffect
        The same without scikit-learn, or with fewer than eight experiments.
    float or None
        Share of the variance of the metric's ranks that the trees predict; None without trees.
    """
    from loops_nb.tracking.importance import CLAIMED, has_scikit_learn, parameter_importance

    if len(scores) < LEAST_EXPERIMENTS or not effects or np.ptp(_ranks(scores)) == 0 or not has_scikit_learn():
        return list(effects), None
    found = parameter_importance(params, [one.name for one in effects], scores)
    corrected = dict(zip(found.by_name, _holm([of.p_value for of in found.by_name.values()]), strict=True))
    added = []
    for one in effects:
        of = found.by_name.get(one.name)
        if of is not None:
            one = replace(  # noqa: PLW2901
                one,
                importance=of.share,
                importance_low=of.low,
                importance_high=of.high,
                is_important=corrected[one.name] < CLAIMED,
                acts_with=of.partner or "",
            )
        added.append(one)
    return sorted(added, key=_order), found.predicted


def _order(one: ParameterEffect) -> tuple[bool, float, float, str]:
    known = [share for share in (one.explained, one.importance) if not math.isnan(share)]
    return (not known, -max(known, default=0.0), one.p_value, one.name)


def _constant(params: Sequence[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for of in params for name in of)
    return [name for name in names if len({_cell(of.get(name)) for of in params}) == 1]


def _cell(value: Any) -> Any:
    """Return a parameter as something that can be counted: True is not 1."""
    cell = param_cell(value)
    return (isinstance(cell, bool), cell)


def _effect(
    name: str, params: Sequence[dict[str, Any]], scores: npt.NDArray[np.float64], *, highest: bool
) -> ParameterEffect:
    present = [index for index, of in enumerate(params) if of.get(name) is not None]
    cells = [params[index][name] for index in present]
    chosen = scores[present]
    ranks = _ranks(chosen)
    is_number = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)
    numbers = np.array(cells, np.float64) if is_number else np.array([], np.float64)
    is_number = is_number and not np.isnan(numbers).any()
    correlation = low = high = math.nan
    if is_number:
        correlation = _correlation(_ranks(numbers), ranks)
        low, high = _interval(correlation, len(cells))
    groups = _groups(numbers if is_number else [_cell(cell) for cell in cells])
    explained, p_value = _explained(groups, ranks)
    return ParameterEffect(
        name=name,
        explained=explained,
        p_value=p_value,
        correlation=correlation,
        low=low,
        high=high,
        different=len({_cell(cell) for cell in cells}),
        experiments=len(cells),
        best=_best(cells, chosen, is_number=is_number, highest=highest),
    )


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(), np.float64)


def _correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:  # noqa: PLR2004 - no line through one point
        return math.nan
    return float(np.clip(np.corrcoef(left, right)[0, 1], -1.0, 1.0))


def _interval(correlation: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of Spearman's correlation, with the standard error of Bonett and Wright."""
    if count < _LEAST_FOR_INTERVAL or math.isnan(correlation):
        return math.nan, math.nan
    error = math.sqrt((1 + correlation**2 / 2) / (count - 3))
    # The transform is infinite at 1.
    centre = math.atanh(max(-1 + 1e-9, min(1 - 1e-9, correlation)))
    return math.tanh(centre - _Z_95 * error), math.tanh(centre + _Z_95 * error)


def _groups(values: Sequence[Any] | npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Number the groups of equal values; numbers of which most are different are cut into quarters."""
    codes, found = pd.factorize(np.asarray(values) if isinstance(values, np.ndarray) else pd.Series(values))
    if isinstance(values, np.ndarray) and len(found) > max(2, len(values) // 2):
        quarters = max(2, min(_MOST_GROUPS, len(values) // 4))
        places = (_ranks(values) - 0.5) / len(values)
        codes = np.floor(places * quarters).astype(np.int64)
        codes = pd.factorize(codes)[0]
    return codes.astype(np.int64)


def _explained(groups: npt.NDArray[np.int64], ranks: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the adjusted share of the variance between groups, and the p value of a permutation test."""
    count, kinds = len(ranks), int(groups.max(initial=-1)) + 1
    centred = ranks - ranks.mean() if count else ranks
    total = float(centred @ centred)
    if kinds < 2 or count - kinds < 1 or total == 0:  # noqa: PLR2004 - one group explains nothing
        return math.nan, math.nan
    between = float((np.bincount(groups, weights=centred) ** 2 / np.bincount(groups)).sum())
    # In a fixed order and with a fixed seed: the same experiments give the same p value, in whatever order they come.
    sizes = np.sort(np.bincount(groups))
    centred = np.sort(centred)
    member = np.zeros((count, kinds))
    member[np.arange(count), np.repeat(np.arange(kinds), sizes)] = 1.0
    times = max(_LEAST_PERMUTATIONS, min(_PERMUTATIONS, _MOST_SHUFFLED // count))
    shuffled = np.random.default_rng(0).permuted(np.tile(centred, (times, 1)), axis=1)
    by_chance = ((shuffled @ member) ** 2 / sizes).sum(axis=1)
    p_value = float(1 + np.count_nonzero(by_chance >= between - 1e-9 * total)) / (1 + times)
    adjusted = 1 - (1 - between / total) * (count - 1) / (count - kinds)
    return max(0.0, adjusted), p_value


def _holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by the method of Holm; NaN stay NaN."""
    known = sorted((value, index) for index, value in enumerate(p_values) if not math.isnan(value))
    corrected = list(p_values)
    largest = 0.0
    for place, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - place)))
        corrected[index] = largest
    return corrected


def best_first(scores: npt.NDArray[np.float64], *, highest: bool) -> list[int]:
    """Return the places of values, the best first."""
    order: list[int] = np.argsort(-scores if highest else scores, kind="stable").tolist()
    return order


def best_quarter(order: Sequence[int]) -> Sequence[int]:
    """Return the first quarter of places, two at least."""
    return order[: max(_LEAST_BEST, len(order) // _BEST_SHARE)]


def _best(cells: Sequence[Any], scores: npt.NDArray[np.float64], *, is_number: bool, highest: bool) -> str:
    if len(np.unique(scores)) == 1:
        # None is better than another.
        return ""
    best = [cells[index] for index in best_quarter(best_first(scores, highest=highest))]
    if not best:
        return ""
    if is_number:
        low, high = min(best), max(best)
        return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    words = list(dict.fromkeys(one_line(str(param_cell(cell)), limit=40) for cell in best))
    return first_and_more(words, _MOST_NAMES)


def in_words(effects: Sequence[ParameterEffect], metric: str, count: int, *, highest: bool) -> str:
    """Return what the table says, in one or two sentences, and no more than the number of experiments allows."""
    metric = one_line(metric, limit=60)
    order = "highest" if highest else "lowest"
    if not effects:
        return f"No parameter differs ({many(count, 'experiment')}): nothing explains their {metric}."
    if count < LEAST_EXPERIMENTS:
        return (
            f"{many(count, 'experiment')} {is_or_are(count)} too few to say which parameter matters for {metric}"
            f" ({LEAST_EXPERIMENTS} at least): the numbers are shown, and nothing is claimed."
        )
    if not any(one.best for one in effects):
        return f"All {count:,} experiments have the same {metric}: no parameter makes a difference."
    clear = [one for one in effects if one.matters]
    if not clear:
        return (
            f"No parameter makes a difference in {metric} that chance could not make too"
            f" ({count:,} experiments). More experiments or seeds may show one."
        )
    first, *others = clear
    name = one_line(first.name, limit=60)
    words = f"{name} matters most for {metric}: {_amount(first)} of the variance of ranks of {count:,} experiments."
    words += f" The best quarter, where {metric} is {order}, has {name} {first.best}."
    if others:
        also = ", ".join(f"{one_line(one.name, limit=60)} ({_share_of(one):.0%})" for one in others[:_MOST_NAMES])
        words += f" Others that matter: {also}."
    words += _pairs_in_words(clear)
    unclear = [one_line(one.name, limit=60) for one in effects if not one.matters and not math.isnan(_share_of(one))]
    if unclear:
        words += f" No clear difference by {first_and_more(unclear, _MOST_NAMES)}."
    return words


def _share_of(one: ParameterEffect) -> float:
    """Return the share that is claimed of a parameter: what it explains by itself, or else with others."""
    if one.p_value < _SIGNIFICANT or math.isnan(one.importance):
        return one.explained
    return one.importance


def _amount(one: ParameterEffect) -> str:
    share = f"{_share_of(one):.0%}"
    if one.p_value < _SIGNIFICANT:
        return f"it explains {share}"
    # Too little by itself: it is what it does with others.
    return f"with others it explains {share}"


def _pairs_in_words(clear: Sequence[ParameterEffect]) -> str:
    pairs = dict.fromkeys(tuple(sorted((one.name, one.acts_with))) for one in clear if one.acts_with)
    words = ""
    for left, right in list(pairs)[:2]:
        left, right = one_line(left, limit=60), one_line(right, limit=60)  # noqa: PLW2901
        words += f" {left} and {right} act together: the best {left} depends on {right}."
    return words
