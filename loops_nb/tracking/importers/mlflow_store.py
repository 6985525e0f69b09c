"""Runs of MLflow: a folder ``mlruns``, or the SQLite database of a tracking store; read without MLflow.

In a folder, each run has a folder with ``meta.yaml`` and one file for each metric, parameter and tag.  A database has
the tables ``experiments``, ``runs``, ``metrics``, ``params`` and ``tags``.
"""

from __future__ import annotations

import importlib
import math
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.importers.imported_run import ImportedRun, LeftOut, RunBuilder, typed_text
from loops_nb.tracking.importers.sqlite_file import columns_of, is_sqlite, reading

_META = "meta.yaml"
_FOLDER, _DATABASE = "mlruns", "mlflow.db"
_DELETED = "deleted"
_TABLES = ("experiments", "runs", "metrics", "params", "tags")
_OUTCOMES = {"FINISHED": "finished", "FAILED": "crashed", "KILLED": "crashed"}
#: A folder has the number of a status, a database its name.
_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_NAME_TAG, _NOTE_TAG, _PARENT_TAG, _OWN_TAGS = "mlflow.runName", "mlflow.note.content", "mlflow.parentRunId", "mlflow."
# Its database holds infinities as the largest number.
_LARGEST = sys.float_info.max


class _Point(NamedTuple):
    at: int
    step: int
    key: str
    value: float


class _Run(NamedTuple):
    """What is stored of a run."""

    run_id: str
    project: str
    name: str
    status: str
    began: int | None
    ended: int | None
    params: dict[str, str]
    tags: dict[str, str]
    points: Iterable[_Point]
    artifacts: int = 0
    inputs: int = 0


def find_mlflow_folder(path: Path) -> Path | None:
    """Return the folder of runs that a path leads to: ``mlruns``, one experiment or run of it, or a folder with it."""
    if not path.is_dir():
        return None
    if (path / _FOLDER).is_dir() and not (path / _META).is_file() and _run_folders(path / _FOLDER):
        return path / _FOLDER
    return path if _run_folders(path) else None


def find_mlflow_database(path: Path) -> Path | None:
    """Return the tracking store that a path leads to: the database itself, or ``mlflow.db`` in a folder."""
    found = path / _DATABASE if path.is_dir() else path
    if not is_sqlite(found):
        return None
    with reading(found) as connection:
        # `metrics` alone is a table of other trackers, too.
        has_tables = all(columns_of(connection, table) for table in _TABLES)
        return found if has_tables and "run_uuid" in columns_of(connection, "metrics") else None


def read_mlflow_folder(path: Path) -> tuple[list[ImportedRun], LeftOut]:
    """Read the runs of a folder that `find_mlflow_folder` found, except deleted ones, which are counted.

    Raises
    ------
    TrackingError
        If a file cannot be read, or PyYAML is not installed.
    """
    try:
        folders = _run_folders(path)
        runs = [run for folder in folders if (run := _folder_run(folder)) is not None]
    except OSError as error:
        where = error.filename or path
        why = one_line(error.strerror or str(error))
        raise TrackingError(f"{where} cannot be read ({why}). Nothing was changed.") from None
    except UnicodeDecodeError:
        raise TrackingError(f"A file of {path} is not UTF-8 text. Nothing was changed.") from None
    if not runs:
        raise TrackingError(f"All runs of {path} are deleted ones. Nothing was changed.")
    return [_imported(run) for run in runs], _deleted(len(folders) - len(runs))


def read_mlflow_database(path: Path) -> tuple[list[ImportedRun], LeftOut]:
    """Read the runs of a database, except deleted ones, which are counted.

    Raises
    ------
    TrackingError
        If it cannot be read, or has no runs.
    """
    with reading(path) as connection:
        imported = [_imported(run) for run in _database_runs(connection)]
        count = int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    if not imported:
        raise TrackingError(f"{path} has no runs, except deleted ones. Nothing was changed.")
    return imported, _deleted(count - len(imported))


def _deleted(count: int) -> LeftOut:
    left_out = LeftOut()
    if count:
        left_out.add("deleted run", count=count)
    return left_out


def _imported(run: _Run) -> ImportedRun:
    built = RunBuilder(run.tags.get(_NAME_TAG) or run.name or run.run_id)
    # The experiment that is there without being made is no choice of the user's.
    built.project = run.project if run.project != "Default" else None
    built.created_at, built.outcome = run.began, _OUTCOMES.get(run.status)
    built.params.update((name, typed_text(text)) for name, text in run.params.items())
    if parent := run.tags.get(_PARENT_TAG):
        built.params.setdefault("parent_run", parent)
    for name, text in run.tags.items():
        if name == _NOTE_TAG:
            built.note(text, at=run.began)
        elif not name.startswith(_OWN_TAGS):
            built.tags[f"{name}={text}" if text else name] = None
        elif name not in {_NAME_TAG, _PARENT_TAG}:
            built.left_out.add("system tag", name)
    for at, step, key, value in run.points:
        built.add(key, step, value, at)
    if run.ended is not None:
        built.seen(run.ended)
    for kind, count in (("artifact file", run.artifacts), ("input data set", run.inputs)):
        if count:
            built.left_out.add(kind, count=count)
    return built.build("mlflow", run.run_id, now=run.began or 0)


# Folders


def _run_folders(path: Path) -> list[Path]:
    """Return the folders of runs in ``mlruns``, in one experiment of it, or the one of a run."""
    for pattern in (f"*/*/{_META}", f"*/{_META}", _META):
        found = [meta.parent for meta in sorted(path.glob(pattern)) if (meta.parent / "metrics").is_dir()]
        if found:
            return found
    return []


def _folder_run(folder: Path) -> _Run | None:
    meta = _yaml(folder / _META)
    if meta.get("lifecycle_stage") == _DELETED:
        return None
    experiment = folder.parent / _META
    project = _yaml(experiment).get("name") if experiment.is_file() else None
    points = [point for file in _files(folder / "metrics") for point in _metric(file, folder / "metrics")]
    # The order in which they were logged, over all metrics.
    points.sort(key=lambda point: point.at)
    return _Run(
        run_id=str(meta.get("run_id") or meta.get("run_uuid") or folder.name),
        project=str(project or ""),
        name=str(meta.get("run_name") or ""),
        status=_STATUSES.get(meta.get("status", 0), ""),
        began=_optional_int(meta.get("start_time")),
        ended=_optional_int(meta.get("end_time")),
        params={_key(file, folder / "params"): file.read_text("utf-8") for file in _files(folder / "params")},
        tags={_key(file, folder / "tags"): file.read_text("utf-8") for file in _files(folder / "tags")},
        points=points,
        artifacts=sum(1 for _ in _files(folder / "artifacts")),
        inputs=len(list((folder / "inputs").glob(f"*/{_META}"))),
    )


def _files(folder: Path) -> Iterator[Path]:
    for where, below, files in os.walk(folder):
        below.sort()
        yield from (Path(where, name) for name in sorted(files))


def _key(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _metric(file: Path, folder: Path) -> Iterator[_Point]:
    key = _key(file, folder)
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            # Early versions had no steps.
            step = int(words[2]) if len(words) > 2 else 0  # noqa: PLR2004
            yield _Point(int(words[0]), step, key, float(words[1]))
        except (ValueError, IndexError):
            raise TrackingError(
                f"{file} is not a metric of MLflow: line {number} has no time, value and step. Nothing was changed."
            ) from None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise TrackingError(
            "A folder of MLflow's runs needs PyYAML, which is not installed. Nothing was changed.",
            hint="pip install pyyaml",
        ) from None
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError:
        raise TrackingError(f"{path} is not YAML. Nothing was changed.") from None
    return found if isinstance(found, dict) else {}


def _optional_int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# Databases


def _database_runs(connection: sqlite3.Connection) -> Iterator[_Run]:
    has_name = "name" in columns_of(connection, "runs")
    has_inputs = {"destination_id", "destination_type"} <= columns_of(connection, "inputs")
    rows = connection.execute(
        f"""SELECT run_uuid, e.name, {"r.name" if has_name else "''"}, r.status, r.start_time, r.end_time
        FROM runs AS r JOIN experiments AS e ON e.experiment_id = r.experiment_id
        WHERE r.lifecycle_stage <> 'deleted' AND e.lifecycle_stage <> 'deleted'
        ORDER BY r.start_time, run_uuid"""  # noqa: S608 - one of two texts of our own
    ).fetchall()
    for run_id, project, name, status, began, ended in rows:
        inputs = 0
        if has_inputs:
            sql = "SELECT count(*) FROM inputs WHERE destination_id = ? AND destination_type = 'RUN'"
            inputs = int(connection.execute(sql, (run_id,)).fetchone()[0])
        yield _Run(
            run_id=run_id,
            project=project,
            name=name or "",
            status=status or "",
            began=began,
            ended=ended,
            params=_texts(connection, "params", run_id),
            tags=_texts(connection, "tags", run_id),
            points=_database_points(connection, run_id),
            inputs=inputs,
        )


def _texts(connection: sqlite3.Connection, table: str, run_id: str) -> dict[str, str]:
    rows = connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ? ORDER BY key", (run_id,))  # noqa: S608
    return {key: value or "" for key, value in rows}


def _database_points(connection: sqlite3.Connection, run_id: str) -> Iterator[_Point]:
    sql = "SELECT timestamp, step, key, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step, key"
    for at, step, key, value, is_nan in connection.execute(sql, (run_id,)):
        number = math.nan if is_nan else float(value)
        yield _Point(at, step, key, math.copysign(math.inf, number) if abs(number) == _LARGEST else number)
