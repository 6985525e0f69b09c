"""Waiting for futures with a progress callback."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from loops_nb.checkpoints.tensors import parallel
from loops_nb.checkpoints.tensors.parallel import wait_for_all


def test_progress_counts_each_future_once() -> None:
    counts: list[tuple[int, int]] = []
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(int, str(number)) for number in range(500)]
        assert wait_for_all(futures, lambda done, total: counts.append((done, total))) is None
    assert [count for count in counts if count[0]][-1] == (500, 500)
    assert sorted({done for done, _ in counts} - {0}) == list(range(1, 501))
    assert wait_for_all([]) is None


def test_progress_is_called_while_no_future_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "TICK_SECONDS", 0.001)
    slow: Future[int] = Future()
    counts: list[int] = []

    def progress(done: int, total: int) -> None:
        assert total == 1
        counts.append(done)
        if len(counts) == 3:
            slow.set_result(5)

    assert wait_for_all([slow], progress) is None
    assert counts == [0, 0, 0, 1]


def test_failure_ends_the_wait() -> None:
    slow: Future[int] = Future()
    failing: Future[int] = Future()
    failing.set_exception(ValueError("no"))
    assert wait_for_all([slow, failing]) is failing
