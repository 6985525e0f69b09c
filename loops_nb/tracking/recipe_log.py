"""Logs of the official training recipes: ``metrics.jsonl``, ``config.json`` and ``checkpoints.jsonl``.

A line of metrics is one JSON object of numbers.  Lines have no time: they are placed by their durations (``time/total``
or ``time/step``) before the last change of the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.api.step_names import step_of
from loops_nb.api.uri import parse_uri
from loops_nb.errors import InvalidURIError, TrackingError, one_line
from loops_nb.tracking.chunks import Points
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.rows import ExperimentMark, ExperimentRow
from loops_nb.tracking.values import kept_text, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS, CONFIG, CHECKPOINTS = "metrics.jsonl", "config.json", "checkpoints.jsonl"
TOKENS = "num_tokens"
_DURATIONS = ("time/total", "time/step")
_STEP = "step"
_URIS = {"state_path": "trainer", "sampler_path": "sampler"}
_MOST_NAMES = 5
_LARGEST_STEP, _LARGEST_INTEGER = 1 << 53, 1 << 1023
#: A step that took a year is none: the recipe counted something else, and its time is not taken.
_LONGEST_SECONDS = 366 * 86_400


class RecipeLog(NamedTuple):
    """The experiment of a recipe's folder.

    Parameters
    ----------
    row : ExperimentRow
        The experiment; its id is made of the content, so that the same folder gives the same id.
    series : dict of str to Points
        Points of each key.
    marks : list of ExperimentMark
        Saved checkpoints, and a note of what could not be taken over.
    """

    row: ExperimentRow
    series: dict[str, Points]
    marks: list[ExperimentMark]


class RecipeLine(NamedTuple):
    """One line of metrics: its step, values by key, and how long the step took."""

    step: int
    values: dict[str, float]
    seconds: float


class RecipeSave(NamedTuple):
    """A saved checkpoint of a recipe; its step is that in its name."""

    name: str
    step: int | None
    uri: str | None
    target: str | None
    run_id: str | None


def find_metrics(path: Path) -> Path | None:
    """Return the file of metrics that a path leads to: a recipe's folder, or JSON lines without our ``record``."""
    if path.is_dir():
        found = path / METRICS
        return found if found.is_file() else None
    if path.suffix.lower() != ".jsonl":
        return None
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
        row = read_json(first)
    except (OSError, ValueError):
        # The reader of exports says what is wrong with the file.
        return None
    if not isinstance(row, dict) or "record" in row or not any(map(_is_number, row.values())):
        return None
    return path if path.name == METRICS or _STEP in row else None


def read_recipe_log(path: Path) -> RecipeLog:
    """Read a recipe's metrics, and its configuration and checkpoints as far as they are there.

    Parameters
    ----------
    path : Path
        ``metrics.jsonl``, as `find_metrics` returned it.

    Raises
    ------
    TrackingError
        If a file cannot be read, or a line of it is not an object of JSON.
    """
    left_out: list[str] = []
    lines = list(_lines(path, left_out))
    config = read_config(path.with_name(CONFIG))
    end = int(path.stat().st_mtime * 1000)
    remaining = sum(line.seconds for line in lines)
    created = end - int(remaining * 1000)
    series: dict[str, Points] = {}
    attempt, tokens, before = 1, math.nan, -_LARGEST_STEP
    places: dict[int, tuple[int, int]] = {}
    for line in lines:
        remaining -= line.seconds
        at = end - int(max(0.0, remaining) * 1000)
        if line.step < before:
            attempt += 1
        before = line.step
        if TOKENS in line.values:
            tokens = line.values[TOKENS] + (0.0 if math.isnan(tokens) else tokens)
        places[line.step] = (attempt, at)
        for key, value in line.values.items():
            points = series.setdefault(key, Points([], [], [], [], []))
            points.step.append(line.step)
            points.at.append(at)
            points.tokens.append(tokens)
            points.value.append(value)
            points.attempt.append(attempt)
    marks, run_id = _marks(path.with_name(CHECKPOINTS), places, end, left_out)
    row = ExperimentRow(
        id=recipe_id(config, lines[0]),
        name=recipe_name(path),
        run_id=run_id,
        session_id=None,
        created_at=created,
        tags=(),
        params=read_params(kept_params(config)),
        notes=(),
        archived=False,
        last_at=end,
    )
    if left_out:
        marks.append(ExperimentMark("note", None, end, " ".join(left_out), None, None, attempt))
    return RecipeLog(row, series, marks)


def recipe_name(path: Path) -> str:
    """Return the name of a recipe's experiment: that of its folder, or of a file with another name."""
    folder = path.resolve().parent.name if path.name == METRICS else path.stem
    return kept_text(folder or path.stem)


def _lines(path: Path, left_out: list[str]) -> Iterator[RecipeLine]:
    others: dict[str, None] = {}
    found = 0
    for number, row in enumerate(_rows(path)):
        found += 1
        others.update(dict.fromkeys(key for key, value in row.items() if not _is_number(value) and value is not None))
        yield read_line(row, number)
    if not found:
        raise TrackingError(f"{path} has no line of metrics. Nothing was changed.")
    if others:
        names = ", ".join(one_line(name, limit=40) for name in list(others)[:_MOST_NAMES])
        left_out.append(f"Values that are no numbers were left out: {names}.")


def read_line(row: dict[str, Any], number: int) -> RecipeLine:
    """Return the numbers of a line, which is the `number`-th of its file counted from 0."""
    values = {kept_text(key): float(value) for key, value in row.items() if _is_number(value) and key != _STEP}
    step = row.get(_STEP, math.nan)
    is_step = _is_number(step) and math.isfinite(step) and abs(step) < _LARGEST_STEP
    seconds = next((values[key] for key in _DURATIONS if key in values), 0.0)
    return RecipeLine(int(step) if is_step else number, values, seconds if 0 < seconds < _LONGEST_SECONDS else 0.0)


def recipe_id(config: dict[str, Any], first: RecipeLine) -> str:
    """Return the id of a recipe's experiment, which stays the same while its log grows."""
    return hashlib.sha256(json.dumps([config, [first]], sort_keys=True).encode()).hexdigest()[:8]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line for line in file if line.strip()]
    except OSError as error:
        why = one_line(error.strerror or str(error))
        raise TrackingError(f"{path} cannot be read ({why}). Nothing was changed.") from None
    except UnicodeDecodeError:
        raise TrackingError(f"{path} is not UTF-8 text. Nothing was changed.") from None
    for number, line in enumerate(lines, 1):
        try:
            row = read_json(line)
        except ValueError:
            if number == len(lines) and not line.endswith("\n"):
                # The recipe is writing it.
                return
            row = None
        if not isinstance(row, dict):
            raise TrackingError(
                f"{path} is not a file of metrics: line {number} is not an object of JSON. Nothing was changed."
            )
        yield row


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration in a file; empty if there is none."""
    if not path.is_file():
        return {}
    try:
        found = read_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise TrackingError(f"{path} cannot be read ({type(error).__name__}). Nothing was changed.") from None
    return found if isinstance(found, dict) else {}


def _marks(
    path: Path, places: dict[int, tuple[int, int]], end: int, left_out: list[str]
) -> tuple[list[ExperimentMark], str | None]:
    """Return the saved checkpoints, and the run that their URIs name if it is one."""
    marks: list[ExperimentMark] = []
    runs: set[str] = set()
    last = max(places)
    unknown = 0
    for row in _rows(path) if path.is_file() else ():
        saves, bad = read_checkpoint(row)
        unknown += bad
        for save in saves:
            runs.update([save.run_id] if save.run_id else [])
            step = last if save.step is None or save.step > last else save.step
            attempt, at = places.get(step, (1, end))
            marks.append(ExperimentMark("save", step, at, save.name, save.uri, save.target, attempt))
    if unknown:
        left_out.append(f"{unknown:,} of the checkpoints in {path.name} have no name, or a URI that is not bt://.")
    return marks, runs.pop() if len(runs) == 1 else None


def read_checkpoint(row: dict[str, Any]) -> tuple[list[RecipeSave], int]:
    """Return the saves of a line of checkpoints, one for each URI, and how much of it could not be read."""
    name = row.get("name")
    uris = {target: row[key] for key, target in _URIS.items() if isinstance(row.get(key), str)}
    if not isinstance(name, str) or not name.strip():
        return [], 1
    saves: list[RecipeSave] = []
    unknown = 0
    for target, uri in uris.items() or [(None, None)]:
        run_id = None
        try:
            run_id = parse_uri(uri).run_id if uri else None
        except InvalidURIError:
            unknown += 1
            uri = None  # noqa: PLW2901 - the checkpoint is kept without it
        saves.append(RecipeSave(kept_text(name), step_of(name), uri, target, run_id))
    return saves, unknown


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Whole numbers of JSON have no largest one.
    return isinstance(value, float) or abs(value) < _LARGEST_INTEGER
