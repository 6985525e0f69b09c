"""Plain data of a batch: what one transaction writes, and what waits in a file until it can be sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from loops_nb.tracking.chunks import Points
from loops_nb.tracking.rows import ExperimentMark, LogFingerprint
from loops_nb.tracking.samples import NewSample


class SessionContent(msgspec.Struct, omit_defaults=True):
    """What one session adds to its experiment; attempts are counted within the session, from 0.

    Parameters
    ----------
    id, name, run_id, session_id, project, author, created_at, tags
        Of the experiment, as in `loops_nb.tracking.rows.ExperimentRow`.
    params, summary : str
        All that is known of them, as JSON: an experiment that is not in the store gets these.
    token : str
        Token of the session.
    last_at : int
        Time of its newest entry; milliseconds since 1970.
    at, host, process, outcome
        As in `loops_nb.tracking.rows.SessionRow`; ``process`` is None for sessions that no process has.
    opened : list of str
        Parameters of each opening, as JSON.
    updates : dict
        Values that were set, by field and name.
    environment, first_environment : tuple of (int, str) or None
        Time and content of the environment that is new, and of the one that the session began in.
    """

    id: str
    name: str
    token: str
    created_at: int
    last_at: int
    at: int
    host: str
    process: int | None = None
    run_id: str | None = None
    session_id: str | None = None
    project: str | None = None
    author: str | None = None
    params: str = "{}"
    summary: str = "{}"
    tags: tuple[str, ...] = ()
    outcome: str | None = None
    opened: list[str] = []
    updates: dict[str, dict[str, Any]] = {}
    environment: tuple[int, str] | None = None
    first_environment: tuple[int, str] | None = None
    series: dict[str, Points] = {}
    marks: list[ExperimentMark] = []
    samples: list[NewSample] = []

    def is_without_entries(self) -> bool:
        """Whether there is nothing that would bring back an experiment that was deleted."""
        return not (self.opened or self.series or self.marks or self.samples or self.updates)

    def add(self, newer: SessionContent) -> None:
        """Append what the same session logged later."""
        self.last_at, self.at = max(self.last_at, newer.last_at), max(self.at, newer.at)
        self.params, self.summary = newer.params, newer.summary
        self.outcome = newer.outcome
        self.environment = newer.environment or self.environment
        self.first_environment = newer.first_environment or self.first_environment
        self.opened += newer.opened
        self.marks += newer.marks
        self.samples += newer.samples
        for field, values in newer.updates.items():
            self.updates.setdefault(field, {}).update(values)
        for key, points in newer.series.items():
            found = self.series.setdefault(key, points)
            if found is not points:
                columns: list[tuple[list[Any], list[Any]]] = list(zip(found, points, strict=True))
                for column, more in columns:
                    column.extend(more)


class LogContent(msgspec.Struct, omit_defaults=True):
    """Lines that were read from a request log, each with its end, and the offset that the log was read up to."""

    log: str
    offset: int
    lines: list[tuple[int, SessionContent]]
    fingerprint: LogFingerprint | None = None


class BatchContent(msgspec.Struct, omit_defaults=True):
    """What one transaction writes."""

    sessions: list[SessionContent] = []
    logs: list[LogContent] = []

    def add(self, newer: BatchContent) -> None:
        """Append a newer batch, so that one transaction writes both."""
        self.sessions = merged([*self.sessions, *newer.sessions])
        self.logs += newer.logs


def merged(parts: Iterable[SessionContent]) -> list[SessionContent]:
    """Return one content for each session; the parts are changed."""
    found: dict[str, SessionContent] = {}
    for part in parts:
        known = found.setdefault(part.token, part)
        if known is not part:
            known.add(part)
    return list(found.values())


def encode(content: BatchContent) -> bytes:
    """Return a batch as bytes."""
    return msgspec.msgpack.encode(content)


def decode(data: bytes) -> BatchContent:
    """Return the batch that `encode` has written, by this version or another one.

    Raises
    ------
    msgspec.MsgspecError
        If it is none.
    """
    return _DECODER.decode(data)


_DECODER = msgspec.msgpack.Decoder(BatchContent)
