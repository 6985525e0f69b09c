"""Entries of the write queue: logged values, marks, opened experiments and chunks of request logs."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from loops_nb.tracking.rows import LogFingerprint
from loops_nb.tracking.samples import MAX_SAMPLES, KeptTexts

if TYPE_CHECKING:
    from loops_nb.tracking.environment import EnvironmentCapture

# A time that lies farther back than this comes from a clock that was set back, not from entries of one moment.
_SAME_MOMENT_MS = 1_000


@dataclass(eq=False, slots=True)
class WriteSession:
    """State of one experiment that is open for writing in one process.

    Parameters
    ----------
    id, name, run_id, session_id : str or None
        As in `ExperimentRow`; ``session_id`` is the Loops session.
    created_at : int
        Milliseconds since 1970.
    params : str
        Parameters as JSON.
    token : str
        Unique for each `WriteSession`; attempts in the file are numbered by it.
    """

    id: str
    name: str
    run_id: str | None
    session_id: str | None
    created_at: int
    params: str
    token: str
    tags: tuple[str, ...] = ()
    #: Attempt of the point that was logged last, counted from 0 within this session; marks belong to it.
    attempt: int = 0
    #: Attempt and last step of each series.
    last_steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Time of the newest mark in milliseconds since 1970; points logged after it get a later time.
    marked_at: int = 0
    #: Time of the newest point; marks logged after it get the same time or a later one.
    logged_at: int = 0
    #: Keys whose values were skipped because they are no numbers.
    skipped_keys: set[str] = field(default_factory=set)
    #: Keys with integers that were rounded to the nearest 64-bit float.
    rounded_keys: set[str] = field(default_factory=set)
    #: Whether the experiment was in the file at any time.
    is_written: bool = False
    #: How it has ended, if nothing was logged since; None while it is open.
    outcome: str | None = None
    #: Number of values, marks and openings that were lost.
    lost: int = 0
    #: How many of them `Experiment.close` has reported.
    lost_reported: int = 0
    #: Number of samples that were added, and of those that are written or lost.
    samples_added: int = 0
    samples_settled: int = 0
    #: Whether the warnings about samples that were cut, and that were not kept, were issued.
    warned_of_cut: bool = False
    warned_of_surplus: bool = False
    #: Process that the session belongs to; None for sessions that are the same in every process (request logs).
    process: int | None = None
    #: Time of the newest attempt to write it; each has its own, by which a write is found in the file.
    written_at: int = 0
    project: str | None = None
    #: Who began the experiment, if this process did.
    author: str | None = None
    #: Parameters that were set after the begin; with ``params`` they are written again if the file was removed.
    later_params: dict[str, Any] = field(default_factory=dict)
    #: Summary values, those from before a resumption included.
    summary: dict[str, Any] = field(default_factory=dict)
    #: The environment that was captured when this process began it.
    environment: EnvironmentEntry | None = None

    def next_write_at(self) -> int:
        """Return the time in milliseconds since 1970, later than that of any write before."""
        self.written_at = max(now(), self.written_at + 1)
        return self.written_at

    def begin_in_child(self) -> None:
        """Start a session of its own in a forked child, whose steps are independent of its parent's."""
        self.token, self.process = secrets.token_hex(8), os.getpid()
        self.attempt, self.last_steps, self.outcome = 0, {}, None

    def attempt_of(self, key: str, step: int) -> int:
        """Return the attempt that a new point of a series belongs to.

        A step that goes backwards begins a new attempt of that series alone.  A new series begins in the attempt of the
        point that was logged last.
        """
        attempt, last = self.last_steps.get(key, (self.attempt, step))
        attempt += step < last
        self.last_steps[key] = (attempt, step)
        self.attempt = attempt
        return attempt

    @property
    def has_room_for_samples(self) -> bool:
        """Whether fewer samples wait to be written than an experiment keeps: they are large, and a disk may be full."""
        return self.samples_added - self.samples_settled < MAX_SAMPLES

    def time_of(self, entry: ValuesEntry | MarkEntry | OpenEntry) -> int:
        """Return the time to store for an entry, so that times order points and marks within one millisecond, too.

        Times of a clock that was set back are stored unchanged.
        """
        if isinstance(entry, MarkEntry):
            self.marked_at = _not_before(entry.at, self.logged_at)
            return self.marked_at
        at = _not_before(entry.at, self.marked_at + 1)
        if isinstance(entry, ValuesEntry):
            self.logged_at = at
        return at


def _not_before(at: int, earliest: int) -> int:
    return earliest if at < earliest <= at + _SAME_MOMENT_MS else at


class ValuesEntry(NamedTuple):
    """One call of ``log``; its values are floats, or integers as they were given."""

    session: WriteSession
    step: int
    at: int
    tokens: float
    values: dict[str, Any]
    #: Attempt within the session; None derives it from the steps.
    attempt: int | None = None


class MarkEntry(NamedTuple):
    """One mark to write."""

    session: WriteSession
    kind: str
    step: int | None
    at: int
    text: str
    uri: str | None = None
    target: str | None = None
    attempt: int | None = None
    expires_at: int | None = None


class SampleEntry(NamedTuple):
    """One sample to write: a prompt with its completion."""

    session: WriteSession
    step: int
    at: int
    texts: KeptTexts
    reward: float | None = None
    #: Attempt within the session; None for that of the point that was logged last.
    attempt: int | None = None


class OpenEntry(NamedTuple):
    """The begin of a session; written so that the experiment exists even if nothing is ever logged.

    Parameters
    ----------
    session : WriteSession
        Its tags are added to those of an existing experiment.
    at : int
        Milliseconds since 1970.
    params : str, default ""
        Parameters as JSON that are merged into those of an existing experiment.
    """

    session: WriteSession
    at: int
    params: str = ""


class UpdateEntry(NamedTuple):
    """Parameters or summary values that were set after the begin; a later value of a name replaces an earlier one.

    It does not open a session again that has ended.

    Parameters
    ----------
    session : WriteSession
        The session.
    field : {"params", "summary"}
        What was set.
    values : dict
        Values by name, as they are stored.
    """

    session: WriteSession
    field: Literal["params", "summary"]
    values: dict[str, Any]


class EnvironmentEntry(NamedTuple):
    """The environment of the begin of a session; captured by the thread that writes it.

    Parameters
    ----------
    session : WriteSession
        The session.
    at : int
        Milliseconds since 1970.
    capture : EnvironmentCapture
        Makes its content.
    """

    session: WriteSession
    at: int
    capture: EnvironmentCapture


class EndEntry(NamedTuple):
    """The end of a session.  What is logged afterwards opens it again.

    Parameters
    ----------
    session : WriteSession
        The session.
    at : int
        Milliseconds since 1970.
    outcome : {"finished", "crashed"}
        How it ended.
    only_if_open : bool, default False
        Ignored for a session that has ended already.
    """

    session: WriteSession
    at: int
    outcome: str
    only_if_open: bool = False


class RequestLogChunk(NamedTuple):
    """Entries read from a request log, written in one transaction with the offset that they were read up to.

    Several processes may follow the same log and derive the same entries; only the first one writes those of a line.

    Parameters
    ----------
    log : str
        Identity of the log.
    offset : int
        End of what was read, in bytes.
    entries : list of (int, entry)
        Each with the end of the line that it was read from; their attempts are known.
    fingerprint : LogFingerprint or None
        Tells whether another file with the same first line is the same log.
    """

    log: str
    offset: int
    entries: list[tuple[int, SessionEntry]]
    fingerprint: LogFingerprint | None = None


SessionEntry = ValuesEntry | MarkEntry | SampleEntry | OpenEntry | UpdateEntry | EnvironmentEntry | EndEntry
Entry = RequestLogChunk | SessionEntry


def size_of(entry: Entry) -> int:
    """Return the number of values of an entry; a mark and a sample count as one."""
    if isinstance(entry, (ValuesEntry, UpdateEntry)):
        return len(entry.values)
    if isinstance(entry, RequestLogChunk):
        return len(entry.entries)
    return int(isinstance(entry, (MarkEntry, SampleEntry)))


def count_as_lost(entry: Entry) -> None:
    """Count an entry as lost in its session; its end and its environment hold nothing that was logged."""
    if isinstance(entry, (EndEntry, EnvironmentEntry)):
        return
    entries = [part for _, part in entry.entries] if isinstance(entry, RequestLogChunk) else [entry]
    for one in entries:
        # An entry without values counts too: `Experiment.flush` must not report success for it.
        one.session.lost += max(1, size_of(one))
        if isinstance(one, SampleEntry):
            one.session.samples_settled += 1


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
