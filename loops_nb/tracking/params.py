"""Parameters of experiments: stored as JSON without secrets, shown as one level of dotted names."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from loops_nb.config.redaction import HIDDEN, is_secret_name
from loops_nb.tracking.values import as_exact, item_of, kept_text

logger: logging.Logger = logging.getLogger(__name__)
_MAX_BITS = 8_192
_MAX_DEPTH = 8
# The address of an object differs from run to run although the parameter does not.
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_LOCALS = "<locals>."
_LEAVES = frozenset({str, int, float, bool, list, type(None)})


def kept_params(params: Mapping[str, Any] | None) -> str:
    """Return parameters as the JSON that is stored.

    Values that JSON does not have are stored as numbers if they are some, else as strings; secrets are replaced.
    """
    return json.dumps(plain_params(params or {}), ensure_ascii=False)


def plain_params(params: Mapping[Any, Any]) -> dict[str, Any]:
    """Return parameters as the objects that `kept_params` writes as JSON, independent of those that were given."""
    return _plain_params(params, 0)


def read_params(text: str) -> dict[str, Any]:
    """Return parameters from their JSON."""
    if text == "{}":
        # Most experiments of a long list have no summary.
        return {}
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def flat_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without nesting, in their order.

    ``{"optimizer": {"lr": 0.1}}`` becomes ``{"optimizer.lr": 0.1}``.  Empty dictionaries and lists are values.  If
    several paths give the same name, the shortest one gets it and the others are numbered (``a.b (2)``).
    """
    if _LEAVES.issuperset(map(type, params.values())):
        return dict(params)
    leaves = list(_leaves(params, ()))
    found = {".".join(path): value for path, value in leaves}
    if len(found) == len(leaves):
        return found
    named: dict[tuple[str, ...], str] = {}
    taken: set[str] = set()
    for path, _ in sorted(leaves, key=lambda leaf: len(leaf[0])):
        named[path] = free_name(".".join(path), taken)
        taken.add(named[path])
    return {named[path]: value for path, value in leaves}


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, with the first free number appended if it is taken: ``name (2)``."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _leaves(params: Mapping[str, Any], parents: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in params.items():
        # The test for any mapping takes half of the time of a listing of thousands of experiments.
        if type(value) not in _LEAVES and isinstance(value, Mapping) and value:
            yield from _leaves(value, (*parents, name))
        else:
            yield (*parents, name), value


def _plain_params(params: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in params.items():
        # Names that are no strings may become the same string, such as 1 and "1": both values are kept.
        found[free_name(kept_text(str(name)), found)] = _plain(name, value, depth)
    return found


def _plain(name: object, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one return for each type
    if isinstance(name, str) and value and is_secret_name(name):
        return HIDDEN
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return kept_text(str(value))
    if isinstance(value, int):
        # Python refuses to convert longer integers to text, and so to JSON.
        return int(value) if value.bit_length() <= _MAX_BITS else f"an integer of {value.bit_length():,} bits"
    if isinstance(value, float):
        return float(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return _plain_params(value, depth + 1)
    if depth < _MAX_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(None, found, depth + 1) for found in value]
    number = _plain_number(value)
    if number is not None:
        return number
    try:
        return kept_text(_name_of(value))
    except Exception:
        logger.debug("A value could not be read.", exc_info=True)
        return f"<{type(value).__name__}>"


def _plain_number(value: Any) -> bool | float | None:
    """Return a number or flag of NumPy, pandas or a tensor as a Python object; None if it is neither."""
    number = as_exact(value)
    flag = item_of(value)
    return flag if number is not None and isinstance(flag, bool) else number


def _name_of(value: Any) -> str:
    """Return the name of a function; of any other object its ``str`` without the address."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str) and callable(value) and not isinstance(value, type):
        return name.rpartition(_LOCALS)[2]
    return _ADDRESS.sub("", str(value))
