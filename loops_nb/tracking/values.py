"""What people give to be recorded, made into what can be kept: numbers, keys, texts, parameters."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any

from loops_nb.errors import InvalidArgumentError

_LOG = logging.getLogger(__name__)
_LONGEST_KEY = 1000
_INT64 = 1 << 63
_SHORTEST_SECRET = 8
_ENV_KEY = "BASETEN_API_KEY"
# A presigned URL works without a key: what signs it is left out.
_SIGNED = re.compile(r"(?i)([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|signature|sig|token|awsaccesskeyid)=)[^&\s\"']+")
_SECRET_NAME = re.compile(r"(?i)(?:^|[_.-])(?:api[_-]?key|secret|password|passwd|access[_-]?token|auth[_-]?token|credentials?)$")
_HIDDEN = "<not kept>"
# Where an object lay in memory tells nothing the next day, and makes two runs differ that do not.
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_LOCALS = "<locals>."


def as_number(value: Any) -> float | None:
    """Return a value as the number that is kept; None if it is none.

    Anything that Python's ``float`` takes is a number, so scalars of NumPy and tensors with one element are; texts are not.  Nor is a
    whole number that no 64-bit float can hold: as an infinite one it would be something else.
    """
    if value is None or isinstance(value, (str, bytes, bytearray, memoryview)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
    except Exception:  # noqa: BLE001 - the value is a stranger's object: whatever it does, it is no number
        _LOG.debug("A value could not be read.", exc_info=True)
        return _item(value)


def _item(value: Any) -> float | None:
    # Tensors that know no ``float`` (on a device, lazy) but can give their one element.
    try:
        item = value.item()
        return float(item) if isinstance(item, (int, float)) else None
    except Exception:  # noqa: BLE001 - the same
        _LOG.debug("A value could not be read.", exc_info=True)
        return None


def as_step(step: Any) -> int:
    """Return a step as a whole number.

    Raises
    ------
    InvalidArgumentError
        If it is none, or does not fit in 64 bits.
    """
    try:
        number = int(step)
        fits = number == step and -_INT64 <= number < _INT64
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
    return json.dumps({kept_text(str(name)): _plain(name, value) for name, value in (params or {}).items()}, ensure_ascii=False)


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
        return int(value)
    if isinstance(value, float):
        return float(value)
    deepest = 8
    if depth < deepest and isinstance(value, Mapping):
        return {kept_text(str(inner)): _plain(inner, found, depth + 1) for inner, found in value.items()}
    if depth < deepest and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(None, found, depth + 1) for found in value]
    number = _exact(value)
    if number is not None:
        return number
    try:
        return kept_text(_name_of(value))
    except Exception:  # noqa: BLE001 - a stranger's object
        _LOG.debug("A value could not be read.", exc_info=True)
        return f"<{type(value).__name__}>"


def _exact(value: Any) -> bool | float | None:
    """Return a number or a flag of NumPy, pandas or a tensor as Python's; None if it is none.

    Whole numbers are not converted through a float, which would round 64-bit seeds.
    """
    try:
        item = value.item() if value.dtype is not None else None
    except Exception:  # noqa: BLE001 - a foreign object, or several elements: it is no single whole number
        item = None
    return item if isinstance(item, (bool, int)) else as_number(value)


def _name_of(value: Any) -> str:
    """Return what an object is called: of a function its name, of anything else its own words without an address."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str) and callable(value) and not isinstance(value, type):
        return name.rpartition(_LOCALS)[2]
    return _ADDRESS.sub("", str(value))
