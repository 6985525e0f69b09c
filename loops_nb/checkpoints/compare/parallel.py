"""Runs a function on many modules, in threads or on an executor, each with single-threaded linear algebra."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from loops_nb.checkpoints.executors import Progress, Task, TaskRunner
from loops_nb.checkpoints.tensors import FetchedCheckpoint, RemoteCheckpoint, WeightSource
from loops_nb.checkpoints.tensors.checkpoint import OpenedCheckpoint
from loops_nb.checkpoints.tensors.parallel import wait_for_all
from loops_nb.errors import InvalidArgumentError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Modules of a task, or checkpoints of a module, that are read at the same time: mostly the network is waited for.
_TASK_THREADS = 8
#: Modules of a task, if there are so many bytes that it takes fewer checkpoints.
_FEW_MODULES = 4
#: Checkpoints of a task: what is compared with all of them is read again in each.
_LEAST_CHECKPOINTS = 16

_lock = threading.Lock()
_users = 0
_limit: Any = None


def in_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, progress: Progress | None = None
) -> list[Result]:
    """Return the results of a function for all items, in their order.

    When one call fails, or on Ctrl-C, no further calls are started.

    Parameters
    ----------
    function : callable
        Called in threads.
    items : iterable
        Its arguments.
    workers : int
        Number of threads.
    progress : callable, optional
        As in `Progress`.
    """
    if workers < 1:
        raise InvalidArgumentError(f"workers must be at least 1, not {workers}.", argument="workers")
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="loops-compare")
    try:
        futures = [pool.submit(function, item) for item in items]
        failed = wait_for_all(futures, progress)
        if failed is not None:
            failed.result()
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep NumPy's linear algebra from using several threads per product.

    The workers keep all processors busy already; threads of a product that wait for a processor make it ten times
    slower.  The setting applies to the whole process and is restored when the last user leaves.
    """
    global _users, _limit  # noqa: PLW0603 - of the process, as the setting
    with _lock:
        if not _users:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _limit.restore_original_limits()


class BatchResult(NamedTuple, Generic[Result]):
    """Results of a batch, and the bytes that were read over the network of each of its sources."""

    results: list[Result]
    fetched: list[int]


@dataclass(frozen=True)
class Batch(Generic[Item, Result]):
    """A few modules of some checkpoints, as a task for an executor.

    Parameters
    ----------
    function : callable
        A function of a module: called with the sources and an item, it returns numbers.
    sources : tuple of WeightSource
        The checkpoints that it reads.
    items : tuple
        Its arguments, which name sources by their place.
    """

    function: Callable[[Sequence[WeightSource], Item], Result]
    sources: tuple[WeightSource, ...]
    items: tuple[Item, ...]

    @property
    def units(self) -> int:
        """How much it counts in the progress."""
        return len(self.items)

    def __call__(self) -> BatchResult[Result]:
        """Return the results of all items."""
        before = [_fetched(source) for source in self.sources]
        with single_threaded_blas():
            if len(self.items) == 1:
                results = [self.function(self.sources, self.items[0])]
            else:
                threads = min(_TASK_THREADS, len(self.items))
                results = in_parallel(lambda item: self.function(self.sources, item), self.items, workers=threads)
        return BatchResult(results, [_fetched(one) - then for one, then in zip(self.sources, before, strict=True)])

    def payload(self, *, share_urls: bool, is_renewed: bool) -> Batch[Item, Result]:
        """Return the same batch with sources that are small enough to be sent."""
        return replace(
            self,
            sources=tuple(_portable(source, share_urls=share_urls, is_renewed=is_renewed) for source in self.sources),
        )


def run_batches(
    runner: TaskRunner, batches: Iterable[Batch[Item, Result]], *, total: int, progress: Progress | None = None
) -> list[list[Result]]:
    """Return the results of batches, in their order, and count what workers read as read by the sources here.

    Parameters
    ----------
    runner : TaskRunner
        Has the executor.
    batches : iterable of Batch
        Made when they are needed.
    total : int
        Items of all of them.
    progress : callable, optional
        As in `Progress`.
    """

    def received(batch: Task[BatchResult[Result]], result: BatchResult[Result]) -> None:
        if runner.shares_memory or not isinstance(batch, Batch):
            return
        for source, count in zip(batch.sources, result.fetched, strict=True):
            if isinstance(source, FetchedCheckpoint):
                source.count_fetched(count)

    found = runner.run(batches, total=total, progress=progress, received=received)
    return [one.results for one in found]


class TaskSize(NamedTuple):
    """How many modules of how many checkpoints a task has, and how many checkpoints of each are read ahead."""

    modules: int
    checkpoints: int
    ahead: int


def task_size(modules: int, sources: Sequence[WeightSource], wanted: int) -> TaskSize:
    """Return how the work on all modules of some checkpoints is divided into tasks.

    Parameters
    ----------
    modules : int
        How many there are.
    sources : sequence of WeightSource
        The checkpoints.
    wanted : int
        Bytes of a task, as of `bytes_a_task`.
    """
    checkpoints = len(sources)
    each = max(1, weight_bytes(sources) // max(1, modules * checkpoints))
    some = min(checkpoints, max(_LEAST_CHECKPOINTS, wanted // (each * _FEW_MODULES)))
    # As equal as possible: 17 are two tasks of 9 and 8, not of 16 and 1.
    some = max(1, -(-checkpoints // -(-checkpoints // max(1, some))))
    of_task = min(max(1, modules), max(1, wanted // (each * some)))
    return TaskSize(of_task, some, max(1, _TASK_THREADS // of_task))


def weight_bytes(sources: Iterable[WeightSource]) -> int:
    """Return how many bytes the weights of checkpoints have, without the states of their optimizers."""
    return sum(info.nbytes for source in sources for info in source.infos if info.role == "weights")


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Return items in groups of a size, of which the last may be smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _fetched(source: WeightSource) -> int:
    return source.bytes_fetched if isinstance(source, FetchedCheckpoint) else 0


def _portable(source: WeightSource, *, share_urls: bool, is_renewed: bool) -> WeightSource:
    if share_urls and isinstance(source, RemoteCheckpoint):
        return source.with_urls(is_renewed=is_renewed)
    return source.without_tensors() if isinstance(source, OpenedCheckpoint) else source
