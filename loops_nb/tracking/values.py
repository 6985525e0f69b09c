"""Conversion of logged values: numbers, steps, keys and texts as they are stored."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import sys
from decimal import Decimal
from numbers import Complex, Integral, Real
from typing import Any

from loops_nb.config.redaction import SHORTEST_SECRET, without_signatures
from loops_nb.errors import InvalidArgumentError

logger: logging.Logger = logging.getLogger(__name__)
_LONGEST_KEY = 1000
_INT64 = 1 << 63
_ENV_KEY = "BASETEN_API_KEY"
# Python's ``float`` accepts some of these or of their NumPy versions: it parses strings, counts nanoseconds and drops
# imaginary parts.
_NOT_NUMBERS = (str, bytes, bytearray, memoryview, dt.date, dt.time, dt.timedelta)
_TIME_KINDS = frozenset("mM")
_MAX_NESTING = 3


def read_json(text: str | bytes) -> Any:
    """Return what a JSON text of a foreign file says.

    Raises
    ------
    ValueError
        If it is not JSON, or nested too deeply for Python's reader: any of its errors is one of the file.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def as_number(value: Any) -> float | None:
    """Return a value as a 64-bit float; None if it is no number, as in `as_exact`, or too large."""
    number = as_exact(value)
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


def as_exact(value: Any) -> float | int | None:
    """Return a value as a Python number: integers with all digits, others as the nearest float.

    Numbers of Python and NumPy are numbers, and so are arrays and tensors with one element that is a number.  Complex
    numbers, strings, dates, durations and masked elements are not.

    Returns
    -------
    float, int or None
        None if it is no number, or a finite one that no float can hold.
    """
    try:
        return _exact(value, _MAX_NESTING)
    except Exception:
        logger.debug("A value could not be read.", exc_info=True)
        return None


def is_too_large(value: Any) -> bool:
    """Whether a value is a finite number that no float can hold."""
    if not isinstance(value, (Real, Decimal)) or _is_time(value):
        return False
    number: Any = value
    try:
        return bool(abs(number) > sys.float_info.max)
    except (ArithmeticError, TypeError, ValueError):
        return False


def _is_time(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") in _TIME_KINDS


def _exact(value: Any, nesting: int) -> float | int | None:
    if isinstance(value, (bool, float)):
        return float(value)
    # NumPy registers durations as integers.
    if isinstance(value, Integral) and not _is_time(value):
        return int(value)
    if value is None or isinstance(value, _NOT_NUMBERS) or (isinstance(value, Complex) and not isinstance(value, Real)):
        return None
    dtype = getattr(value, "dtype", None)
    if _is_time(value) or "complex" in str(dtype) or _is_masked(value):
        return None
    if dtype is not None and nesting and (item := item_of(value)) is not value:
        # The element as a Python object where possible, which keeps its digits and its type.
        return _exact(item, nesting - 1)
    return _as_float(value, nesting)


def _as_float(value: Any, nesting: int) -> float | int | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    except Exception:
        logger.debug("A value is no float.", exc_info=True)
        item = item_of(value)
        return _exact(item, 0) if nesting and isinstance(item, Real) else None
    # A decimal of 400 digits becomes infinite without an error.
    return number if not math.isinf(number) or bool(value == number) else None


def item_of(value: Any) -> Any:
    """Return the only element of an array or tensor; anything else unchanged."""
    try:
        return value.item()
    except Exception:
        logger.debug("A value has no single element.", exc_info=True)
        return value


def _is_masked(value: Any) -> bool:
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray) and bool(masked.getmaskarray(value).any())


def as_step(step: Any) -> int:
    """Return a step as an integer.

    Raises
    ------
    InvalidArgumentError
        If it is no integer of at most 64 bits.
    """
    try:
        number = int(step)
        is_valid = as_exact(step) is not None and number == step and -_INT64 <= number < _INT64
    except Exception:
        logger.debug("A value could not be read.", exc_info=True)
        is_valid = False
    if not is_valid:
        raise InvalidArgumentError(
            f"step must be an integer of at most 64 bits, not {step!r:.60}.",
            argument="step",
            hint="For example step=3",
        )
    return number


def usable_key(key: Any) -> bool:
    """Whether a value can be the key of a series: a string of 1 to 1,000 characters."""
    return isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY


def kept_text(text: str) -> str:
    """Return a text without secrets: the API key of this process and the signatures of presigned URLs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be stored as UTF-8.
        text = text.encode("utf-8", "backslashreplace").decode()
    secret = os.environ.get(_ENV_KEY, "").strip()
    if len(secret) >= SHORTEST_SECRET and secret in text:
        text = text.replace(secret, "<api key>")
    return without_signatures(text)
