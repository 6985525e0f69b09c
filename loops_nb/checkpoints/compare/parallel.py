"""Runs a function on many modules in threads, each with single-threaded linear algebra."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from loops_nb.checkpoints.tensors.parallel import wait_for_all
from loops_nb.errors import InvalidArgumentError

#: Called on the calling thread with the numbers of done and of all modules, a few times a second.
Progress = Callable[[int, int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")

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
