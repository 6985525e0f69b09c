"""Many things that end when they like, and somebody who wants to know how far they are."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from loops_nb.tensors import awaiting
from loops_nb.tensors.awaiting import as_ended


def test_each_is_given_once_when_it_has_ended() -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = [pool.submit(int, str(number)) for number in range(500)]
        ended = [future for future in as_ended(begun) if future is not None]
    assert sorted(future.result() for future in ended) == list(range(500))
    assert list(as_ended([])) == []


def test_while_none_ends_it_is_told_that_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "GLANCE_SECONDS", 0.001)
    slow: Future[int] = Future()
    ended = as_ended([slow])
    assert [next(ended) for _ in range(3)] == [None, None, None]
    slow.set_result(5)
    assert [future.result() for future in ended if future is not None] == [5]
