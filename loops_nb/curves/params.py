"""What is different between the parameters of experiments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.tracking.params import flat_params

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
    flat = [flat_params(each) for each in params]
    names = list(dict.fromkeys(name for each in flat for name in each))
    differing = [name for name in names if len({_exact(each[name]) if name in each else None for each in flat}) > 1]
    rows = [Differing(name, [_told(each[name]) if name in each else None for each in flat]) for name in differing[:_MOST]]
    return Params(rows, len(names) - len(differing), max(0, len(differing) - _MOST))


def _exact(value: Any) -> str:
    # What is shown of two values may be the same where they are not.
    return json.dumps(value, sort_keys=True, default=str)


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
