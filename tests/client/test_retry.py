"""Backoff, retry policy and retry state, with an injected clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops_nb import RetryPolicy
from loops_nb.client.retry import RetryState, backoff_seconds
from loops_nb.errors import InvalidArgumentError


@settings(max_examples=50)
@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(0.01, 100))
def test_backoff_doubles_up_to_the_longest_with_jitter(attempt: int, first: float, longest: float) -> None:
    expected = min(longest, first * 2.0 ** min(attempt - 1, 60))
    assert expected * 0.5 <= backoff_seconds(attempt, first=first, longest=longest) <= expected


def test_retry_after_is_honoured() -> None:
    policy = RetryPolicy(first_wait_seconds=100.0, longest_wait_seconds=100.0)
    assert policy.wait(1, 30.0) == 30.0
    assert 5.0 <= policy.wait(1, 0.0) <= 10.0, "not at once either"


def test_attempts_end_the_retries() -> None:
    state = RetryState(RetryPolicy(attempts=3))
    assert state.summary == ""
    assert [state.next_wait(is_transient=True) is None for _ in range(3)] == [False, False, True]
    assert state.summary == " (3 tries)"


def test_permanent_failure_is_not_retried() -> None:
    assert RetryState(RetryPolicy()).next_wait(is_transient=False) is None


def test_total_time_ends_the_retries_and_progress_starts_it_over() -> None:
    now = [0.0]
    state = RetryState(RetryPolicy(attempts=100, total_seconds=10.0), clock=lambda: now[0])
    assert state.next_wait(is_transient=True) is not None
    now[0] = 9.9
    assert state.next_wait(is_transient=True, retry_after=1.0) is None
    state.reset()
    assert state.next_wait(is_transient=True, retry_after=1.0) == 1.0
    assert state.next_wait(is_transient=True, retry_after=11.0) is None


@pytest.mark.parametrize("options", [{"attempts": 0}, {"total_seconds": -1.0}, {"first_wait_seconds": -0.1}])
def test_policy_refuses_impossible_numbers(options: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(**options)  # type: ignore[arg-type]
