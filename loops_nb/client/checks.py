"""Checks of arguments, before any request; each error names the argument and what it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from loops_nb.api.uri import Target, parse_uri
from loops_nb.errors import InvalidArgumentError

#: Not every JSON reader takes larger integers.
_LARGEST = 2**63 - 1
MAX_LOG_WINDOW = timedelta(days=7)
_LONGEST_ID = 255
_LONGEST_NAME = 255
_FORBIDDEN_IN_ID = re.compile(r"[/\\?#%\s\x00-\x1f\x7f]")


def path_part(argument: str, value: Any) -> str:
    """Return an id, quoted for a path; it must not be able to change the URL."""
    return quote(identifier(argument, value), safe="")


def identifier(argument: str, value: Any) -> str:
    """Return an id: not empty, and without characters that would change a URL."""
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{argument} must be a string, not {type(value).__name__} ({value!r}).", argument=argument
        )
    if not value.strip():
        raise InvalidArgumentError(f"{argument} is empty; it must be the id of an existing object.", argument=argument)
    if value.startswith("bt://"):
        raise InvalidArgumentError(
            f"{argument} must be an id, not the URI {value!r}.",
            argument=argument,
            hint="The id is in the column id of the listing; list by URI with checkpoint_path=...",
        )
    if _FORBIDDEN_IN_ID.search(value) or value in {".", ".."} or len(value) > _LONGEST_ID:
        raise InvalidArgumentError(
            f"{argument} is not an id: {value!r} (no spaces, slashes, ?, #, % or dots alone, at most {_LONGEST_ID} "
            f"characters).",
            argument=argument,
        )
    return value


def is_identifier(value: str) -> bool:
    """Tell whether a string can be an id."""
    try:
        identifier("id", value)
    except InvalidArgumentError:
        return False
    return True


def optional_identifier(argument: str, value: Any) -> str | None:
    """Return an id or None."""
    return None if value is None else identifier(argument, value)


def text(argument: str, value: Any, *, longest: int = 1000) -> str:
    """Return a printable string that is not blank."""
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{argument} must be a string, not {type(value).__name__} ({value!r}).", argument=argument
        )
    if not value.strip() or len(value) > longest or not value.isprintable():
        raise InvalidArgumentError(
            f"{argument} must be a printable string of 1 to {longest} characters, not {value!r}.", argument=argument
        )
    return value


def optional_text(argument: str, value: Any) -> str | None:
    """Return a printable string or None."""
    return None if value is None else text(argument, value)


def name(argument: str, value: Any) -> str | None:
    """Return a display name or None."""
    return None if value is None else text(argument, value, longest=_LONGEST_NAME)


def whole(argument: str, value: Any, *, least: int | None = None, most: int | None = None, hint: str = "") -> int:
    """Return a whole number within bounds; ``hint`` is for one outside of them."""
    # numpy's integers have __index__; bool has it too but is never a number here.
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgumentError(f"{argument} must be a whole number, not {value!r}.", argument=argument)
    number = int(value)
    if abs(number) > _LARGEST:
        # Not shown: Python itself refuses to write one of many thousand digits.
        raise InvalidArgumentError(f"{argument} must be a whole number of at most 64 bits.", argument=argument)
    if (least is not None and number < least) or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InvalidArgumentError(f"{argument} must be {bounds}, not {number}.", argument=argument, hint=hint)
    return number


def optional_whole(
    argument: str, value: Any, *, least: int | None = None, most: int | None = None, hint: str = ""
) -> int | None:
    """Return a whole number within bounds, or None."""
    return None if value is None else whole(argument, value, least=least, most=most, hint=hint)


def one_of(argument: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the documented values."""
    if value not in choices:
        raise InvalidArgumentError(f"{argument} must be one of {', '.join(choices)}, not {value!r}.", argument=argument)
    return str(value)


def optional_one_of(argument: str, value: Any, choices: Sequence[str]) -> str | None:
    """Return one of the documented values, or None."""
    return None if value is None else one_of(argument, value, choices)


def checkpoint_uri(argument: str, value: Any, *, target: Target | None = None) -> str:
    """Return a ``bt://`` URI of the right target, in its plain form."""
    return str(parse_uri(value, target=target, argument=argument))


def optional_checkpoint_uri(argument: str, value: Any, *, target: Target | None = None) -> str | None:
    """Return a ``bt://`` URI of the right target, or None."""
    return None if value is None else checkpoint_uri(argument, value, target=target)


def exactly_one(**arguments: Any) -> None:
    """Refuse unless exactly one of the arguments is given."""
    given = [key for key, value in arguments.items() if value is not None]
    if len(given) != 1:
        names = list(arguments)
        choice = f"{', '.join(names[:-1])} or {names[-1]}"
        what = "none was given" if not given else f"{' and '.join(given)} were given"
        raise InvalidArgumentError(f"Give exactly one of {choice}; {what}.", argument=given[0] if given else names[0])


def texts(argument: str, value: Any) -> list[str]:
    """Return a non-empty list of strings; a single string is refused, as it would be split into letters."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidArgumentError(f"{argument} must be a list of strings, not {value!r}.", argument=argument)
    found = [text(f"{argument}[{i}]", item) for i, item in enumerate(value)]
    if not found:
        raise InvalidArgumentError(f"{argument} is an empty list; it needs at least one entry.", argument=argument)
    return found


def moment(argument: str, value: Any) -> datetime:
    """Return a point in time with a time zone."""
    if not isinstance(value, datetime):
        raise InvalidArgumentError(f"{argument} must be a datetime, not {value!r}.", argument=argument)
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidArgumentError(
            f"{argument} has no time zone: {value!r}.",
            argument=argument,
            hint="For example datetime.now(timezone.utc) - timedelta(hours=1)",
        )
    return value


def epoch_millis(argument: str, value: Any) -> int | None:
    """Return a point in time as the API's whole milliseconds since the epoch, or None."""
    return None if value is None else int(moment(argument, value).timestamp() * 1000)


def time_or_age(argument: str, value: timedelta | datetime | None) -> datetime | None:
    """Return a point in time, given as such or as an age, which counts back from now."""
    if value is None:
        return None
    if not isinstance(value, timedelta | datetime):
        raise InvalidArgumentError(
            f"{argument} must be an age (timedelta) or a time (datetime with a time zone), not {value!r:.80}.",
            argument=argument,
            hint="For example timedelta(hours=2), or datetime.now(timezone.utc) - timedelta(hours=2)",
        )
    if isinstance(value, timedelta):
        if value < timedelta():
            raise InvalidArgumentError(
                f"{argument} is a time to come: {value}. An age counts back from now.", argument=argument
            )
        try:
            return datetime.now(UTC) - value
        except OverflowError:
            raise InvalidArgumentError(f"{argument} is before the first date: {value}.", argument=argument) from None
    return moment(argument, value)


def window(start: int | None, end: int | None, *, longest: timedelta | None = None) -> None:
    """Refuse a window that ends before it starts, or is longer than the service allows."""
    if start is None or end is None:
        return
    if start > end:
        raise InvalidArgumentError("start must not be after end.", argument="start")
    if longest is not None and end - start > longest / timedelta(milliseconds=1):
        raise InvalidArgumentError(
            f"The window from start to end must be at most {longest.days} days.", argument="start"
        )


def optional_rate(argument: str, value: Any) -> float | None:
    """Return an amount of money that is finite and not negative, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InvalidArgumentError(
            f"{argument} must be US dollars for a million tokens, not {value!r}.",
            argument=argument,
            hint=f"For example {argument}=0.4",
        )
    return float(value)


def seconds(argument: str, value: Any) -> float:
    """Return a positive, finite number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidArgumentError(f"{argument} must be a number of seconds above 0, not {value!r}.", argument=argument)
    return float(value)
