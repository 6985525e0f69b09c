"""Importance of the parameters of a sweep: permutation importance, out of bag, of an ensemble of randomized trees.

Needs scikit-learn, which is imported only here.  Experiments are only ever predicted by trees that have not seen them,
so a parameter that makes no difference has an importance near 0 however well the trees remember.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loops_nb.frames.params import param_cell

if TYPE_CHECKING:
    import numpy.typing as npt

    _Floats = npt.NDArray[np.float64]

#: What to type to get the importance.
INSTALL = '%pip install "loops_nb[sweep]"'
#: Chance below which an importance, or an interaction of two parameters, is claimed; corrected for their number.
CLAIMED = 0.01
_TREES, _LEAST_TREES = 200, 60
#: Rows that all trees predict together.
_MOST_PREDICTED = 6_000_000
#: More experiments than that are represented by so many of them.
_MOST_EXPERIMENTS = 1000
_PERMUTATIONS = 12
_IN_BAG = 2 / 3
#: More words than that are no categories that trees could learn.
_MOST_CATEGORIES = 12
#: Parameters among which interactions are sought.
_MOST_PAIRED = 5
#: Trees see a little interaction where there is none: it is claimed from this share of the weaker importance on.
_LEAST_SHARED = 0.25
#: Experiments are predicted by trees that have seen mostly the same others, so their losses vary together: as found in
#: sweeps of 8 to 100 experiments without any effect, the plain standard error is too small by this factor.
_WIDER = 1.4


@dataclass(frozen=True, kw_only=True)
class ParameterImportance:
    """How much worse the metric is predicted without one parameter.

    Parameters
    ----------
    share : float
        Share of the variance of the metric's ranks that is lost if the parameter's values are exchanged between
        experiments, from 0 to 1; what it does together with others is included.
    low, high : float
        Its 95 % interval over the experiments.
    p_value : float
        Chance of such a share if the parameter made no difference.
    partner : str or None
        Parameter that it acts together with: the effect of the one depends on the other.
    """

    share: float
    low: float
    high: float
    p_value: float
    partner: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImportanceData:
    """Importance of the parameters of a sweep.

    Parameters
    ----------
    by_name : dict of str to ParameterImportance
        Of each parameter that trees can use: all but words of which each experiment has another one.
    predicted : float
        Share of the variance of the metric's ranks that the trees predict, for experiments that they have not seen;
        0 if they are no better than the mean.
    """

    by_name: dict[str, ParameterImportance]
    predicted: float


def has_scikit_learn() -> bool:
    """Tell whether scikit-learn is installed; nothing is imported."""
    return importlib.util.find_spec("sklearn") is not None


def parameter_importance(
    params: Sequence[Mapping[str, Any]], names: Sequence[str], scores: npt.NDArray[np.float64]
) -> ImportanceData:
    """Return the importance of parameters; the same for the same experiments, in whatever order they come.

    Parameters
    ----------
    params : sequence of mapping
        Flat parameters of each experiment.
    names : sequence of str
        The parameters that differ.
    scores : numpy.ndarray of float64, shape (n,)
        Value of the metric of each; infinities allowed, no NaN.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> found = parameter_importance([{"lr": n % 4} for n in range(24)], ["lr"], np.arange(24) % 4.0)
    >>> found.by_name["lr"].low > 0
    True
    """
    blocks = {name: block for name in sorted(names) if (block := _encoded([of.get(name) for of in params])) is not None}
    ranks = _average_ranks(scores)
    variance = float(ranks.var())
    if not blocks or variance == 0:
        return ImportanceData(by_name={}, predicted=0.0)
    features = np.concatenate(list(blocks.values()), axis=1)
    # In an order of their own, so that the same experiments make the same trees.
    order = np.lexsort((ranks, *features.T))
    if len(order) > _MOST_EXPERIMENTS:
        order = np.sort(np.random.default_rng(0).choice(order, _MOST_EXPERIMENTS, replace=False))
    spans, end = {}, 0
    for name, block in blocks.items():
        spans[name] = slice(end, end + block.shape[1])
        end += block.shape[1]
    forest = _Forest(features[order], ranks[order], variance, len(blocks))
    losses = {name: forest.loss([span]) for name, span in spans.items()}
    found = {name: forest.share_of(loss) for name, loss in losses.items()}
    partners = _partners(forest, spans, losses, found)
    return ImportanceData(
        by_name={name: _with_partner(of, partners.get(name)) for name, of in found.items()},
        predicted=forest.predicted,
    )


def _with_partner(of: ParameterImportance, partner: str | None) -> ParameterImportance:
    return ParameterImportance(share=of.share, low=of.low, high=of.high, p_value=of.p_value, partner=partner)


def _partners(
    forest: _Forest, spans: Mapping[str, slice], losses: Mapping[str, _Floats], found: Mapping[str, ParameterImportance]
) -> dict[str, str]:
    """Return by parameter the one that it clearly acts together with, the strongest if there are several."""
    clear = [name for name, of in found.items() if of.p_value < CLAIMED]
    clear = sorted(clear, key=lambda name: (-found[name].share, name))[:_MOST_PAIRED]
    pairs = list(itertools.combinations(clear, 2))
    strengths = {}
    for pair in pairs:
        # What both lose by themselves and only once together is what they do together.
        shared = losses[pair[0]] + losses[pair[1]] - forest.loss([spans[name] for name in pair])
        together = forest.share_of(shared)
        least = _LEAST_SHARED * min(found[name].share for name in pair)
        if together.p_value * len(pairs) < CLAIMED and together.share >= least:
            strengths[pair] = together.share
    partners: dict[str, str] = {}
    for pair in sorted(strengths, key=lambda pair: (-strengths[pair], pair)):
        partners.setdefault(pair[0], pair[1])
        partners.setdefault(pair[1], pair[0])
    return partners


def _encoded(cells: Sequence[Any]) -> npt.NDArray[np.float32] | None:
    """Return a parameter as columns of numbers: ranks of numbers, or a column for each word.

    A missing value is lower than all numbers, and a word of its own.  None if trees could not learn from it.
    """
    known = [cell for cell in cells if cell is not None]
    is_number = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known)
    if is_number and not any(math.isnan(cell) for cell in known):
        numbers = np.array([math.nan if cell is None else float(cell) for cell in cells])
        there = ~np.isnan(numbers)
        ranks = np.zeros((len(cells), 1), np.float32)
        ranks[there, 0] = np.unique(numbers[there], return_inverse=True)[1] + 1
        return ranks
    words = [repr(param_cell(cell)) for cell in cells]
    counts = Counter(words)
    if max(counts.values()) == 1:
        return None
    # By frequency, then by name: not by the order in which they came.
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_CATEGORIES]
    columns = [[word == one for word in words] for one in (kept if len(counts) > 2 else kept[:1])]  # noqa: PLR2004
    return np.array(columns, np.float32).T


def _average_ranks(values: _Floats) -> _Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: _Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


class _Forest:
    """Trees, each of a part of the experiments, and what they predict for the others.

    Parameters
    ----------
    features : numpy.ndarray of float32, shape (n, columns)
        Encoded parameters.
    ranks : numpy.ndarray of float64, shape (n,)
        Ranks of the metric.
    variance : float
        Of the ranks.
    parameters : int
        Number of parameters.
    """

    def __init__(self, features: npt.NDArray[np.float32], ranks: _Floats, variance: float, parameters: int) -> None:
        from sklearn.tree import ExtraTreeRegressor

        count, columns = features.shape
        trees = max(_LEAST_TREES, min(_TREES, _MOST_PREDICTED // (count * parameters)))
        self._features = np.ascontiguousarray(features, np.float32)
        self._ranks = ranks
        self._variance = variance
        self._permutations = max(1, min(_PERMUTATIONS, _MOST_PREDICTED // (count * parameters * trees)))
        self._trees = []
        random = np.random.default_rng(0)
        size = max(2, round(_IN_BAG * count))
        for seed in range(trees):
            order = random.permutation(count)
            tree = ExtraTreeRegressor(
                max_features=max(1, math.ceil(columns / 2)), min_samples_leaf=_leaf(count), random_state=seed
            )
            tree.fit(self._features[order[:size]], ranks[order[:size]])
            self._trees.append((tree.tree_, order[size:]))
        self._base: _Floats = self._squares(self._features[None])[0]
        self.predicted: float = max(0.0, 1 - float(self._base.mean()) / variance)

    def _squares(self, features: npt.NDArray[np.float32]) -> _Floats:
        """Return the squared error of the prediction of each experiment by the trees that have not seen it.

        ``features`` has shape (versions, n, columns), the result (versions, n).
        """
        versions, count, columns = features.shape
        total, times = np.zeros((versions, count)), np.zeros(count)
        for tree, unseen in self._trees:
            rows = np.ascontiguousarray(features[:, unseen]).reshape(-1, columns)
            total[:, unseen] += tree.predict(rows).reshape(versions, len(unseen))
            times[unseen] += 1
        squares: _Floats = (self._ranks - total / np.maximum(times, 1)) ** 2
        return np.where(times > 0, squares, self._variance)

    def loss(self, spans: Sequence[slice]) -> _Floats:
        """Return by how much each experiment is predicted worse if some parameters are exchanged with another's."""
        random = np.random.default_rng(1)
        exchanged = np.repeat(self._features[None], self._permutations, axis=0)
        for version in exchanged:
            order = random.permutation(len(self._ranks))
            for span in spans:
                version[:, span] = self._features[order, span]
        worse: _Floats = self._squares(exchanged).mean(axis=0) - self._base
        return worse

    def share_of(self, loss: _Floats) -> ParameterImportance:
        """Return losses as a share of the variance with its interval."""
        from scipy.special import stdtr, stdtrit

        # Exchanged values are as far from the right ones as two experiments from each other: twice the variance.
        shares = loss / (2 * self._variance)
        count = len(shares)
        mean, error = float(shares.mean()), _WIDER * float(shares.std(ddof=1)) / math.sqrt(count)
        half = float(stdtrit(count - 1, 0.975)) * error
        p_value = float(stdtr(count - 1, -mean / error)) if error > 0 else float(mean <= 0)
        return ParameterImportance(
            share=_share(mean), low=_share(mean - half), high=_share(mean + half), p_value=p_value
        )


def _leaf(count: int) -> int:
    return 1 if count < 30 else 2  # noqa: PLR2004


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
