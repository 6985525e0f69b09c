"""Whole experiments written at once, as they were elsewhere: ids, times, attempts and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from loops_nb.tracking.chunks import Points
from loops_nb.tracking.schema import Writing, open_store
from loops_nb.tracking.values import kept_params, kept_text
from loops_nb.tracking.writing import append

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from loops_nb.tracking.rows import ExperimentRow, Mark

_IN_ONE_CHUNK = 16_384


def restore(path: Path, row: ExperimentRow, series: Mapping[str, Points], marks: Sequence[Mark]) -> bool:
    """Write an experiment with all that it has, or nothing.

    Parameters
    ----------
    path
        The file.
    row
        What it is; its notes are among ``marks``.
    series
        The points of each key, in order of arrival.
    marks
        Its marks, oldest first.

    Returns
    -------
    bool
        False if an experiment with its id is there already; that one is left as it is.

    Raises
    ------
    TrackingError, sqlite3.Error, OSError
        If the file cannot be written.
    """
    connection = open_store(path)
    try:
        with Writing(connection, path):
            if connection.execute("SELECT 1 FROM experiments WHERE id = ?", (row.id,)).fetchone():
                return False
            _write(connection, row, series, marks)
    finally:
        connection.close()
    return True


def _write(connection: sqlite3.Connection, row: ExperimentRow, series: Mapping[str, Points], marks: Sequence[Mark]) -> None:
    sql = """INSERT INTO experiments (id, name, run_id, session_id, created_at, last_at, archived, params)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq"""
    values = (row.id, row.name, row.run_id, row.session_id, row.created_at, row.last_at, row.archived, kept_params(row.params))
    experiment = connection.execute(sql, values).fetchone()[0]
    for tag in row.tags:
        connection.execute("INSERT OR IGNORE INTO tags (experiment, tag) VALUES (?, ?)", (experiment, tag))
    for key, points in series.items():
        for start in range(0, len(points.step), _IN_ONE_CHUNK):
            part = slice(start, start + _IN_ONE_CHUNK)
            cut = Points(points.step[part], points.at[part], points.tokens[part], points.value[part], points.attempt[part])
            append(connection, experiment, key, cut)
    attempts = {attempt for points in series.values() for attempt in points.attempt} | {mark.attempt for mark in marks}
    for number in sorted(attempts):
        connection.execute(
            "INSERT INTO attempts (experiment, number, opening) VALUES (?, ?, ?)", (experiment, number, f"restored/{row.id}/{number}")
        )
    for mark in marks:
        connection.execute(
            "INSERT INTO marks (experiment, kind, step, at, text, uri, target, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (experiment, mark.kind, mark.step, mark.at, kept_text(mark.text), mark.uri, mark.target, mark.attempt),
        )
