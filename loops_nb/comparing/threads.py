"""Products of small matrices, many at a time: each by one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_lock = threading.Lock()
_inside = 0
_limit: Any = None


@contextmanager
def one_thread_a_product() -> Iterator[None]:
    """Keep NumPy's linear algebra from spreading each product over all processors.

    Workers keep these busy already; threads of a product that wait for a processor that others use make it ten times slower.  The
    setting counts for the whole process, and is as before when the last one leaves.
    """
    global _inside, _limit  # noqa: PLW0603 - of the process, as the setting
    with _lock:
        if not _inside:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limit.restore_original_limits()
