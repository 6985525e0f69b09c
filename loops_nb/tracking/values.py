"""What people give to be recorded, made into what can be kept: numbers, keys, texts, parameters."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from numbers import Complex, Integral, Real
from typing import Any

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.params import free_name

_LOG = logging.getLogger(__name__)
_LONGEST_KEY = 1000
_INT64 = 1 << 63
_SHORTEST_SECRET = 8
_MOST_BITS = 8_192
_ENV_KEY = "BASETEN_API_KEY"
# A presigned URL works without a key: what signs it is left out.
_SIGNED = re.compile(r"(?i)([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|signature|sig|token|awsaccesskeyid)=)[^&\s\"']+")
_SECRET_NAME = re.compile(r"(?i)(?:^|[_.-])(?:api[_-]?key|secret|password|passwd|access[_-]?token|auth[_-]?token|credentials?)$")
_HIDDEN = "<not kept>"
# Where an object lay in memory tells nothing the next day, and makes two runs differ that do not.
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_LOCALS = "<locals>."


# Python's ``float`` takes some of them all the same, or NumPy's kinds of them: it reads texts, counts nanoseconds, drops imaginary parts.
_NO_NUMBERS = (str, bytes, bytearray, memoryview, dt.date, dt.time, dt.timedelta)
_TIME_KINDS = frozenset("mM")
_MOST_LAYERS = 3


def as_number(value: Any) -> float | None:
    """Return a value as the 64-bit float that is kept; None if it is no number, or too large for one; see `as_exact`."""
    found = as_exact(value)
    try:
        return None if found is None else float(found)
    except OverflowError:
        return None


def as_exact(value: Any) -> float | int | None:
    """Return a value as a number of Python: a whole number with all its digits, any other as the nearest float.

    Numbers of Python and NumPy are numbers, and so are arrays and tensors with one element that is one.  Complex numbers, texts, dates,
    durations and masked elements are none, in an array or not.

    Returns
    -------
    float, int or None
        None if it is no number, or one that is not infinite and no float can hold.
    """
    try:
        return _exact(value, _MOST_LAYERS)
    except Exception:  # noqa: BLE001 - the value is a stranger's object: whatever it does, it is no number
        _LOG.debug("A value could not be read.", exc_info=True)
        return None


def is_too_large(value: Any) -> bool:
    """Tell whether a value is a number that is not infinite and beyond what a float can hold."""
    if not isinstance(value, (Real, Decimal)) or _is_time(value):
        return False
    size: Any = value
    try:
        return bool(abs(size) > sys.float_info.max)
    except (ArithmeticError, TypeError, ValueError):
        return False


def _is_time(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") in _TIME_KINDS


def _exact(value: Any, layers: int) -> float | int | None:
    if isinstance(value, (bool, float)):
        return float(value)
    # To NumPy a duration is a whole number.
    if isinstance(value, Integral) and not _is_time(value):
        return int(value)
    if value is None or isinstance(value, _NO_NUMBERS) or (isinstance(value, Complex) and not isinstance(value, Real)):
        return None
    dtype = getattr(value, "dtype", None)
    if _is_time(value) or "complex" in str(dtype) or _is_masked(value):
        return None
    if dtype is not None and layers and (item := _item(value)) is not value:
        # The element itself: of Python where it can be, so that it keeps its digits and its kind.
        return _exact(item, layers - 1)
    return _as_float(value, layers)


def _as_float(value: Any, layers: int) -> float | int | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    except Exception:  # noqa: BLE001 - tensors that know no ``float`` (on a device, lazy) may give their one element
        _LOG.debug("A value is no float.", exc_info=True)
        item = _item(value)
        return _exact(item, 0) if layers and isinstance(item, Real) else None
    # A decimal of 400 digits becomes infinite without a word.
    return number if not math.isinf(number) or bool(value == number) else None


def _item(value: Any) -> Any:
    try:
        return value.item()
    except Exception:  # noqa: BLE001 - more than one element, or no such method
        _LOG.debug("A value has no single element.", exc_info=True)
        return value


def _is_masked(value: Any) -> bool:
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray) and bool(masked.getmaskarray(value).any())


def as_step(step: Any) -> int:
    """Return a step as a whole number.

    Raises
    ------
    InvalidArgumentError
        If it is none, or does not fit in 64 bits.
    """
    try:
        number = int(step)
        fits = as_exact(step) is not None and number == step and -_INT64 <= number < _INT64
    except Exception:  # noqa: BLE001 - a stranger's object
        _LOG.debug("A value could not be read.", exc_info=True)
        fits = False
    if not fits:
        raise InvalidArgumentError(
            f"step must be a whole number of at most 64 bits, not {step!r:.60}.",
            argument="step",
            hint="For example exp.log(step=3, loss=0.5)",
        )
    return number


def usable_key(key: Any) -> bool:
    """Tell whether something can be the key of a series: any text that is not empty, nor a page long."""
    return isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY


def kept_text(text: str) -> str:
    """Return a text as it is kept: without the API key of this process, and without what signs a presigned URL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair is no text for a file.
        text = text.encode("utf-8", "backslashreplace").decode()
    secret = os.environ.get(_ENV_KEY, "").strip()
    if len(secret) >= _SHORTEST_SECRET and secret in text:
        text = text.replace(secret, "<api key>")
    return _SIGNED.sub(rf"\1{_HIDDEN}", text) if "=" in text else text


def kept_params(params: Mapping[str, Any] | None) -> str:
    """Return parameters as the JSON that is kept; values that JSON does not know become numbers where they are some, else texts."""
    return json.dumps(_plain_params(params or {}, 0), ensure_ascii=False)


def _plain_params(params: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in params.items():
        # Names that are not texts may become the same text, such as 1 and "1": both values are kept.
        found[free_name(kept_text(str(name)), found)] = _plain(name, value, depth)
    return found


def read_params(text: str) -> dict[str, Any]:
    """Return parameters from their JSON."""
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def _plain(name: object, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one return a kind of value
    if isinstance(name, str) and _SECRET_NAME.search(name) and value:
        return _HIDDEN
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return kept_text(str(value))
    if isinstance(value, int):
        # Python refuses to write longer numbers as text, which JSON is.
        return int(value) if value.bit_length() <= _MOST_BITS else f"a whole number of {value.bit_length():,} bits"
    if isinstance(value, float):
        return float(value)
    deepest = 8
    if depth < deepest and isinstance(value, Mapping):
        return _plain_params(value, depth + 1)
    if depth < deepest and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(None, found, depth + 1) for found in value]
    number = _parameter(value)
    if number is not None:
        return number
    try:
        return kept_text(_name_of(value))
    except Exception:  # noqa: BLE001 - a stranger's object
        _LOG.debug("A value could not be read.", exc_info=True)
        return f"<{type(value).__name__}>"


def _parameter(value: Any) -> bool | float | None:
    """Return a number or a flag of NumPy, pandas or a tensor as Python's; None if it is none."""
    number = as_exact(value)
    flag = _item(value)
    return flag if number is not None and isinstance(flag, bool) else number


def _name_of(value: Any) -> str:
    """Return what an object is called: of a function its name, of anything else its own words without an address."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str) and callable(value) and not isinstance(value, type):
        return name.rpartition(_LOCALS)[2]
    return _ADDRESS.sub("", str(value))
