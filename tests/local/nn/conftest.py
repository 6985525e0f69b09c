"""One BLAS thread, as in a worker process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Hold BLAS to one thread."""
    with threadpool_limits(1):
        yield
