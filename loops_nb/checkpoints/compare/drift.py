"""Drift of weights along the steps of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.comparison import notes_of
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
    UNKNOWN,
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

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


class _Unit(NamedTuple):
    """A module along a part of a path.

    Parameters
    ----------
    first, before : PlacedModule or None
        Of the first checkpoint of the path, and of the one before this part; None where this part begins the path, and
        ``before`` also where both are the same.
    points : tuple of PlacedModule
        Of the checkpoints of this part.
    ahead : int, default 1
        How many of them are read ahead.
    """

    first: PlacedModule | None
    before: PlacedModule | None
    points: tuple[PlacedModule, ...]
    ahead: int = 1


class _Measured(NamedTuple):
    """The numbers of a row, but for the length of the path."""

    norm: float
    step: WeightDifference
    start: WeightDifference
    nonfinite: int


def drift(
    sources: Sequence[WeightSource],
    *,
    workers: int = 4,
    progress: Progress | None = None,
    executor: Executor | TaskRunner | None = None,
) -> Drift:
    """Measure how the weights change along the steps of training.

    The checkpoints of one run and target (trainer or sampler) form a path, ordered by step; those without a step come
    last, as given.  The factors of each module are read once per checkpoint; a worker holds those of three checkpoints
    at a time.  On an executor a long path is divided, and two checkpoints are read again in each part.

    Parameters
    ----------
    sources : sequence of WeightSource
        The checkpoints, in any order.
    workers : int, default 4
        Number of threads, without an executor.
    progress : callable, optional
        Called with the numbers of done and of all modules, on an executor of each task's checkpoints.
    executor : concurrent.futures.Executor, optional
        As in `loops_nb.checkpoints.compare.compare`.

    Returns
    -------
    Drift

    Raises
    ------
    ExecutorError
        If the executor cannot do the work.

    Examples
    --------
    >>> found = drift([open_folder(path) for path in folders], executor=client.get_executor())  # doctest: +SKIP
    """
    runner = runner_of(executor)
    names, modules = label_checkpoints(sources), [modules_of(source) for source in sources]
    paths: dict[tuple[str | None, str | None], list[_PathPoint]] = {}
    for point in sorted(
        map(_PathPoint, names, sources, modules), key=lambda point: (point.name.step is None, point.name.step or 0)
    ):
        paths.setdefault((point.name.run_id, point.name.target), []).append(point)
    # In the order of the given checkpoints, not of the first steps.
    in_order = [paths[key] for key in dict.fromkeys((name.run_id, name.target) for name in names)]
    keys = [keys_of(point.modules for point in path) for path in in_order]
    if runner is None:
        work = [(path, key) for path, of_path in zip(in_order, keys, strict=True) for key in of_path]
        with single_threaded_blas():
            measured = iter(in_parallel(lambda item: _measure_all(*item), work, workers=workers, progress=progress))
    else:
        measured = iter(_on_executor(runner, in_order, keys, progress))
    rows: list[DriftRow] = []
    for path, of_path in zip(in_order, keys, strict=True):
        by_module = [_rows(path, key, next(measured)) for key in of_path]
        rows += [row for of_step in zip(*by_module, strict=True) for row in of_step]
    return Drift(tuple(rows), (*notes_of(names, modules), *(runner.notes if runner else ())))


def _measure_all(path: Sequence[_PathPoint], key: ModuleKey) -> list[_Measured]:
    points = tuple(PlacedModule.of(place, key, point.modules) for place, point in enumerate(path))
    return _measure([point.source for point in path], _Unit(None, None, points))


def _on_executor(
    runner: TaskRunner,
    paths: Sequence[Sequence[_PathPoint]],
    keys: Sequence[Sequence[ModuleKey]],
    progress: Progress | None,
) -> Iterator[list[_Measured]]:
    """Return the numbers of each module of each path, computed by tasks for parts of the paths."""
    wanted = bytes_a_task(weight_bytes(point.source for path in paths for point in path))
    parts: list[list[range]] = []
    sizes: list[TaskSize] = []
    for path, of_path in zip(paths, keys, strict=True):
        size = TaskSize(1, len(path), 1)
        if not runner.shares_memory:
            size = task_size(len(of_path), [point.source for point in path], wanted)
        sizes.append(size)
        starts = range(0, len(path), size.checkpoints)
        parts.append([range(start, min(start + size.checkpoints, len(path))) for start in starts])

    def batches() -> Iterator[Batch[_Unit, list[_Measured]]]:
        for path, of_path, size, of_parts in zip(paths, keys, sizes, parts, strict=True):
            for of_task in chunks(of_path, size.modules):
                for part in of_parts:
                    yield _batch(path, of_task, part, size.ahead)

    total = sum(len(of_path) * len(of_parts) for of_path, of_parts in zip(keys, parts, strict=True))
    found = iter(run_batches(runner, batches(), total=total, progress=progress))
    for of_path, size, of_parts in zip(keys, sizes, parts, strict=True):
        for of_task in chunks(of_path, size.modules):
            results = [next(found) for _ in of_parts]
            for place in range(len(of_task)):
                yield [one for of_part in results for one in of_part[place]]


def _batch(
    path: Sequence[_PathPoint], keys: Sequence[ModuleKey], part: range, ahead: int
) -> Batch[_Unit, list[_Measured]]:
    """Return the task for some modules and a part of a path; with it go the first checkpoint and the one before."""
    numbers = [*dict.fromkeys((*range(min(1, part.start)), *range(max(0, part.start - 1), part.stop)))]
    places = {number: place for place, number in enumerate(numbers)}

    def placed(number: int, key: ModuleKey) -> PlacedModule:
        return PlacedModule.of(places[number], key, path[number].modules)

    units = tuple(
        _Unit(
            first=placed(0, key) if part.start else None,
            before=placed(part.start - 1, key) if part.start > 1 else None,
            points=tuple(placed(number, key) for number in part),
            ahead=ahead,
        )
        for key in keys
    )
    return Batch(_measure, tuple(path[number].source for number in numbers), units)


def _measure(sources: Sequence[WeightSource], unit: _Unit) -> list[_Measured]:
    first = None if unit.first is None else unit.first.weights(sources)
    before = first if unit.before is None else unit.before.weights(sources)
    found = []
    for now in read_ahead(lambda one: one.weights(sources), unit.points, workers=unit.ahead):
        first = first or now
        step = UNKNOWN if before is None else between(now, before)
        found.append(_Measured(now.norm, step, between(now, first), now.nonfinite))
        before = now
    return found


def _rows(path: Sequence[_PathPoint], key: ModuleKey, measured: Sequence[_Measured]) -> list[DriftRow]:
    any_module = next(point.modules.by_key[key] for point in path if key in point.modules.by_key)
    rows: list[DriftRow] = []
    for point, numbers in zip(path, measured, strict=True):
        module = point.modules.by_key.get(key)
        last = rows[-1] if rows else None
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
                norm=numbers.norm,
                change=numbers.step.change,
                relative_change=numbers.step.relative,
                cosine=numbers.step.cosine,
                change_from_first=numbers.start.change,
                relative_change_from_first=numbers.start.relative,
                cosine_to_first=numbers.start.cosine,
                path_length=last.path_length + numbers.step.change if last else 0.0,
                parameters=module.parameters if module else 0,
                nonfinite=numbers.nonfinite,
            )
        )
    return rows
