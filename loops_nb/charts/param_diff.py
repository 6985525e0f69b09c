"""Differences between the parameters of experiments."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.tracking.params import flat_params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST = 80
#: Characters shown before the first difference of long texts.
_BEFORE = 20
#: Bytes of all values that are listed.
_MOST_BYTES = 16_000


class ParamDifference(NamedTuple):
    """A parameter and its value in each experiment as a text; None where it has none."""

    name: str
    values: list[str | None]


class ParamComparison(NamedTuple):
    """Parameters that differ, how many are the same everywhere, and how many differing ones are not listed."""

    differing: list[ParamDifference]
    same: int
    left_out: int


def compare_params(params: Sequence[Mapping[str, Any]]) -> ParamComparison:
    """Return which parameters of some experiments differ; whole values are compared, long ones shown in part."""
    flat = [{name: _text(value) for name, value in flat_params(each).items()} for each in params]
    names = list(dict.fromkeys(name for each in flat for name in each))
    rows = [(name, [each.get(name) for each in flat]) for name in names]
    differing = [(name, values) for name, values in rows if len(set(values)) > 1]
    listed: list[ParamDifference] = []
    room = _MOST_BYTES
    for name, values in differing:
        row = ParamDifference(name, _shown(values))
        room -= len(name) + sum(len(value) + 3 if value is not None else 5 for value in row.values)
        if listed and room < 0:
            break
        listed.append(row)
    return ParamComparison(listed, len(rows) - len(differing), len(differing) - len(listed))


def _text(value: Any) -> str:
    """Return a value with all its digits; a text in quotes only where it could be taken for something else."""
    if not isinstance(value, str):
        return json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(value, ensure_ascii=False)


def _shown(values: Sequence[str | None]) -> list[str | None]:
    known = [value for value in values if value is not None]
    if max(map(len, known)) <= _LONGEST:
        return list(values)
    same = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*known, strict=False)))
    start = max(0, same - _BEFORE)
    # A text that ends early is shown by its end.
    return [None if value is None else _part(value, min(start, max(0, len(value) - _BEFORE))) for value in values]


def _part(text: str, start: int) -> str:
    before = "…" if start else ""
    room = _LONGEST - len(before)
    part = text[start:]
    return before + (part if len(part) <= room else f"{part[: room - 1]}…")
