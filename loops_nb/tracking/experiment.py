"""Experiments: `experiment` begins or resumes one, `Experiment.log` records values to it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsFloat

from loops_nb.api.step_names import step_of
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking import process_end
from loops_nb.tracking.author import current_author
from loops_nb.tracking.entries import (
    EndEntry,
    Entry,
    EnvironmentEntry,
    MarkEntry,
    OpenEntry,
    SampleEntry,
    ValuesEntry,
    WriteSession,
    now,
)
from loops_nb.tracking.environment import EnvironmentCapture, begin_capture
from loops_nb.tracking.journal import say_of_journal
from loops_nb.tracking.later_values import LaterValues
from loops_nb.tracking.location import Location, StoreAwayError, TrackingSettingError
from loops_nb.tracking.params import kept_params
from loops_nb.tracking.samples import MAX_SAMPLES, MAX_TEXT, kept_texts, reward_of
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.values import as_exact, as_number, as_step, is_too_large, kept_text, usable_key
from loops_nb.tracking.warn import warn
from loops_nb.tracking.writer import EntryWriter, NullWriter
from loops_nb.tracking.writers import writer_for

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.tracking.rows import ExperimentRow

_NAN = float("nan")
_NUMBERS = frozenset({float, int, bool})
_MAX_STEP = 1 << 62
_LONGEST_NAME = 500
_LONGEST_PROJECT = 200
# While another process has the file locked, an experiment begins without waiting for the lock.
_BEGIN_SECONDS = 2.0

#: A longer lifetime is none; a number of milliseconds has to fit into the file.
_LONGEST_TTL = 100 * 365 * 86_400


class Experiment:
    """An experiment that values are recorded to; `loops_nb.experiment` makes one.

    All methods are cheap, never wait for a faulty disk, and may be called on any thread, in signal handlers, in
    ``atexit`` functions and in forked processes.  A background thread writes to the file at most a second later:
    ``kill -9`` loses that second and nothing else.  A loop that logs faster than the disk can take is slowed down.

    Attributes
    ----------
    id : str
        Unique id.
    name : str
        Name; several experiments may have the same.
    params : LaterValues
        Parameters; ``exp.params["warmup"] = 100`` and ``exp.params.update({...})`` set more.
    summary : LaterValues
        Values of the experiment as a whole, such as a final test accuracy: ``exp.summary["best_accuracy"] = 0.93``.

    Examples
    --------
    >>> exp = loops_nb.experiment("lr-sweep", params={"lr": 1e-4})  # doctest: +SKIP
    >>> exp.log(loss=2.3, step=0)  # doctest: +SKIP
    >>> exp.summary["best_accuracy"] = 0.93  # doctest: +SKIP
    >>> exp.frame()  # doctest: +SKIP
    """

    def __init__(self, writer: EntryWriter, session: WriteSession, *, last_step: int = -1) -> None:
        self.id: str = session.id
        self.name: str = session.name
        self.params: LaterValues = LaterValues(session, "params", writer)
        self.summary: LaterValues = LaterValues(session, "summary", writer)
        self._writer = writer
        self._session = session
        self._last_step = last_step
        # Gives each caller another step without a lock, which a signal handler or a forked process could wait for in
        # vain.
        self._steps = count(last_step + 1)
        self._keys: set[str] = set()
        if session.process is not None:
            _sessions[session.token] = writer, session

    @property
    def run_id(self) -> str | None:
        """Id of the Loops run that it belongs to, if any."""
        return self._session.run_id

    @property
    def project(self) -> str | None:
        """Project that it belongs to, if any."""
        return self._session.project

    @property
    def environment(self) -> dict[str, Any]:
        """What it ran in when it was begun or resumed the last time; empty if that is not recorded.

        ``git`` (``commit``, ``branch``, ``dirty``), ``python``, ``host``, ``argv`` and ``packages``.

        Raises
        ------
        TrackingError
            If the file cannot be read, or the experiment could not be written to it yet.

        Examples
        --------
        >>> exp.environment["git"]["commit"]  # doctest: +SKIP
        '5f2c…'
        """
        self._check_is_on_disk()
        with ExperimentStore(self.location) as store:
            found = store.environments(self.id)
        return found[-1].content if found else {}

    @property
    def path(self) -> Path:
        """File that it is written to; with a team's store the one in which values wait until they are sent."""
        return self._writer.path

    @property
    def location(self) -> Location:
        """Where it is recorded: the file, or the address of a team's store."""
        return self._writer.location

    @property
    def is_on_disk(self) -> bool:
        """Whether it was ever written to the file; False only if nothing could be written from the beginning."""
        return self._session.is_written or self._writer.flush()

    @property
    def trouble(self) -> str:
        """Why values cannot be written at the moment; empty if they can."""
        return self._writer.trouble

    def log(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        step: int | None = None,
        tokens_seen: float | None = None,
        **more: Any,
    ) -> None:
        """Record values at a step.

        Parameters
        ----------
        values : mapping of str to number, optional
            Values by key, for keys that are no Python names, such as ``eval/loss``.
        step : int, optional
            The step; by default the one after the last.  A step that goes backwards begins a new attempt; a repeated
            step keeps both values.  Nothing is ever overwritten.
        tokens_seen : float, optional
            Number of tokens trained on so far, for curves over tokens.
        **more : number
            Values by key.  Numbers of Python and NumPy and tensors with one element; NaN and infinities are kept.
            Anything else (complex numbers, strings, dates, durations, masked elements) is skipped with one warning per
            key.  Values are stored as 64-bit floats; integers beyond 2**53 are rounded with one warning per key.

        Raises
        ------
        InvalidArgumentError
            If ``values`` is no mapping, ``step`` no integer, or ``tokens_seen`` no number.

        Examples
        --------
        >>> exp.log(step=0, loss=2.3)  # doctest: +SKIP
        >>> exp.log({"eval/loss": 2.1}, step=0, tokens_seen=4096)  # doctest: +SKIP
        """
        if values is not None:
            more = _merged(values, more)
        if not self._are_usable(more):
            more = self._usable(more)
        tokens = _NAN if tokens_seen is None else _tokens(tokens_seen)
        if step is None:
            step = next(self._steps)
        else:
            if type(step) is not int or not -_MAX_STEP < step < _MAX_STEP:
                step = as_step(step)
            self._steps = count(step + 1)
        self._last_step = step
        writer = self._writer
        writer.add(ValuesEntry(self._session, step, time_ns() // 1_000_000, tokens, more))
        if writer.has_warnings:
            writer.emit_warnings()

    def note(self, text: str, *, step: int | None = None) -> None:
        """Add a note, at a step or about the whole experiment.

        Parameters
        ----------
        text : str
            The note; not empty.
        step : int, optional
            Step that it is about.

        Raises
        ------
        InvalidArgumentError
            If ``text`` is no string or empty, or ``step`` no integer.

        Examples
        --------
        >>> exp.note("learning rate halved", step=400)  # doctest: +SKIP
        """
        if not (isinstance(text, str) and text):
            raise InvalidArgumentError(
                "A note must be a string that is not empty.", argument="text", hint="For example exp.note('lr halved')"
            )
        self._add(MarkEntry(self._session, "note", None if step is None else as_step(step), now(), kept_text(text)))

    def saved(
        self,
        name: str,
        *,
        step: int | None = None,
        uri: str | None = None,
        target: str | None = None,
        ttl_seconds: float | None = None,
    ) -> None:
        """Record that a checkpoint was saved, so that tables and curves show it at its step.

        Parameters
        ----------
        name : str
            Name of the checkpoint.
        step : int, optional
            Its step; by default the one in the name (``step-100``) if training has reached it, else the step that was
            logged last.
        uri : str, optional
            Its ``bt://`` URI.
        target : {"trainer", "sampler"}, optional
            What can load it.
        ttl_seconds : float, optional
            Lifetime that was asked for when it was saved, so that listings say when it vanishes.

        Raises
        ------
        InvalidArgumentError
            If ``name`` is no string or empty, ``step`` no integer, or ``uri`` or ``target`` no string.

        Examples
        --------
        >>> exp.saved("step-100", uri="bt://loops:abc1234/weights/step-100")  # doctest: +SKIP
        """
        for argument, value in (("uri", uri), ("target", target)):
            if value is not None and not isinstance(value, str):
                raise InvalidArgumentError(
                    f"{argument} must be a string, not {type(value).__name__}.", argument=argument
                )
        if not (isinstance(name, str) and name.strip()):
            raise InvalidArgumentError(
                "The name of a checkpoint must be a string that is not empty.",
                argument="name",
                hint="For example exp.saved('step-100')",
            )
        at_step, at = self._step_of_save(name) if step is None else as_step(step), now()
        until = _end_of_life(at, ttl_seconds)
        if ttl_seconds is not None and until is None:
            raise InvalidArgumentError(
                f"ttl_seconds must be a number of seconds above 0, not {ttl_seconds!r:.40}.", argument="ttl_seconds"
            )
        self._add(
            MarkEntry(
                self._session,
                "save",
                at_step,
                at,
                kept_text(name),
                _kept_text(uri),
                _kept_text(target),
                expires_at=until,
            )
        )

    def sample(
        self,
        *,
        prompt: Any,
        completion: Any,
        step: int | None = None,
        reward: SupportsFloat | None = None,
        **fields: Any,
    ) -> None:
        """Keep a sample: a prompt with its completion, to read later how the answers changed from step to step.

        Parameters
        ----------
        prompt, completion : str, sequence of int, or sequence of messages
            The texts; of each the first 20,000 characters are kept.  Token ids are kept as such; of messages (mappings
            with ``role`` and ``content``) their texts.
        step : int, optional
            Its step; by default the one that was logged last, 0 before the first.
        reward : number, optional
            Its reward or score; NaN and infinities are kept, anything else is skipped with one warning.
        **fields : object
            Further fields by name: the expected answer, the checkpoint, the temperature.  They are kept as JSON, as
            parameters are; of each text the first 2,000 characters.

        Raises
        ------
        InvalidArgumentError
            If ``prompt`` or ``completion`` has the wrong type, or ``step`` is no integer.

        Notes
        -----
        5,000 samples of an experiment are kept; beyond that those of some steps are dropped, so that the others are
        evenly spaced, never those of the first and the last.  Tables and panels say how many.

        Examples
        --------
        >>> exp.sample(step=100, prompt="2 + 2 =", completion=" 4", reward=1.0, expected="4")  # doctest: +SKIP
        """
        at_step = max(0, self._last_step) if step is None else as_step(step)
        self.sample_in_attempt(prompt, completion, step=at_step, reward=reward, fields=fields, attempt=None, at=now())

    def sample_in_attempt(
        self,
        prompt: Any,
        completion: Any,
        *,
        step: int,
        reward: Any,
        fields: Mapping[str, Any],
        attempt: int | None,
        at: int,
    ) -> None:
        """Keep a sample of a known attempt; parameters as in `sample` and `log_in_attempt`."""
        session = self._session
        texts = kept_texts(prompt, completion, fields)
        number = None if reward is None else reward_of(reward)
        if reward is not None and number is None:
            self._skip("reward of a sample", f"A reward is no number but {type(reward).__name__}: it is not recorded.")
        if texts.cut and not session.warned_of_cut:
            session.warned_of_cut = True
            warn(
                f"A sample of {self.name!r:.60} is longer than what is kept: the first {MAX_TEXT:,} characters of each"
                " text. The column cut of loops.metrics.samples() counts what is left out.",
                stacklevel=4,
            )
        entry = SampleEntry(session, step, at, texts, number, attempt)
        if not session.has_room_for_samples:
            session.lost += 1
            if not session.warned_of_surplus:
                session.warned_of_surplus = True
                warn(
                    f"Samples of {self.name!r:.60} are lost: {MAX_SAMPLES:,} wait to be written to the disk, more are"
                    f" not kept in memory. {self._writer.trouble}".rstrip(),
                    stacklevel=4,
                )
            return
        session.samples_added += 1
        self._add(entry)

    def log_in_attempt(self, values: dict[str, Any], *, step: int, tokens_seen: float, attempt: int, at: int) -> None:
        """Record values of a known attempt, in any order of steps; for SDK hooks.

        Parameters
        ----------
        values : dict of str to number
            Values by key.
        step, tokens_seen
            As in `log`.
        attempt : int
            Attempt, counted from 0 within this process.
        at : int
            Milliseconds since 1970.
        """
        if not self._are_usable(values):
            values = self._usable(values)
        self._add(ValuesEntry(self._session, step, at, tokens_seen, values, attempt))

    def saved_in_attempt(
        self,
        name: str,
        *,
        step: int,
        attempt: int,
        uri: str | None,
        target: str,
        at: int,
        ttl_seconds: float | None = None,
    ) -> None:
        """Record a checkpoint of a known attempt; parameters as in `saved` and `log_in_attempt`."""
        until = _end_of_life(at, ttl_seconds)
        self._add(MarkEntry(self._session, "save", step, at, kept_text(name), _kept_text(uri), target, attempt, until))

    def add_sink(self, name: str) -> None:
        """Give what is logged from now on to another tracker, too; `loops_nb.experiment` calls it."""
        from loops_nb.tracking.sinks.sink_writer import SinkWriter  # most experiments have none

        self._writer = SinkWriter(self._writer, self._session, name)
        self.params = LaterValues(self._session, "params", self._writer)
        self.summary = LaterValues(self._session, "summary", self._writer)

    def record_environment(self, capture: EnvironmentCapture) -> None:
        """Record what this process runs in, once it is captured; `loops_nb.experiment` calls it."""
        self._add(EnvironmentEntry(self._session, now(), capture))

    def flush(self) -> bool:
        """Write everything that was logged so far; Ctrl-C ends only the wait.

        Returns
        -------
        bool
            Whether everything that this process ever logged to the experiment is in the file; False for good once a
            value was lost.
        """
        is_written = self._writer.flush() and not self._session.lost
        self._writer.emit_warnings()
        return is_written

    def close(self) -> None:
        """Write everything that was logged so far, with a warning if that fails.

        The experiment counts as finished then; logging may continue afterwards, and it counts as running again.
        """
        self._close(stacklevel=3)

    def frame(self, *, keys: Iterable[str] | None = None, wide: bool = True) -> pd.DataFrame:
        """Return the logged values as a DataFrame, including those of earlier processes.

        Parameters
        ----------
        keys : iterable of str, optional
            Only these keys; by default all.
        wide : bool, default True
            One row per step with a column per key; False for one row per point.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.tracking.frames.metrics_frame`.

        Raises
        ------
        TrackingError
            If the file cannot be read, or the experiment could not be written to it yet.

        Examples
        --------
        >>> exp.frame(keys=["loss"])[["step", "loss"]]  # doctest: +SKIP
        """
        from loops_nb.tracking.frames import metrics_frame  # logging needs no pandas

        self._check_is_on_disk()
        with ExperimentStore(self.location) as store:
            return metrics_frame(store, [self.id], keys=keys, wide=wide)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_normal = kind is None or (isinstance(error, SystemExit) and not error.code)
        self._close(stacklevel=3, outcome="finished" if is_normal else "crashed")

    def __repr__(self) -> str:
        run = f", run {self.run_id}" if self.run_id else ""
        return f"<{type(self).__name__} {self.name!r} ({self.id}{run})>"

    def _check_is_on_disk(self) -> None:
        if not self.is_on_disk:
            raise TrackingError(f"{self.name!r:.60} is not on the disk yet. {self.trouble}")

    def __reduce__(self) -> tuple[Any, ...]:
        session = self._session
        _copied_sessions.setdefault(session.token, session)
        row = (
            session.id,
            session.name,
            session.run_id,
            session.session_id,
            session.created_at,
            kept_params(self.params),
            session.tags,
            session.project,
            session.summary.copy(),
        )
        where = self._writer.trouble if isinstance(self._writer, NullWriter) else self.location
        return _unpickled, (where, session.token, row, self._last_step)

    def _close(self, *, stacklevel: int, outcome: str = "finished") -> None:
        # While nothing can be written, the end of the process ends the session.
        if self._session.process is not None and not self._writer.trouble:
            self._writer.add(EndEntry(self._session, now(), outcome))
        is_written = self._writer.flush()
        session = self._session
        lost, session.lost_reported = session.lost - session.lost_reported, session.lost
        if lost:
            warn(
                f"{_values_are(lost, f' of {self.name!r:.60}')} lost. {self._writer.trouble}".rstrip(),
                stacklevel=stacklevel,
            )
        if is_written or not (waiting := self._writer.waiting):
            self._writer.emit_warnings()
            return
        # Repeated although a call of `log` may have warned of it: this is the last chance.
        why = self._writer.trouble or "They could not be written in time."
        they_are = "it is" if waiting == 1 else "they are"
        warn(
            f"{_values_are(waiting)} not on the disk yet. {why} If this process ends before, {they_are} lost:"
            " make the place writable, then exp.flush() tries at once.",
            stacklevel=stacklevel,
        )

    def _add(self, entry: Entry) -> None:
        self._writer.add(entry)
        if self._writer.has_warnings:
            self._writer.emit_warnings()

    def _step_of_save(self, name: str) -> int | None:
        # The same rule as for the service's list of checkpoints: a checkpoint must not have two steps.
        named = step_of(name)
        if named is not None and named <= self._last_step:
            return named
        return self._last_step if self._last_step >= 0 else None

    def _are_usable(self, values: dict[str, Any]) -> bool:
        # All values of a usual call at once: negligible in a training loop.
        if not (self._keys.issuperset(values) and _NUMBERS.issuperset(map(type, values.values()))):
            return False
        try:
            # Fails for an integer that is too large for a float, faster than a check of each.
            sum(values.values(), 0.0)
        except OverflowError:
            return False
        return True

    def _usable(self, values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            if not usable_key(key):
                self._skip(repr(key)[:60], f"{key!r:.60} cannot be a key: a key is a string of 1 to 1,000 characters.")
                continue
            kept = kept_text(key)
            if kept == key:
                self._keys.add(key)
            number = as_exact(value)
            if number is None or not _fits_float(number):
                what = f"no number but {type(value).__name__}"
                if is_too_large(value):
                    what = "too large (a 64-bit float holds numbers to 1.8e308)"
                self._skip(key, f"{key!r:.60} is {what}: such values are not recorded.")
            else:
                found[kept] = number
        return found

    def _skip(self, key: str, why: str) -> None:
        if key not in self._session.skipped_keys:
            self._session.skipped_keys.add(key)
            warn(why, stacklevel=4)


def experiment(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    run: Any = None,
    session: Any = None,
    resume: bool | str = False,
    path: Path | None = None,
    project: str | None = None,
    sink: str | None = None,
) -> Experiment:
    """Begin or resume an experiment: on this machine, without account or network, or in a team's store.

    Git commit, versions of imported packages, host, Python and command line are recorded with it, without what looks
    like a key; environment variables never are.  The setting ``capture_environment``, or
    ``LOOPS_NB_CAPTURE_ENVIRONMENT=0``, turns that off.

    Parameters
    ----------
    name : str
        Name of the experiment, 1 to 500 characters.  Another experiment with the same name is separate unless it is
        resumed.
    params : mapping, optional
        Parameters: learning rate, rank, data set.  Values under names such as ``api_key`` or ``password`` are not kept.
    tags : iterable of str, optional
        Tags to find it by.
    run : str or Run, optional
        The Loops run that it belongs to.  An experiment with this name and run is resumed.
    session : str or Session, optional
        The Loops session.
    resume : bool or str, default False
        True resumes the newest experiment with this name, if there is one; a string the one with this id.  New values
        form a new attempt; everything logged before stays as it is.
    path : Path, optional
        File of experiments; by default the team's store that the setting ``tracking`` or ``LOOPS_NB_TRACKING`` names,
        else ``experiments.sqlite`` in the folder of `loops_nb.config.paths.home_dir`.
    project : str, optional
        Project that it belongs to, 1 to 200 characters.  Only experiments of this project, or of none, are resumed by
        their name; one without a project belongs to it then.
    sink : {"mlflow", "trackio"}, optional
        Another tracker that gets what is logged as well, on a thread of its own: points, parameters and summary
        (those that are set later too), tags, notes and saves, in the project of this name.  If it fails, one warning
        says so and the training goes on.

    Returns
    -------
    Experiment
        Its ``log`` records values; also a context manager.

    Raises
    ------
    TrackingError
        If the file was written by a newer version of ``loops_nb``, is not a file of experiments, ``resume`` is an id
        that is not in it, or the setting ``tracking`` cannot be used.  A full or read-only disk, and a team's store
        that is away or of a newer version, only cause a warning: recording never ends a training.
    InvalidArgumentError
        If the name is empty or too long, or an argument has the wrong type.

    Examples
    --------
    >>> with loops_nb.experiment("lr-sweep", params={"lr": 1e-4}) as exp:  # doctest: +SKIP
    ...     exp.log(step=0, loss=2.3)
    """
    if sink is not None:
        from loops_nb.tracking.sinks.sink_writer import check_sink  # most experiments have none

        check_sink(sink)
    made, is_kept = _begun(name, params, tags, run, session, resume=resume, path=path, project=project)
    if sink is not None:
        made.add_sink(sink)
    captured = begin_capture() if is_kept else None
    if captured is not None:
        # Not awaited: the thread that writes asks git.
        made.record_environment(captured)
    return made


def experiment_of_run(
    name: str, *, params: Mapping[str, Any] | None = None, run: Any = None, session: Any = None
) -> Experiment:
    """Begin or resume the experiment of a run that does not train in this process: without its environment."""
    return _begun(name, params, (), run, session, resume=False, path=None, project=None)[0]


def _begun(
    name: str,
    params: Mapping[str, Any] | None,
    tags: Iterable[str],
    run: Any,
    session: Any,
    *,
    resume: bool | str,
    path: Path | None,
    project: str | None,
) -> tuple[Experiment, bool]:
    """Return an experiment, and whether there is a file for it; parameters as of `experiment`."""
    name = kept_text(name) if isinstance(name, str) else ""
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        raise InvalidArgumentError(
            "name must be a string of 1 to 500 characters.", argument="name", hint="For example lr-sweep"
        )
    check_params_and_tags(params, tags)
    # A string would be taken as a list of its letters.
    tags = (tags,) if isinstance(tags, str) else tags
    run_id, session_id = _id_of(run, "run"), _id_of(session, "session")
    project = _checked_project(project)
    try:
        store = ExperimentStore(path)
        writer = writer_for(store.location)
    except TrackingSettingError:
        raise
    except TrackingError as error:
        # There is no folder for the file; that must not end a training either.
        warn(f"Nothing that is logged to {name!r:.60} is kept: {error}", stacklevel=3)
        made = Experiment(NullWriter(error), _write_session(None, name, run_id, session_id, params, tags, project))
        return made, False
    with store:
        row, last_step = None, -1
        try:
            row = _resumed_row(store, name, run_id, project, resume=resume)
            if row is not None:
                last_step = max((key.last_step for key in store.keys(row.id)), default=-1)
        except StoreAwayError as error:
            warn(_away_warning(name, resume if isinstance(resume, str) else "", error), stacklevel=3)
    write_session = _write_session(row, name, run_id, session_id, params, tags, project)
    if row is None and isinstance(resume, str):
        # A team's store that is away has it, by all that is known.
        write_session.id = resume
    made = Experiment(writer, write_session, last_step=last_step)
    # Parameters for an existing experiment are queued like everything else: another process may have the file locked.
    writer.add(OpenEntry(write_session, now(), "" if row is None else kept_params(params)))
    if not writer.flush(held_up_seconds=_BEGIN_SECONDS) and writer.refusal is not None:
        refusal, writer.refusal = writer.refusal, None
        writer.drop()
        raise refusal
    writer.emit_warnings()
    say_of_journal(writer.path)
    return made, True


def _checked_project(project: Any) -> str | None:
    if project is None:
        return None
    text = kept_text(project).strip() if isinstance(project, str) else ""
    if not 0 < len(text) <= _LONGEST_PROJECT:
        raise InvalidArgumentError(
            "project must be a string of 1 to 200 characters.", argument="project", hint="For example support-bot"
        )
    return text


def check_params_and_tags(params: Any, tags: Any) -> None:
    """Raise `InvalidArgumentError` unless ``params`` is None or a mapping and ``tags`` an iterable."""
    if params is not None and not isinstance(params, Mapping):
        raise InvalidArgumentError(
            f"params must be a dictionary, not {type(params).__name__}.",
            argument="params",
            hint='For example params={"lr": 1e-4}',
        )
    if not isinstance(tags, Iterable):
        raise InvalidArgumentError(
            f"tags must be a list of strings, not {type(tags).__name__}.",
            argument="tags",
            hint='For example tags=["baseline"]',
        )


def _write_session(
    row: ExperimentRow | None,
    name: str,
    run_id: str | None,
    session_id: str | None,
    params: Mapping[str, Any] | None,
    tags: Iterable[str],
    project: str | None,
) -> WriteSession:
    kept_tags = tuple(kept_text(str(tag)) for tag in tags)
    token = secrets.token_hex(8)
    if row is None:
        return WriteSession(
            id=secrets.token_hex(4),
            name=name,
            run_id=run_id,
            session_id=session_id,
            created_at=now(),
            params=kept_params(params),
            token=token,
            tags=kept_tags,
            process=os.getpid(),
            project=project,
            author=current_author(),
        )
    return WriteSession(
        id=row.id,
        name=row.name,
        run_id=row.run_id or run_id,
        session_id=row.session_id or session_id,
        created_at=row.created_at,
        params=kept_params({**row.params, **(params or {})}),
        token=token,
        tags=kept_tags,
        is_written=True,
        process=os.getpid(),
        # New entries are later than all existing ones, within one millisecond, too.
        marked_at=row.last_at,
        project=project or row.project,
        summary=row.summary,
        author=row.author,
    )


def _away_warning(name: str, resumed: str, error: StoreAwayError) -> str:
    how = f"goes on under its id {resumed}" if resumed else "is a new experiment, even if there is one to resume"
    return f"{name!r:.60} {how}: {error.message} What is logged is kept on this machine and sent later."


def _resumed_row(
    store: ExperimentStore, name: str, run_id: str | None, project: str | None, *, resume: bool | str
) -> ExperimentRow | None:
    if isinstance(resume, str):
        return store.experiment(resume)
    if not resume and run_id is None:
        return None
    try:
        rows = store.experiments(archived=True)
    except StoreAwayError:
        raise
    except TrackingError as error:
        if error.hint:
            raise
        # Not readable at the moment; values are recorded all the same as soon as the file can be written.
        return None
    for row in rows:
        is_of_project = project is None or row.project in (None, project)
        if row.name == name and is_of_project and (run_id is None or row.run_id == run_id):
            return row
    return None


def _id_of(value: Any, argument: str) -> str | None:
    found = getattr(value, "id", value)
    if found is None:
        return None
    if isinstance(found, str) and found:
        return kept_text(found)
    raise InvalidArgumentError(
        f"{argument} must be an id or an object of the API, not {type(value).__name__}.", argument=argument
    )


def _end_sessions() -> None:
    """End the sessions that were not closed when the process ends: crashed after an exception that ended the script."""
    is_crash = getattr(sys, "last_value", None) is not None and "IPython" not in sys.modules
    for writer, session in list(_sessions.values()):
        # A forked child does not end the sessions of its parent, and a removed file is not made again.
        is_own = session.process == os.getpid() and not writer.trouble
        if is_own and not isinstance(writer, NullWriter) and writer.path.exists():
            writer.add(EndEntry(session, now(), "crashed" if is_crash else "finished", only_if_open=True))


# Sessions of this process by their token.
_sessions: dict[str, tuple[EntryWriter, WriteSession]] = {}
process_end.call_at_end(close=_end_sessions, flush=lambda: None)
# Sessions of unpickled experiments, by the token of the pickled one: copies within one process share a session.
_copied_sessions: dict[str, WriteSession] = {}


def _unpickled(where: Location | str, token: str, row: tuple[Any, ...], last_step: int) -> Experiment:
    session = _copied_sessions.get(token)
    if session is None:
        # Those pickled by an earlier version have neither project nor summary.
        experiment_id, name, run_id, session_id, created_at, params, tags, *more = row
        project, summary = more or (None, {})
        made = WriteSession(
            experiment_id,
            name,
            run_id,
            session_id,
            created_at,
            params,
            secrets.token_hex(8),
            tags,
            is_written=True,
            process=os.getpid(),
            project=project,
            summary=dict(summary),
        )
        session = _copied_sessions.setdefault(token, made)
    writer = NullWriter(TrackingError(where)) if isinstance(where, str) else writer_for(where)
    return Experiment(writer, session, last_step=last_step)


def _fits_float(number: float) -> bool:
    try:
        float(number)
    except OverflowError:
        return False
    return True


def _end_of_life(at: int, ttl_seconds: Any) -> int | None:
    """Return when a checkpoint vanishes; None without a lifetime, or with one that the service refuses."""
    if isinstance(ttl_seconds, bool) or not isinstance(ttl_seconds, int | float) or not 0 < ttl_seconds < _LONGEST_TTL:
        return None
    return at + round(ttl_seconds * 1000)


def _kept_text(text: str | None) -> str | None:
    return None if text is None else kept_text(text)


def _values_are(count: int, of: str = "") -> str:
    return f"1 value{of} is" if count == 1 else f"{count:,} values{of} are"


def _merged(values: Any, more: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**values, **more}
    except TypeError:
        raise InvalidArgumentError(
            f"Logged values must be numbers by key, not {type(values).__name__}. Nothing was recorded by this call.",
            argument="values",
            hint='For example exp.log(loss=0.5), exp.log({"eval/loss": 0.5}, step=3)',
        ) from None


def _tokens(tokens: Any) -> float:
    number = as_number(tokens)
    if number is None:
        raise InvalidArgumentError(
            f"tokens_seen must be a number, not {tokens!r:.60}. Nothing was recorded by this call.",
            argument="tokens_seen",
            hint="For example exp.log(loss=0.5, tokens_seen=4096)",
        )
    return number
