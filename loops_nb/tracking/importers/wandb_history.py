"""Exported histories of W&B: the CSV or JSON lines of ``run.history()`` and ``scan_history()``, and the CSV of a chart.

A history has the columns ``_step`` and ``_timestamp`` and is one run.  A chart's CSV has a column ``Step`` and one for
each run, named ``RUN - METRIC``, with its lowest and highest values beside it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.importers.imported_run import ImportedRun, RunBuilder, typed_text
from loops_nb.tracking.importers.tracker_rows import STEP, RowClock, add_row
from loops_nb.tracking.values import read_json

_CHART_STEP = "Step"
_SEPARATOR = " - "
_EXTREMES = ("__MIN", "__MAX")
_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def is_wandb_history(path: Path) -> bool:
    """Whether a file is a history that W&B exported, by its first line."""
    if not path.is_file() or path.suffix.lower() not in {".csv", ".jsonl"}:
        return False
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                names = next(csv.reader(file), [])
                return STEP in names or _is_chart(names)
            first = read_json(next((line for line in file if line.strip()), "null"))
    except (OSError, ValueError, csv.Error):
        # The reader of exports says what is wrong with the file.
        return False
    return isinstance(first, dict) and STEP in first


def read_wandb_history(path: Path) -> list[ImportedRun]:
    """Read the run of a history, or the runs of a chart.

    Parameters
    ----------
    path : Path
        A file for which `is_wandb_history` is True.

    Raises
    ------
    TrackingError
        If it cannot be read.
    """
    rows = list(_rows(path))
    if not rows:
        raise TrackingError(f"{path} has no rows. Nothing was changed.")
    now = int(path.stat().st_mtime * 1000)
    if path.suffix.lower() == ".csv" and STEP not in rows[0]:
        return _chart_runs(rows, now)
    run = RunBuilder(path.stem)
    clock = RowClock(now)
    for row in rows:
        # An export of pandas has its index as a column without a name.
        add_row(run, {name: value for name, value in row.items() if name and value is not None}, clock)
    return [run.build("wandb-history", path.stem, _identity(rows[0]), now=now)]


def _chart_runs(rows: list[dict[str, Any]], now: int) -> list[ImportedRun]:
    runs: dict[str, RunBuilder] = {}
    for row in rows:
        step = row.get(_CHART_STEP)
        for column, value in row.items():
            name, separator, key = column.rpartition(_SEPARATOR)
            if not separator or key.endswith(_EXTREMES) or value in {None, ""}:
                continue
            run = runs.setdefault(name, RunBuilder(name))
            add_row(run, {STEP: step, key: value}, RowClock(now))
    for run in runs.values():
        run.remark("A chart has no times: all points have that of the file.")
    return [run.build("wandb-chart", name, _identity(rows[0]), now=now) for name, run in runs.items()]


def _is_chart(names: list[str]) -> bool:
    return names[:1] == [_CHART_STEP] and any(_SEPARATOR in name for name in names[1:])


def _identity(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                for number, row in enumerate(csv.DictReader(file), 1):  # noqa: B007 - for the error
                    yield {name: _cell(text) for name, text in row.items() if isinstance(name, str)}
                return
            for number, line in enumerate(file, 1):  # noqa: B007
                if not line.strip():
                    continue
                found = read_json(line)
                if not isinstance(found, dict):
                    raise ValueError("not an object of JSON")  # noqa: TRY301, TRY004
                yield found
    except OSError as error:
        why = one_line(error.strerror or str(error))
        raise TrackingError(f"{path} cannot be read ({why}). Nothing was changed.") from None
    except (ValueError, csv.Error) as error:
        why = one_line(str(error), limit=100)
        raise TrackingError(f"{path} is not a history of W&B: row {number} ({why}). Nothing was changed.") from None


def _cell(text: str | None) -> Any:
    if text is None or text == "":
        return None
    found = typed_text(text)
    return _NON_FINITE.get(text.lower(), found) if isinstance(found, float) else found
