"""Poll intervals and backoff stay within their limits for all values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loops_nb.live import Priority
from loops_nb.live.scheduler import FAST_AFTER_CHANGE, MAX_BACKOFF, SLOWDOWN_SECONDS, SLOWEST, backoff, poll_interval

_interval = st.floats(0.5, 3600)
_still = st.floats(0, 1e9) | st.just(float("inf"))


@given(_interval, st.sampled_from(Priority), _still, st.booleans())
def test_poll_interval_is_between_one_and_five_times_the_setting(
    interval: float,
    priority: Priority,
    still: float,
    in_transition: bool,
) -> None:
    assert (
        interval
        <= poll_interval(interval, priority, unchanged_for=still, in_transition=in_transition)
        <= interval * SLOWEST
    )


@given(_interval, st.lists(_still, min_size=2), st.booleans())
def test_poll_interval_grows_with_the_time_without_change(
    interval: float, times: list[float], in_transition: bool
) -> None:
    waits = [
        poll_interval(interval, Priority.VISIBLE, unchanged_for=still, in_transition=in_transition)
        for still in sorted(times)
    ]
    assert waits == sorted(waits)


def test_poll_interval_slows_after_a_minute_up_to_five_times() -> None:
    def wait(still: float) -> float:
        return poll_interval(2.0, Priority.VISIBLE, unchanged_for=still, in_transition=False)

    assert wait(FAST_AFTER_CHANGE) == 2.0
    assert wait(FAST_AFTER_CHANGE + SLOWDOWN_SECONDS / 2) == 6.0
    assert wait(FAST_AFTER_CHANGE + SLOWDOWN_SECONDS) == wait(float("inf")) == 10.0


@given(_interval, st.integers(1, 10_000))
def test_backoff_doubles_with_jitter_up_to_a_limit(interval: float, failures: int) -> None:
    full = max(interval, min(MAX_BACKOFF, interval * 2.0 ** min(failures - 1, 30)))
    assert full / 2 <= backoff(interval, failures) <= full
