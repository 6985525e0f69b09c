"""Rows of modules, summed up by layer, by type of module, or by checkpoint.

The updates of different modules stand at right angles to each other, so their norms add up as squares and their inner products add up
as they are: each sum is that of one long vector of all the weights in the group.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from loops_nb.comparing.weights import cosine, relative
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from loops_nb.comparing.comparison import Compared
    from loops_nb.comparing.drifting import Drifted

By = Literal["layer", "module_type", "checkpoint"]
BY: tuple[By, ...] = ("layer", "module_type", "checkpoint")

Row = TypeVar("Row")


class ComparedSum(NamedTuple):
    """Modules of a checkpoint beside the same of the baseline.

    Parameters
    ----------
    layer, module_type
        What the group has in common; None where it was not asked for.
    modules
        How many modules are in the group.
    checkpoint, baseline, run_id, target, step, quantity, norm, norm_before, change, relative_change, cosine, parameters, nonfinite
        As in `loops_nb.comparing.comparison.Compared`, of all of them together.
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


class DriftedSum(NamedTuple):
    """Modules at one step.

    Parameters
    ----------
    layer, module_type
        What the group has in common; None where it was not asked for.
    modules
        How many modules are in the group.
    step, checkpoint, previous, run_id, target, quantity, norm
        As in `loops_nb.comparing.drifting.Drifted`, of all of them together; so are the rest.
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


def sum_compared(rows: Iterable[Compared], by: By) -> list[ComparedSum]:
    """Return the rows of a comparison, summed up.

    Parameters
    ----------
    rows
        As in a `Comparison`, all or some of them.
    by
        ``layer``, ``module_type`` or ``checkpoint``.  Updates and tensors as they are stay apart.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    _check(by)
    found = []
    for group in _groups(rows, lambda row: (row.checkpoint, row.quantity, _common(row, by))):
        row = group[0]
        norm, norm_before = _root(r.norm for r in group), _root(r.norm_before for r in group)
        change = _root(r.change for r in group)
        product = sum(_product(r.cosine, r.norm, r.norm_before) for r in group)
        found.append(
            ComparedSum(
                layer=row.layer if by == "layer" else None,
                module_type=row.module_type if by == "module_type" else None,
                checkpoint=row.checkpoint,
                baseline=row.baseline,
                run_id=row.run_id,
                target=row.target,
                step=row.step,
                quantity=row.quantity,
                modules=len(group),
                norm=norm,
                norm_before=norm_before,
                change=change,
                relative_change=relative(change, norm_before),
                cosine=cosine(product, norm, norm_before, change),
                parameters=sum(r.parameters for r in group),
                nonfinite=sum(r.nonfinite for r in group),
            )
        )
    return found


def sum_drifted(rows: Iterable[Drifted], by: By) -> list[DriftedSum]:
    """Return the rows of a drift, summed up.

    Parameters
    ----------
    rows
        As in a `Drift`: whole paths, of all or some modules.
    by
        ``layer``, ``module_type`` or ``checkpoint``.  Updates and tensors as they are stay apart.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    _check(by)
    found: list[DriftedSum] = []
    firsts: dict[Hashable, list[Drifted]] = {}
    lasts: dict[Hashable, tuple[list[Drifted], float]] = {}
    for group in _groups(rows, lambda row: (row.run_id, row.target, row.checkpoint, row.quantity, _common(row, by))):
        row = group[0]
        along = row.run_id, row.target, row.quantity, _common(row, by)
        first = firsts.setdefault(along, group)
        before, length = lasts.get(along, ([], 0.0))
        norm, norm_first, norm_before = (_root(r.norm for r in rows) for rows in (group, first, before))
        change, from_first = _root(r.change for r in group), _root(r.change_from_first for r in group)
        length += change if before else 0.0
        lasts[along] = group, length
        found.append(
            DriftedSum(
                layer=row.layer if by == "layer" else None,
                module_type=row.module_type if by == "module_type" else None,
                step=row.step,
                checkpoint=row.checkpoint,
                previous=row.previous,
                run_id=row.run_id,
                target=row.target,
                quantity=row.quantity,
                modules=len(group),
                norm=norm,
                change=change,
                relative_change=relative(change, norm_before),
                cosine=cosine(_products(group, before, "cosine"), norm, norm_before, change),
                change_from_first=from_first,
                relative_change_from_first=relative(from_first, norm_first),
                cosine_to_first=cosine(_products(group, first, "cosine_to_first"), norm, norm_first, from_first),
                path_length=length,
                parameters=sum(r.parameters for r in group),
                nonfinite=sum(r.nonfinite for r in group),
            )
        )
    return found


def _check(by: str) -> None:
    if by not in BY:
        raise InvalidArgumentError(f"Modules are summed up by {', '.join(BY)}, not by {by!r:.40}.", argument="by")


def _common(row: Compared | Drifted, by: By) -> Hashable:
    return {"layer": row.layer, "module_type": row.module_type, "checkpoint": None}[by]


def _groups(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    found: dict[Hashable, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return list(found.values())


def _products(group: list[Drifted], others: list[Drifted], cosine_of: Literal["cosine", "cosine_to_first"]) -> float:
    norms = {row.module: row.norm for row in others}
    return sum(_product(getattr(row, cosine_of), row.norm, norms.get(row.module, math.nan)) for row in group)


def _product(cosine_between: float, norm: float, norm_before: float) -> float:
    # A cosine is missing where one of both is zero; their product is not.
    return 0.0 if norm == 0.0 or norm_before == 0.0 else cosine_between * norm * norm_before


def _root(norms: Iterable[float]) -> float:
    # Larger than a root of squares could be on the way.
    return math.hypot(*norms)
