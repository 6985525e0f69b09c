"""Batches of entries, grouped by session and series and written in one transaction."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from loops_nb.tracking.backend import writing
from loops_nb.tracking.batch_content import BatchContent, LogContent, SessionContent, merged
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
    size_of,
)
from loops_nb.tracking.journal import UncertainCommitError
from loops_nb.tracking.location import Location
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.rows import EnvironmentRow, ExperimentMark, ExperimentRow
from loops_nb.tracking.samples import NewSample, SampleRow, restored_samples, write_samples
from loops_nb.tracking.schema import Transaction, summary_of
from loops_nb.tracking.sql import SqlConnection, fetch_each, for_update
from loops_nb.tracking.values import kept_text

#: The newest chunks of a series are merged after so many appends, which keeps slowly growing series fast to read.
_MERGE_AFTER = 16
_LARGEST_MERGED = 16_384
# A chunk is merged with the newer ones until it is so many times larger than they are, so each point is moved only a
# few times.
_GROWTH = 4

_INSERT_EXPERIMENT = """
    INSERT INTO experiments (
        id, name, run_id, session_id, created_at, last_at, archived, params, project, summary, author)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq"""
_TOUCH_EXPERIMENT = """
    UPDATE experiments SET last_at = max(last_at, ?), run_id = coalesce(run_id, ?),
        session_id = coalesce(session_id, ?), project = coalesce(?, project)
    WHERE id = ? RETURNING seq"""
_ATTEMPT = "SELECT number FROM attempts WHERE experiment = ? AND opening = ?"
_OFFSET = 'SELECT "offset" FROM followed WHERE log = ?'
_CHUNKS = "SELECT start, count FROM chunks WHERE series = ? ORDER BY start DESC"
_CHUNK_POINTS = "SELECT points, count FROM chunks WHERE series = ? AND start >= ? ORDER BY start"
_MERGED_FIELDS = ("params", "summary")
_HAS_EXPERIMENT = "SELECT 1 FROM experiments WHERE id = ?"
_INSERT_TAG = "INSERT INTO tags (experiment, tag) VALUES (?, ?) ON CONFLICT DO NOTHING"
_INSERT_ATTEMPT = "INSERT INTO attempts (experiment, number, opening) VALUES (?, ?, ?)"
_NEXT_ATTEMPT = """
    INSERT INTO attempts (experiment, number, opening)
    SELECT ?, coalesce(max(number), 0) + 1, ? FROM attempts WHERE experiment = ?
    ON CONFLICT (experiment, opening) DO NOTHING"""
_UPSERT_SERIES = """
    INSERT INTO series (experiment, key, count, first_step, last_step, last_value, min_value, max_value, appended)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
    ON CONFLICT (experiment, key) DO UPDATE SET count = series.count + excluded.count,
        first_step = min(series.first_step, excluded.first_step),
        last_step = max(series.last_step, excluded.last_step), last_value = excluded.last_value,
        min_value = coalesce(min(series.min_value, excluded.min_value), series.min_value, excluded.min_value),
        max_value = coalesce(max(series.max_value, excluded.max_value), series.max_value, excluded.max_value),
        appended = series.appended + 1
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
    INSERT INTO followed (log, "offset") VALUES (?, ?)
    ON CONFLICT (log) DO UPDATE SET "offset" = max(followed."offset", excluded."offset")"""
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

    def content(self) -> SessionContent:
        """Return its plain data."""
        session = self.session
        return SessionContent(
            id=session.id,
            name=session.name,
            token=session.token,
            created_at=session.created_at,
            last_at=self.last_at,
            at=session.next_write_at(),
            host=platform.node(),
            process=session.process,
            run_id=session.run_id,
            session_id=session.session_id,
            project=session.project,
            author=session.author,
            # Copies, made in one step: the code that logs may set more of them meanwhile.
            params=kept_params({**read_params(session.params), **session.later_params.copy()}),
            summary=kept_params(session.summary.copy()),
            tags=session.tags,
            outcome=self.outcome,
            opened=[opened.params for opened in self.opened],
            updates=self.updates,
            environment=_content_of(self.environment),
            first_environment=_content_of(session.environment),
            series=self.series,
            marks=[ExperimentMark._make((*mark[1:7], attempt, mark.expires_at)) for mark, attempt in self.marks],
            samples=[NewSample(one.step, one.at, attempt, one.texts, one.reward) for one, attempt in self.samples],
        )


def _content_of(environment: EnvironmentEntry | None) -> tuple[int, str] | None:
    return None if environment is None else (environment.at, environment.capture.content())


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
        #: Number under which it waits for a team's store; 0 until it has one.
        self.number: int = 0
        #: Warnings about values that were rounded.
        self.warnings: list[str] = []
        self._chunks = [entry for entry in entries if isinstance(entry, RequestLogChunk)]
        #: Tokens and times of the sessions of attempts that may be in the file, although their commits failed.
        self._uncertain: list[tuple[str, int]] = []
        self._grouped = _GroupedEntries(self.warnings)
        for entry in entries:
            if not isinstance(entry, RequestLogChunk):
                self._grouped.add(entry)
        self.size: int = sum(map(size_of, entries))

    def write(
        self,
        connection: sqlite3.Connection,
        path: Path,
        write: Callable[[SqlConnection, BatchContent], None] | None = None,
    ) -> None:
        """Write everything or nothing; does nothing if it is written already.

        Parameters
        ----------
        connection : sqlite3.Connection
            The open file.
        path : Path
            Its path, for errors.
        write : callable, optional
            Writes the content within the transaction; by default `write_content`.

        Raises
        ------
        UncertainCommitError
            If it may be in the file; the next call finds out.
        sqlite3.Error
            If nothing was written.
        """
        if self.is_written:
            return
        transaction = Transaction(connection, path)
        content = self.content()
        try:
            with transaction:
                if not any(_is_last_write(connection, token, at) for token, at in self._uncertain):
                    (write or write_content)(connection, content)
        except UncertainCommitError:
            self._uncertain += [(session.token, session.at) for session in content.sessions]
            raise
        finally:
            self.is_written = transaction.is_committed
        self._grouped.mark_written()

    def content(self) -> BatchContent:
        """Return its plain data."""
        return BatchContent(self._grouped.contents(), [_log_content(chunk) for chunk in self._chunks])

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

    def contents(self) -> list[SessionContent]:
        return [of.content() for of in self.sessions.values()]

    def mark_written(self) -> None:
        for of in self.sessions.values():
            of.session.is_written = True
            of.session.samples_settled += len(of.samples)


def _log_content(chunk: RequestLogChunk) -> LogContent:
    lines: dict[int, _GroupedEntries] = {}
    for end, entry in chunk.entries:
        lines.setdefault(end, _GroupedEntries()).add(entry)
    contents = [(end, one) for end, grouped in lines.items() for one in grouped.contents()]
    return LogContent(chunk.log, chunk.offset, contents, chunk.fingerprint)


def _is_last_write(connection: SqlConnection, token: str, at: int) -> bool:
    """Whether the newest write of a session was at this time; only its own process writes it."""
    found = connection.execute("SELECT at FROM sessions WHERE token = ?", (token,)).fetchone()
    return found is not None and bool(found[0] == at)


def write_content(connection: SqlConnection, content: BatchContent) -> None:
    """Write a batch, within a transaction.

    Parameters
    ----------
    connection : SqlConnection
        An open store.
    content : BatchContent
        The batch; it is changed.
    """
    # In the same order in each process: two transactions that have several experiments do not wait for each other.
    for session in sorted(content.sessions, key=attrgetter("id")):
        _write_session(connection, session)
    for log in content.logs:
        _write_log(connection, log)


def _write_log(connection: SqlConnection, log: LogContent) -> None:
    # Read within the transaction: two processes that read the same lines would both write them otherwise.
    connection.execute('INSERT INTO followed (log, "offset") VALUES (?, 0) ON CONFLICT DO NOTHING', (log.log,))
    written_up_to = connection.execute(f"{_OFFSET} {for_update(connection)}", (log.log,)).fetchone()[0]
    for session in merged(line for end, line in log.lines if end > written_up_to):
        _write_session(connection, session)
    connection.execute(_UPSERT_OFFSET, (log.log, log.offset))
    if log.fingerprint is not None and log.offset > written_up_to:
        # A row of its own, which earlier versions ignore.
        connection.execute("DELETE FROM followed WHERE log LIKE ?", (f"{log.log}/%",))
        head, tail = log.fingerprint.head, log.fingerprint.tail
        connection.execute(_UPSERT_OFFSET, (f"{log.log}/{head}/{tail}", log.fingerprint.offset))


def _write_session(connection: SqlConnection, of: SessionContent) -> None:
    if of.is_without_entries() and not connection.execute(_HAS_EXPERIMENT, (of.id,)).fetchone():
        # Its end or its environment alone does not bring back an experiment that was deleted, or whose file was.
        return
    experiment = _update_experiment(connection, of)
    if of.process is not None:
        connection.execute(_UPSERT_SESSION, (experiment, of.token, of.host, of.process, of.at, of.outcome))
    for params in of.opened:
        _add_tags(connection, experiment, of.tags)
        add_params(connection, experiment, params)
    for field, updates in of.updates.items():
        _merge_values(connection, experiment, field, updates)
    if of.environment is not None:
        _insert_environment(connection, experiment, of.token, *of.environment)
    local = {mark.attempt for mark in of.marks}.union(
        (one.attempt for one in of.samples), *(points.attempt for points in of.series.values())
    )
    numbers = _attempt_numbers(connection, experiment, of.token, sorted(local))
    append_points(
        connection,
        experiment,
        {
            key: points._replace(attempt=[numbers[attempt] for attempt in points.attempt])
            for key, points in of.series.items()
        },
    )
    if of.marks:
        marks = [mark._replace(attempt=numbers[mark.attempt]) for mark in of.marks]
        connection.executemany(_INSERT_MARK, [(experiment, *mark) for mark in marks])
    write_samples(connection, experiment, [one._replace(attempt=numbers[one.attempt]) for one in of.samples])


def _update_experiment(connection: SqlConnection, of: SessionContent) -> int:
    # Updates or inserts each time: the file may have been removed or replaced since the session began. In PostgreSQL,
    # the row is locked until the end of the transaction, so that one process at a time adds to an experiment.
    values = (of.last_at, of.run_id, of.session_id, of.project, of.id)
    found = connection.execute(_TOUCH_EXPERIMENT, values).fetchone()
    if found is not None:
        return int(found[0])
    row = (
        of.id,
        of.name,
        of.run_id,
        of.session_id,
        of.created_at,
        of.last_at,
        0,
        of.params,
        of.project,
        of.summary,
        of.author,
    )
    experiment = _insert_experiment(connection, row)
    _add_tags(connection, experiment, of.tags)
    if of.first_environment is not None:
        _insert_environment(connection, experiment, of.token, *of.first_environment)
    return experiment


def _insert_experiment(connection: SqlConnection, values: tuple[object, ...]) -> int:
    return int(connection.execute(_INSERT_EXPERIMENT, values).fetchone()[0])


def _add_tags(connection: SqlConnection, experiment: int, tags: Iterable[str]) -> None:
    rows = [(experiment, tag) for tag in tags]
    if rows:
        connection.executemany(_INSERT_TAG, rows)


def add_params(connection: SqlConnection, experiment: int, params: str) -> None:
    """Merge parameters, as JSON, into those of an experiment, within a transaction; equal names are replaced."""
    added = read_params(params) if params else {}
    if added:
        _merge_values(connection, experiment, "params", added)


def _merge_values(connection: SqlConnection, experiment: int, field: str, values: Mapping[str, Any]) -> None:
    if field not in _MERGED_FIELDS:
        raise ValueError(f"{field!r:.40} is no field of an experiment")
    found = connection.execute(
        f"SELECT {field} FROM experiments WHERE seq = ? {for_update(connection)}",  # noqa: S608 - one of our own columns
        (experiment,),
    )
    merged_values = kept_params({**read_params(found.fetchone()[0]), **values})
    connection.execute(f"UPDATE experiments SET {field} = ? WHERE seq = ?", (merged_values, experiment))  # noqa: S608


def _insert_environment(connection: SqlConnection, experiment: int, token: str, at: int, content: str) -> None:
    digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    connection.execute(_INSERT_ENVIRONMENT, (digest, content))
    connection.execute(_INSERT_START, (experiment, token, at, digest))


def _attempt_numbers(connection: SqlConnection, experiment: int, token: str, attempts: Sequence[int]) -> dict[int, int]:
    """Return the number of each attempt of a session, in ascending order: a later attempt has a higher number."""
    if not attempts:
        return {}
    openings = [f"{token}/{attempt}" for attempt in attempts]
    connection.executemany(_NEXT_ATTEMPT, [(experiment, opening, experiment) for opening in openings])
    found = fetch_each(connection, _ATTEMPT, [(experiment, opening) for opening in openings])
    return {attempt: int(rows[0][0]) for attempt, rows in zip(attempts, found, strict=True)}


def append_points(connection: SqlConnection, experiment: int, series: Mapping[str, Points]) -> None:
    """Append points to the series of an experiment by their keys, within a transaction."""
    if not series:
        return
    rows = [
        (experiment, key, len(points.step), min(points.step), max(points.step), *_stored(summary_of(points.value)))
        for key, points in series.items()
    ]
    found = [rows[0] for rows in fetch_each(connection, _UPSERT_SERIES, rows)]
    chunks = [
        (number, total - len(points.step), len(points.step), pack(points))
        for (number, total, _), points in zip(found, series.values(), strict=True)
    ]
    connection.executemany(_INSERT_CHUNK, chunks)
    grown = [number for number, _, appended in found if appended >= _MERGE_AFTER]
    if grown:
        _merge_chunks(connection, grown)


def _stored(summary: tuple[float, float, float]) -> list[float | None]:
    """Return the summary of values as it is stored: NULL in place of NaN."""
    return [None if math.isnan(value) else value for value in summary]


def _merge_chunks(connection: SqlConnection, series: Sequence[int]) -> None:
    merges: list[tuple[int, int, int]] = []
    for number, chunks in zip(series, fetch_each(connection, _CHUNKS, [(of,) for of in series]), strict=True):
        first, merged_count, merged_chunks = 0, 0, 0
        for start, count in chunks:
            is_too_large = merged_count + count > _LARGEST_MERGED
            is_much_larger = merged_chunks >= _MERGE_AFTER and count > _GROWTH * merged_count
            if merged_count and (is_too_large or is_much_larger):
                break
            first, merged_count, merged_chunks = start, merged_count + count, merged_chunks + 1
        if merged_chunks > 1:
            merges.append((number, first, merged_count))
    places = [(number, first) for number, first, _ in merges]
    parts = fetch_each(connection, _CHUNK_POINTS, places) if places else []
    if places:
        connection.executemany("DELETE FROM chunks WHERE series = ? AND start >= ?", places)
        merged_rows = [(*merge, repack(chunks)) for merge, chunks in zip(merges, parts, strict=True)]
        connection.executemany(_INSERT_CHUNK, merged_rows)
    connection.executemany("UPDATE series SET appended = 0 WHERE seq = ?", [(number,) for number in series])


# Whole experiments, as `import_file` adds them


def restore_experiment(
    location: Location,
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
    location : Path or PostgresAddress
        File of experiments, or a team's store.
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
        If the store cannot be written.
    """
    with writing(location) as connection:
        if connection.execute(_HAS_EXPERIMENT, (row.id,)).fetchone():
            return False
        experiment = _restore(connection, row, series, marks, environments, {one.attempt for one in samples})
        write_samples(connection, experiment, restored_samples(samples))
        if outcome is not None:
            # Of a process that has ended, on whichever machine it was.
            session = (experiment, f"restored/{row.id}", platform.node(), 0, row.last_at, outcome)
            connection.execute(_UPSERT_SESSION, session)
    return True


def _restore(
    connection: SqlConnection,
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
        int(row.archived),
        kept_params(row.params),
        None if row.project is None else kept_text(row.project),
        kept_params(row.summary),
        row.author,
    )
    experiment = _insert_experiment(connection, values)
    _add_tags(connection, experiment, row.tags)
    for number, environment in enumerate(environments):
        token, content = f"restored/{row.id}/{number:06}", kept_params(environment.content)
        _insert_environment(connection, experiment, token, environment.at, content)
    for key, points in series.items():
        for start in range(0, len(points.step), _LARGEST_MERGED):
            part = slice(start, start + _LARGEST_MERGED)
            append_points(connection, experiment, {key: Points._make(column[part] for column in points)})
    attempts = {mark.attempt for mark in marks}.union(further_attempts, *(points.attempt for points in series.values()))
    if attempts:
        connection.executemany(
            _INSERT_ATTEMPT, [(experiment, number, f"restored/{row.id}/{number}") for number in sorted(attempts)]
        )
    if marks:
        kept = [mark._replace(text=kept_text(mark.text)) for mark in marks]
        connection.executemany(_INSERT_MARK, [(experiment, *mark) for mark in kept])
    return experiment
