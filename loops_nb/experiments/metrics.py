"""``loops.metrics``: what was recorded on this machine, as DataFrames, and what a person says about it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.experiments.direction import known_mode
from loops_nb.home import user_path
from loops_nb.tracking import ExperimentRow, Store, in_sight

if TYPE_CHECKING:
    import pandas as pd

_Words = str | Sequence[str]


class Imported(NamedTuple):
    """What `Metrics.import_` did: the ids of the experiments that are new, and of those that were there already and stayed as they were."""

    new: list[str]
    known: list[str]


class Metrics:
    """The experiments of this machine; no network, and the same ones for every connection.

    Where a method takes experiments, each is said by its id, by the id of its run or by its name; a name that several have means all of
    them, those that are archived only where all are.

    Parameters
    ----------
    path
        The file; without it ``experiments.sqlite`` in the folder of `loops_nb.home.home_dir`, as that is at each call.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path
        self._stores: dict[Path, Store] = {}

    @property
    def store(self) -> Store:
        """The file of experiments."""
        wanted = Store(self._path)
        return self._stores.setdefault(wanted.path, wanted)

    def experiments(self, *, archived: bool = False) -> pd.DataFrame:
        """Return the experiments as a frame, newest first; ``archived`` takes those along that were put out of sight.

        Raises
        ------
        TrackingError
            If the file of experiments cannot be read, as in all methods.
        """
        from loops_nb.frames.metrics import experiments_frame  # noqa: PLC0415 - a script that only notes something needs no pandas

        return experiments_frame(self.store, archived=archived)

    def frame(self, what: _Words | None = None, *, keys: Iterable[str] | None = None, wide: bool = False) -> pd.DataFrame:
        """Return what was logged: one row a point, or with ``wide`` one row a step and a column a key.

        Parameters
        ----------
        what
            Experiments; None for all that are not archived.
        keys
            Only these keys; None for all.
        wide
            A column a key.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.frames.metrics.metrics_frame`.

        Raises
        ------
        TrackingError
            If nothing is recorded for one of the words.
        """
        from loops_nb.frames.metrics import metrics_frame  # noqa: PLC0415

        return metrics_frame(self.store, self.ids(what), keys=keys, wide=wide)

    def marks(self, what: _Words | None = None) -> pd.DataFrame:
        """Return the checkpoints saved and the notes written, oldest first; columns as in `loops_nb.frames.metrics.marks_frame`."""
        from loops_nb.frames.metrics import marks_frame  # noqa: PLC0415

        return marks_frame(self.store, self.ids(what))

    def best(self, metric: str, what: _Words | None = None, *, mode: str | None = None) -> pd.DataFrame:
        """Return the checkpoints by a metric, the best first.

        Parameters
        ----------
        metric
            A key, such as ``loss``.
        what
            Experiments; None for all that are not archived.
        mode
            ``min`` or ``max``: which values are better.  It can be left out where the key tells: ``loss``, ``perplexity`` and ``error`` are
            better when lower, ``accuracy``, ``reward`` and ``score`` when higher.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.frames.metrics.best_frame`.

        Raises
        ------
        InvalidArgumentError
            If ``mode`` is something else, or left out where the key does not tell.
        TrackingError
            If nothing was logged under that key, or nothing is recorded for one of the words.
        """
        if mode not in {None, "min", "max"}:
            raise InvalidArgumentError(f"mode must be min or max, not {mode!r:.40}.", argument="mode")
        from loops_nb.frames.metrics import best_frame  # noqa: PLC0415

        way = mode or known_mode(metric)
        found = best_frame(self.store, self.ids(what), metric, highest=way == "max")
        if way is None and len(found):
            raise InvalidArgumentError(
                f"The name {metric!r:.60} does not tell whether the lowest or the highest is the best.",
                argument="mode",
                hint='Say mode="min" or mode="max".',
            )
        return found

    def params(self, what: _Words | None = None) -> pd.DataFrame:
        """Return parameters beside each other, those that differ first; columns as in `loops_nb.frames.metrics.params_frame`."""
        from loops_nb.frames.metrics import params_frame  # noqa: PLC0415

        return params_frame(self.store, self.ids(what))

    def set_params(self, what: _Words, params: Mapping[str, Any]) -> None:
        """Add parameters to experiments; one of the same name is replaced."""
        for key in self.ids(what):
            self.store.set_params(key, params)

    def tag(self, what: _Words, *tags: str, remove: bool = False) -> None:
        """Add tags to experiments, or take them off."""
        for key in self.ids(what):
            (self.store.untag if remove else self.store.tag)(key, *tags)

    def note(self, what: _Words, text: str, *, step: int | None = None) -> None:
        """Write something down about experiments, at a step or as a whole."""
        for key in self.ids(what):
            self.store.note(key, text, step=step)

    def archive(self, what: _Words, *, archived: bool = True) -> None:
        """Put experiments out of sight, or back; nothing of them is deleted."""
        for row in self.find(what, hidden=not archived):
            self.store.archive(row.id, archived=archived)

    def export(self, path: str | os.PathLike[str], what: _Words | None = None) -> int:
        """Write experiments to a file that `import_` reads back without loss, and return how many rows it has.

        Parameters
        ----------
        path
            The file; its name ends in ``.jsonl``, ``.csv`` or ``.parquet`` (that needs pyarrow).  One that is there is replaced, once the
            new one is whole.
        what
            Experiments; None for all, also those that are archived.

        Raises
        ------
        InvalidArgumentError
            If the name tells no format.
        TrackingError
            If the file cannot be written, or nothing is recorded for one of the words.
        """
        from loops_nb.experiments.exchange import export  # noqa: PLC0415

        ids = [row.id for row in self.store.experiments(archived=True)] if what is None else self.ids(what)
        return export(self.store, ids, user_path(path))

    def import_(self, path: str | os.PathLike[str]) -> Imported:
        """Add the experiments of a file that `export` wrote; those that are here already, by their id, stay as they are.

        Raises
        ------
        InvalidArgumentError
            If the name tells no format.
        TrackingError
            If the file is none of ours, or cannot be read.
        """
        from loops_nb.experiments.exchange import import_file  # noqa: PLC0415

        return Imported(*import_file(self.store, user_path(path)))

    def find(self, what: _Words, *, hidden: bool = False) -> list[ExperimentRow]:
        """Return the experiments that words mean, in the order of the words.

        Parameters
        ----------
        what
            Ids of experiments, ids of runs, or names.  What is archived is meant by its id; by another word where nothing else is.
        hidden
            Other words mean archived ones beside the others, too.

        Raises
        ------
        TrackingError
            If nothing is recorded for one of them; with the names that are like it.
        """
        rows = self.store.experiments(archived=True)
        found: dict[str, ExperimentRow] = {}
        for word in [what] if isinstance(what, str) else what:
            fits = [row for row in rows if row.id == word] or _fitting(rows, word, hidden=hidden)
            if not fits:
                known = dict.fromkeys(text for row in rows for text in (row.name, row.run_id, row.id) if text)
                near = difflib.get_close_matches(word, known, n=2)
                raise TrackingError(
                    f"Nothing is recorded for {word!r:.60} on this machine.",
                    hint=f"Did you mean {' or '.join(near)}?" if near else "%loops experiments lists what is.",
                )
            found.update((row.id, row) for row in reversed(fits))
        return list(found.values())

    def ids(self, what: _Words | None) -> list[str]:
        """Return the ids of the experiments that words mean; of all that are not archived, oldest first, for None."""
        rows = reversed(self.store.experiments()) if what is None else self.find(what)
        return [row.id for row in rows]

    def __repr__(self) -> str:
        return f"<Metrics in {self.store.path}>"


def _fitting(rows: Iterable[ExperimentRow], word: str, *, hidden: bool) -> list[ExperimentRow]:
    fits = [row for row in rows if word in (row.run_id, row.name)]
    return fits if hidden else in_sight(fits)
