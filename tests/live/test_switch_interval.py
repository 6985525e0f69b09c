"""`SwitchInterval`: short while a poller runs, restored afterwards."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from loops_nb.live.threads import Clock, EventLoopThread, SwitchInterval


@pytest.fixture(autouse=True)
def former() -> Iterator[float]:
    found = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(found)


def test_switch_interval_is_short_until_the_last_user_leaves(former: float) -> None:
    turns = SwitchInterval()
    with turns.shortened():
        with turns.shortened():
            assert sys.getswitchinterval() == pytest.approx(SwitchInterval.SECONDS)
        assert sys.getswitchinterval() == pytest.approx(SwitchInterval.SECONDS)
    assert sys.getswitchinterval() == pytest.approx(former)


def test_switch_interval_set_by_others_is_kept() -> None:
    with SwitchInterval().shortened():
        sys.setswitchinterval(0.02)
    assert sys.getswitchinterval() == pytest.approx(0.02)


def test_switch_interval_is_restored_in_a_forked_child(former: float) -> None:
    turns = SwitchInterval()
    with turns.shortened():
        turns.after_fork_in_child()
        assert sys.getswitchinterval() == pytest.approx(former)


def test_switch_interval_is_never_lengthened() -> None:
    sys.setswitchinterval(0.0002)
    with SwitchInterval().shortened():
        assert sys.getswitchinterval() == pytest.approx(0.0002)
    assert sys.getswitchinterval() == pytest.approx(0.0002)


class _Idle:
    def next_deadline(self) -> float:
        return float("inf")

    def run_once(self) -> None:
        pass

    def is_idle(self) -> bool:
        return True

    def release(self) -> None:
        pass


def test_switch_interval_is_short_while_a_poller_runs(former: float) -> None:
    writer, seen, told = EventLoopThread(_Idle(), Clock()), [], threading.Event()
    writer.linger = 0.0

    def look() -> None:
        seen.append(sys.getswitchinterval())
        told.set()

    writer.post(look)
    assert told.wait(30)
    assert seen == [pytest.approx(SwitchInterval.SECONDS)]
    until = time.monotonic() + 30
    while sys.getswitchinterval() != pytest.approx(former):
        assert time.monotonic() < until
        time.sleep(0.01)
