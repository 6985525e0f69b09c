"""What is read from the store: experiments, their keys, their series of points, and their marks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

#: Kinds of marks: a checkpoint that was saved, and a person's words.
MARK_KINDS = ("save", "note")


class ExperimentRow(NamedTuple):
    """One experiment.

    Parameters
    ----------
    id
        Its own id, unlike any other's.
    name
        What the person called it; several may have the same.
    run_id, session_id
        The Loops run and session that it follows; None without one.
    created_at, last_at
        When it was begun, and when its newest point or mark was recorded; milliseconds since 1970.
    tags
        Its tags, in the order of the alphabet.
    params
        What was set for it: learning rate, rank, data set.
    notes
        What was written down about it, oldest first.
    archived
        Whether it was put out of sight.
    """

    id: str
    name: str
    run_id: str | None
    session_id: str | None
    created_at: int
    tags: tuple[str, ...]
    params: dict[str, Any]
    notes: tuple[str, ...]
    archived: bool
    last_at: int

    @property
    def label(self) -> str:
        """The name, and the run where there is one: what tells experiments apart on a page."""
        return self.name if self.run_id is None or self.run_id == self.name else f"{self.name} ({self.run_id})"


def in_sight(rows: Iterable[ExperimentRow]) -> list[ExperimentRow]:
    """Return those that are not archived; what was put out of sight is meant only where nothing else is there."""
    found = list(rows)
    return [row for row in found if not row.archived] or found


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of an experiment: how many points it has, and the lowest and the highest step among them."""

    key: str
    count: int
    first_step: int
    last_step: int


class Mark(NamedTuple):
    """Something that happened at a step: a checkpoint was saved, or a person wrote something down.

    Parameters
    ----------
    kind
        ``save`` or ``note``.
    step
        The step, None where it is not known.
    at
        Milliseconds since 1970.
    text
        Name of the checkpoint, or the note.
    uri
        ``bt://`` URI of the checkpoint, None for notes and while the save has not told it.
    target
        ``trainer`` or ``sampler``: what can load the checkpoint; None for notes.
    attempt
        Number of the attempt, as in `Series`.
    """

    kind: Literal["save", "note"]
    step: int | None
    at: int
    text: str
    uri: str | None
    target: str | None
    attempt: int


class LogMark(NamedTuple):
    """What is the same in a log as long as it only grows.

    Parameters
    ----------
    offset
        How far it was read, in bytes.
    head, tail
        Digests of its beginning and of what stands before ``offset``.
    """

    offset: int
    head: str
    tail: str


class Series(NamedTuple):
    """The points of one key, in the order in which they arrived.

    Parameters
    ----------
    step
        The steps, int64; they may repeat and go backwards.
    at
        When each was recorded: milliseconds since 1970, int64.
    tokens
        Tokens trained on until then, float64; NaN where nobody said.
    value
        The values, float64; NaN and infinities as they were recorded.
    attempt
        1 for what was recorded first; higher after each resumption and each return to an earlier step; int32.
    mark
        Where this series ends: given to `Store.series` as ``after``, only newer points are read.
    """

    step: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    attempt: npt.NDArray[np.int32]
    mark: int
