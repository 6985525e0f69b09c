"""Recording by hand: ``loops_nb.experiment``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loops_nb.errors import TrackingError
from loops_nb.tracking import Recording, Store, begin

if TYPE_CHECKING:
    import pandas as pd


class Experiment(Recording):
    """An experiment that is being recorded, with its DataFrame; made by `experiment`."""

    def frame(self, *, keys: Iterable[str] | None = None, wide: bool = True) -> pd.DataFrame:
        """Return what was logged until now, also before this process.

        Parameters
        ----------
        keys
            Only these; None for all.
        wide
            A row a step with a column a key; False for a row a point.  Columns as in `loops_nb.frames.metrics`.

        Raises
        ------
        TrackingError
            If the file of experiments cannot be read, or could not be written yet.
        """
        from loops_nb.frames.metrics import metrics_frame  # noqa: PLC0415 - logging needs no pandas

        if not self.is_on_disk:
            raise TrackingError(f"{self.name!r:.60} is not on the disk yet. {self.trouble}")
        with Store(self.path) as store:
            return metrics_frame(store, [self.id], keys=keys, wide=wide)


def experiment(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    run: Any = None,
    session: Any = None,
    resume: bool | str = False,
    path: Path | None = None,
) -> Experiment:
    """Begin an experiment, or go on with one, on this machine: no account, no network.

    Parameters
    ----------
    name
        What to call it.  A second experiment of the same name is another one, unless it is resumed.
    params
        What is set for it: learning rate, rank, data set.  Values under names such as ``api_key`` or ``password`` are not kept.
    tags
        Words to find it by.
    run
        The Loops run that it belongs to, by its id or as a `Run`.  An experiment of this name and run is gone on with.
    session
        The Loops session, by its id or as a `Session`.
    resume
        True goes on with the newest experiment of this name, if there is one; a text with the one of this id.  What is logged from now on
        is a new attempt; all that was logged before stays as it is.
    path
        The file; without it ``experiments.sqlite`` in the folder of `loops_nb.home.home_dir`.

    Returns
    -------
    Experiment
        What to call ``log`` on; also a context manager.

    Raises
    ------
    TrackingError
        If the file was written by a newer version of ``loops_nb``, is not a file of experiments, or ``resume`` names an experiment that
        is not in it.  A disk that is full or cannot be written is only warned of: recording never ends a training.
    InvalidArgumentError
        If the name is empty or too long.

    Examples
    --------
    >>> with loops_nb.experiment("lr-sweep", params={"lr": 1e-4}) as exp:  # doctest: +SKIP
    ...     exp.log(step=0, loss=2.3)
    """
    return begin(Experiment, name, params=params, tags=tags, run=run, session=session, resume=resume, path=path)
