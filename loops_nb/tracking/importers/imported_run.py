"""One run of another tracker, ready to be added to the file of experiments."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from loops_nb.errors import one_line
from loops_nb.render.formatting import first_and_more, many
from loops_nb.tracking.chunks import Points
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.rows import ExperimentMark, ExperimentRow
from loops_nb.tracking.values import kept_text, usable_key

_LONGEST_NAME = 500
_LONGEST_NOTE = 10_000
_LONGEST_PROJECT = 200
_MOST_NOTES = 200
_MOST_NAMES = 3
_LONGEST_SHOWN = 40
_INT64 = 1 << 63
_UNTYPED = {"True": True, "true": True, "False": False, "false": False, "None": None}


class LeftOut:
    """What of other trackers' runs has no place in an experiment, counted by kind."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, dict[str, None]] = {}

    def add(self, kind: str, name: str = "", count: int = 1) -> None:
        """Count something.

        Parameters
        ----------
        kind : str
            What it is, in the singular: ``histogram``.
        name : str, default ""
            Its name there.
        count : int, default 1
            How many there are.
        """
        self._counts[kind] = self._counts.get(kind, 0) + count
        if name:
            self._names.setdefault(kind, {})[name] = None

    def update(self, other: LeftOut) -> None:
        """Add what another one has counted."""
        for kind, count in other._counts.items():
            self.add(kind, count=count)
            self._names.setdefault(kind, {}).update(other._names.get(kind, {}))

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        parts: list[str] = []
        for kind, count in self._counts.items():
            names = [one_line(name, limit=_LONGEST_SHOWN) for name in self._names.get(kind, {})]
            parts.append(many(count, kind) + (f" ({first_and_more(names, _MOST_NAMES)})" if names else ""))
        return f"Left out: {', '.join(parts)}." if parts else ""


class ImportedRun(NamedTuple):
    """A run as an experiment.

    Parameters
    ----------
    row : ExperimentRow
        The experiment.
    series : dict of str to Points
        Points of each key.
    marks : list of ExperimentMark
        Notes.
    left_out : LeftOut
        What was left out; it is the last note as well.
    outcome : {"finished", "crashed"} or None, default None
        How it ended, if that is known.
    """

    row: ExperimentRow
    series: dict[str, Points]
    marks: list[ExperimentMark]
    left_out: LeftOut
    outcome: str | None = None


class RunBuilder:
    """Collects what a reader finds of one run.

    Parameters
    ----------
    name : str
        Name of the run.

    Attributes
    ----------
    params : dict of str to object
        Parameters.
    tags : dict of str to None
        Tags.
    project : str or None
        Project that it belongs to.
    summary : dict of str to object
        Values of the run as a whole.
    created_at : int or None
        Begin in milliseconds since 1970; by default the time of the first point.
    outcome : {"finished", "crashed"} or None
        How it ended, if that is known.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.params: dict[str, Any] = {}
        self.tags: dict[str, None] = {}
        self.project: str | None = None
        self.summary: dict[str, Any] = {}
        self.created_at: int | None = None
        self.outcome: str | None = None
        self.left_out = LeftOut()
        self.series: dict[str, Points] = {}
        self._notes: list[tuple[str, int | None, int | None]] = []
        self._remarks: list[str] = []
        self._last_steps: dict[str, tuple[int, int]] = {}
        self._attempt = 1
        self._first_at: int | None = None
        self._last_at: int | None = None

    def add(self, key: str, step: int, value: float, at: int, tokens: float = math.nan) -> None:
        """Add a point; a step that goes backwards begins a new attempt of its series.

        Parameters
        ----------
        key : str
            Key of the series.
        step : int
            The step.
        value : float
            The value.
        at : int
            Milliseconds since 1970.
        tokens : float, default NaN
            Tokens trained on until then.
        """
        if not usable_key(key):
            self.left_out.add("value under a name that cannot be a key", key)
            return
        if not -_INT64 <= step < _INT64:
            self.left_out.add("value at a step that needs more than 64 bits", key)
            return
        key = kept_text(key)
        attempt, last = self._last_steps.get(key, (self._attempt, step))
        attempt += step < last
        self._last_steps[key] = attempt, step
        self._attempt = attempt
        points = self.series.get(key)
        if points is None:
            points = self.series[key] = Points([], [], [], [], [])
        points.step.append(step)
        points.at.append(at)
        points.tokens.append(tokens)
        points.value.append(value)
        points.attempt.append(attempt)
        self.seen(at)

    def seen(self, at: int) -> None:
        """Extend the time of the run to a moment, in milliseconds since 1970."""
        self._first_at = at if self._first_at is None else min(self._first_at, at)
        self._last_at = at if self._last_at is None else max(self._last_at, at)

    def note(self, text: str, *, step: int | None = None, at: int | None = None) -> None:
        """Add a note; the time is by default the end of the run."""
        if len(self._notes) >= _MOST_NOTES:
            self.left_out.add(f"text after the first {_MOST_NOTES} note")
            return
        if at is not None:
            self.seen(at)
        if len(text) > _LONGEST_NOTE:
            text = f"{text[:_LONGEST_NOTE]}... ({len(text):,} characters)"
        self._notes.append((text, step, at))

    def remark(self, text: str) -> None:
        """Add a sentence about the import itself, which becomes part of the last note."""
        self._remarks.append(text)

    def take(self, other: RunBuilder) -> None:
        """Take over the parameters, tags, points and notes of another run."""
        self.params.update(other.params)
        self.tags.update(other.tags)
        self.summary.update(other.summary)
        for key, points in other.series.items():
            for step, at, tokens, value, _ in zip(*points, strict=True):
                self.add(key, step, value, at, tokens)
        self._notes.extend(other._notes)
        self._remarks.extend(other._remarks)
        self.left_out.update(other.left_out)
        self.outcome = other.outcome or self.outcome

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the run was found."""
        return not (self.series or self.params or self._notes)

    def build(self, *identity: object, now: int) -> ImportedRun:
        """Return the run.

        Parameters
        ----------
        *identity : object
            What stays the same when the run is imported again, as JSON; the id of the experiment is made of it.
        now : int
            Time of a run without any other, in milliseconds since 1970.
        """
        begin = self.created_at if self.created_at is not None else self._first_at
        begin = now if begin is None else begin
        end = max(begin, begin if self._last_at is None else self._last_at)
        digest = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:8]
        marks = [
            ExperimentMark("note", step, end if at is None else at, kept_text(text), None, None, self._attempt)
            for text, step, at in self._notes
        ]
        about = " ".join([*self._remarks, *([str(self.left_out)] if self.left_out else [])])
        if about:
            marks.append(ExperimentMark("note", None, end, kept_text(about), None, None, self._attempt))
        row = ExperimentRow(
            id=digest,
            name=kept_text(self.name.strip() or digest)[:_LONGEST_NAME],
            run_id=None,
            session_id=None,
            created_at=begin,
            tags=tuple(kept_text(tag) for tag in self.tags if tag),
            params=read_params(kept_params(self.params)),
            notes=(),
            archived=False,
            last_at=end,
            project=kept_text(self.project.strip())[:_LONGEST_PROJECT] or None if self.project else None,
            summary=read_params(kept_params(self.summary)),
        )
        return ImportedRun(row, self.series, marks, self.left_out, self.outcome)


def flat_names(values: Mapping[str, Any], parent: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of nested dictionaries by dotted names."""
    for name, value in values.items():
        path = f"{parent}.{name}" if parent else str(name)
        if isinstance(value, Mapping) and value:
            yield from flat_names(value, path)
        else:
            yield path, value


def typed_text(text: str) -> Any:
    """Return a number, flag or None that was stored as a text; any other text unchanged."""
    if text in _UNTYPED:
        return _UNTYPED[text]
    # A text such as 1_000 or " 5" is a number for Python only.
    if not text or text != text.strip() or "_" in text:
        return text
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        # Leading zeros may be part of a name: 007.
        is_same = kind is float or str(found) == text
        return found if is_same else text
    return text
