"""Recording by hand: an experiment, and what is logged to it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.steps import step_of
from loops_nb.tracking.notices import warn
from loops_nb.tracking.nowhere import Nowhere
from loops_nb.tracking.recorder import TakesEntries, recorder_for
from loops_nb.tracking.store import Store, now
from loops_nb.tracking.values import as_exact, as_number, as_step, is_too_large, kept_params, kept_text, usable_key
from loops_nb.tracking.writing import Entry, Logged, Marked, Opened, Opening

if TYPE_CHECKING:
    from loops_nb.tracking.rows import ExperimentRow

_NAN = float("nan")
_PLAIN = frozenset({float, int, bool})
_LONGEST_NAME = 500
# Where another process has the file to itself, an experiment is begun all the same.
_BEGIN_SECONDS = 2.0


class Recording:
    """One experiment that is being recorded; made by `begin`.

    All its methods cost next to nothing, never wait for a disk that is at fault, and may be called from any thread, signal handler,
    ``atexit`` function and forked process; a background thread writes what they took at most a second later.  A ``kill -9`` loses that
    second and nothing more.  A loop that logs faster than a healthy disk takes is slowed down to what it takes.

    Attributes
    ----------
    id
        Tells it from all others, also from those of the same name.
    name
        Its name.
    """

    def __init__(self, recorder: TakesEntries, opening: Opening, *, last_step: int = -1) -> None:
        self.id = opening.id
        self.name = opening.name
        self._recorder = recorder
        self._opening = opening
        self._last_step = last_step
        # Gives each caller another step without a lock, which a signal handler or a forked process would wait for in vain.
        self._steps = count(last_step + 1)
        self._keys: set[str] = set()

    @property
    def run_id(self) -> str | None:
        """The Loops run that it follows, if any."""
        return self._opening.run_id

    def log(
        self, values: Mapping[str, Any] | None = None, /, *, step: int | None = None, tokens_seen: float | None = None, **more: Any
    ) -> None:
        """Record values at a step.

        Parameters
        ----------
        values
            Values by their keys, for keys that are no Python names, such as ``eval/loss``.
        step
            The step; without it the one after the last.  A step that goes backwards begins a new attempt; a step that comes again keeps
            both.  Nothing is ever overwritten.
        tokens_seen
            Tokens trained on from the beginning until now, for curves by tokens.
        **more
            Values by their keys.  Numbers of Python, NumPy and of tensors with one element; NaN and infinities are kept.  Anything else
            (complex numbers, texts, dates, durations, masked elements) is left out, with one warning a key.  All are kept as 64-bit
            floats: of whole numbers beyond 2**53 the nearest one, with one warning a key.

        Raises
        ------
        InvalidArgumentError
            If the values are no dictionary, the step no whole number, or the tokens no number.
        """
        if values is not None:
            more = _together(values, more)
        if not self._are_usable(more):
            more = self._usable(more)
        tokens = _NAN if tokens_seen is None else _tokens(tokens_seen)
        if step is None:
            step = next(self._steps)
        else:
            if type(step) is not int or not -_FAR < step < _FAR:
                step = as_step(step)
            self._steps = count(step + 1)
        self._last_step = step
        recorder = self._recorder
        recorder.add(Logged(self._opening, step, time_ns() // 1_000_000, tokens, more))
        if recorder.untold:
            recorder.tell()

    def note(self, text: str, *, step: int | None = None) -> None:
        """Write something down, at a step or about the whole experiment.

        Raises
        ------
        InvalidArgumentError
            If the text is none, or empty; or the step no whole number.
        """
        if not (isinstance(text, str) and text):
            raise InvalidArgumentError(
                "A note must be a text that is not empty.", argument="text", hint="For example exp.note('lr halved')"
            )
        self._add(Marked(self._opening, "note", None if step is None else as_step(step), now(), kept_text(text)))

    def saved(self, name: str, *, step: int | None = None, uri: str | None = None, target: str | None = None) -> None:
        """Mark that a checkpoint was saved, so that tables and curves show it at its step.

        Parameters
        ----------
        name
            Its name.
        step
            The step; without it the one that the name tells (``step-100``) where training has come so far, else the last one that was
            logged.
        uri
            Its ``bt://`` URI, if it is known.
        target
            ``trainer`` or ``sampler``: what can load it.

        Raises
        ------
        InvalidArgumentError
            If the name is no text, or empty; the step no whole number; or the URI or the target no text.
        """
        for what, given in (("uri", uri), ("target", target)):
            if given is not None and not isinstance(given, str):
                raise InvalidArgumentError(f"{what} must be a text, not {type(given).__name__}.", argument=what)
        if not (isinstance(name, str) and name.strip()):
            raise InvalidArgumentError(
                "The name of a checkpoint must be a text that is not empty.", argument="name", hint="For example exp.saved('step-100')"
            )
        self._add(
            Marked(
                self._opening,
                "save",
                self._step_saved(name) if step is None else as_step(step),
                now(),
                kept_text(name),
                uri if uri is None else kept_text(uri),
                target if target is None else kept_text(target),
            )
        )

    def record(self, values: dict[str, Any], *, step: int, tokens_seen: float, turn: int, at: int) -> None:
        """Record values of an attempt that is known, in whatever order they come; `turn` counts from 0 in this process."""
        if not self._are_usable(values):
            values = self._usable(values)
        self._recorder.add(Logged(self._opening, step, at, tokens_seen, values, turn))
        self._tell()

    def mark_saved(self, name: str, *, step: int, turn: int, uri: str | None, target: str, at: int) -> None:
        """Mark a checkpoint of an attempt that is known."""
        self._add(Marked(self._opening, "save", step, at, kept_text(name), uri if uri is None else kept_text(uri), target, turn))

    def flush(self) -> bool:
        """Write all that was logged until now.

        Returns
        -------
        bool
            Whether all that was ever logged to this experiment by this process is in the file: also false from the first value on that
            had to be dropped.  Ctrl-C ends the wait and nothing else.
        """
        done = self._recorder.flush() and not self._opening.lost
        self._recorder.tell()
        return done

    def close(self) -> None:
        """Write all that was logged until now, with a warning where that is not possible.  Logging may go on afterwards."""
        self._close(stacklevel=3)

    @property
    def path(self) -> Path:
        """The file that it is written to."""
        return self._recorder.path

    @property
    def is_on_disk(self) -> bool:
        """Whether the file has ever had it: false only where nothing could be written from the beginning."""
        return self._opening.is_written or self._recorder.flush()

    @property
    def trouble(self) -> str:
        """What keeps what was logged from the file for now, in words; empty where nothing does."""
        return self._recorder.trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close(stacklevel=3)

    def _close(self, *, stacklevel: int) -> None:
        is_written = self._recorder.flush()
        lost, self._opening.lost_said = self._opening.lost - self._opening.lost_said, self._opening.lost
        if lost:
            warn(f"{_values(lost)} of {self.name!r:.60} {_are(lost)} lost. {self._recorder.trouble}".rstrip(), stacklevel=stacklevel)
        if is_written or not (waiting := self._recorder.waiting):
            self._recorder.tell()
            return
        # Said again though it was said while something was logged: after this nobody looks any more.
        warn(
            f"{_values(waiting)} {_are(waiting)} not on the disk yet. {self._why()} If this process ends before,"
            f" {'it is' if waiting == 1 else 'they are'} lost: make the place writable, then exp.flush() tries at once.",
            stacklevel=stacklevel,
        )

    def _why(self) -> str:
        return self._recorder.trouble or "They could not be written in time."

    def __repr__(self) -> str:
        run = f", run {self.run_id}" if self.run_id else ""
        return f"<{type(self).__name__} {self.name!r} ({self.id}{run})>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to go on with it in another process, or in this one."""
        opening = self._opening
        _openings.setdefault(opening.token, opening)
        row = (opening.id, opening.name, opening.run_id, opening.session_id, opening.created_at, opening.params, opening.tags)
        place = self._recorder.trouble if isinstance(self._recorder, Nowhere) else self.path
        return _reopened, (type(self), place, opening.token, row, self._last_step)

    def _add(self, entry: Entry) -> None:
        self._recorder.add(entry)
        self._tell()

    def _tell(self) -> None:
        if self._recorder.untold:
            self._recorder.tell()

    def _step_saved(self, name: str) -> int | None:
        # As the service's list of checkpoints is read: one checkpoint must not have two steps.
        last = self._last_step
        told = step_of(name)
        if told is not None and told <= last:
            return told
        return last if last >= 0 else None

    def _are_usable(self, values: dict[str, Any]) -> bool:
        # All of a usual call at once: it costs what a training loop can overlook.
        if not (self._keys.issuperset(values) and _PLAIN.issuperset(map(type, values.values()))):
            return False
        try:
            # Fails where a whole number among them is too large for a float, and says so faster than looking at each.
            sum(values.values(), 0.0)
        except OverflowError:
            return False
        return True

    def _usable(self, values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            if not usable_key(key):
                self._leave_out(repr(key)[:60], f"{key!r:.60} cannot be a key: a key is a text of 1 to 1,000 characters.")
                continue
            kept = kept_text(key)
            if kept == key:
                self._keys.add(key)
            number = as_exact(value)
            if number is None or not _fits(number):
                what = f"too large ({_FITS})" if is_too_large(value) else f"no number but {type(value).__name__}"
                self._leave_out(key, f"{key!r:.60} is {what}: such values are not recorded.")
            else:
                found[kept] = number
        return found

    def _leave_out(self, key: str, why: str) -> None:
        if key not in self._opening.left_out:
            self._opening.left_out.add(key)
            warn(why, stacklevel=4)


def _fits(number: float) -> bool:
    try:
        float(number)
    except OverflowError:
        return False
    return True


def _values(count: int) -> str:
    return f"{count:,} value{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


_FAR = 1 << 62
_FITS = "a 64-bit float holds numbers to 1.8e308"


def _together(values: Any, more: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**values, **more}
    except TypeError:
        raise InvalidArgumentError(
            f"What is logged must be numbers with their names, not {type(values).__name__}. Nothing was recorded by this call.",
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


_Kind = TypeVar("_Kind", bound=Recording)
# What was copied to this process or within it, by the token of the opening that it came from: copies of one go on with one.
_openings: dict[str, Opening] = {}


def _reopened(kind: type[_Kind], place: Path | str, token: str, row: tuple[Any, ...], last_step: int) -> _Kind:
    key, name, run_id, session_id, created_at, params, tags = row
    found = _openings.get(token)
    if found is None:
        made = Opening(key, name, run_id, session_id, created_at, params, secrets.token_hex(8), tags, is_written=True, process=os.getpid())
        found = _openings.setdefault(token, made)
    recorder = recorder_for(place) if isinstance(place, Path) else Nowhere(TrackingError(place))
    return kind(recorder, found, last_step=last_step)


def begin(
    kind: type[_Kind],
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    run: Any = None,
    session: Any = None,
    resume: bool | str = False,
    path: Path | None = None,
) -> _Kind:
    """Begin an experiment, or go on with one; what `loops_nb.experiment` does.

    Parameters
    ----------
    kind
        What to make: `Recording` or a kind of it.
    name, params, tags, run, session, resume, path
        As in `loops_nb.experiment`.

    Raises
    ------
    TrackingError, InvalidArgumentError
        As there.
    """
    name = kept_text(name) if isinstance(name, str) else ""
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        raise InvalidArgumentError("name must be a text of 1 to 500 characters.", argument="name", hint="For example lr-sweep")
    refuse_others(params, tags)
    # A text is a row of letters to Python, and never meant so.
    tags = (tags,) if isinstance(tags, str) else tags
    run_id, session_id = _id_of(run, "run"), _id_of(session, "session")
    try:
        store = Store(path)
    except TrackingError as error:
        # No folder can be named; that must not end a training either.
        warn(f"Nothing that is logged to {name!r:.60} is kept: {error}", stacklevel=3)
        return kind(Nowhere(error), _opened(None, name, run_id, session_id, params, tags))
    with store:
        found = _found(store, name, run_id, resume=resume)
        last_step = -1 if found is None else max((key.last_step for key in store.keys(found.id)), default=-1)
    recorder = recorder_for(store.path)
    opening = _opened(found, name, run_id, session_id, params, tags)
    made = kind(recorder, opening, last_step=last_step)
    # What is set for one that is there already is written as all else is: another process may have the file to itself at this moment.
    recorder.add(Opened(opening, now(), "" if found is None else kept_params(params)))
    if not recorder.flush(held_up_seconds=_BEGIN_SECONDS) and recorder.refusal is not None:
        refusal, recorder.refusal = recorder.refusal, None
        recorder.drop()
        raise refusal
    recorder.tell()
    return made


def _opened(
    found: ExperimentRow | None,
    name: str,
    run_id: str | None,
    session_id: str | None,
    params: Mapping[str, Any] | None,
    tags: Iterable[str],
) -> Opening:
    return Opening(
        id=secrets.token_hex(4) if found is None else found.id,
        name=name if found is None else found.name,
        run_id=run_id if found is None else found.run_id or run_id,
        session_id=session_id if found is None else found.session_id or session_id,
        created_at=now() if found is None else found.created_at,
        params=kept_params(params if found is None else {**found.params, **(params or {})}),
        tags=tuple(kept_text(str(tag)) for tag in tags),
        token=secrets.token_hex(8),
        is_written=found is not None,
        process=os.getpid(),
        # What is logged from now on is later than all that is there, also within one millisecond.
        marked_at=0 if found is None else found.last_at,
    )


def refuse_others(params: Any, tags: Any) -> None:
    """Refuse parameters that are no dictionary and tags that are no list.

    Raises
    ------
    InvalidArgumentError
        If they are; with how to give them.
    """
    if params is not None and not isinstance(params, Mapping):
        hint = 'For example params={"lr": 1e-4}'
        raise InvalidArgumentError(f"params must be a dictionary, not {type(params).__name__}.", argument="params", hint=hint)
    if not isinstance(tags, Iterable):
        hint = 'For example tags=["baseline"]'
        raise InvalidArgumentError(f"tags must be a list of texts, not {type(tags).__name__}.", argument="tags", hint=hint)


def _found(store: Store, name: str, run_id: str | None, *, resume: bool | str) -> ExperimentRow | None:
    if isinstance(resume, str):
        return store.experiment(resume)
    if not resume and run_id is None:
        return None
    try:
        there = store.experiments(archived=True)
    except TrackingError as error:
        if error.hint:
            raise
        # Not for now; what is logged is recorded all the same, as soon as it can be.
        return None
    return next((row for row in there if row.name == name and (run_id is None or row.run_id == run_id)), None)


def _id_of(thing: Any, what: str) -> str | None:
    found = getattr(thing, "id", thing)
    if found is None:
        return None
    if isinstance(found, str) and found:
        return kept_text(found)
    raise InvalidArgumentError(f"{what} must be an id or what the API gave, not {type(thing).__name__}.", argument=what)
