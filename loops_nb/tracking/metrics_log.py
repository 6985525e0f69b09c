"""The ``metrics.jsonl`` of a training recipe, recorded as it grows, with the ``checkpoints.jsonl`` beside it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loops_nb.errors import TrackingError
from loops_nb.tracking.entries import MarkEntry, OpenEntry, RequestLogChunk, ValuesEntry, WriteSession
from loops_nb.tracking.experiment import Experiment
from loops_nb.tracking.params import kept_params
from loops_nb.tracking.recipe_log import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    TOKENS,
    RecipeLine,
    read_checkpoint,
    read_config,
    read_line,
    recipe_id,
    recipe_name,
)
from loops_nb.tracking.request_log import ChunkCollector
from loops_nb.tracking.request_log_file import LogFile, try_open
from loops_nb.tracking.rows import LogContinuation
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.values import kept_text, read_json
from loops_nb.tracking.writers import writer_for


class MetricsLog:
    """A recipe's metrics, read as far as they have grown; what any process has read before is not recorded twice.

    A step that goes backwards begins a new attempt.  A file that was replaced or written again goes on with the
    experiment if its steps and its configuration do, as where the log is rotated; otherwise it is another one.  Of the
    one before, nothing is lost.

    Parameters
    ----------
    log : Path
        ``metrics.jsonl``, or the folder with it; it may not exist yet.
    path : Path, optional
        File of experiments; by default `store_path`.
    experiment : str, optional
        Name of the experiment; by default that of the folder.

    Attributes
    ----------
    log : Path
        The file of metrics.
    experiments : dict of str to Experiment
        Experiments by their id.
    odd_lines : int
        Number of lines that cannot be decoded.
    unclear : int
        Always 0, as for a request log that one process writes.

    Examples
    --------
    >>> log = MetricsLog(Path("runs/sft/metrics.jsonl"))  # doctest: +SKIP
    >>> log.read(), log.flush()  # doctest: +SKIP
    """

    def __init__(self, log: Path, *, path: Path | None = None, experiment: str | None = None) -> None:
        self.log = log / METRICS if log.is_dir() else log
        self.experiments: dict[str, Experiment] = {}
        self.odd_lines: int = 0
        self.unclear: int = 0
        self._store = ExperimentStore(path)
        self._writer = writer_for(self._store.location)
        self._name = experiment
        self._collector = ChunkCollector(self._writer)
        self._file: LogFile | None = None
        self._training: _Training | None = None
        #: That of the file that was at the path before.
        self._former: _Training | None = None

    def read(self) -> int:
        """Read the lines written since the last call; 0 while the file does not exist.

        Returns
        -------
        int
            Number of lines of metrics.

        Raises
        ------
        OSError
            If the file exists and cannot be read.
        TrackingError
            If the file of experiments cannot be read, or the recipe was imported before.
        """
        try:
            return self._read_all()
        except FileNotFoundError:
            return 0

    def flush(self) -> bool:
        """Write what was read, and return whether it is in the file."""
        return self._writer.flush()

    @property
    def trouble(self) -> str:
        """Why values cannot be written at the moment; empty if they can."""
        return self._writer.trouble

    def _read_all(self) -> int:
        count = 0
        if self._file is None:
            self._open()
        elif self._file.is_rewritten():
            self._open(other_than=self._file.identity)
        else:
            count = self._read_file()
            if self._file.is_at(self.log) or not self.log.exists():
                return count
            self._open()
        return count + self._read_file()

    def _open(self, other_than: str = "") -> None:
        self._former = self._training or self._former
        self._file, self._training = try_open(self.log, self._store, other_than=other_than), None

    def _read_file(self) -> int:
        file = self._file
        if file is None:
            return 0
        end = int(self.log.stat().st_mtime * 1000) if self.log.exists() else None
        count = 0
        lines: list[tuple[RecipeLine, int]] = []
        for row, offset in self._rows(file):
            lines.append((read_line(row, count + (self._training.lines if self._training else 0)), offset))
            count += 1
        if self._training is None:
            if not lines:
                return 0
            self._training = self._begin(file, *lines[0])
        training = self._training
        training.add_lines(lines, end)
        if count:
            # Lines that were recorded before are left out by the writer, which knows the offset.
            self._collector.hand_over(file)
        training.read_checkpoints()
        return count

    def _rows(self, file: LogFile) -> Iterator[tuple[dict[str, Any], int]]:
        for line, offset in file.lines():
            if not line.strip():
                continue
            try:
                row = read_json(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row, offset
            else:
                self.odd_lines += 1

    def _begin(self, file: LogFile, first: RecipeLine, offset: int) -> _Training:
        config = read_config(self.log.with_name(CONFIG))
        if (state := self._continued(file, first, config)) is not None:
            return self._continue(state, config)
        identity = recipe_id(config, first)
        if not file.known and any(row.id == identity for row in self._store.experiments(archived=True)):
            raise TrackingError(
                f"{self.log} was imported as {identity}, so its lines would be recorded twice. Nothing was changed.",
                hint=f"%loops delete experiment {identity} removes what was imported; then follow the file again.",
            )
        at = int(self.log.stat().st_mtime * 1000) if self.log.exists() else 0
        session = self._session(identity, file.identity, max(0, at - int(first.seconds * 1000)), config)
        experiment = self.experiments[identity] = Experiment(self._collector, session)
        if not file.known:
            self._collector.offset = offset
            self._collector.add(OpenEntry(session, session.created_at))
        return _Training(self, experiment, session, file.identity, config)

    def _session(self, experiment: str, root: str, created_at: int, config: dict[str, Any]) -> WriteSession:
        """Return the session of a training, the same in each process, whose log began with the file ``root``."""
        return WriteSession(
            id=experiment,
            name=kept_text(self._name or recipe_name(self.log)),
            run_id=None,
            session_id=None,
            created_at=created_at,
            params=kept_params(config),
            token=hashlib.blake2b(f"{root}/{experiment}".encode(), digest_size=8).hexdigest(),
        )

    def _continued(self, file: LogFile, first: RecipeLine, config: dict[str, Any]) -> LogContinuation | None:
        """Return the state of the training that a file goes on with; None if it begins one."""
        known = self._store.log_continuation(file.identity)
        if known is not None or file.known or self._former is None or not self._former.goes_on_with(first, config):
            return known
        found = self._former.state()
        # For other processes, and for this one when it follows the log again.
        self._writer.add(RequestLogChunk(found.row_of(file.identity), 0, []))
        return found

    def _continue(self, state: LogContinuation, config: dict[str, Any]) -> _Training:
        former = self._former
        if former is not None and former.state() == state:
            return former
        session = self._session(state.experiment, state.root, 0, config)
        experiment = self.experiments.setdefault(state.experiment, Experiment(self._collector, session))
        return _Training(self, experiment, session, state.root, config, state)

    # What `_Training` needs

    @property
    def collector(self) -> ChunkCollector:
        """Collects entries until they are written with the offset of their file."""
        return self._collector

    def open_checkpoints(self, root: str) -> LogFile | None:
        """Return the file of checkpoints beside the log that began with a file; None if there is none."""
        return try_open(self.log.with_name(CHECKPOINTS), self._store, belongs_to=root)

    def rows(self, file: LogFile) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield the new rows of a file, each with its end."""
        return self._rows(file)


class _Training:
    """State of the training that a log tells of, in one file or several that were rotated."""

    def __init__(
        self,
        log: MetricsLog,
        experiment: Experiment,
        session: WriteSession,
        root: str,
        config: dict[str, Any],
        state: LogContinuation | None = None,
    ) -> None:
        self.lines = 0
        self._log = log
        self._experiment = experiment
        self._session = session
        self._root = root
        self._config = config
        self._checkpoints: LogFile | None = None
        self._attempt = 0 if state is None else state.attempt
        self._last_step: int | None = None if state is None else state.last_step
        self._tokens = math.nan if state is None or state.tokens is None else state.tokens
        self._at = session.created_at
        self._places: dict[int, tuple[int, int]] = {}

    def goes_on_with(self, first: RecipeLine, config: dict[str, Any]) -> bool:
        """Whether a file that begins with a line is the next part of the same log."""
        return self._last_step is not None and first.step > self._last_step and config == self._config

    def state(self) -> LogContinuation:
        """Return what another process needs to go on."""
        tokens = None if math.isnan(self._tokens) else self._tokens
        return LogContinuation(self._root, self._session.id, self._attempt, self._last_step or 0, tokens)

    def add_lines(self, lines: list[tuple[RecipeLine, int]], end: int | None) -> None:
        """Add lines that end at a time; each is placed by the durations of those after it."""
        remaining = sum(line.seconds for line, _ in lines)
        for line, offset in lines:
            remaining -= line.seconds
            if end is not None:
                self._at = max(self._at, end - int(max(0.0, remaining) * 1000))
            if self._last_step is not None and line.step < self._last_step:
                self._attempt += 1
            self._last_step = line.step
            if TOKENS in line.values:
                self._tokens = line.values[TOKENS] + (0.0 if math.isnan(self._tokens) else self._tokens)
            self._places[line.step] = self._attempt, self._at
            self._log.collector.offset = offset
            self._log.collector.add(
                ValuesEntry(self._session, line.step, self._at, self._tokens, line.values, self._attempt)
            )
            self.lines += 1

    def read_checkpoints(self) -> None:
        """Read the checkpoints saved since the last call."""
        if self._checkpoints is None:
            self._checkpoints = self._log.open_checkpoints(self._root)
        if self._checkpoints is None or self._last_step is None:
            return
        found = False
        for row, offset in self._log.rows(self._checkpoints):
            found = True
            saves, unknown = read_checkpoint(row)
            self._log.odd_lines += unknown
            for save in saves:
                step = self._last_step if save.step is None else save.step
                attempt, at = self._places.get(step, (self._attempt, self._at))
                self._session.run_id = self._session.run_id or save.run_id
                self._log.collector.offset = offset
                self._log.collector.add(
                    MarkEntry(self._session, "save", step, at, save.name, save.uri, save.target, attempt)
                )
        if found:
            self._log.collector.hand_over(self._checkpoints)
