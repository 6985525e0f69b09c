"""Compares checkpoints with a baseline, module by module."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.changes import TensorChange, changes
from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints
from loops_nb.checkpoints.compare.parallel import (
    Batch,
    TaskSize,
    chunks,
    in_parallel,
    run_batches,
    single_threaded_blas,
    task_size,
    weight_bytes,
)
from loops_nb.checkpoints.compare.weights import (
    Module,
    ModuleKey,
    Modules,
    PlacedModule,
    WeightDifference,
    between,
    keys_of,
    modules_of,
)
from loops_nb.checkpoints.executors import Progress, TaskRunner, bytes_a_task, runner_of
from loops_nb.checkpoints.read_ahead import read_ahead
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor

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


class _Unit(NamedTuple):
    """A module of the baseline and of some checkpoints, of which so many are read ahead."""

    before: PlacedModule
    others: tuple[PlacedModule, ...]
    ahead: int


class _Measured(NamedTuple):
    """The numbers of a row."""

    norm: float
    norm_before: float
    difference: WeightDifference
    nonfinite: int


def compare(
    sources: Sequence[WeightSource],
    *,
    baseline: int = 0,
    workers: int = 4,
    progress: Progress | None = None,
    executor: Executor | TaskRunner | None = None,
) -> Comparison:
    """Compare checkpoints with one of them.

    The factors of each module are read once; a worker holds those of two checkpoints at a time.  On an executor those
    of the baseline are read once a task.

    Parameters
    ----------
    sources : sequence of WeightSource
        Two checkpoints or more.
    baseline : int, default 0
        Index of the one that the others are compared with.
    workers : int, default 4
        Number of threads, without an executor.
    progress : callable, optional
        Called with the numbers of done and of all modules, on an executor of each task's checkpoints.
    executor : concurrent.futures.Executor, optional
        Does the work in place of threads: of processes, Dask, ipyparallel, ...  It is not shut down.  Folders have to
        be reachable for its workers under the same path.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two checkpoints, or ``baseline`` is out of range.
    ExecutorError
        If the executor cannot do the work.

    Examples
    --------
    >>> with ProcessPoolExecutor(8) as pool:  # doctest: +SKIP
    ...     found = compare([open_folder("step-50"), open_folder("step-100")], executor=pool)
    """
    if len(sources) < 2:  # noqa: PLR2004 - a pair
        raise InvalidArgumentError(
            f"Two checkpoints are needed to compare; there is {'one' if sources else 'none'}.", argument="sources"
        )
    if not -len(sources) <= baseline < len(sources):
        raise InvalidArgumentError(
            f"There is no checkpoint {baseline} among {len(sources)} to compare with.", argument="baseline"
        )
    runner = runner_of(executor)
    names, modules = label_checkpoints(sources), [modules_of(source) for source in sources]
    at = range(len(sources))[baseline]
    others = [other for other in range(len(sources)) if other != at]
    keys = keys_of(modules)

    def unit(key: ModuleKey, chosen: Sequence[int], places: Mapping[int, int], ahead: int = 1) -> _Unit:
        before, *placed = (PlacedModule.of(places[one], key, modules[one]) for one in (at, *chosen))
        return _Unit(before, tuple(placed), ahead)

    if runner is None:
        everywhere = {number: number for number in range(len(sources))}
        with single_threaded_blas():
            by_module = in_parallel(
                lambda key: _measure(sources, unit(key, others, everywhere)), keys, workers=workers, progress=progress
            )
    else:
        size = TaskSize(1, len(others), 1)
        if not runner.shares_memory:
            size = task_size(len(keys), sources, bytes_a_task(weight_bytes(sources)))
        groups = [*chunks(others, size.checkpoints)]

        def batches() -> Iterator[Batch[_Unit, list[_Measured | None]]]:
            for of_task in chunks(keys, size.modules):
                for group in groups:
                    places = {number: place for place, number in enumerate((at, *group))}
                    units = tuple(unit(key, group, places, size.ahead) for key in of_task)
                    yield Batch(_measure, tuple(sources[number] for number in places), units)

        found = run_batches(runner, batches(), total=len(keys) * len(groups), progress=progress)
        by_module = [
            [*chain.from_iterable(of_key)]
            for of_keys in chunks(found, len(groups))
            for of_key in zip(*of_keys, strict=True)
        ]
    header_changes = [changes(sources[at], sources[other], labels=(names[at], names[other])) for other in others]
    return Comparison(
        baseline=names[at].checkpoint,
        rows=tuple(
            row
            for place, other in enumerate(others)
            for key, measured in zip(keys, by_module, strict=True)
            for row in _row(key, (names[other], names[at]), (modules[other], modules[at]), measured[place])
        ),
        changes=tuple(chain.from_iterable(header_changes)),
        notes=(*notes_of(names, modules), *(runner.notes if runner else ())),
    )


def _measure(sources: Sequence[WeightSource], unit: _Unit) -> list[_Measured | None]:
    """Compare one module of checkpoints with that of the baseline; None for those that lack it like the baseline."""
    before = unit.before.weights(sources)
    found: list[_Measured | None] = []
    for other, now in zip(
        unit.others, read_ahead(lambda one: one.weights(sources), unit.others, workers=unit.ahead), strict=True
    ):
        if other.module is None and unit.before.module is None:
            found.append(None)
            continue
        found.append(_Measured(now.norm, before.norm, between(now, before), now.nonfinite + before.nonfinite))
    return found


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
    key: ModuleKey,
    names: tuple[CheckpointLabel, CheckpointLabel],
    modules: tuple[Modules, Modules],
    measured: _Measured | None,
) -> Iterator[ComparisonRow]:
    (name, baseline), (now, before) = names, (one.by_key.get(key) for one in modules)
    module = now or before
    if measured is None or module is None:
        return
    yield ComparisonRow(
        module=key.module,
        module_type=module.module_type,
        layer=module.layer,
        checkpoint=name.checkpoint,
        baseline=baseline.checkpoint,
        run_id=name.run_id,
        target=name.target,
        step=name.step,
        quantity=key.quantity,
        state=_state(now, before),
        rank=now.rank if now else None,
        rank_before=before.rank if before else None,
        scale=now.scale if now else None,
        scale_before=before.scale if before else None,
        norm=measured.norm,
        norm_before=measured.norm_before,
        change=measured.difference.change,
        relative_change=measured.difference.relative,
        cosine=measured.difference.cosine,
        parameters=module.parameters,
        nonfinite=measured.nonfinite,
    )
