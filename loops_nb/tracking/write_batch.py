"""Batches of entries, grouped by session and series and written to SQLite in one transaction."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loops_nb.tracking.chunks import Points, pack, repack
from loops_nb.tracking.entries import (
    EndEntry,
    Entry,
    EnvironmentEntry,
    MarkEntry,
    OpenEntry,
    RequestLogChunk,
    SampleEntry,
    SessionEntry,
    UpdateEntry,
    ValuesEntry,
    WriteSession,
    now,
    size_of,
)
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.rows import EnvironmentRow, ExperimentMark, ExperimentRow
from loops_nb.tracking.samples import NewSample, SampleRow, restored_samples, write_samples
from loops_nb.tracking.schema import Transaction, open_store, summary_of
from loops_nb.tracking.values import kept_text

#: The newest chunks of a series are merged after so many appends, which keeps slowly growing series fast to read.
_MERGE_AFTER = 16
_LARGEST_MERGED = 16_384
# A chunk is merged with the newer ones until it is so many times larger than they are, so each point is moved only a
# few times.
_GROWTH = 4

_INSERT_EXPERIMENT = """
    INSERT INTO experiments (id, name, run_id, session_id, created_at, last_at, archived, params, project, summary)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq"""
_TOUCH_EXPERIMENT = """
    UPDATE experiments SET last_at = max(last_at, ?), run_id = coalesce(run_id, ?),
        session_id = coalesce(session_id, ?), project = coalesce(?, project)
    WHERE id = ? RETURNING seq"""
_HAS_EXPERIMENT = "SELECT 1 FROM experiments WHERE id = ?"
_INSERT_TAG = "INSERT OR IGNORE INTO tags (experiment, tag) VALUES (?, ?)"
_INSERT_ATTEMPT = "INSERT INTO attempts (experiment, number, opening) VALUES (?, ?, ?)"
_NEXT_ATTEMPT = """
    INSERT INTO attempts (experiment, number, opening)
    SELECT ?, coalesce(max(number), 0) + 1, ? FROM attempts WHERE experiment = ?
    ON CONFLICT (experiment, opening) DO NOTHING"""
_UPSERT_SERIES = """
    INSERT INTO series (experiment, key, count, first_step, last_step, last_value, min_value, max_value, appended)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
    ON CONFLICT (experiment, key) DO UPDATE SET count = count + excluded.count,
        first_step = min(first_step, excluded.first_step), last_step = max(last_step, excluded.last_step),
        last_value = excluded.last_value,
        min_value = coalesce(min(min_value, excluded.min_value), min_value, excluded.min_value),
        max_value = coalesce(max(max_value, excluded.max_value), max_value, excluded.max_value),
        appended = appended + 1
    RETURNING seq, count, appended"""
_INSERT_ENVIRONMENT = "INSERT INTO environments (digest, content) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"
_INSERT_START = """
    INSERT INTO starts (experiment, token, at, environment)
    SELECT ?, ?, ?, seq FROM environments WHERE digest = ?
    ON CONFLICT (experiment, token) DO NOTHING"""
_UPSERT_SESSION = """
    INSERT INTO sessions (experiment, token, host, pid, at, outcome) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (token) DO UPDATE SET experiment = excluded.experiment, at = excluded.at, outcome = excluded.outcome"""
_INSERT_CHUNK = "INSERT INTO chunks (series, start, count, points) VALUES (?, ?, ?, ?)"
_UPSERT_OFFSET = """
    INSERT INTO followed (log, offset) VALUES (?, ?)
    ON CONFLICT (log) DO UPDATE SET offset = max(offset, excluded.offset)"""
_INSERT_MARK = """
    INSERT INTO marks (experiment, kind, step, at, text, uri, target, attempt, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class _SessionEntries:
    """Entries of one session."""

    __slots__ = ("environment", "last_at", "marks", "opened", "outcome", "samples", "series", "session", "updates")

    def __init__(self, session: WriteSession) -> None:
        self.session = session
        self.last_at = session.created_at
        self.opened: list[OpenEntry] = []
        self.series: dict[str, Points] = {}
        #: Marks with their attempts within the session.
        self.marks: list[tuple[MarkEntry, int]] = []
        #: Samples with their attempts within the session.
        self.samples: list[tuple[SampleEntry, int]] = []
        #: Values by name that were set, for each field.
        self.updates: dict[str, dict[str, Any]] = {}
        self.environment: EnvironmentEntry | None = None
        #: How the session ended; None while it is open.
        self.outcome: str | None = session.outcome


class WriteBatch:
    """Entries grouped by series, ready to be written; a write that failed is repeated without grouping them again.

    Parameters
    ----------
    entries : list of Entry
        In the order in which they were logged.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        #: Whether it is in the file.
        self.is_written: bool = False
        #: Warnings about values that were rounded.
        self.warnings: list[str] = []
        self._chunks = [entry for entry in entries if isinstance(entry, RequestLogChunk)]
        self._grouped = _GroupedEntries(self.warnings)
        for entry in entries:
            if not isinstance(entry, RequestLogChunk):
                self._grouped.add(entry)
        self.size: int = sum(map(size_of, entries))

    def write(self, connection: sqlite3.Connection, path: Path) -> None:
        """Write everything or nothing; does nothing if it is written already.

        Raises
        ------
        sqlite3.Error
            If nothing was written.
        """
        if self.is_written:
            return
        transaction = Transaction(connection, path)
        try:
            with transaction:
                self._grouped.write(connection)
                for chunk in self._chunks:
                    _write_chunk(connection, chunk)
        finally:
            self.is_written = transaction.is_committed
        self._grouped.mark_written()

    def split(self) -> list[WriteBatch]:
        """Split by session, so that one that cannot be written does not hold up the others."""
        parts = [self._part([chunk], {}) for chunk in self._chunks]
        for token, of in self._grouped.sessions.items():
            entries: list[Entry] = [
                entry
                for entry in self.entries
                if not isinstance(entry, RequestLogChunk) and entry.session is of.session
            ]
            parts.append(self._part(entries, {token: of}))
        return parts

    def _part(self, entries: list[Entry], sessions: dict[str, _SessionEntries]) -> WriteBatch:
        # The groups are taken over: grouping again would count the attempts of the points a second time.
        part = WriteBatch([entry for entry in entries if isinstance(entry, RequestLogChunk)])
        part.entries, part.size = entries, sum(map(size_of, entries))
        part._grouped.sessions = sessions
        return part


class _GroupedEntries:
    """Entries by session and series."""

    def __init__(self, warnings: list[str] | None = None) -> None:
        self.sessions: dict[str, _SessionEntries] = {}
        self._warnings = [] if warnings is None else warnings
        self._process = os.getpid()

    def add(self, entry: SessionEntry) -> None:
        session = entry.session
        if session.process is not None and session.process != self._process:
            session.begin_in_child()
        if isinstance(entry, EndEntry) and entry.only_if_open and session.outcome is not None:
            return
        of = self.sessions.get(session.token)
        if of is None:
            of = self.sessions[session.token] = _SessionEntries(session)
        if isinstance(entry, EndEntry):
            session.outcome = of.outcome = entry.outcome
            return
        if isinstance(entry, UpdateEntry):
            of.updates.setdefault(entry.field, {}).update(entry.values)
            return
        if isinstance(entry, EnvironmentEntry):
            session.environment = of.environment = entry
            return
        session.outcome = of.outcome = None
        if isinstance(entry, SampleEntry):
            of.last_at = max(of.last_at, entry.at)
            of.samples.append((entry, session.attempt if entry.attempt is None else entry.attempt))
            return
        at = session.time_of(entry)
        of.last_at = max(of.last_at, at)
        if isinstance(entry, MarkEntry):
            of.marks.append((entry._replace(at=at), session.attempt if entry.attempt is None else entry.attempt))
        elif isinstance(entry, OpenEntry):
            of.opened.append(entry)
        else:
            self._add_values(of, entry, at)

    def _add_values(self, of: _SessionEntries, entry: ValuesEntry, at: int) -> None:
        session, step, _, tokens, values, known_attempt = entry
        for key, value in values.items():
            points = of.series.get(key)
            if points is None:
                points = of.series[key] = Points([], [], [], [], [])
            attempt = session.attempt_of(key, step) if known_attempt is None else known_attempt
            points.step.append(step)
            points.at.append(at)
            points.tokens.append(tokens)
            points.value.append(value if type(value) is float else self._as_float(session, key, value))
            points.attempt.append(attempt)

    def _as_float(self, session: WriteSession, key: str, value: int) -> float:
        rounded = float(value)
        if rounded != value and key not in session.rounded_keys:
            session.rounded_keys.add(key)
            self._warnings.append(
                f"{key!r:.60} has integers beyond 2**53, which 64-bit floats do not hold exactly: the nearest float is"
                f" stored ({value} as {int(rounded)}). exp.note() and params store them exactly."
            )
        return rounded

    def write(self, connection: sqlite3.Connection) -> None:
        for of in self.sessions.values():
            _write_session(connection, of)

    def mark_written(self) -> None:
        for of in self.sessions.values():
            of.session.is_written = True
            of.session.samples_settled += len(of.samples)


def _write_chunk(connection: sqlite3.Connection, chunk: RequestLogChunk) -> None:
    # Read within the transaction: two processes that read the same lines would both write them otherwise.
    found = connection.execute("SELECT offset FROM followed WHERE log = ?", (chunk.log,)).fetchone()
    written_up_to = 0 if found is None else found[0]
    grouped = _GroupedEntries()
    for end, entry in chunk.entries:
        if end > written_up_to:
            grouped.add(entry)
    grouped.write(connection)
    connection.execute(_UPSERT_OFFSET, (chunk.log, chunk.offset))
    if chunk.fingerprint is not None and chunk.offset > written_up_to:
        # A row of its own, which earlier versions ignore.
        connection.execute("DELETE FROM followed WHERE log LIKE ?", (f"{chunk.log}/%",))
        head, tail = chunk.fingerprint.head, chunk.fingerprint.tail
        connection.execute(_UPSERT_OFFSET, (f"{chunk.log}/{head}/{tail}", chunk.fingerprint.offset))


def _write_session(connection: sqlite3.Connection, of: _SessionEntries) -> None:
    has_entries = bool(of.opened or of.series or of.marks or of.samples or of.updates)
    if not has_entries and not connection.execute(_HAS_EXPERIMENT, (of.session.id,)).fetchone():
        # Its end or its environment alone does not bring back an experiment that was deleted, or whose file was.
        return
    experiment = _update_experiment(connection, of)
    if of.session.process is not None:
        row = (experiment, of.session.token, platform.node(), of.session.process, now(), of.outcome)
        connection.execute(_UPSERT_SESSION, row)
    for opened in of.opened:
        _add_tags(connection, experiment, of.session.tags)
        add_params(connection, experiment, opened.params)
    for field, updates in of.updates.items():
        _merge_values(connection, experiment, field, updates)
    if of.environment is not None:
        _add_environment(connection, experiment, of.session.token, of.environment)
    local = {attempt for _, attempt in (*of.marks, *of.samples)}.union(
        *(points.attempt for points in of.series.values())
    )
    # Numbered in ascending order, whichever series or mark has them first: a later attempt has a higher number.
    numbers = {
        attempt: _attempt_number(connection, experiment, f"{of.session.token}/{attempt}") for attempt in sorted(local)
    }
    for key, points in of.series.items():
        append_points(
            connection, experiment, key, points._replace(attempt=[numbers[attempt] for attempt in points.attempt])
        )
    for mark, attempt in of.marks:
        kept = mark._replace(attempt=numbers[attempt])
        connection.execute(_INSERT_MARK, (experiment, *kept[1:]))
    samples = [NewSample(one.step, one.at, numbers[attempt], one.texts, one.reward) for one, attempt in of.samples]
    write_samples(connection, experiment, samples)


def _update_experiment(connection: sqlite3.Connection, of: _SessionEntries) -> int:
    # Updates or inserts each time: the file may have been removed or replaced since the session began.
    session = of.session
    values = (of.last_at, session.run_id, session.session_id, session.project, session.id)
    found = connection.execute(_TOUCH_EXPERIMENT, values).fetchone()
    if found is not None:
        return int(found[0])
    row = (
        session.id,
        session.name,
        session.run_id,
        session.session_id,
        session.created_at,
        of.last_at,
        False,
        # Copies, made in one step: the code that logs may set more of them meanwhile.
        kept_params({**read_params(session.params), **session.later_params.copy()}),
        session.project,
        kept_params(session.summary.copy()),
    )
    experiment = _insert_experiment(connection, row)
    _add_tags(connection, experiment, session.tags)
    if session.environment is not None:
        _add_environment(connection, experiment, session.token, session.environment)
    return experiment


def _insert_experiment(connection: sqlite3.Connection, values: tuple[object, ...]) -> int:
    return int(connection.execute(_INSERT_EXPERIMENT, values).fetchone()[0])


def _add_tags(connection: sqlite3.Connection, experiment: int, tags: Iterable[str]) -> None:
    connection.executemany(_INSERT_TAG, [(experiment, tag) for tag in tags])


def add_params(connection: sqlite3.Connection, experiment: int, params: str) -> None:
    """Merge parameters, as JSON, into those of an experiment, within a transaction; equal names are replaced."""
    added = read_params(params) if params else {}
    if added:
        _merge_values(connection, experiment, "params", added)


def _merge_values(connection: sqlite3.Connection, experiment: int, field: str, values: Mapping[str, Any]) -> None:
    found = connection.execute(
        f"SELECT {field} FROM experiments WHERE seq = ?",  # noqa: S608 - one of our own columns
        (experiment,),
    )
    merged = kept_params({**read_params(found.fetchone()[0]), **values})
    connection.execute(f"UPDATE experiments SET {field} = ? WHERE seq = ?", (merged, experiment))  # noqa: S608


def _add_environment(connection: sqlite3.Connection, experiment: int, token: str, entry: EnvironmentEntry) -> None:
    _insert_environment(connection, experiment, token, entry.at, entry.capture.content())


def _insert_environment(connection: sqlite3.Connection, experiment: int, token: str, at: int, content: str) -> None:
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    connection.execute(_INSERT_ENVIRONMENT, (digest, content))
    connection.execute(_INSERT_START, (experiment, token, at, digest))


def _attempt_number(connection: sqlite3.Connection, experiment: int, token: str) -> int:
    connection.execute(_NEXT_ATTEMPT, (experiment, token, experiment))
    found = connection.execute("SELECT number FROM attempts WHERE experiment = ? AND opening = ?", (experiment, token))
    return int(found.fetchone()[0])


def append_points(connection: sqlite3.Connection, experiment: int, key: str, points: Points) -> None:
    """Append points to a series, within a transaction."""
    count = len(points.step)
    row = (experiment, key, count, min(points.step), max(points.step), *summary_of(points.value))
    series, total, appended = connection.execute(_UPSERT_SERIES, row).fetchone()
    connection.execute(_INSERT_CHUNK, (series, total - count, count, pack(points)))
    if appended >= _MERGE_AFTER:
        _merge_chunks(connection, series)


def _merge_chunks(connection: sqlite3.Connection, series: int) -> None:
    chunks: list[tuple[int, int, int]] = []
    merged_count = 0
    found = connection.execute("SELECT seq, start, count FROM chunks WHERE series = ? ORDER BY start DESC", (series,))
    for seq, start, count in found:
        is_too_large = merged_count + count > _LARGEST_MERGED
        is_much_larger = len(chunks) >= _MERGE_AFTER and count > _GROWTH * merged_count
        if merged_count and (is_too_large or is_much_larger):
            break
        chunks.append((seq, start, count))
        merged_count += count
    found.close()
    if len(chunks) > 1:
        chunks.reverse()
        parts = [(_chunk_points(connection, seq), count) for seq, _, count in chunks]
        for seq, _, _ in chunks:
            connection.execute("DELETE FROM chunks WHERE seq = ?", (seq,))
        connection.execute(_INSERT_CHUNK, (series, chunks[0][1], merged_count, repack(parts)))
    connection.execute("UPDATE series SET appended = 0 WHERE seq = ?", (series,))


def _chunk_points(connection: sqlite3.Connection, seq: int) -> bytes:
    points: bytes = connection.execute("SELECT points FROM chunks WHERE seq = ?", (seq,)).fetchone()[0]
    return points


# Whole experiments, as `import_file` adds them


def restore_experiment(
    path: Path,
    row: ExperimentRow,
    series: Mapping[str, Points],
    marks: Sequence[ExperimentMark],
    environments: Sequence[EnvironmentRow] = (),
    samples: Sequence[SampleRow] = (),
    outcome: str | None = None,
) -> bool:
    """Write an experiment with its original id, times and attempts; everything or nothing.

    Parameters
    ----------
    path : Path
        File of experiments.
    row : ExperimentRow
        The experiment; its notes are taken from ``marks``.
    series : mapping of str to Points
        Points of each key, in order of arrival.
    marks : sequence of ExperimentMark
        Oldest first.
    environments : sequence of EnvironmentRow, default ()
        Environments of its starts, oldest first.
    samples : sequence of SampleRow, default ()
        Oldest first.
    outcome : {"finished", "crashed"} or None, default None
        How it ended, if that is known.

    Returns
    -------
    bool
        False if an experiment with this id exists already; that one stays unchanged.

    Raises
    ------
    TrackingError, sqlite3.Error, OSError
        If the file cannot be written.
    """
    connection = open_store(path)
    try:
        with Transaction(connection, path):
            if connection.execute(_HAS_EXPERIMENT, (row.id,)).fetchone():
                return False
            experiment = _restore(connection, row, series, marks, environments, {one.attempt for one in samples})
            write_samples(connection, experiment, restored_samples(samples))
            if outcome is not None:
                # Of a process that has ended, on whichever machine it was.
                session = (experiment, f"restored/{row.id}", platform.node(), 0, row.last_at, outcome)
                connection.execute(_UPSERT_SESSION, session)
    finally:
        connection.close()
    return True


def _restore(
    connection: sqlite3.Connection,
    row: ExperimentRow,
    series: Mapping[str, Points],
    marks: Sequence[ExperimentMark],
    environments: Sequence[EnvironmentRow],
    further_attempts: set[int],
) -> int:
    values = (
        row.id,
        row.name,
        row.run_id,
        row.session_id,
        row.created_at,
        row.last_at,
        row.archived,
        kept_params(row.params),
        None if row.project is None else kept_text(row.project),
        kept_params(row.summary),
    )
    experiment = _insert_experiment(connection, values)
    _add_tags(connection, experiment, row.tags)
    for number, environment in enumerate(environments):
        token, content = f"restored/{row.id}/{number:06}", kept_params(environment.content)
        _insert_environment(connection, experiment, token, environment.at, content)
    for key, points in series.items():
        for start in range(0, len(points.step), _LARGEST_MERGED):
            part = slice(start, start + _LARGEST_MERGED)
            append_points(connection, experiment, key, Points._make(column[part] for column in points))
    attempts = {mark.attempt for mark in marks}.union(further_attempts, *(points.attempt for points in series.values()))
    connection.executemany(
        _INSERT_ATTEMPT, [(experiment, number, f"restored/{row.id}/{number}") for number in sorted(attempts)]
    )
    connection.executemany(
        _INSERT_MARK,
        [(experiment, *mark._replace(text=kept_text(mark.text))) for mark in marks],
    )
    return experiment
