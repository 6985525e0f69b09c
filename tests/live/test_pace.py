"""How long to wait: for all values, within its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loops_nb.live import Attention
from loops_nb.live.pace import FAST_AFTER_A_CHANGE, LONGEST_BACKOFF, SLOWEST, SLOWING, backoff, seconds_between

_interval = st.floats(0.5, 3600)
_still = st.floats(0, 1e9) | st.just(float("inf"))


@given(_interval, st.sampled_from(Attention), _still, st.booleans())
def test_never_faster_than_the_interval_never_slower_than_five(
    interval: float,
    attention: Attention,
    still: float,
    under_way: bool,  # noqa: FBT001 - hypothesis calls by keyword
) -> None:
    assert interval <= seconds_between(interval, attention, still=still, under_way=under_way) <= interval * SLOWEST


@given(_interval, st.lists(_still, min_size=2), st.booleans())
def test_the_longer_it_is_still_the_slower(interval: float, times: list[float], under_way: bool) -> None:  # noqa: FBT001
    waits = [seconds_between(interval, Attention.WATCHED, still=still, under_way=under_way) for still in sorted(times)]
    assert waits == sorted(waits)


def test_a_minute_fast_then_slower_until_five_times() -> None:
    def wait(still: float) -> float:
        return seconds_between(2.0, Attention.WATCHED, still=still, under_way=False)

    assert wait(FAST_AFTER_A_CHANGE) == 2.0
    assert wait(FAST_AFTER_A_CHANGE + SLOWING / 2) == 6.0
    assert wait(FAST_AFTER_A_CHANGE + SLOWING) == wait(float("inf")) == 10.0


@given(_interval, st.integers(1, 10_000))
def test_a_backoff_doubles_with_jitter_and_has_an_end(interval: float, failures: int) -> None:
    full = max(interval, min(LONGEST_BACKOFF, interval * 2.0 ** min(failures - 1, 30)))
    assert full / 2 <= backoff(interval, failures) <= full
