"""Hands what is logged to another tracker as well, on a thread of its own."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.tracking import process_end
from loops_nb.tracking.entries import EndEntry, Entry, RequestLogChunk, SessionEntry, UpdateEntry, WriteSession, now
from loops_nb.tracking.location import Location
from loops_nb.tracking.warn import print_warning, warn
from loops_nb.tracking.writer import EntryWriter

logger: logging.Logger = logging.getLogger(__name__)
#: Modules and classes of the sinks.
SINKS = {
    "mlflow": ("loops_nb.tracking.sinks.mlflow", "MlflowSink"),
    "trackio": ("loops_nb.tracking.sinks.trackio", "TrackioSink"),
}
_MOST_WAITING = 100_000
_MOST_AT_ONCE = 1_000
_PAUSE_SECONDS = 0.5
_END_SECONDS = 10.0


class Sink(Protocol):
    """Another tracker."""

    def write(self, entries: Sequence[SessionEntry]) -> None:
        """Write entries."""


class SinkWriter:
    """An `EntryWriter` that hands each entry to a sink, too; the sink never fails, slows or holds up the training.

    A sink that fails is given up, with one warning.  Processes that were forked write to the file alone.

    Parameters
    ----------
    writer : EntryWriter
        The writer of the file.
    session : WriteSession
        The experiment.
    name : str
        Name of the sink.
    """

    def __init__(self, writer: EntryWriter, session: WriteSession, name: str) -> None:
        self._writer = writer
        self._session = session
        self._name = name
        self._process = os.getpid()
        self._entries: SimpleQueue[SessionEntry | None] = SimpleQueue()
        self._is_given_up = False
        self._is_ended = False
        self._warning = ""
        self._thread = threading.Thread(target=self._run, name=f"loops-nb-{name}", daemon=True)
        self._thread.start()
        _open.append(self)

    @property
    def path(self) -> Path:
        return self._writer.path

    @property
    def location(self) -> Location:
        return self._writer.location

    @property
    def trouble(self) -> str:
        return self._writer.trouble

    @property
    def has_warnings(self) -> bool:
        return bool(self._warning) or self._writer.has_warnings

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    def add(self, entry: Entry) -> None:
        self._writer.add(entry)
        if self._is_given_up or isinstance(entry, RequestLogChunk) or os.getpid() != self._process:
            return
        if self._entries.qsize() >= _MOST_WAITING:
            self._give_up(f"it takes less than is logged: {_MOST_WAITING:,} calls of log wait for it")
            return
        # What is set after the end does not open the experiment again.
        self._is_ended = isinstance(entry, EndEntry) or (self._is_ended and isinstance(entry, UpdateEntry))
        self._entries.put(entry)

    def emit_warnings(self) -> None:
        warning, self._warning = self._warning, ""
        if warning:
            warn(warning, stacklevel=3)
        self._writer.emit_warnings()

    def flush(self) -> bool:
        return self._writer.flush()

    def end(self) -> None:
        """Write what waits, for some seconds at most; called when the process ends."""
        if os.getpid() != self._process:
            return
        if not self._is_ended:
            outcome = "finished" if getattr(sys, "last_value", None) is None else "crashed"
            self._entries.put(EndEntry(self._session, now(), outcome))
        self._entries.put(None)
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            self._give_up(f"it has not taken everything within {_END_SECONDS:.0f} seconds")
        if self._warning:
            print_warning(self._warning)

    def _run(self) -> None:
        try:
            module, kind = SINKS[self._name]
            sink: Sink = getattr(importlib.import_module(module), kind)(self._session)
            is_open = True
            while is_open and not self._is_given_up:
                entries = self._next()
                is_open = None not in entries
                sink.write([entry for entry in entries if entry is not None])
        except ImportError as error:
            self._give_up(f"{one_line(str(error))}: pip install {self._name}")
        except BaseException as error:
            logger.warning("The sink %s failed.", self._name, exc_info=True)
            self._give_up(one_line(f"{type(error).__name__}: {error}", limit=300))

    def _next(self) -> list[SessionEntry | None]:
        found = [self._entries.get()]
        while found[-1] is not None and len(found) < _MOST_AT_ONCE:
            try:
                found.append(self._entries.get(timeout=_PAUSE_SECONDS))
            except Empty:
                break
        return found

    def _give_up(self, why: str) -> None:
        self._is_given_up = True
        self._warning = f"{self._name} gets nothing more of {self._session.name!r:.60} ({why}). loops_nb records all."


def check_sink(name: str) -> None:
    """Raise `InvalidArgumentError` unless there is a sink of this name."""
    if name not in SINKS:
        raise InvalidArgumentError(
            f"sink must be {' or '.join(map(repr, SINKS))}, not {name!r:.40}.", argument="sink", hint='sink="mlflow"'
        )


def _end_all() -> None:
    for writer in _open:
        writer.end()


_open: list[SinkWriter] = []
process_end.call_at_end(close=_end_all, flush=lambda: None)
