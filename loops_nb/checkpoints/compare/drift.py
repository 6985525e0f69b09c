"""Drift of weights along the steps of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.comparison import notes_of
from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints
from loops_nb.checkpoints.compare.parallel import Progress, in_parallel, single_threaded_blas
from loops_nb.checkpoints.compare.weights import UNKNOWN, ModuleKey, Modules, absent, between, keys_of, load, modules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.checkpoints.compare.weights import ModuleWeights
    from loops_nb.checkpoints.tensors import WeightSource


class DriftRow(NamedTuple):
    """One module at one step.

    Parameters
    ----------
    module, module_type, layer : str, str, int or None
        The module.
    step : int or None
        Training step of the checkpoint.
    checkpoint, previous : str, str or None
        Labels of the checkpoint and of the one before it.
    run_id, target
        Of the checkpoint, if known.
    quantity : {"update", "weights"}
        What is measured: the scaled update ``B @ A``, or a plain tensor.
    rank, scale
        Of the update; None if the checkpoint lacks the module.
    norm : float
        Frobenius norm.  A missing update has norm 0; a missing tensor, or an update of unknown scale, NaN.
    change, relative_change, cosine : float
        From the checkpoint before, as in `loops_nb.checkpoints.compare.weights.WeightDifference`; NaN for the first.
    change_from_first, relative_change_from_first, cosine_to_first : float
        The same, from the first checkpoint.
    path_length : float
        Sum of the changes so far.
    parameters : int
        Number of weights; 0 if the checkpoint lacks the module.
    nonfinite : int
        Number of NaN and infinite weights; the norm is NaN then.
    """

    module: str
    module_type: str
    layer: int | None
    step: int | None
    checkpoint: str
    previous: str | None
    run_id: str | None
    target: str | None
    quantity: str
    rank: int | None
    scale: float | None
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


@dataclass(frozen=True)
class Drift:
    """Result of `drift`.

    Parameters
    ----------
    rows : tuple of DriftRow
        One per checkpoint and module: by path, step and layer.
    notes : tuple of str
        Limitations of the numbers, each with the checkpoints concerned.
    """

    rows: tuple[DriftRow, ...]
    notes: tuple[str, ...]


class _PathPoint(NamedTuple):
    """A checkpoint on its path."""

    name: CheckpointLabel
    source: WeightSource
    modules: Modules


def drift(sources: Sequence[WeightSource], *, workers: int = 4, progress: Progress | None = None) -> Drift:
    """Measure how the weights change along the steps of training.

    The checkpoints of one run and target (trainer or sampler) form a path, ordered by step; those without a step come
    last, as given.  The factors of each module are read once per checkpoint; a worker holds those of three checkpoints
    at a time.

    Parameters
    ----------
    sources : sequence of WeightSource
        The checkpoints, in any order.
    workers : int, default 4
        Number of threads.
    progress : callable, optional
        Called with the numbers of done and of all modules.

    Returns
    -------
    Drift
    """
    names, modules = label_checkpoints(sources), [modules_of(source) for source in sources]
    paths: dict[tuple[str | None, str | None], list[_PathPoint]] = {}
    for point in sorted(
        map(_PathPoint, names, sources, modules), key=lambda point: (point.name.step is None, point.name.step or 0)
    ):
        paths.setdefault((point.name.run_id, point.name.target), []).append(point)
    # In the order of the given checkpoints, not of the first steps.
    in_order = [paths[key] for key in dict.fromkeys((name.run_id, name.target) for name in names)]
    work = [(path, key) for path in in_order for key in keys_of(point.modules for point in path)]
    with single_threaded_blas():
        found = iter(in_parallel(lambda item: _along(*item), work, workers=workers, progress=progress))
    rows: list[DriftRow] = []
    for path in in_order:
        by_module = [next(found) for _ in keys_of(point.modules for point in path)]
        rows += [row for of_step in zip(*by_module, strict=True) for row in of_step]
    return Drift(tuple(rows), notes_of(names, modules))


def _along(path: Sequence[_PathPoint], key: ModuleKey) -> list[DriftRow]:
    any_module = next(point.modules.by_key[key] for point in path if key in point.modules.by_key)
    rows: list[DriftRow] = []
    first: ModuleWeights | None = None
    before: ModuleWeights | None = None
    for point in path:
        module = point.modules.by_key.get(key)
        now = absent(key, point.modules) if module is None else load(point.source, module)
        first = first or now
        last = rows[-1] if rows else None
        step = UNKNOWN if before is None else between(now, before)
        start = between(now, first)
        before = now
        rows.append(
            DriftRow(
                module=key.module,
                module_type=any_module.module_type,
                layer=any_module.layer,
                step=point.name.step,
                checkpoint=point.name.checkpoint,
                previous=last.checkpoint if last else None,
                run_id=point.name.run_id,
                target=point.name.target,
                quantity=key.quantity,
                rank=module.rank if module else None,
                scale=module.scale if module else None,
                norm=now.norm,
                change=step.change,
                relative_change=step.relative,
                cosine=step.cosine,
                change_from_first=start.change,
                relative_change_from_first=start.relative,
                cosine_to_first=start.cosine,
                path_length=last.path_length + step.change if last else 0.0,
                parameters=module.parameters if module else 0,
                nonfinite=now.nonfinite,
            )
        )
    return rows
