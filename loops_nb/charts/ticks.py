"""Ticks of axes: round numbers, sizes and calendar times with their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    _Words = Callable[[datetime], str]

_ROUND = (1, 2, 5, 10)
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
# Seconds between two marks inside a day; each divides it.
_WITHIN_A_DAY = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_IN_DAYS = (1, 2, 7, 14)
_IN_MONTHS = (1, 2, 3, 6)
_MONTH_DAYS = 30.4375
_YEAR = 12
#: No calendar of ours goes further, and a zone may add a day.
EARLIEST, LATEST = datetime(2, 1, 1, tzinfo=UTC).timestamp(), datetime(9998, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis.

    Parameters
    ----------
    at
        Its value.
    label
        What stands at it.
    below
        What stands in a second line: the day of an hour, the year of a day; only where it begins.
    """

    at: float
    label: str
    below: str = ""


def whole_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Return round whole numbers between two values."""
    return [Tick(at, f"{at:,.0f}") for at in _round_places(low, high, most)]


def byte_ticks(high: float, most: int) -> list[Tick]:
    """Return round sizes from nothing up to a largest one."""
    return [Tick(at, round_size(at)) for at in _round_places(0.0, high, most)]


def byte_powers(low: float, high: float) -> list[Tick]:
    """Return powers of ten between two sizes, for a logarithmic axis."""
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [Tick(10.0**power, round_size(10.0**power)) for power in powers]


def _round_places(low: float, high: float, most: int) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    places = MaxNLocator(nbins=max(most, 1), steps=_ROUND, integer=True, min_n_ticks=1).tick_values(low, high)
    return [float(place) for place in places if low <= place <= high]


def round_size(count: float) -> str:
    """Return a size of few digits, in powers of 1000: ``20 MB``, ``2.5 GB``."""
    if count == 1:
        return "1 byte"
    power = 0
    while abs(count) >= _THOUSAND and power < len(_UNITS) - 1:
        count /= _THOUSAND
        power += 1
    return f"{count:,.6g} {_UNITS[power]}" if count else "0"


def time_ticks(low: float, high: float, zone: tzinfo | None, most: int) -> list[Tick]:
    """Return round moments of a zone's calendar between two moments.

    Parameters
    ----------
    low, high
        Seconds since 1970.
    zone
        Whose midnights and hours; None is the machine's own.
    most
        How many marks there may be.
    """
    wanted = (high - low) / max(most, 1)
    for seconds in _WITHIN_A_DAY:
        if seconds >= wanted:
            return _inside_days(_days(low, high, zone, 1), seconds, low, high, zone)
    for days in _IN_DAYS:
        if days * _DAY >= wanted:
            return _named(_days(low, high, zone, days), low, high, zone, day_words, _year_label)
    for months in _IN_MONTHS:
        if months * _MONTH_DAYS * _DAY >= wanted:
            return _named(_firsts(low, high, zone, months), low, high, zone, _month_label, _year_label)
    years = max(1, round(round_step(wanted / (_YEAR * _MONTH_DAYS * _DAY))))
    return _named(_firsts(low, high, zone, years * _YEAR), low, high, zone, lambda day: f"{day.year}", lambda _: "")


def day_words(day: datetime) -> str:
    """Return a day as an axis says it."""
    return f"{day.day} {_MONTHS[day.month - 1]}"


def round_step(step: float) -> float:
    """Return the next larger 1, 2 or 5 times a power of ten."""
    if step <= 0 or not math.isfinite(step):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor for factor in _ROUND if factor * power >= step * (1 - 1e-9)) * power


def _inside_days(days: list[datetime], seconds: int, low: float, high: float, zone: tzinfo | None) -> list[Tick]:
    """Return the hours, minutes or seconds of some days, by the clock on the wall."""
    moments = []
    for day in days:
        # A day may be many seconds long, and the picture only a few of them.
        into = max(0, int((_wall(max(low, _instant(day, zone)), zone) - day).total_seconds()) // seconds)
        while into * seconds < _DAY:
            moment = day + timedelta(seconds=into * seconds)
            if _instant(moment, zone) > high:
                break
            moments.append(moment)
            into += 1
    written = "%H:%M" if seconds >= _MINUTE else "%H:%M:%S"
    return _named(moments, low, high, zone, lambda moment: moment.strftime(written), day_words)


def _days(low: float, high: float, zone: tzinfo | None, every: int) -> list[datetime]:
    day = _wall(low, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    # Counted from a Monday, so that the same days are marked wherever the picture begins.
    day -= timedelta(days=(day.toordinal() - 1) % every)
    days = []
    while _instant(day, zone) <= high:
        days.append(day)
        day += timedelta(days=every)
    return days


def _firsts(low: float, high: float, zone: tzinfo | None, every: int) -> list[datetime]:
    start = _wall(low, zone)
    count = (start.year * _YEAR + start.month - 1) // every * every
    firsts = []
    while count // _YEAR <= _wall(high, zone).year:
        if count >= _YEAR:
            firsts.append(datetime(count // _YEAR, count % _YEAR + 1, 1))  # noqa: DTZ001 - a wall's time
        count += every
    return firsts


def _named(
    moments: list[datetime], low: float, high: float, zone: tzinfo | None, label: _Words, below: _Words
) -> list[Tick]:
    ticks = list(_seen(moments, low, high, zone))
    said = ""
    named = []
    for at, moment in ticks:
        more = below(moment)
        named.append(Tick(at, label(moment), more if more != said else ""))
        said = more
    return named


def _seen(moments: list[datetime], low: float, high: float, zone: tzinfo | None) -> Iterator[tuple[float, datetime]]:
    for moment in moments:
        at = _instant(moment, zone)
        # Where clocks are put forward some times do not exist.
        if low <= at <= high and _wall(at, zone) == moment:
            yield at, moment


def _month_label(day: datetime) -> str:
    return _MONTHS[day.month - 1]


def _year_label(day: datetime) -> str:
    return f"{day.year}"


def _wall(at: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)


def _instant(moment: datetime, zone: tzinfo | None) -> float:
    """Return the seconds since 1970 at which the clock on the wall shows a time."""
    return (moment.astimezone() if zone is None else moment.replace(tzinfo=zone)).timestamp()
