"""Aggregation of comparison and drift rows by layer, type of module, or checkpoint.

The updates of different modules are orthogonal, so their norms add up as squares and their inner products add up: each
aggregate is that of one long vector of all weights in the group.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from loops_nb.checkpoints.compare.weights import cosine, relative
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from loops_nb.checkpoints.compare.comparison import ComparisonRow
    from loops_nb.checkpoints.compare.drift import DriftRow

By = Literal["layer", "module_type", "checkpoint"]
BY: tuple[By, ...] = ("layer", "module_type", "checkpoint")

Row = TypeVar("Row", "ComparisonRow", "DriftRow")


class ComparisonSummary(NamedTuple):
    """Aggregated modules of a checkpoint, compared with the baseline.

    Parameters
    ----------
    layer, module_type : int or None, str or None
        What the group has in common; None unless grouped by it.
    modules : int
        Number of modules in the group.
    checkpoint, baseline, run_id, target, step, quantity, norm, norm_before, change, relative_change, cosine,
    parameters, nonfinite
        As in `loops_nb.checkpoints.compare.comparison.ComparisonRow`, over all of them.
    """

    layer: int | None
    module_type: str | None
    checkpoint: str
    baseline: str
    run_id: str | None
    target: str | None
    step: int | None
    quantity: str
    modules: int
    norm: float
    norm_before: float
    change: float
    relative_change: float
    cosine: float
    parameters: int
    nonfinite: int


class DriftSummary(NamedTuple):
    """Aggregated modules at one step.

    Parameters
    ----------
    layer, module_type : int or None, str or None
        What the group has in common; None unless grouped by it.
    modules : int
        Number of modules in the group.
    step, checkpoint, previous, run_id, target, quantity, norm, ...
        As in `loops_nb.checkpoints.compare.drift.DriftRow`, over all of them.
    """

    layer: int | None
    module_type: str | None
    step: int | None
    checkpoint: str
    previous: str | None
    run_id: str | None
    target: str | None
    quantity: str
    modules: int
    norm: float
    change: float
    relative_change: float
    cosine: float
    change_from_first: float
    relative_change_from_first: float
    cosine_to_first: float
    path_length: float
    parameters: int
    nonfinite: int


def summarize_comparison(rows: Iterable[ComparisonRow], by: By) -> list[ComparisonSummary]:
    """Aggregate the rows of a comparison.

    Parameters
    ----------
    rows : iterable of ComparisonRow
        All or some rows of a `Comparison`.
    by : {"layer", "module_type", "checkpoint"}
        What to group by.  Updates and plain tensors are kept apart.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    _check(by)
    found = []
    for group in _groups(rows, lambda row: (row.checkpoint, row.quantity, _group_key(row, by))):
        norm, norm_before = _total_norm(row.norm for row in group), _total_norm(row.norm_before for row in group)
        change = _total_norm(row.change for row in group)
        product = sum(_inner_product(row.cosine, row.norm, row.norm_before) for row in group)
        summary = ComparisonSummary(
            **_shared_fields(group, by),
            baseline=group[0].baseline,
            norm=norm,
            norm_before=norm_before,
            change=change,
            relative_change=relative(change, norm_before),
            cosine=cosine(product, norm, norm_before, change),
        )
        found.append(summary)
    return found


def summarize_drift(rows: Iterable[DriftRow], by: By) -> list[DriftSummary]:
    """Aggregate the rows of a drift.

    Parameters
    ----------
    rows : iterable of DriftRow
        Whole paths of a `Drift`, with all or some modules.
    by : {"layer", "module_type", "checkpoint"}
        What to group by.  Updates and plain tensors are kept apart.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    _check(by)
    found: list[DriftSummary] = []
    firsts: dict[Hashable, list[DriftRow]] = {}
    lasts: dict[Hashable, tuple[list[DriftRow], float]] = {}
    for group in _groups(rows, lambda row: (row.run_id, row.target, row.checkpoint, row.quantity, _group_key(row, by))):
        row = group[0]
        path = row.run_id, row.target, row.quantity, _group_key(row, by)
        first = firsts.setdefault(path, group)
        before, path_length = lasts.get(path, ([], 0.0))
        norm, norm_first, norm_before = (_total_norm(row.norm for row in rows) for rows in (group, first, before))
        change = _total_norm(row.change for row in group)
        from_first = _total_norm(row.change_from_first for row in group)
        if before:
            path_length += change
        lasts[path] = group, path_length
        summary = DriftSummary(
            **_shared_fields(group, by),
            previous=row.previous,
            norm=norm,
            change=change,
            relative_change=relative(change, norm_before),
            cosine=cosine(_inner_products(group, before, "cosine"), norm, norm_before, change),
            change_from_first=from_first,
            relative_change_from_first=relative(from_first, norm_first),
            cosine_to_first=cosine(_inner_products(group, first, "cosine_to_first"), norm, norm_first, from_first),
            path_length=path_length,
        )
        found.append(summary)
    return found


def _check(by: str) -> None:
    if by not in BY:
        raise InvalidArgumentError(f"Modules are summed up by {', '.join(BY)}, not by {by!r:.40}.", argument="by")


def _group_key(row: ComparisonRow | DriftRow, by: By) -> Hashable:
    return None if by == "checkpoint" else getattr(row, by)


def _groups(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    found: dict[Hashable, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.values())


def _shared_fields(group: list[Row], by: By) -> dict[str, Any]:
    row = group[0]
    return {
        "layer": row.layer if by == "layer" else None,
        "module_type": row.module_type if by == "module_type" else None,
        "checkpoint": row.checkpoint,
        "run_id": row.run_id,
        "target": row.target,
        "step": row.step,
        "quantity": row.quantity,
        "modules": len(group),
        "parameters": sum(row.parameters for row in group),
        "nonfinite": sum(row.nonfinite for row in group),
    }


def _inner_products(
    group: list[DriftRow], others: list[DriftRow], cosine_of: Literal["cosine", "cosine_to_first"]
) -> float:
    norms = {row.module: row.norm for row in others}
    return sum(_inner_product(getattr(row, cosine_of), row.norm, norms.get(row.module, math.nan)) for row in group)


def _inner_product(cosine_between: float, norm: float, norm_before: float) -> float:
    # The cosine is missing if one norm is zero; the product is not.
    if norm == 0.0 or norm_before == 0.0:
        return 0.0
    return cosine_between * norm * norm_before


def _total_norm(norms: Iterable[float]) -> float:
    # Unlike the root of a sum of squares, this does not overflow.
    return math.hypot(*norms)
