"""What is different between the parameters of experiments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST = 80
_MOST = 60


class Differing(NamedTuple):
    """One parameter, and its value in each experiment as a text; None where it has none."""

    name: str
    values: list[str | None]


class Params(NamedTuple):
    """Parameters that differ, how many are the same everywhere, and how many differing ones are not told."""

    differing: list[Differing]
    same: int
    left_out: int


def compared(params: Sequence[Mapping[str, Any]]) -> Params:
    """Return which parameters of some experiments differ."""
    flat = [_flat(each) for each in params]
    names = list(dict.fromkeys(name for each in flat for name in each))
    rows = [Differing(name, [each.get(name) for each in flat]) for name in names]
    differing = [row for row in rows if len(set(row.values)) > 1]
    return Params(differing[:_MOST], len(rows) - len(differing), max(0, len(differing) - _MOST))


def _flat(params: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = _told(value)
    return found


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
