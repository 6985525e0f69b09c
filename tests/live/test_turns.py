"""While somebody watches, threads get the interpreter sooner; afterwards all is as it was."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from loops_nb.live.clock import Clock
from loops_nb.live.turns import SECONDS, Turns
from loops_nb.live.writer import Writer


@pytest.fixture(autouse=True)
def former() -> Iterator[float]:
    found = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(found)


def test_turns_are_short_until_the_last_one_leaves(former: float) -> None:
    turns = Turns()
    with turns.short():
        with turns.short():
            assert sys.getswitchinterval() == pytest.approx(SECONDS)
        assert sys.getswitchinterval() == pytest.approx(SECONDS)
    assert sys.getswitchinterval() == pytest.approx(former)


def test_what_somebody_else_sets_meanwhile_stays() -> None:
    with Turns().short():
        sys.setswitchinterval(0.02)
    assert sys.getswitchinterval() == pytest.approx(0.02)


def test_a_forked_child_has_nobody_to_hurry_for(former: float) -> None:
    turns = Turns()
    with turns.short():
        turns.forked()
        assert sys.getswitchinterval() == pytest.approx(former)


def test_turns_that_are_shorter_already_stay() -> None:
    sys.setswitchinterval(0.0002)
    with Turns().short():
        assert sys.getswitchinterval() == pytest.approx(0.0002)
    assert sys.getswitchinterval() == pytest.approx(0.0002)


class _Idle:
    def next_turn(self) -> float:
        return float("inf")

    def turn(self) -> None:
        pass

    def is_idle(self) -> bool:
        return True

    def rest(self) -> None:
        pass


def test_they_are_short_as_long_as_a_poller_runs(former: float) -> None:
    writer, seen, told = Writer(_Idle(), Clock()), [], threading.Event()
    writer.linger = 0.0

    def look() -> None:
        seen.append(sys.getswitchinterval())
        told.set()

    writer.post(look)
    assert told.wait(30)
    assert seen == [pytest.approx(SECONDS)]
    until = time.monotonic() + 30
    while sys.getswitchinterval() != pytest.approx(former):
        assert time.monotonic() < until
        time.sleep(0.01)
