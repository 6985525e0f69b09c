"""Compares checkpoints with a baseline, module by module."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.changes import TensorChange, changes
from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints
from loops_nb.checkpoints.compare.parallel import Progress, in_parallel, single_threaded_blas
from loops_nb.checkpoints.compare.weights import (
    Module,
    ModuleKey,
    Modules,
    ModuleWeights,
    absent,
    between,
    keys_of,
    load,
    modules_of,
)
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.checkpoints.tensors import WeightSource

COMMON, APPEARED, VANISHED = "common", "appeared", "vanished"
STATES = (COMMON, APPEARED, VANISHED)


class ComparisonRow(NamedTuple):
    """One module of a checkpoint, compared with the same module of the baseline.

    Parameters
    ----------
    module, module_type, layer : str, str, int or None
        The module.
    checkpoint, baseline : str
        Labels of the two checkpoints.
    run_id, target, step
        Of the checkpoint, if known.
    quantity : {"update", "weights"}
        What is compared: the scaled update ``B @ A``, or a plain tensor.
    state : {"common", "appeared", "vanished"}
        Whether both have the module.
    rank, rank_before, scale, scale_before
        Of the update in the checkpoint and in the baseline; the scale is alpha / rank or alpha / sqrt(rank), None if
        unknown.
    norm, norm_before : float
        Frobenius norms.  A missing update has norm 0; a missing tensor, or an update of unknown scale, NaN.
    change, relative_change, cosine : float
        As in `loops_nb.checkpoints.compare.weights.WeightDifference`.
    parameters : int
        Number of weights in the checkpoint, or in the baseline if it vanished.
    nonfinite : int
        Number of NaN and infinite weights of both; norms are NaN then.
    """

    module: str
    module_type: str
    layer: int | None
    checkpoint: str
    baseline: str
    run_id: str | None
    target: str | None
    step: int | None
    quantity: str
    state: str
    rank: int | None
    rank_before: int | None
    scale: float | None
    scale_before: float | None
    norm: float
    norm_before: float
    change: float
    relative_change: float
    cosine: float
    parameters: int
    nonfinite: int


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`.

    Parameters
    ----------
    baseline : str
        Label of the baseline.
    rows : tuple of ComparisonRow
        One per checkpoint and module, by checkpoint, then by layer.
    changes : tuple of TensorChange
        Differences of the headers, of all checkpoints.
    notes : tuple of str
        Limitations of the numbers, each with the checkpoints concerned.
    """

    baseline: str
    rows: tuple[ComparisonRow, ...]
    changes: tuple[TensorChange, ...]
    notes: tuple[str, ...]


def compare(
    sources: Sequence[WeightSource], *, baseline: int = 0, workers: int = 4, progress: Progress | None = None
) -> Comparison:
    """Compare checkpoints with one of them.

    The factors of each module are read once; a worker holds those of two checkpoints at a time.

    Parameters
    ----------
    sources : sequence of WeightSource
        Two checkpoints or more.
    baseline : int, default 0
        Index of the one that the others are compared with.
    workers : int, default 4
        Number of threads.
    progress : callable, optional
        Called with the numbers of done and of all modules.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two checkpoints, or ``baseline`` is out of range.
    """
    if len(sources) < 2:  # noqa: PLR2004 - a pair
        raise InvalidArgumentError(
            f"Two checkpoints are needed to compare; there is {'one' if sources else 'none'}.", argument="sources"
        )
    if not -len(sources) <= baseline < len(sources):
        raise InvalidArgumentError(
            f"There is no checkpoint {baseline} among {len(sources)} to compare with.", argument="baseline"
        )
    names, modules = label_checkpoints(sources), [modules_of(source) for source in sources]
    at = range(len(sources))[baseline]
    others = [other for other in range(len(sources)) if other != at]
    keys = keys_of(modules)

    def of_module(key: ModuleKey) -> list[ComparisonRow | None]:
        before = modules[at].by_key.get(key)
        read_before = absent(key, modules[at]) if before is None else load(sources[at], before)
        rows: list[ComparisonRow | None] = []
        for other in others:
            now = modules[other].by_key.get(key)
            module = now or before
            if module is None:
                rows.append(None)
                continue
            read = absent(key, modules[other]) if now is None else load(sources[other], now)
            rows.append(_row(module, (names[other], names[at]), (now, before), (read, read_before)))
        return rows

    with single_threaded_blas():
        by_module = in_parallel(of_module, keys, workers=workers, progress=progress)
    by_checkpoint = zip(*by_module, strict=True)
    header_changes = [changes(sources[at], sources[other], labels=(names[at], names[other])) for other in others]
    return Comparison(
        baseline=names[at].checkpoint,
        rows=tuple(row for row in chain.from_iterable(by_checkpoint) if row is not None),
        changes=tuple(chain.from_iterable(header_changes)),
        notes=notes_of(names, modules),
    )


def notes_of(names: Sequence[CheckpointLabel], modules: Sequence[Modules]) -> tuple[str, ...]:
    """Return the notes about checkpoints, each once, with the checkpoints concerned."""
    about: dict[str, list[str]] = {}
    for name, one in zip(names, modules, strict=True):
        for note in one.notes:
            about.setdefault(note, []).append(name.checkpoint)
    found = []
    for note, (first, *more) in about.items():
        others = f" and {len(more)} more" if more else ""
        found.append(f"{first}{others}: {note}")
    return tuple(found)


def _state(now: Module | None, before: Module | None) -> str:
    if now is None:
        return VANISHED
    return COMMON if before is not None else APPEARED


def _row(
    module: Module,
    names: tuple[CheckpointLabel, CheckpointLabel],
    modules: tuple[Module | None, Module | None],
    read: tuple[ModuleWeights, ModuleWeights],
) -> ComparisonRow:
    (name, baseline), (now, before), (weights, weights_before) = names, modules, read
    measured = between(weights, weights_before)
    return ComparisonRow(
        module=module.key.module,
        module_type=module.module_type,
        layer=module.layer,
        checkpoint=name.checkpoint,
        baseline=baseline.checkpoint,
        run_id=name.run_id,
        target=name.target,
        step=name.step,
        quantity=module.key.quantity,
        state=_state(now, before),
        rank=now.rank if now else None,
        rank_before=before.rank if before else None,
        scale=now.scale if now else None,
        scale_before=before.scale if before else None,
        norm=weights.norm,
        norm_before=weights_before.norm,
        change=measured.change,
        relative_change=measured.relative,
        cosine=measured.cosine,
        parameters=module.parameters,
        nonfinite=weights.nonfinite + weights_before.nonfinite,
    )
