"""Axes have round numbers, sizes and moments, few enough to read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.charts.ticks import EARLIEST, LATEST, byte_powers, byte_ticks, time_ticks, whole_ticks
from tests.frames.strategies import ANY_MACHINE

BERLIN = ZoneInfo("Europe/Berlin")


def labels(start: str, span: timedelta, zone: ZoneInfo | None = BERLIN, most: int = 6) -> list[tuple[str, str]]:
    low = datetime.fromisoformat(start).astimezone(UTC).timestamp()
    return [(tick.label, tick.below) for tick in time_ticks(low, low + span.total_seconds(), zone, most)]


@pytest.mark.parametrize(
    ("start", "span", "said"),
    [
        (
            "2026-11-12T10:00:00+01:00",
            timedelta(seconds=3),
            [("10:00:00", "12 Nov"), ("10:00:01", ""), ("10:00:02", ""), ("10:00:03", "")],
        ),
        (
            "2026-11-12T22:40:00+01:00",
            timedelta(hours=2),
            [("23:00", "12 Nov"), ("23:30", ""), ("00:00", "13 Nov"), ("00:30", "")],
        ),
        (
            "2026-11-12T10:00:00+01:00",
            timedelta(days=1),
            [("12:00", "12 Nov"), ("18:00", ""), ("00:00", "13 Nov"), ("06:00", "")],
        ),
        (
            "2026-12-30T10:00:00+01:00",
            timedelta(days=4),
            [("31 Dec", "2026"), ("1 Jan", "2027"), ("2 Jan", ""), ("3 Jan", "")],
        ),
        # Weeks begin on a Monday.
        ("2026-11-12T10:00:00+01:00", timedelta(days=24), [("16 Nov", "2026"), ("23 Nov", ""), ("30 Nov", "")]),
        (
            "2026-11-12T10:00:00+01:00",
            timedelta(days=150),
            [("Dec", "2026"), ("Jan", "2027"), ("Feb", ""), ("Mar", ""), ("Apr", "")],
        ),
        ("2026-11-12T10:00:00+01:00", timedelta(days=5000), [("2030", ""), ("2035", ""), ("2040", "")]),
    ],
)
def test_a_time_axis_counts_as_people_do(start: str, span: timedelta, said: list[tuple[str, str]]) -> None:
    assert labels(start, span) == said


def test_hours_that_the_clock_leaps_over_are_left_out() -> None:
    said = [label for label, _ in labels("2026-03-29T00:00:00+01:00", timedelta(hours=6), most=8)]
    assert said == ["00:00", "01:00", "03:00", "04:00", "05:00", "06:00", "07:00"]


def test_a_long_day_is_not_counted_twice() -> None:
    low, high = (datetime(2026, 10, 25, hour, tzinfo=UTC).timestamp() for hour in (0, 6))
    ticks = time_ticks(low, high, BERLIN, 8)
    assert [tick.label for tick in ticks] == ["02:00", "03:00", "04:00", "05:00", "06:00", "07:00"]


ZONES = st.sampled_from(
    [BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Africa/Cairo"), ZoneInfo("Australia/Lord_Howe"), None]
)


@ANY_MACHINE
@given(st.floats(EARLIEST, LATEST), st.floats(1, 3e10), ZONES, st.integers(2, 12))
def test_every_span_of_time_has_a_readable_axis(low: float, span: float, zone: ZoneInfo | None, most: int) -> None:
    high = min(low + span, LATEST)
    if high - low < 1:
        low = high - 1
    ticks = time_ticks(low, high, zone, most)
    places = [tick.at for tick in ticks]
    assert places == sorted(set(places))
    assert all(low <= place <= high for place in places)
    # A wall's hours are not all as long as others: one more may fit.
    assert len(places) <= most + 2
    assert all(len(tick.label) <= 8 for tick in ticks)


@ANY_MACHINE
@given(st.integers(-(10**12), 10**12), st.integers(1, 10**12), st.integers(1, 12))
def test_steps_are_round_and_few(low: int, span: int, most: int) -> None:
    ticks = whole_ticks(low, low + span, most)
    assert len(ticks) <= most + 1
    assert all(low <= tick.at <= low + span and tick.at == int(tick.at) for tick in ticks)
    assert [tick.label for tick in ticks] == [f"{int(tick.at):,}" for tick in ticks]


@ANY_MACHINE
@given(st.floats(1, 1e18), st.integers(1, 6))
def test_levels_of_sizes_are_few(high: float, most: int) -> None:
    levels = [tick.at for tick in byte_ticks(high, most)]
    assert levels[0] == 0
    assert len(levels) <= most + 1
    assert levels[-1] <= high * (1 + 1e-6)


def test_sizes_are_told_in_powers_of_a_thousand() -> None:
    assert [tick.label for tick in byte_ticks(230_000_000, 4)] == ["0", "100 MB", "200 MB"]
    assert [tick.label for tick in byte_ticks(9_100_000_000, 4)] == ["0", "5 GB"]
    assert [tick.label for tick in byte_ticks(3, 4)] == ["0", "1 byte", "2 bytes", "3 bytes"]
    assert [tick.label for tick in byte_powers(2e5, 3e9)] == ["1 MB", "10 MB", "100 MB", "1 GB"]
