"""Rows of values by name, as W&B and Trackio store them: numbers become points, media are counted."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeGuard

from loops_nb.tracking.importers.imported_run import RunBuilder, flat_names

STEP, TIME = "_step", "_timestamp"
#: Names of a row that are no metrics.
NOT_METRICS = frozenset({STEP, TIME, "_runtime", "_wandb"})
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
#: Kinds of media by the type that their JSON names, without the name of the tracker and what follows it.
_MEDIA = {
    "audio": "audio clip",
    "html": "HTML page",
    "plotly": "figure",
    "images/separated": "image",
    "incremental-table": "table",
    "videos": "video",
    "object3D": "3D object",
}
_LATEST_SECONDS = 1 << 40
_LARGEST_INTEGER = 1 << 1023


class StepSource(Protocol):
    """Gives the step and the time of each row."""

    def step_and_time(self, values: dict[str, Any]) -> tuple[int, int]:
        """Return the step of a row, and its time in milliseconds since 1970."""

    def step_of(self, key: str, step: int, numbers: dict[str, float]) -> int:
        """Return the step of one value of a row."""


class RowClock:
    """Step and time as the row states them; a row without a step is the one after the last.

    Parameters
    ----------
    began : int
        Time of rows without one, in milliseconds since 1970.
    """

    def __init__(self, began: int) -> None:
        self._step = -1
        self._at = began

    def step_and_time(self, values: dict[str, Any]) -> tuple[int, int]:
        """Return the step of a row, and its time in milliseconds since 1970."""
        step, seconds = values.get(STEP), values.get(TIME)
        self._step = int(step) if is_number(step) and math.isfinite(step) else self._step + 1
        if is_time(seconds):
            self._at = round(seconds * 1000)
        return self._step, self._at

    def step_of(self, key: str, step: int, numbers: dict[str, float]) -> int:
        """Return the step of the row."""
        del key, numbers
        return step


def add_row(run: RunBuilder, values: dict[str, Any], clock: StepSource) -> None:
    """Add the values of a row.

    Parameters
    ----------
    run : RunBuilder
        Where to add them.
    values : dict
        The row.
    clock : StepSource
        Gives the step and the time.
    """
    step, at = clock.step_and_time(values)
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if name in NOT_METRICS:
            continue
        if isinstance(value, dict) and isinstance(value.get("_type"), str):
            run.left_out.add(_medium(value["_type"]), name)
            continue
        for path, found in flat_names({name: value}):
            if isinstance(found, str) and found in _NON_FINITE:
                numbers[path] = _NON_FINITE[found]
            elif is_number(found) or isinstance(found, bool):
                numbers[path] = float(found)
            elif found is not None:
                run.left_out.add("text" if isinstance(found, str) else "non-numeric value", path)
    run.seen(at)
    for name, number in numbers.items():
        run.add(name, clock.step_of(name, step, numbers), number, at)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of JSON is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Whole numbers of JSON have no largest one.
    return isinstance(value, float) or abs(value) < _LARGEST_INTEGER


def is_time(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number of seconds since 1970."""
    return is_number(value) and 0 <= value < _LATEST_SECONDS


def _medium(kind: str) -> str:
    short = kind.removeprefix("trackio.").removesuffix("-file")
    return _MEDIA.get(short, short) or "value"
