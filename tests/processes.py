"""Executors of processes for tests."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Lend new processes, which share nothing with this one."""
    main = sys.modules["__main__"]
    if not hasattr(main, "__spec__"):
        # A shell of IPython that was reset has deleted it, and processes are not started without.
        main.__spec__ = None
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
