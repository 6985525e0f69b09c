"""Databases of Trackio: one SQLite file for each project, with the tables ``metrics`` and ``configs``."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.importers.imported_run import ImportedRun, RunBuilder
from loops_nb.tracking.importers.sqlite_file import columns_of, is_sqlite, reading
from loops_nb.tracking.importers.tracker_rows import STEP, TIME, RowClock, add_row
from loops_nb.tracking.values import read_json

_NEEDED = {"timestamp", "run_name", "step", "metrics"}
_GROUP, _CREATED = "_Group", "_Created"
#: Other tables of a run, and what their rows are.
_LEFT_OUT = {"system_metrics": "system reading", "traces": "trace"}
_SUFFIX = ".db"


def find_trackio_databases(path: Path) -> list[Path]:
    """Return the databases of Trackio in its folder, or the one that is named."""
    candidates = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    found: list[Path] = []
    for candidate in candidates:
        if is_sqlite(candidate):
            with reading(candidate) as connection:
                if is_trackio_database(connection):
                    found.append(candidate)
    return found


def is_trackio_database(connection: sqlite3.Connection) -> bool:
    """Whether a database is a project of Trackio."""
    return columns_of(connection, "metrics") >= _NEEDED


def read_trackio_database(path: Path) -> list[ImportedRun]:
    """Read the runs of a project.

    Raises
    ------
    TrackingError
        If it cannot be read, or has no runs.
    """
    try:
        with reading(path) as connection:
            runs = _runs(connection, path)
    except ValueError as error:
        raise TrackingError(
            f"{path} has a row that cannot be read ({one_line(str(error), limit=100)}). Nothing was changed."
        ) from None
    if not runs:
        raise TrackingError(f"{path} has no runs. Nothing was changed.")
    return runs


def _runs(connection: sqlite3.Connection, path: Path) -> list[ImportedRun]:
    # Later versions give runs an id, so that several may have the same name.
    key = "run_id" if "run_id" in columns_of(connection, "metrics") else "run_name"
    now = int(path.stat().st_mtime * 1000)
    found: dict[str, RunBuilder] = {}
    clocks: dict[str, RowClock] = {}
    rows = connection.execute(f"SELECT {key}, run_name, timestamp, step, metrics FROM metrics ORDER BY id")  # noqa: S608
    for run_key, name, timestamp, step, metrics in rows:
        run = found.get(_key(run_key, name))
        if run is None:
            run = found[_key(run_key, name)] = RunBuilder(name)
            clocks[_key(run_key, name)] = RowClock(now)
        row = _object(metrics)
        row.update({STEP: step, TIME: _millis(timestamp, now) / 1000})
        add_row(run, row, clocks[_key(run_key, name)])
    _read_configs(connection, found, now)
    _read_alerts(connection, found, now)
    for table, kind in _LEFT_OUT.items():
        for run_key, name, count in _counts(connection, table):
            if run_key in found or name in found:
                found[run_key if run_key in found else name].left_out.add(kind, count=count)
    imported: list[ImportedRun] = []
    for run_key, run in found.items():
        run.project = path.stem
        imported.append(run.build("trackio", path.stem, run_key, run.created_at, now=now))
    return imported


def _read_configs(connection: sqlite3.Connection, found: dict[str, RunBuilder], now: int) -> None:
    columns = columns_of(connection, "configs")
    if not columns:
        return
    key = "run_id" if "run_id" in columns else "run_name"
    for run_key, name, text, created in connection.execute(
        f"SELECT {key}, run_name, config, created_at FROM configs"  # noqa: S608 - one of two names of our own
    ):
        config = _object(text)
        run = found.get(_key(run_key, name))
        if run is None:
            run = found[_key(run_key, name)] = RunBuilder(name)
        run.created_at = _millis(config.get(_CREATED) or created, now)
        if config.get(_GROUP):
            run.params["group"] = config[_GROUP]
        # The others that begin so are about the user and the machine.
        run.params.update((param, value) for param, value in config.items() if not param.startswith("_"))


def _read_alerts(connection: sqlite3.Connection, found: dict[str, RunBuilder], now: int) -> None:
    columns = columns_of(connection, "alerts")
    if not columns:
        return
    key = "run_id" if "run_id" in columns else "run_name"
    for run_key, name, timestamp, title, text, step in connection.execute(
        f"SELECT {key}, run_name, timestamp, title, text, step FROM alerts ORDER BY id"  # noqa: S608
    ):
        run = found.get(_key(run_key, name))
        if run is not None:
            run.note(": ".join(filter(None, (title, text))), step=step, at=_millis(timestamp, now))


def _counts(connection: sqlite3.Connection, table: str) -> list[tuple[str, str, int]]:
    columns = columns_of(connection, table)
    if "run_name" not in columns:
        return []
    key = "run_id" if "run_id" in columns else "run_name"
    return connection.execute(f"SELECT {key}, run_name, count(*) FROM {table} GROUP BY {key}, run_name").fetchall()  # noqa: S608


def _key(run_key: str | None, name: str) -> str:
    # Rows of earlier versions have no id.
    return run_key or name


def _object(text: str | bytes) -> dict[str, Any]:
    found = read_json(text)
    if not isinstance(found, dict):
        raise ValueError("not an object of JSON")  # noqa: TRY004 - what the caller catches
    return found


def _millis(text: Any, now: int) -> int:
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return now
    # Early versions wrote the local time, without its zone.
    return int(when.timestamp() * 1000)
