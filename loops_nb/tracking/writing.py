"""From what was logged to rows of the store: points are gathered by series, then written in one transaction."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from loops_nb.tracking.chunks import Points, pack, repack
from loops_nb.tracking.rows import LogMark
from loops_nb.tracking.schema import Writing
from loops_nb.tracking.values import kept_params, read_params

#: After so many chunks the newest of a series are merged, so that a series that grows by a few points a second is read fast.
_MERGE_AFTER = 16
_LARGEST_MERGED = 16_384
# A chunk is merged with the younger ones behind it until it is so many times larger than they are: every point is moved a few times only.
_GROWTH = 4

# What lies farther back than this comes from a clock that was set back, not from entries of one moment.
_SAME_MOMENT_MS = 1_000

_INSERT_EXPERIMENT = """
    INSERT INTO experiments (id, name, run_id, session_id, created_at, last_at, params) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING seq"""
_TOUCH_EXPERIMENT = """
    UPDATE experiments SET last_at = max(last_at, ?), run_id = coalesce(run_id, ?), session_id = coalesce(session_id, ?)
    WHERE id = ? RETURNING seq"""
_NEXT_ATTEMPT = """
    INSERT INTO attempts (experiment, number, opening)
    SELECT ?, coalesce(max(number), 0) + 1, ? FROM attempts WHERE experiment = ?
    ON CONFLICT (experiment, opening) DO NOTHING"""
_UPSERT_SERIES = """
    INSERT INTO series (experiment, key, count, first_step, last_step, appended) VALUES (?, ?, ?, ?, ?, 1)
    ON CONFLICT (experiment, key) DO UPDATE SET count = count + excluded.count, first_step = min(first_step, excluded.first_step),
        last_step = max(last_step, excluded.last_step), appended = appended + 1 RETURNING seq, count, appended"""
_INSERT_CHUNK = "INSERT INTO chunks (series, start, count, points) VALUES (?, ?, ?, ?)"
_FOLLOWED = "INSERT INTO followed (log, offset) VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET offset = max(offset, excluded.offset)"
_INSERT_MARK = "INSERT INTO marks (experiment, kind, step, at, text, uri, target, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(eq=False, slots=True)
class Opening:
    """One opening of an experiment by one process: what its row says, and where its steps are.

    Parameters
    ----------
    id, name, run_id, session_id, created_at, params
        As in `ExperimentRow`; params as JSON.
    token
        Tells this opening from all others.
    """

    id: str
    name: str
    run_id: str | None
    session_id: str | None
    created_at: int
    params: str
    token: str
    tags: tuple[str, ...] = ()
    #: The attempt of the series that was logged last: what is marked belongs to it.
    turn: int = 0
    #: Of each series its attempt and its last step.
    last_steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Time of the newest mark (milliseconds since 1970): points that come behind it are later than it.
    marked_at: int = 0
    #: Time of the newest point: a mark that comes behind it is not earlier.
    logged_at: int = 0
    #: Keys whose values were no numbers, and were left out.
    left_out: set[str] = field(default_factory=set)
    #: Keys with whole numbers that no 64-bit float has exactly: the nearest one is kept.
    rounded: set[str] = field(default_factory=set)
    #: Whether the experiment was in the file at any time.
    is_written: bool = False
    #: Values, marks and openings of it that could not be kept.
    lost: int = 0
    #: How many of them were told when a recording was closed.
    lost_said: int = 0
    #: The process that it belongs to; None where it is the same one in every process.
    process: int | None = None

    def begin_in_child(self) -> None:
        """Begin another opening in a forked child: its steps are not those of its parent."""
        self.token, self.process = secrets.token_hex(8), os.getpid()
        self.turn, self.last_steps = 0, {}

    def attempt(self, key: str, step: int) -> int:
        """Return which attempt of its series a point belongs to: a step that goes backwards begins a new one, for that series alone.

        A series that begins later begins in the attempt of the one that was logged last, beside whose points it stands.
        """
        turn, last = self.last_steps.get(key, (self.turn, step))
        turn += step < last
        self.last_steps[key] = (turn, step)
        self.turn = turn
        return turn

    def time_of(self, entry: Logged | Marked | Opened) -> int:
        """Return the time that is kept of an entry, so that times tell which points lie before a mark, also within one millisecond.

        Where the clock was set back, its times are kept as they are.
        """
        if isinstance(entry, Marked):
            found = _not_before(entry.at, self.logged_at)
            self.marked_at = found
            return found
        found = _not_before(entry.at, self.marked_at + 1)
        if isinstance(entry, Logged):
            self.logged_at = found
        return found


def _not_before(at: int, earliest: int) -> int:
    return earliest if at < earliest <= at + _SAME_MOMENT_MS else at


class Logged(NamedTuple):
    """One call of ``log``: its values are numbers already, or whole numbers as they were given."""

    opening: Opening
    step: int
    at: int
    tokens: float
    values: dict[str, Any]
    #: Which attempt of this opening, where it is known; otherwise the steps tell.
    turn: int | None = None


class Marked(NamedTuple):
    """One mark that is to be written."""

    opening: Opening
    kind: str
    step: int | None
    at: int
    text: str
    uri: str | None = None
    target: str | None = None
    turn: int | None = None


class Opened(NamedTuple):
    """The beginning of an opening: the experiment shall be there even if nothing is ever logged.

    Parameters
    ----------
    opening
        The opening; its tags are added where the experiment is there already.
    at
        Milliseconds since 1970.
    params
        Parameters as JSON that are added to those of an experiment that is there already; empty for none.
    """

    opening: Opening
    at: int
    params: str = ""


class Followed(NamedTuple):
    """What was read from a log, and how far: written together, so that whoever reads on begins where this ends.

    Several processes may follow the same log, and all of them make the same of it: of each line only the first one writes what it says.

    Parameters
    ----------
    log
        Tells it from all others.
    offset
        How far it was read, in bytes.
    entries
        What to write, each with the end of the line that it was read from; ``turn`` is known for all of them.
    mark
        What tells whether a file that begins alike is the same log.
    """

    log: str
    offset: int
    entries: list[tuple[int, Logged | Marked | Opened]]
    mark: LogMark | None = None


Entry = Followed | Logged | Marked | Opened


def size_of(entry: Entry) -> int:
    """Return how many values an entry has; a mark counts as one."""
    if isinstance(entry, Logged):
        return len(entry.values)
    return len(entry.entries) if isinstance(entry, Followed) else int(isinstance(entry, Marked))


def count_as_lost(entry: Entry) -> None:
    """Take note, with its experiment, that an entry is not kept."""
    for one in (part for _, part in entry.entries) if isinstance(entry, Followed) else (entry,):
        # Also without a value in it: a call that was not kept at all must not look as if it were.
        one.opening.lost += max(1, size_of(one))


class _OfExperiment:
    """What a batch has for one opening."""

    __slots__ = ("last_at", "marks", "opened", "opening", "series")

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.last_at = opening.created_at
        self.opened: list[Opened] = []
        self.series: dict[str, Points] = {}
        self.marks: list[tuple[Marked, int]] = []


class Batch:
    """Entries gathered by series, ready to be written; gathering them again is not needed when a write fails.

    Parameters
    ----------
    entries
        What was logged, in the order in which it came.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        #: Whether it is in the file.
        self.is_written = False
        #: What is to be said about values that were kept as other ones.
        self.notices: list[str] = []
        self._followed = [entry for entry in entries if isinstance(entry, Followed)]
        self._gathered = _Gathered(self.notices)
        for entry in entries:
            if not isinstance(entry, Followed):
                self._gathered.take(entry)
        self.size = sum(map(size_of, entries))

    def write(self, connection: sqlite3.Connection, path: Path) -> None:
        """Write everything or nothing, to the file that the connection has open; nothing where it is written already.

        Raises
        ------
        sqlite3.Error
            If nothing was written.
        """
        if self.is_written:
            return
        transaction = Writing(connection, path)
        try:
            with transaction:
                self._gathered.write(connection)
                for entry in self._followed:
                    _write_followed(connection, entry)
        finally:
            self.is_written = transaction.is_committed
        self._gathered.is_written()

    def parts(self) -> list[Batch]:
        """Return it by experiment, so that what cannot be written of one does not keep back the others."""
        found = [self._part([entry], {}) for entry in self._followed]
        for token, of in self._gathered.experiments.items():
            entries: list[Entry] = [entry for entry in self.entries if not isinstance(entry, Followed) and entry.opening is of.opening]
            found.append(self._part(entries, {token: of}))
        return found

    def _part(self, entries: list[Entry], experiments: dict[str, _OfExperiment]) -> Batch:
        # Not gathered again: the attempts of its points are known.
        made = Batch([entry for entry in entries if isinstance(entry, Followed)])
        made.entries, made.size = entries, sum(map(size_of, entries))
        made._gathered.experiments = experiments
        return made


class _Gathered:
    """Entries by opening and series."""

    def __init__(self, notices: list[str] | None = None) -> None:
        self.experiments: dict[str, _OfExperiment] = {}
        self._notices = [] if notices is None else notices
        self._process = os.getpid()

    def take(self, entry: Logged | Marked | Opened) -> None:
        """Put an entry to its series."""
        opening = entry.opening
        if opening.process is not None and opening.process != self._process:
            opening.begin_in_child()
        of = self.experiments.get(opening.token)
        if of is None:
            of = self.experiments[opening.token] = _OfExperiment(opening)
        at = opening.time_of(entry)
        of.last_at = max(of.last_at, at)
        if isinstance(entry, Marked):
            of.marks.append((entry._replace(at=at), opening.turn if entry.turn is None else entry.turn))
        elif isinstance(entry, Opened):
            of.opened.append(entry)
        else:
            _, step, _, tokens, values, turn = entry
            for key, value in values.items():
                points = of.series.get(key)
                if points is None:
                    points = of.series[key] = Points([], [], [], [], [])
                attempt = opening.attempt(key, step) if turn is None else turn
                points.step.append(step)
                points.at.append(at)
                points.tokens.append(tokens)
                points.value.append(value if type(value) is float else self._as_float(opening, key, value))
                points.attempt.append(attempt)

    def _as_float(self, opening: Opening, key: str, value: int) -> float:
        found = float(value)
        if found != value and key not in opening.rounded:
            opening.rounded.add(key)
            self._notices.append(
                f"{key!r:.60} has whole numbers beyond 2**53, which no 64-bit float has exactly: the nearest one is kept"
                f" ({value} as {int(found)}). exp.note() and params keep them exactly."
            )
        return found

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it, within a transaction."""
        for of in self.experiments.values():
            _write(connection, of)

    def is_written(self) -> None:
        """Take note that it is in the file, for good."""
        for of in self.experiments.values():
            of.opening.is_written = True


def _write_followed(connection: sqlite3.Connection, read: Followed) -> None:
    # Asked here, where nobody else can write until this is: two that read the same lines would both write them otherwise.
    found = connection.execute("SELECT offset FROM followed WHERE log = ?", (read.log,)).fetchone()
    known = 0 if found is None else found[0]
    gathered = _Gathered()
    for end, entry in read.entries:
        if end > known:
            gathered.take(entry)
    gathered.write(connection)
    connection.execute(_FOLLOWED, (read.log, read.offset))
    if read.mark is not None and read.offset > known:
        # A row of its own, which earlier versions do not look for.
        connection.execute("DELETE FROM followed WHERE log LIKE ?", (f"{read.log}/%",))
        connection.execute(_FOLLOWED, (f"{read.log}/{read.mark.head}/{read.mark.tail}", read.mark.offset))


def _write(connection: sqlite3.Connection, of: _OfExperiment) -> None:
    opening = of.opening
    # Always both: the file may have been removed, or made anew, since the experiment was begun.
    found = connection.execute(_TOUCH_EXPERIMENT, (of.last_at, opening.run_id, opening.session_id, opening.id)).fetchone()
    if found is None:
        row = (opening.id, opening.name, opening.run_id, opening.session_id, opening.created_at, of.last_at, opening.params)
        found = connection.execute(_INSERT_EXPERIMENT, row).fetchone()
        _tag(connection, found[0], opening.tags)
    experiment = found[0]
    for opened in of.opened:
        _tag(connection, experiment, opening.tags)
        add_params(connection, experiment, opened.params)
    turns = {turn for _, turn in of.marks}.union(*(points.attempt for points in of.series.values()))
    # In their own order, whichever key or mark they are met at first: a later attempt has a higher number.
    numbers = {turn: _number(connection, experiment, f"{opening.token}/{turn}") for turn in sorted(turns)}
    for key, points in of.series.items():
        append(connection, experiment, key, points._replace(attempt=[numbers[turn] for turn in points.attempt]))
    for mark, turn in of.marks:
        values = (experiment, mark.kind, mark.step, mark.at, mark.text, mark.uri, mark.target, numbers[turn])
        connection.execute(_INSERT_MARK, values)


def _tag(connection: sqlite3.Connection, experiment: int, tags: Iterable[str]) -> None:
    for tag in tags:
        connection.execute("INSERT OR IGNORE INTO tags (experiment, tag) VALUES (?, ?)", (experiment, tag))


def add_params(connection: sqlite3.Connection, experiment: int, params: str) -> None:
    """Add parameters, as JSON, to those of an experiment, within a transaction; one of the same name is replaced."""
    added = read_params(params) if params else {}
    if added:
        text = connection.execute("SELECT params FROM experiments WHERE seq = ?", (experiment,)).fetchone()[0]
        merged = kept_params({**read_params(text), **added})
        connection.execute("UPDATE experiments SET params = ? WHERE seq = ?", (merged, experiment))


def _number(connection: sqlite3.Connection, experiment: int, token: str) -> int:
    connection.execute(_NEXT_ATTEMPT, (experiment, token, experiment))
    found = connection.execute("SELECT number FROM attempts WHERE experiment = ? AND opening = ?", (experiment, token))
    return int(found.fetchone()[0])


def append(connection: sqlite3.Connection, experiment: int, key: str, points: Points) -> None:
    """Add points to the end of a series, within a transaction."""
    count = len(points.step)
    row = (experiment, key, count, min(points.step), max(points.step))
    series, total, appended = connection.execute(_UPSERT_SERIES, row).fetchone()
    connection.execute(_INSERT_CHUNK, (series, total - count, count, pack(points)))
    if appended >= _MERGE_AFTER:
        _merge(connection, series)


def _merge(connection: sqlite3.Connection, series: int) -> None:
    chunks: list[tuple[int, int, int]] = []
    together = 0
    found = connection.execute("SELECT seq, start, count FROM chunks WHERE series = ? ORDER BY start DESC", (series,))
    for seq, start, count in found:
        if together and (together + count > _LARGEST_MERGED or (len(chunks) >= _MERGE_AFTER and count > _GROWTH * together)):
            break
        chunks.append((seq, start, count))
        together += count
    found.close()
    if len(chunks) > 1:
        chunks.reverse()
        parts = [(_points_of(connection, seq), count) for seq, _, count in chunks]
        for seq, _, _ in chunks:
            connection.execute("DELETE FROM chunks WHERE seq = ?", (seq,))
        connection.execute(_INSERT_CHUNK, (series, chunks[0][1], together, repack(parts)))
    connection.execute("UPDATE series SET appended = 0 WHERE seq = ?", (series,))


def _points_of(connection: sqlite3.Connection, seq: int) -> bytes:
    points: bytes = connection.execute("SELECT points FROM chunks WHERE seq = ?", (seq,)).fetchone()[0]
    return points
